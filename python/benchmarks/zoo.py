"""The models that `--models` times, with the options that both sides take."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import arithmetic
import common
import numpy as np
from numpy.typing import NDArray

# Attention dropout is left out: PyTorch's fast attention has none.
TRANSFORMER = {"dim": 64, "inner_dim": 256, "blocks": 2, "heads": 2, "dropout": 0.2}


@dataclass(frozen=True)
class Entry:
    """A model, and how both sides train it.

    Attributes
    ----------
    title : str
    ours, theirs : str
        Class of elastirec, and of the folder ``peers``.
    options : mapping
        Sizes that both sides take by the same names.
    only_ours : mapping
        Options that choose, on our side, the form that the other side has.
    macs : callable
        Multiply-adds of the forward pass for the tokens of each sample, from ``arithmetic``.
    samples : {"positions", "prefixes", "cloze"}
    batch : int
        Samples of a step.
    features : bool
        Whether the model takes features of items.
    also_long : bool
        Whether it runs on ML-1M at length 200 too.
    """

    title: str
    ours: str
    theirs: str
    options: Mapping[str, Any]
    macs: arithmetic.Macs
    only_ours: Mapping[str, Any] = field(default_factory=dict)
    samples: str = "positions"
    batch: int = common.BATCH
    features: bool = False
    also_long: bool = False


ZOO = {
    "linrec": Entry(
        "LinRec (SASRec, linear attention)",
        "SASRec",
        "LinRec",
        {**TRANSFORMER, "attention": "linear"},
        arithmetic.transformer,
        only_ours={"norm": "post"},
        samples="prefixes",
        batch=1024,
    ),
    "linrec-causal": Entry(
        "SASRec, causal linear attention",
        "SASRec",
        "LinRec",
        {**TRANSFORMER, "attention": "linear_causal"},
        arithmetic.transformer,
        only_ours={"norm": "post"},
    ),
    "sasrecf": Entry(
        "SASRecF",
        "SASRecF",
        "SASRecF",
        TRANSFORMER,
        arithmetic.sasrecf,
        only_ours={"attention_dropout": 0.0},
        features=True,
    ),
    "fdsa": Entry(
        "FDSA",
        "FDSA",
        "FDSA",
        TRANSFORMER,
        arithmetic.fdsa,
        only_ours={"attention_dropout": 0.0},
        features=True,
    ),
    "bert4rec": Entry(
        "BERT4Rec",
        "BERT4Rec",
        "BERT4Rec",
        TRANSFORMER,
        arithmetic.transformer,
        only_ours={"attention_dropout": 0.0},
        samples="cloze",
    ),
    "core": Entry(
        "CORE",
        "CORE",
        "CORE",
        TRANSFORMER,
        arithmetic.transformer,
        only_ours={"attention_dropout": 0.0},
    ),
    "nextitnet": Entry(
        "NextItNet",
        "NextItNet",
        "NextItNet",
        {"dim": 64, "kernel": 3, "dilations": (1, 4, 1, 4)},
        arithmetic.nextitnet,
        also_long=True,
    ),
    "gru4rec": Entry(
        "GRU4Rec",
        "GRU4Rec",
        "GRU4Rec",
        {"dim": 64, "hidden_dim": 128, "layers": 1, "dropout": 0.3},
        arithmetic.gru4rec,
        only_ours={"form": "recbole"},
    ),
    "caser": Entry(
        "Caser",
        "Caser",
        "Caser",
        {"dim": 64, "window": 5, "horizontal_filters": 16, "vertical_filters": 4, "dropout": 0.5},
        arithmetic.caser,
        only_ours={"form": "original"},
    ),
    "nfm": Entry(
        "NFM",
        "NFM",
        "NFM",
        {"dim": 64, "hidden": (64,), "dropout": 0.5, "hidden_dropout": 0.2},
        arithmetic.nfm,
    ),
    "mixer": Entry(
        "MLP mixer",
        "MLPMixer",
        "MLPMixer",
        {"dim": 64, "layers": 2, "token_dim": 64, "channel_dim": 256, "dropout": 0.2},
        arithmetic.mixer,
        samples="prefixes",
        batch=1024,
    ),
    "lrurec": Entry(
        "LRURec",
        "LRURec",
        "LRURec",
        {"dim": 64, "state_dim": 128, "inner_dim": 256, "blocks": 2, "dropout": 0.2},
        arithmetic.lrurec,
        also_long=True,
    ),
}


@dataclass(frozen=True)
class ItemAttributes:
    """What is known about the items of a data set, in the order of their numbers."""

    values: NDArray[np.int64]  # categories, in compressed-sparse-row form
    offsets: NDArray[np.int64]  # [items + 1]
    count: int  # how many categories there are
    vectors: NDArray[np.float32]  # [items, width]


def attributes(name: str, data: common.Histories) -> ItemAttributes:
    """Return the categories and the vectors of the items of Beauty, or made-up ones."""
    given = os.environ.get("ELASTIREC_DATA")
    for folder in filter(None, (given, common.ROOT.parent / "shared" / "data")):
        path = Path(folder) / "amazon-beauty"
        if name == "beauty" and not data.source.startswith("synthetic") and path.is_dir():
            return _beauty(path)
    rng = np.random.default_rng(4)
    lengths = rng.integers(1, 7, data.item_count)
    return ItemAttributes(
        rng.integers(637, size=lengths.sum()),
        np.concatenate([[0], np.cumsum(lengths)]),
        637,
        rng.normal(size=(data.item_count, 384)).astype(np.float32),
    )


def _beauty(folder: Path) -> ItemAttributes:
    """Return S3-Rec's attributes, and MiniLM's vectors of the titles."""
    lists = [
        [int(value) for value in row["attributes"].split()] for row in common.item_rows(folder)
    ]
    known, values = np.unique(np.concatenate(lists), return_inverse=True)
    vectors = common.item_vectors("beauty", "text")
    assert vectors is not None  # the folder is there
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in lists])])
    return ItemAttributes(values, offsets, len(known), vectors)


def training_flops(entry: Entry, data: common.Histories, max_length: int) -> float:
    """Return the floating-point operations of matrix products that one epoch needs.

    Backward takes twice the forward; nothing is computed twice.
    """
    lengths, targets = tokens(entry, data, max_length)
    counts, times = np.unique(lengths, return_counts=True)
    sizes = {**entry.options, "max_length": max_length}
    macs = sum(
        float(n) * entry.macs(int(length), sizes) for length, n in zip(counts, times, strict=True)
    )
    width = arithmetic.state_width(sizes)
    return 6 * (macs + targets * width * data.item_count)


def tokens(
    entry: Entry, data: common.Histories, max_length: int
) -> tuple[NDArray[np.int64], float]:
    """Return the tokens of each sample of an epoch, and how many targets all of them have."""
    pairs = np.maximum(np.diff(data.offsets) - 3, 0)  # that training has of each user
    if entry.samples == "positions":
        lengths = np.minimum(pairs, max_length)
        return lengths[lengths > 0], float(lengths.sum())
    if entry.samples == "prefixes":
        count = int(pairs.max(initial=0))
        users = np.array([(pairs >= length).sum() for length in range(1, count + 1)])
        lengths = np.repeat(np.minimum(np.arange(1, count + 1), max_length), users)
        return lengths, float(len(lengths))
    lengths = np.minimum(pairs + 1, max_length + 1)[pairs > 0]
    # Half of the batches hide the last item, half of them a fifth and at least one.
    return lengths, float(np.mean([len(lengths), np.maximum(1, 0.2 * lengths).sum()]))
