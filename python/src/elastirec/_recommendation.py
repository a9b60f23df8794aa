"""From what callers ask, in raw ids, to the native model and back to frames of raw ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from elastirec import _checks, _streams
from elastirec._frames import Columns, make_frame
from elastirec._ids import IdMap, listed, shown
from elastirec._network import Fitted, Float32
from elastirec._rows import Int32, Rows, between, select, stack, with_people
from elastirec._streams import StreamState
from elastirec.errors import ConfigError, DataError, UnknownIdError, UnknownItemWarning, warn

Unknown = Literal["raise", "warn", "ignore"]
_SLICE = 1024  # requests a native call, so that Ctrl-C is heard


def find(
    ids: IdMap, wanted: Iterable[Any], unknown: Unknown | None, what: str, default: Unknown
) -> NDArray[np.int32]:
    """Return the index of each id, -1 where it is unknown and that is allowed.

    Raises
    ------
    UnknownIdError
        If an id is unknown and ``unknown``, or ``default`` where it is None, says "raise".
    """
    policy = default if unknown is None else unknown
    if policy not in ("raise", "warn", "ignore"):
        raise ConfigError(f"unknown must be 'raise', 'warn', 'ignore' or None; got {unknown!r}")
    given = listed(wanted)
    indices = ids.index(given)
    if policy == "ignore" or not len(indices) or indices.min() >= 0:
        return indices
    value = given[int(np.argmin(indices))]
    if policy == "raise":
        raise UnknownIdError(ids.complaint(value, what))
    fate = "answered as new" if what == "user" else "left out"
    message = f"unknown {what} {shown(value)} ({int((indices < 0).sum())} {fate})"
    warn(message + ids.hint(value, what), UnknownItemWarning)
    return indices


def history_rows(state: Fitted, histories: Iterable[Any], unknown: Unknown | None) -> Rows:
    """Return histories of raw item ids as rows, without the ids that are unknown.

    Raises
    ------
    DataError
        If ``histories`` is not a list of lists of ids.
    UnknownIdError
        If an item is unknown and ``unknown`` says "raise".
    """
    if isinstance(histories, str | bytes | dict) or not isinstance(histories, Iterable):
        raise DataError(f"histories must be a list of lists of item ids, got {histories!r}")
    if hasattr(histories, "to_pylist"):  # a column of pyarrow
        histories = histories.to_pylist()
    return stack([_known_items(state, history, unknown) for history in histories])


def _known_items(state: Fitted, history: Any, unknown: Unknown | None) -> Int32:
    """Return the indices of one history's items, without those that are unknown."""
    if type(history) is list and unknown is None:  # a single request is mostly this, and in haste
        known = state.items.index_known(history)
        if known is not None:
            return known
    if isinstance(history, str | bytes | dict) or not isinstance(history, Iterable):
        raise DataError(f"histories must be a list of lists of item ids; one is {history!r}")
    indices = find(state.items, history, unknown, "item", "warn")
    return indices if not len(indices) or indices.min() >= 0 else indices[indices >= 0]


def user_rows(
    state: Fitted, users: Iterable[Any], unknown: Unknown | None
) -> tuple[NDArray[Any], Rows, Int32]:
    """Return users as an array, the histories that ``fit`` saw of them, and their numbers.

    A user who is unknown, where that is allowed, has an empty history and the number -1.
    """
    if isinstance(users, str) or not isinstance(users, Iterable):
        users = [users]
    given = listed(users)
    indices = find(state.users, given, unknown, "user", "raise")
    if len(indices) and indices.min() < 0:
        lengths = np.where(indices < 0, 0, np.diff(state.histories[1])[indices])
        rows = select(state.histories, np.maximum(indices, 0), lengths)
        return state.users.column(given), rows, indices
    return state.users.values[indices], select(state.histories, indices), indices


def allowed_items(
    state: Fitted, allow: Iterable[Any] | None, block: Iterable[Any] | None, unknown: Unknown | None
) -> NDArray[np.uint8] | None:
    """Return a byte for each item, 0 for those to leave out, or None if there are none."""
    if allow is None and block is None:
        return None
    mask = np.full(len(state.items), allow is None, dtype=np.uint8)
    for ids, value, name in ((allow, 1, "allow"), (block, 0, "block")):
        if ids is None:
            continue
        if isinstance(ids, str) or not isinstance(ids, Iterable):
            raise DataError(f"{name} must be a list of item ids, got {ids!r}")
        indices = find(state.items, ids, unknown, "item", "warn")
        mask[indices[indices >= 0]] = value
    return mask


