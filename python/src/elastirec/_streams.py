"""People who are followed item by item, at a cost that does not grow with their histories."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from elastirec._ids import IdMap, Listed, listed
from elastirec._network import Fitted, Float32
from elastirec._origins import Origin
from elastirec._rows import Int32, Rows, keys, offsets_of
from elastirec.errors import ConfigError, DataError


@dataclass(frozen=True, eq=False)
class StreamState:
    """What a model knows of some people; `Recommender.start` makes one.

    It is never changed: `Recommender.update` returns another. It can be pickled, and answers only
    with the model that made it or one of the same weights.

    Attributes
    ----------
    values : ndarray of shape (n, size), float32
        A row for each person, all zeros before the first item.
    model : str
        A fingerprint of the model's weights.
    """

    values: Float32
    model: str
    _seen: Rows | None  # items of each person, distinct; None where they are not kept

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        people, size = self.values.shape
        return f"StreamState({people:,} people, {size} numbers each)"


def start(size: int, n: int, fingerprint: str, keep_seen: bool) -> StreamState:
    """Return the state of n people who have chosen nothing yet."""
    seen = np.empty(0, dtype=np.int32), np.zeros(n + 1, dtype=np.int64)
    return StreamState(
        np.zeros((n, size), dtype=np.float32), fingerprint, seen if keep_seen else None
    )


def check(stream: Any, size: int, fingerprint: str) -> StreamState:
    """Return ``stream`` if it is a state of the model with this fingerprint.

    Raises
    ------
    DataError
        If it is none, or another model's.
    """
    if not isinstance(stream, StreamState):
        kind = type(stream).__name__
        raise DataError(f"state must come from start or update of this model, got {kind}")
    if stream.model != fingerprint:
        raise DataError(
            f"state belongs to a model with the weights {stream.model}, not to this one, whose"
            f" weights are {fingerprint}; start again and update with the history"
        )
    if stream.values.ndim != 2 or stream.values.shape[1] != size:
        raise DataError(f"state must hold values of shape (n, {size}), got {stream.values.shape}")
    return stream


def adopt(stream: Any, origins: Sequence[Origin], size: int, fingerprint: str) -> StreamState:
    """Return a state of one of the origins as one of the model with this fingerprint.

    Raises
    ------
    DataError
        If it is no state, or one of another model.
    """
    if not isinstance(stream, StreamState) or stream.model == fingerprint:
        return check(stream, size, fingerprint)
    origin = next((one for one in origins if one.weights == stream.model), None)
    if origin is None:
        raise DataError(
            f"state belongs to a model with the weights {stream.model}, of which this one was not"
            " made; start again and update with the history"
        )
    stream = check(stream, origin.size, origin.weights)
    seen = stream._seen
    if seen is not None and origin.items is not None:
        seen = origin.items[seen[0]], seen[1]
    return StreamState(np.ascontiguousarray(stream.values[:, origin.places]), fingerprint, seen)


def update(state: Fitted, stream: StreamState, items: Any, threads: int) -> StreamState:
    """Return the state after each person has chosen items; see ``Recommender.update``."""
    indices, offsets = _rows(state.items, items, len(stream))
    values = stream.values.astype(np.float32)  # a copy
    lengths = offsets[1:] - offsets[:-1]
    longest = int(lengths.max(initial=0))
    if longest == 1 and len(indices) == len(stream):
        state.network.advance(values, indices, threads)
        longest = 0
    for step in range(longest):
        people = np.flatnonzero(lengths > step)
        moved = np.ascontiguousarray(values[people])
        state.network.advance(moved, indices[offsets[people] + step], threads)
        values[people] = moved
    seen = None if stream._seen is None else _joined(stream._seen, (indices, offsets), state.items)
    return StreamState(values, stream.model, seen)


def excluded(stream: StreamState, exclude_seen: bool) -> Rows | None:
    """Return the items to leave out of each person's recommendations.

    Raises
    ------
    ConfigError
        If they are wanted, and the state does not keep them.
    """
    if exclude_seen and stream._seen is None:
        raise ConfigError(
            "exclude_seen must be False for a state that start made with keep_seen=False, got True"
        )
    return stream._seen if exclude_seen else None


def _rows(ids: IdMap, items: Any, people: int) -> Rows:
    if isinstance(items, str) or not isinstance(items, Iterable):
        items = [items]
    entries = [_entry(each) for each in listed(items)]
    if len(entries) != people:
        raise DataError(
            f"items must have an entry for each of the {people:,} people of the state, got"
            f" {len(entries):,}"
        )
    indices: Int32 = ids.known([item for entry in entries for item in entry], "item")
    return indices, offsets_of(np.array([len(entry) for entry in entries]))


def _entry(items: Any) -> Listed:
    """Return what one person chose: one item or several."""
    alone = isinstance(items, str | bytes) or not hasattr(items, "__iter__")
    return [items] if alone else listed(items)


def _joined(one: Rows, two: Rows, ids: IdMap) -> Rows:
    """Return the distinct items of both in each row."""
    width, rows = len(ids), len(one[1]) - 1
    if rows == 1 and len(two[0]) == 1:  # one event of one person, which must be quick
        return _with(one[0], two[0][0])
    both = np.sort(np.concatenate([keys(one, width), keys(two, width)]))
    both = both[np.diff(both, prepend=-1) > 0]
    counts = np.bincount(both // width, minlength=rows)
    return (both % width).astype(np.int32), offsets_of(counts)


def _with(items: Int32, item: np.int32) -> Rows:
    """Return one row of distinct, ascending items with one more, if it is not there."""
    place = int(items.searchsorted(item))
    if place == len(items) or items[place] != item:
        more = np.empty(len(items) + 1, dtype=np.int32)
        more[:place], more[place], more[place + 1 :] = items[:place], item, items[place:]
        items = more
    return items, np.array([0, len(items)])
