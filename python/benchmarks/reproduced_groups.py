"""The tables of docs/results.md, and what their runs are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Group:
    """Runs whose figures compare with each other: one table of the page.

    Attributes
    ----------
    title, text : str
        Heading and explanation of the table.
    data : {"beauty", "ml-1m", "ml-1m-all", "ml-1m-20"}
        See ``reproduce.log_of``.
    metrics : tuple of str
        The columns; the first decides nothing, training selects by NDCG@10 on the validation.
    split : {"leave-one-out", "sequences"}
    candidates : str
    exclude_seen : bool
        Whether the history stays out of the ranking, as in ``evaluate``, on the validation too.
    others : tuple of str
        Columns for the test with the history treated the other way.
    sizes : bool
        Whether the models are nested, and all their sizes are shown.
    """

    title: str
    text: str
    data: str
    metrics: tuple[str, ...]
    split: str = "leave-one-out"
    candidates: str = "all"
    exclude_seen: bool = False
    others: tuple[str, ...] = ()
    sizes: bool = False


@dataclass(frozen=True)
class Run:
    """A model of a group, and what a paper found.

    Attributes
    ----------
    group : str
        A key of ``GROUPS``.
    name : str
        Names the run on the command line, behind the group's key.
    model : str
        A class of elastirec.
    published : mapping of str to float
        Published metrics; empty where there are none.
    source : str
        Whose they are.
    options : mapping
        What differs from the defaults of the model.
    slow : bool
        Whether it runs only if named, as it takes hours.
    vectors : tuple of str
        What is known of items that the model reads; see ``common.item_vectors``.
    whitened : bool
        Whether the vectors go through ``common.whitened`` before.
    label : str
        What the page adds to the name of the model.
    """

    group: str
    name: str
    model: str
    published: Mapping[str, float] = field(default_factory=dict)
    source: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    slow: bool = False
    vectors: tuple[str, ...] = ()
    whitened: bool = False
    label: str = ""

    @property
    def key(self) -> str:
        """What the command line calls it."""
        return f"{self.group}/{self.name}"


def figures(names: tuple[str, ...], *values: float) -> dict[str, float]:
    """Return published metrics by name."""
    return dict(zip(names, values, strict=True))


FOUR = ("hr@5", "ndcg@5", "hr@10", "ndcg@10")
TWO = ("hr@10", "ndcg@10")
OTHER = "other "  # begins the names of figures with the history treated the other way
OTHER_TWO = tuple(OTHER + metric for metric in TWO)
SAMPLED = ("recall@10", "mrr@10", "ndcg@10")
ROWS = ("mrr@5", "hr@5", "mrr@20", "hr@20")

GROUPS = {
    "beauty": Group(
        "Amazon Beauty",
        "The 5-core in the order of S3-Rec's file, leave-one-out, full ranking; the history is"
        " ranked too, as fMRLRec's code does, when the best epoch is chosen as well. LRURec's code"
        " leaves it out, as do S3-Rec's and the columns that say so: nobody chooses an item twice"
        " in this log. Which of the two gave the figures of other models in fMRLRec's paper is not"
        " said there.",
        "beauty",
        FOUR,
        others=TWO,
    ),
    "ml-1m": Group(
        "MovieLens-1M",
        "The file of the SASRec papers, leave-one-out, full ranking without the history.",
        "ml-1m",
        TWO,
        exclude_seen=True,
        others=TWO,
    ),
    "popular100": Group(
        "MovieLens-1M, 100 popular candidates",
        "All of MovieLens-1M by time, leave-one-out; each target is ranked among 100 draws by"
        " popularity (RecBole's pop100). Such figures compare with nothing but their like. Width"
        " 128, length 200, as in LinRec's experiments.",
        "ml-1m-all",
        SAMPLED,
        candidates="popular100",
    ),
    "rows": Group(
        "MovieLens-1M in rows of 20",
        "Histories of the SASRec papers' file cut into rows of 20 from the oldest item on, shorter"
        " remainders dropped; 80 % of the rows train, 10 % validate, 10 % test. Full ranking of the"
        " last item of a row, history included. The published figures are of another,"
        " larger MovieLens in rows of 20: what compares is the order of the models.",
        "ml-1m-20",
        ROWS,
        split="sequences",
    ),
    "beauty-nested": Group(
        "Amazon Beauty, nested models",
        "As above. Text is what all-MiniLM-L6-v2 makes of titles, about its mean and of equal"
        " variance in all directions (`common.whitened`); words are which words titles have, 384"
        " numbers of a TF-IDF, likewise, and letters are which three to five letters stand side by"
        " side. One training gives all sizes of a line; a"
        " model with one size is dense.",
        "beauty",
        FOUR,
        others=TWO,
        sizes=True,
    ),
    "ml-1m-nested": Group(
        "MovieLens-1M, texts and posters",
        "The file of the SASRec papers, the newest 50 items, leave-one-out, full ranking without"
        " the history. Text is what all-MiniLM-L6-v2 makes of title, genres, director, actors and"
        " plot; images are histograms and thumbnails of posters.",
        "ml-1m",
        TWO,
        exclude_seen=True,
        others=TWO,
        sizes=True,
    ),
}

# Options of several runs.
COSINE = {"schedule": "cosine", "warmup_steps": 100, "patience": None}
BEAUTY = {"max_length": 50, "batch_size": 128, "learning_rate": 1e-3, "epochs": 40, **COSINE}

FMRLREC = "fMRLRec's paper"
