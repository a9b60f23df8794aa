"""Raw ids of users or items, and the indices that stand for them inside."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elastirec.errors import DataError, UnknownIdError

Listed = list[Any] | tuple[Any, ...] | NDArray[Any]

_EXACT = 2.0**53  # floats hold every integer up to here
_FLAGS = frozenset({bool, np.bool_})
_GAPS = frozenset({"NAType", "NaTType", "MaskedConstant"})


class IdMap:
    """Sorted distinct ids; the index of an id is its place, so lower index means smaller id.

    Parameters
    ----------
    values : ndarray of shape (n,), int64, uint64 or object (of str)
        Sorted and distinct.
    """

    def __init__(self, values: NDArray[Any]) -> None:
        self.values = values
        self.values.flags.writeable = False

    def __len__(self) -> int:
        return len(self.values)

    def __reduce__(self) -> tuple[Any, ...]:
        return IdMap, (self.values.copy(),)  # without the dictionary

    @property
    def are_strings(self) -> bool:
        """Whether the ids are strings rather than integers."""
        return self.values.dtype.kind == "O"

    @cached_property
    def positions(self) -> dict[Any, int]:
        """The index of each id."""
        return {value: index for index, value in enumerate(self.values.tolist())}

    def equals(self, other: IdMap) -> bool:
        """Return whether both hold the same ids."""
        return self is other or np.array_equal(self.values, other.values)

    def column(self, ids: Listed) -> NDArray[Any]:
        """Return ids, known or not, as an array of the type that these have where all fit it."""
        given = np.fromiter(ids, dtype=object, count=len(ids))
        try:
            found = _as_ids(given, "id")
        except DataError:  # of several kinds
            return given
        if self.are_strings or found.dtype.kind == "O":
            return given
        converted = found.astype(self.values.dtype)
        return converted if np.array_equal(converted, found) else given

    def index(self, ids: Listed) -> NDArray[np.int32]:
        """Return the index of each id, -1 where it is unknown.

        Lists of Python values go through a dictionary and arrays of integers through a binary
        search, whichever avoids converting them.
        """
        if not isinstance(ids, np.ndarray):
            return self._look_up(ids)
        if ids.ndim != 1:
            raise DataError(f"ids must stand in one dimension, got shape {ids.shape}")
        if ids.dtype.kind in "bmM":
            raise DataError(_wrong(f"an array of {ids.dtype}", ids.dtype.kind == "b"))
        if ids.dtype.kind in "iu" and not self.are_strings:
            return self._search(ids)
        return self._look_up(ids.tolist())

    def index_known(self, ids: list[Any]) -> NDArray[np.int32] | None:
        """Return the index of each id, or None where `index` must say what is wrong with them."""
        try:
            return np.fromiter(map(self.positions.__getitem__, ids), np.int32, len(ids))
        except (KeyError, TypeError):
            return None

    def _look_up(self, ids: Sequence[Any]) -> NDArray[np.int32]:
        find = self.positions
        if not _FLAGS.isdisjoint(map(type, ids)):  # a dictionary takes True for 1
            flag = next(value for value in ids if type(value) in _FLAGS)
            raise DataError(_wrong(shown(flag), is_flag=True))
        try:
            try:
                return np.fromiter(map(find.__getitem__, ids), np.int32, len(ids))
            except KeyError:
                return np.fromiter((find.get(value, -1) for value in ids), np.int32, len(ids))
        except TypeError:
            raise DataError(_wrong(repr(_unhashable(ids)))) from None

    def _search(self, ids: NDArray[Any]) -> NDArray[np.int32]:
        if ids.dtype.kind != self.values.dtype.kind:  # comparing them would go through floats
            return self._look_up(ids.tolist())
        if not len(self.values):
            return np.full(len(ids), -1, dtype=np.int32)
        places = self.values.searchsorted(ids)
        found = self.values.take(places, mode="clip") == ids
        return np.where(found, places, -1).astype(np.int32)

    def known(self, ids: Iterable[Any], what: str) -> NDArray[np.int32]:
        """Return the index of each id.

        Raises
        ------
        UnknownIdError
            If an id is unknown; ``what`` says what it should be, such as "user".
        """
        given = listed(ids)
        indices = self.index(given)
        if len(indices) and indices.min() < 0:
            raise UnknownIdError(self.complaint(given[int(np.argmin(indices))], what))
        return indices

    def hint(self, value: Any, what: str) -> str:
        """Return what follows the name of an unknown id where it is of another kind, or ""."""
        if self.are_strings == isinstance(value, str):
            return ""
        kind = "strings" if self.are_strings else "integers"
        return f": the {what}s of this log are {kind}"

    def complaint(self, value: Any, what: str) -> str:
        """Return a message that names an unknown id, and what may have been meant."""
        message = f"unknown {what} {shown(value)}{self.hint(value, what)}"
        if self.are_strings and isinstance(value, str) and len(self) <= 5000:  # more takes too long
            near = get_close_matches(value, self.values.tolist(), n=1)
            return f"{message}; did you mean {near[0]!r}?" if near else message
        return message


def listed(ids: Iterable[Any]) -> Listed:
    """Return ids, or lists of them, as a list, a tuple or an array, whatever they came in."""
    if isinstance(ids, np.ndarray):
        return np.atleast_1d(np.asarray(unmasked(ids)))
    if hasattr(ids, "to_pylist"):  # a column of pyarrow
        return list(ids.to_pylist())
    if hasattr(ids, "__array__"):
        return np.asarray(ids)
    given = ids if isinstance(ids, list | tuple) else list(ids)
    # Scalars of pyarrow are none of ours.
    return [value.as_py() for value in given] if given and hasattr(given[0], "as_py") else given


def unmasked(values: Any) -> Any:
    """Return an array with NaN, NaT or None for what a mask hides, anything else as it is."""
    if not np.ma.is_masked(values):
        return values
    plain = values.data.astype(values.dtype if values.dtype.kind in "fM" else object)
    plain[np.ma.getmaskarray(values)] = None
    return plain


def shown(value: Any) -> str:
    """Return an id as messages show it."""
    return repr(value.item() if isinstance(value, np.generic) else value)


def _wrong(given: str, is_flag: bool = False) -> str:
    hint = "; give the ids themselves, not a mask" if is_flag else ""
    return f"ids must be integers or strings, got {given}{hint}"


def _unhashable(ids: Iterable[Any]) -> Any:
    return next((value for value in ids if getattr(value, "__hash__", None) is None), ids)


def number_ids(values: NDArray[Any], column: str) -> tuple[IdMap, NDArray[np.int32]]:
    """Return the distinct ids of a column and the index of each row's id.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Integers, floats without a fraction (as CSV readers make them), or strings.
    column : str
        Its name, for messages.

    Raises
    ------
    DataError
        If a value is missing, is neither integer nor string, or both kinds are mixed.
    """
    values = _as_ids(values, column)
    if values.dtype.kind != "O":
        distinct, indices = np.unique(values, return_inverse=True)
        return IdMap(distinct), indices.astype(np.int32)
    texts = values.tolist()
    ordered = sorted(set(texts))
    ids = IdMap(np.array(ordered, dtype=object))
    _check_texts(ordered, column)
    return ids, np.fromiter(map(ids.positions.__getitem__, texts), np.int32, len(texts))


def _as_ids(values: NDArray[Any], column: str) -> NDArray[Any]:
    """Return the column as int64, uint64 or an object array of str."""
    kind = values.dtype.kind
    if kind == "i":
        return values.astype(np.int64)
    if kind == "u":
        fits = len(values) == 0 or int(values.max()) < 2**63
        return values.astype(np.int64 if fits else np.uint64)
    if kind == "f":
        return _from_floats(values, column)
    if kind == "U" or values.dtype.char == "T":
        return values.astype(object)
    if kind == "O":
        return _from_objects(values, column)
    raise DataError(f"column {column!r} holds {values.dtype}; ids must be integers or strings")


def _from_floats(values: NDArray[Any], column: str) -> NDArray[np.int64]:
    _refuse(~np.isfinite(values), column, "a missing or infinite id", values)
    _refuse(values != np.floor(values), column, "a fraction; ids must be integers", values)
    problem = "a float beyond 2**53, where integers lose digits; read ids as integers or strings"
    _refuse(np.abs(values) > _EXACT, column, problem, values)
    return values.astype(np.int64)


def _from_objects(values: NDArray[Any], column: str) -> NDArray[Any]:
    kinds = {type(value) for value in values.tolist()}
    if all(issubclass(kind, str) for kind in kinds):
        return values
    missing = np.fromiter(map(is_missing, values.tolist()), np.bool_, len(values))
    _refuse(missing, column, f"a missing id, {_AS_TEXT}", values)
    if any(issubclass(kind, bool | np.bool_) or not _is_id(kind) for kind in kinds):
        wrong = [not _is_id(type(value)) or isinstance(value, bool | np.bool_) for value in values]
        _refuse(np.array(wrong), column, "neither an integer nor a string", values)
    if any(issubclass(kind, str) for kind in kinds):
        numbers = np.array([not isinstance(value, str) for value in values])
        _refuse(numbers, column, "a number among strings; ids must be all of one kind", values)
    if any(issubclass(kind, float | np.floating) for kind in kinds):
        return _from_floats(values.astype(np.float64), column)
    large = np.array([not -(2**63) <= int(value) < 2**64 for value in values])
    _refuse(large, column, "an integer that needs more than 64 bits; use strings", values)
    try:
        return values.astype(np.int64)
    except OverflowError:
        problem = "a negative id beside one beyond 2**63; use strings"
        _refuse(np.array([int(value) < 0 for value in values]), column, problem, values)
        return values.astype(np.uint64)


_AS_TEXT = "which readers of text files make of empty cells, NA, none and the like"


def _is_id(kind: type) -> bool:
    return issubclass(kind, str | int | np.integer | float | np.floating)


def is_missing(value: Any) -> bool:
    """Return whether a value is None, NaN or a frame library's own mark for missing."""
    if value is None:
        return True
    if isinstance(value, float | np.floating):
        return math.isnan(value)
    if isinstance(value, np.datetime64 | np.timedelta64):
        return bool(np.isnat(value))
    return type(value).__name__ in _GAPS


def _check_texts(distinct: list[str], column: str) -> None:
    try:
        "".join(distinct).encode()
    except UnicodeEncodeError:
        raise DataError(f"column {column!r} holds a string that is not valid Unicode") from None


def _refuse(bad: NDArray[np.bool_], column: str, problem: str, values: NDArray[Any]) -> None:
    """Raise a DataError that names the first bad row, if there is any."""
    if bad.any():
        row = int(np.argmax(bad))
        shown = values[row : row + 1].tolist()[0]
        raise DataError(
            f"column {column!r}, row {row} (the first is 0) holds {shown!r}: {problem}"
            f" ({int(bad.sum())} of {len(bad)} rows); ids are integers or strings without gaps"
        )
