"""Sampled candidates to rank a target among, as RecBole's "uni100" and "pop100" do.

Sampled metrics compare with nothing but themselves: Krichene and Rendle, "On sampled metrics for
item recommendation", KDD 2020.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from elastirec._rows import Int64, Rows, keys, offsets_of

COUNT = 100
_ROUNDS = 100  # of redrawing what may not be drawn


def uniform(histories: Rows, targets: Rows, n_items: int, seed: int) -> Rows:
    """Return, for each row, its targets and 100 other items that it does not hold.

    The items are distinct and equally likely; rows with fewer than 100 such items get them all.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    n_rows = len(targets[1]) - 1
    taken = np.unique(np.concatenate([keys(histories, n_items), keys(targets, n_items)]))
    free = n_items - np.bincount(taken // n_items, minlength=n_rows)
    drawn = np.sort(rng.integers(n_items, size=(n_rows, COUNT)), axis=1)
    plenty = free >= 4 * COUNT
    base = np.arange(n_rows)[:, None] * n_items
    while True:
        bad = _among(taken, base + drawn)
        bad[:, 1:] |= drawn[:, 1:] == drawn[:, :-1]
        bad[~plenty] = False
        if not bad.any():
            break
        drawn[bad] = rng.integers(n_items, size=int(bad.sum()))
        drawn.sort(axis=1)
    lists = list(drawn)
    for row in np.flatnonzero(~plenty):
        first, last = taken.searchsorted([row * n_items, (row + 1) * n_items])
        others = np.setdiff1d(np.arange(n_items), taken[first:last] - row * n_items)
        lists[row] = rng.permutation(others)[:COUNT]
    lengths = np.array([len(items) for items in lists], dtype=np.int64)
    rows = np.concatenate(lists).astype(np.int32), offsets_of(lengths)
    return _with_targets(rows, targets, n_items)


def popular(targets: Rows, counts: Int64, seed: int) -> Rows:
    """Return, for each row, its targets and 100 draws of other items by their frequency.

    Draws are with replacement, repeats collapse, and only the targets themselves are refused:
    items of the history may be drawn.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    n_items = len(counts)
    n_rows = len(targets[1]) - 1
    total = np.cumsum(counts)
    taken = np.sort(keys(targets, n_items))
    base = np.repeat(np.arange(n_rows) * n_items, COUNT)
    drawn = np.searchsorted(total, rng.integers(total[-1], size=len(base)), side="right")
    for _ in range(_ROUNDS):
        bad = _among(taken, base + drawn)
        if not bad.any():
            break
        draws = rng.integers(total[-1], size=int(bad.sum()))
        drawn[bad] = np.searchsorted(total, draws, side="right")
    # A row whose targets are all that was ever chosen ends with the targets alone.
    rows = drawn.astype(np.int32), np.arange(n_rows + 1, dtype=np.int64) * COUNT
    return _with_targets(rows, targets, n_items)


def _among(ordered: Int64, values: Int64) -> NDArray[np.bool_]:
    """Return which values are in a sorted array that is not empty."""
    return np.equal(ordered.take(ordered.searchsorted(values), mode="clip"), values)


def _with_targets(rows: Rows, targets: Rows, n_items: int) -> Rows:
    """Return both rows in one, sorted, each item once."""
    both = np.unique(np.concatenate([keys(rows, n_items), keys(targets, n_items)]))
    lengths = np.bincount(both // n_items, minlength=len(targets[1]) - 1)
    return (both % n_items).astype(np.int32), offsets_of(lengths)
