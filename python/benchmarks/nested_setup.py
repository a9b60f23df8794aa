"""What all sides of ``--nested`` share: sizes, options, histories, and what a step needs."""

from __future__ import annotations

from pathlib import Path

import arithmetic
import common
import numpy as np
import zoo
from numpy.typing import NDArray

DATA = "beauty"
LENGTH = common.MAX_LENGTH[DATA]
TRAINED = (8, 16, 32, 64, 128, 256, 512)
SERVED = (*TRAINED, 1024)
OPTIONS = {"blocks": 2, "max_length": LENGTH, "dropout": 0.5, "recurrence_dropout": 0.5}
BATCH, STEPS, EPOCHS = 32, 16, 2  # the first epoch warms up and does not count
REQUESTS = 50
TASK = "nested step"


def part(histories: int) -> common.Histories:
    """Return what training has of some people, and a history of all items that they lack.

    So the items are all that there are. Training reads only the newest of that long history.
    """
    whole = common.load(DATA)
    people = np.random.default_rng(7).permutation(whole.users)[: histories - 1]
    rows = [whole.of(int(person), without=2) for person in people]
    rows.append(np.setdiff1d(np.arange(whole.item_count), np.concatenate(rows)))
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    return common.Histories(np.concatenate(rows), offsets, whole.source)


def vectors() -> NDArray[np.float32]:
    """Return the vectors of the texts of all items."""
    return zoo.attributes(DATA, common.load(DATA)).vectors


def flops(data: common.Histories, sizes: tuple[int, ...], batch: int) -> float:
    """Return the floating-point operations of matrix products that a step needs.

    Backward takes twice the forward, but the vectors of the items need no gradient.
    """
    lengths = np.diff(data.offsets)
    targets = float(np.minimum(lengths, LENGTH).sum()) * batch / data.users
    table = data.item_count * vectors().shape[1] * sizes[-1]
    states = arithmetic.fmrlrec(1, {**OPTIONS, "sizes": sizes})
    return 6 * targets * (states + data.item_count * sizes[-1]) + 4 * table


def folder() -> Path:
    """Return where our side leaves the models for requests."""
    path = common.build_folder() / "nested"
    path.mkdir(exist_ok=True)
    return path
