"""Rows of item indices in compressed-sparse-row form, the shape in which histories travel.

A pair ``(items, offsets)``: row ``r`` is ``items[offsets[r]:offsets[r + 1]]``, with ``items``
int32 of shape ``(n,)`` and ``offsets`` int64 of shape ``(rows + 1,)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Rows = tuple[Int32, Int64]
Histories = Rows | tuple[Int32, Int64, Int32]  # and the number of whose each is, -1 for unknown


def offsets_of(lengths: NDArray[Any]) -> Int64:
    """Return the offsets of rows with these lengths, shape ``(len(lengths) + 1,)``."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def stack(rows: Sequence[Int32]) -> Rows:
    """Return separate arrays as rows."""
    if len(rows) == 1:
        return rows[0], np.array([0, len(rows[0])], dtype=np.int64)
    lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    items = np.concatenate(rows) if rows else np.empty(0, dtype=np.int32)
    return items.astype(np.int32, copy=False), offsets_of(lengths)


def between(rows: Rows, start: int, stop: int) -> Rows:
    """Return the rows ``start`` to ``stop`` without copying their items."""
    items, offsets = rows
    if start == 0 and stop == len(offsets) - 1:
        return rows
    cut = offsets[start : stop + 1]
    return items[cut[0] : cut[-1]], cut - cut[0]


def with_people(rows: Rows, people: Int32 | None) -> Histories:
    """Return rows as histories of these people, or of nobody known for None."""
    return rows if people is None else (*rows, people)


def select(rows: Rows, chosen: NDArray[Any], lengths: NDArray[Any] | None = None) -> Rows:
    """Return the chosen rows, each cut to its first ``lengths`` items where those are given."""
    items, offsets = rows
    starts = offsets[chosen]
    if lengths is None:
        lengths = offsets[chosen + 1] - starts
    result = offsets_of(lengths)
    positions = np.repeat(starts - result[:-1], lengths) + np.arange(result[-1])
    return items[positions], result


def keep(rows: Rows, mask: NDArray[np.bool_]) -> Rows:
    """Return the rows with only the items where ``mask``, of the shape of the items, is true."""
    items, offsets = rows
    kept = np.zeros(len(items) + 1, dtype=np.int64)
    np.cumsum(mask, out=kept[1:])
    return items[mask], kept[offsets]


def owners(rows: Rows) -> Int64:
    """Return the number of the row that each item stands in."""
    offsets = rows[1]
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def keys(rows: Rows, width: int) -> Int64:
    """Return one number for each pair of row and item, for items below ``width``."""
    return owners(rows) * width + rows[0]


def without(rows: Rows, others: Rows, width: int) -> Rows:
    """Return the rows less the items that the same row of ``others`` holds."""
    return keep(rows, ~np.isin(keys(rows, width), keys(others, width)))


def distinct(rows: Rows, width: int) -> Rows:
    """Return the rows with the first of equal items only."""
    _, first = np.unique(keys(rows, width), return_index=True)
    mask = np.zeros(len(rows[0]), dtype=np.bool_)
    mask[first] = True
    return keep(rows, mask)
