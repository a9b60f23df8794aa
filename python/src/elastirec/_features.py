"""Features of items as models take them: by the items' numbers, and with a vocabulary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elastirec._frames import objects
from elastirec._ids import IdMap, is_missing, number_ids
from elastirec._rows import Rows, keys, offsets_of, select
from elastirec.errors import DataError


@dataclass(frozen=True, eq=False)
class Categories:
    """Which of some values, none or more, each item has."""

    name: str
    vocabulary: IdMap
    rows: Rows  # [items] numbers of values, ascending and distinct in each row

    @property
    def configuration(self) -> dict[str, Any]:
        """What the library reads as JSON."""
        return {"kind": "categories", "values": len(self.vocabulary)}

    def of(self, places: NDArray[Any]) -> Categories:
        """Return the values of the items at these places, where -1 has none, and of no others."""
        lengths = np.where(places < 0, 0, np.diff(self.rows[1])[places])
        numbers, offsets = select(self.rows, np.maximum(places, 0), lengths)
        used, renumbered = np.unique(numbers, return_inverse=True)
        vocabulary = IdMap(self.vocabulary.values[used])
        return Categories(self.name, vocabulary, (renumbered.astype(np.int32), offsets))


@dataclass(frozen=True, eq=False)
class Vectors:
    """A vector of each item."""

    name: str
    values: NDArray[np.float32]  # [items, width]

    @property
    def configuration(self) -> dict[str, Any]:
        """What the library reads as JSON."""
        return {"kind": "vectors", "width": self.values.shape[1]}

    def of(self, places: NDArray[Any]) -> Vectors:
        """Return the vectors of the items at these places, zeros for -1."""
        values = self.values[np.maximum(places, 0)]
        values[places < 0] = 0
        return Vectors(self.name, values)


Feature = Categories | Vectors


def check_vocabularies(before: Sequence[Feature], now: Sequence[Feature]) -> None:
    """Raise a DataError unless features are those of before, with the same categories."""
    for old, new in zip(before, now, strict=True):
        if old.name != new.name or (
            isinstance(old, Categories)
            and isinstance(new, Categories)
            and not old.vocabulary.equals(new.vocabulary)
        ):
            raise DataError(
                f"warm_start needs the values of feature {old.name!r} of the log before"
            )


def read_categories(name: str, cells: NDArray[Any], separator: str | None) -> Categories:
    """Return the values of a column whose cells hold none, one or several.

    Parameters
    ----------
    name : str
        Of the column.
    cells : ndarray of shape (n,)
        Strings, integers, booleans, or lists of these. None, NaN and "" are no value.
    separator : str or None
        What stands between the values of a string.

    Raises
    ------
    DataError
        If a value is of another kind, or some are strings and others are not.
    """
    values: list[Any] = []
    lengths = np.zeros(len(cells), dtype=np.int64)
    for row, cell in enumerate(cells.tolist()):
        found = [_value(name, row, each) for each in _parts(cell, separator)]
        if values and found and len({isinstance(each, str) for each in (values[0], *found)}) > 1:
            raise _flaw(name, row, cell, "a number among strings, or a string among numbers")
        values += found
        lengths[row] = len(found)
    vocabulary, numbers = number_ids(objects(values), name)
    width = max(1, len(vocabulary))
    distinct = np.unique(keys((numbers, offsets_of(lengths)), width))
    counts = np.bincount(distinct // width, minlength=len(cells))
    return Categories(name, vocabulary, ((distinct % width).astype(np.int32), offsets_of(counts)))


def _parts(cell: Any, separator: str | None) -> list[Any]:
    parts: Iterable[Any] = [cell]
    if isinstance(cell, list | tuple | set | frozenset | np.ndarray):
        parts = cell
    elif isinstance(cell, str) and separator is not None:
        parts = (part.strip() for part in cell.split(separator))
    return [part for part in parts if not is_missing(part) and not _is_empty(part)]


def _is_empty(value: Any) -> bool:
    return isinstance(value, str) and not value


def _value(name: str, row: int, value: Any) -> str | int:
    """Return a value as a string or an integer; a boolean is 0 or 1."""
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, str):
        return plain
    if isinstance(plain, float) and plain.is_integer():
        plain = int(plain)
    if not isinstance(plain, int):
        raise _flaw(name, row, plain, "no category")
    if not -(2**63) <= plain < 2**63:
        raise _flaw(name, row, plain, "an integer that needs more than 64 bits")
    return int(plain)


def _flaw(name: str, row: int, value: Any, problem: str) -> DataError:
    allowed = "categories are strings or integers, one in a cell, or a list of them"
    return DataError(
        f"column {name!r}, row {row} (the first is 0) holds {value!r}: {problem}; {allowed}"
    )