def best_items(
    state: Fitted,
    rows: Rows,
    k: int,
    exclude_seen: bool,
    allowed: NDArray[np.uint8] | None,
    threads: int,
    people: Int32 | None = None,
) -> tuple[Int32, Float32]:
    """Return the indices and scores of each row's best items, shape ``(rows, min(k, n_items))``."""
    _checks.flag("exclude_seen", exclude_seen)
    k = min(_checks.integer("k", k), len(state.items))

    def answer(start: int, stop: int) -> tuple[Int32, Float32]:
        part = between(rows, start, stop)
        histories = with_people(part, None if people is None else people[start:stop])
        seen = part if exclude_seen else None
        return state.network.recommend(histories, seen, allowed, k, threads)

    return _in_slices(len(rows[1]) - 1, k, answer)


def best_of_streams(
    state: Fitted,
    stream: StreamState,
    k: int,
    exclude_seen: bool,
    allowed: NDArray[np.uint8] | None,
    threads: int,
) -> tuple[Int32, Float32]:
    """Return what ``best_items`` returns, for each person of a stream."""
    seen = _streams.excluded(stream, _checks.flag("exclude_seen", exclude_seen))
    k = min(_checks.integer("k", k), len(state.items))
    values = np.ascontiguousarray(stream.values, dtype=np.float32)

    def answer(start: int, stop: int) -> tuple[Int32, Float32]:
        excluded = None if seen is None else between(seen, start, stop)
        part = values[start:stop]
        return state.network.recommend_streams(part, excluded, allowed, k, threads)

    return _in_slices(len(values), k, answer)


def _in_slices(
    count: int, k: int, answer: Callable[[int, int], tuple[Int32, Float32]]
) -> tuple[Int32, Float32]:
    """Return the answers to all of ``count`` requests, a slice of them at a time."""
    if 0 < count <= _SLICE:
        return answer(0, count)
    items = np.empty((count, k), dtype=np.int32)
    scores = np.empty((count, k), dtype=np.float32)
    for start in range(0, count, _SLICE):
        stop = min(start + _SLICE, count)
        items[start:stop], scores[start:stop] = answer(start, stop)
    return items, scores


def raw(ids: IdMap, indices: Int32) -> NDArray[Any]:
    """Return the ids of indices; an index of -1 becomes None among strings, -1 among integers."""
    taken = ids.values.take(indices)
    # Rows have gaps at their ends alone; to look at one number is quicker than to find a minimum.
    if indices.size and (indices.item(-1) if len(indices) == 1 else indices[:, -1].min()) < 0:
        taken[indices < 0] = None if ids.are_strings else np.array(-1).astype(taken.dtype)
    return taken


def as_frame(
    state: Fitted, names: Columns, items: Int32, scores: Float32, score_name: str = "score"
) -> Any:
    """Return answers as a frame with a row for each item, without the empty places.

    Parameters
    ----------
    names : dict of one ndarray of shape (rows,)
        The first column: what each row of the answer belongs to.
    items, scores : ndarray of shape (rows, k)
    """
    there = items >= 0
    per_row = there.sum(axis=1)
    ranks = np.broadcast_to(np.arange(1, items.shape[1] + 1), items.shape)
    columns: Columns = {name: np.repeat(values, per_row) for name, values in names.items()}
    columns["item" if "item" not in columns else "similar"] = state.items.values[items[there]]
    columns[score_name] = scores[there]
    columns["rank"] = ranks[there]
    return make_frame(columns, state.library)


def expect_one(**given: object) -> None:
    """Raise a ConfigError unless exactly one argument is given."""
    names = [name for name in given if given[name] is not None]
    if len(names) != 1:
        found = " and ".join(names) or "none of them"
        raise ConfigError(f"give either users, histories or state; got {found}")


def requests(
    state: Fitted,
    users: Iterable[Any] | None,
    histories: Iterable[Any] | None,
    unknown: Unknown | None,
) -> tuple[Columns, Rows, Int32 | None]:
    """Return the first column of the answer, "user" or "history", and the rows to answer for.

    Where answers depend on it, also the numbers of the people whose rows these are.
    """
    if histories is not None:
        rows = history_rows(state, histories, unknown)
        return {"history": np.arange(len(rows[1]) - 1)}, rows, None
    people, rows, numbers = user_rows(state, cast(Iterable[Any], users), unknown)
    return {"user": people}, rows, numbers if state.network.knows_people else None


def output_kind(output: str) -> bool:
    """Return whether the answer shall be a frame rather than arrays."""
    return _checks.choice("output", output, ("frame", "arrays")) == "frame"
