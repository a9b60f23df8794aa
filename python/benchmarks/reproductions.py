"""What `reproduce.py` runs: models on data sets, with options and published figures.

Options were chosen on the validation part alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reproduced_groups import FOUR, ROWS, SAMPLED, TWO


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


_COSINE = {"schedule": "cosine", "warmup_steps": 100, "patience": None}
_BEAUTY = {"max_length": 50, "batch_size": 128, "learning_rate": 1e-3, "epochs": 40, **_COSINE}
_LONG = {
    "max_length": 200,
    "crop": "all",
    "batch_size": 64,
    "learning_rate": 2e-3,
    "epochs": 36,
    **_COSINE,
}
_HALF = {"dropout": 0.5, "attention_dropout": 0.5, "inner_dropout": 0.5}
_FIFTH = {"dropout": 0.2, "attention_dropout": 0.2, "inner_dropout": 0.2}
_LINREC = {
    "dim": 128,
    "inner_dim": 256,
    "heads": 8,
    "norm": "post",
    "dropout": 0.2,
    "attention_dropout": 0.2,
    **_LONG,
    "learning_rate": 1e-3,
}
_ROWS = {
    "dim": 64,
    "max_length": 19,
    "batch_size": 128,
    "learning_rate": 1e-3,
    "epochs": 20,
    "patience": 3,
}
_TITLES = {
    "ids": True,
    "initial_std": 0.004,
    "first_item": False,
    "batch_size": 128,
    "patience": None,
}
_FILMS = {
    "sizes": (8, 16, 32, 64),
    "ids": True,
    "dropout": 0.1,
    "size_dropout": (0, 0.5, 1, 1),
    "initial_std": 0.004,
    "first_item": False,
    "batch_size": 64,
    "learning_rate": 2e-3,
    "epochs": 15,
    "patience": None,
}
_GAPS = [1, 4, 1, 4, 1, 4, 1, 4]

_FMRLREC = "fMRLRec's paper"
_S3 = "S3-Rec's repository"
_LRUREC = "LRURec's paper"
_LINREC_PAPER = "LinRec's figures in EASRec's paper"
_SKIPREC = "SkipRec's slides, other data"

RUNS = [
    Run("beauty", "popularity", "Popularity", figures(TWO, 0.0152, 0.0068), _S3),
    Run(
        "beauty",
        "sasrec",
        "SASRec",
        figures(FOUR, 0.0456, 0.0274, 0.0734, 0.0364),
        _FMRLREC,
        {"dim": 128, **_HALF, **_BEAUTY},
    ),
    Run(
        "beauty",
        "lrurec",
        "LRURec",
        figures(FOUR, 0.0565, 0.0339, 0.0871, 0.0438),
        _FMRLREC,
        {
            "dim": 128,
            "state_dim": 256,
            "inner_dim": 512,
            "dropout": 0.6,
            "recurrence_dropout": 0.6,
            **_BEAUTY,
            "epochs": 30,
        },
    ),
    Run(
        "beauty",
        "bert4rec",
        "BERT4Rec",
        figures(FOUR, 0.0420, 0.0275, 0.0653, 0.0350),
        _FMRLREC,
        {
            "mask_ratio": 0.6,
            "last_ratio": 0.2,
            **_BEAUTY,
            "batch_size": 64,
            "epochs": 100,
        },
    ),
    Run(
        "beauty",
        "gru4rec",
        "GRU4Rec",
        figures(FOUR, 0.0164, 0.0099, 0.0283, 0.0137),
        _S3,
        {"dim": 64, "hidden_dim": 128, "dropout": 0.5, **_BEAUTY, "epochs": 15},
    ),
    Run(
        "beauty",
        "caser",
        "Caser",
        figures(FOUR, 0.0205, 0.0131, 0.0347, 0.0176),
        _S3,
        {
            "dim": 64,
            "dropout": 0.5,
            "max_length": 50,
            "weight_decay": 1e-6,
            "batch_size": 128,
            "learning_rate": 1e-3,
            "epochs": 20,
            "patience": 8,
        },
    ),
    Run("ml-1m", "popularity", "Popularity"),
    Run(
        "ml-1m",
        "sasrec",
        "SASRec",
        figures(TWO, 0.3181, 0.1902),
        _LRUREC,
        {"dim": 128, **_FIFTH, **_LONG},
    ),
    Run(
        "ml-1m",
        "sasrec-linear",
        "SASRec",
        options={
            "attention": "linear_causal",
            "dim": 128,
            "dropout": 0.2,
            "inner_dropout": 0.2,
            **_LONG,
        },
    ),
    Run(
        "ml-1m",
        "lrurec",
        "LRURec",
        figures(TWO, 0.32636, 0.19298),
        _LRUREC,
        {"dim": 64, "dropout": 0.2, "recurrence_dropout": 0.2, **_LONG, "epochs": 24},
    ),
    Run(
        "popular100",
        "softmax",
        "SASRec",
        figures(SAMPLED, 0.6793, 0.3822, 0.4533),
        _LINREC_PAPER,
        _LINREC,
    ),
    Run(
        "popular100",
        "linear-causal",
        "SASRec",
        figures(SAMPLED, 0.6790, 0.3949, 0.4627),
        _LINREC_PAPER,
        {**_LINREC, "attention": "linear_causal", "attention_dropout": 0.0},
    ),
    Run(
        "popular100",
        "linear",
        "SASRec",
        figures(SAMPLED, 0.6790, 0.3949, 0.4627),
        _LINREC_PAPER,
        {
            **_LINREC,
            "attention": "linear",
            "attention_dropout": 0.0,
            "crop": "last",
            "batch_size": 2048,
            "epochs": 12,
        },
        slow=True,
    ),
    Run(
        "beauty-nested",
        "text",
        "FMRLRec",
        figures(FOUR, 0.0613, 0.0415, 0.0939, 0.0520),
        f"{_FMRLREC}, texts and images",
        {
            "sizes": (8, 16, 32, 64, 128, 256, 512),
            "dropout": 0.6,
            "size_dropout": (0.2, 0.2, 0.3, 0.4, 0.6, 0.8, 1),
            **_TITLES,
            "learning_rate": 5e-4,
            "epochs": 11,
        },
        vectors=("text",),
        whitened=True,
        label="ids and texts",
    ),
    Run(
        "beauty-nested",
        "text-128",
        "FMRLRec",
        options={
            "sizes": (16, 32, 64, 128),
            "dropout": 0.35,
            "size_dropout": (0.3, 0.4, 0.6, 1),
            **_TITLES,
            "learning_rate": 1e-3,
            "epochs": 12,
        },
        vectors=("text",),
        whitened=True,
        label="ids and texts, up to 128",
    ),
    Run(
        "beauty-nested",
        "text-64",
        "FMRLRec",
        options={
            "sizes": (64,),
            "dropout": 0.2,
            **_TITLES,
            "learning_rate": 1e-3,
            "epochs": 12,
        },
        vectors=("text",),
        whitened=True,
        label="ids and texts, 64 alone",
    ),
    Run(
        "beauty-nested",
        "lrurec",
        "LRURec",
        options={
            "dim": 128,
            "state_dim": 256,
            "inner_dim": 512,
            "nested_sizes": (8, 16, 32, 64, 128),
            "dropout": 0.5,
            "size_dropout": (0.2, 0.3, 0.4, 0.7, 1),
            **_BEAUTY,
            "epochs": 16,
        },
    ),
    Run(
        "beauty-nested",
        "lrurec-64",
        "LRURec",
        options={"dropout": 0.35, "nested_sizes": (64,), **_BEAUTY, "epochs": 16},
        label="64 alone",
    ),
    Run(
        "beauty-nested",
        "sasrec",
        "SASRec",
        options={
            "dim": 128,
            "inner_dim": 512,
            "heads": 8,
            "nested_sizes": (16, 32, 64, 128),
            "dropout": 0.5,
            "attention_dropout": 0.3,
            "inner_dropout": 0.5,
            "size_dropout": (0.3, 0.4, 0.7, 1),
            **_BEAUTY,
            "epochs": 16,
        },
    ),
    *(
        Run(
            "ml-1m-nested",
            name,
            "FMRLRec",
            options=_FILMS,
            vectors=vectors,
            label=label,
        )
        for name, vectors, label in (
            ("none", (), "ids"),
            ("text", ("text",), "ids and texts"),
            ("image", ("image",), "ids and posters"),
            ("both", ("text", "image"), "ids, texts and posters"),
        )
    ),
    Run(
        "rows", "popularity", "Popularity", figures(ROWS, 0.0044, 0.0134, 0.0076, 0.0485), _SKIPREC
    ),
    Run(
        "rows",
        "nfm",
        "NFM",
        figures(ROWS, 0.0483, 0.0856, 0.0585, 0.1933),
        _SKIPREC,
        {**_ROWS},
    ),
    Run(
        "rows",
        "gru4rec",
        "GRU4Rec",
        figures(ROWS, 0.0938, 0.1577, 0.1082, 0.3115),
        _SKIPREC,
        {"dropout": 0.3, **_ROWS},
    ),
    Run(
        "rows",
        "caser",
        "Caser",
        figures(ROWS, 0.0915, 0.1509, 0.1045, 0.2857),
        _SKIPREC,
        {"form": "text", "window": 19, "dropout": 0.5, **_ROWS},
    ),
    Run(
        "rows",
        "nextitnet",
        "NextItNet",
        figures(ROWS, 0.1019, 0.1686, 0.1173, 0.3285),
        _SKIPREC,
        {"dilations": _GAPS, "dropout": 0.2, **_ROWS},
    ),
    Run(
        "rows",
        "nextitnet-plus",
        "NextItNetPlus",
        figures(ROWS, 0.1067, 0.1784, 0.1234, 0.3393),
        _SKIPREC,
        {"dilations": _GAPS, "dropout": 0.2, **_ROWS},
    ),
]
