"""Columns out of the frames that callers have, and answers back in the same library."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elastirec._ids import is_missing, unmasked
from elastirec.errors import DataError

Columns = dict[str, NDArray[Any]]
LIBRARIES = ("pandas", "polars", "pyarrow")


def read_columns(source: Any, names: Sequence[str]) -> tuple[Columns, str | None]:
    """Return the named columns of a frame, and the library that the frame came from.

    Parameters
    ----------
    source : frame, mapping of arrays, or path
        Anything that Narwhals reads eagerly or lazily (pandas, polars, pyarrow and others), a
        mapping of column names to arrays, or the path of a CSV, TSV or Parquet file.
    names : sequence of str
        The columns to read; equal names are read once.

    Returns
    -------
    columns : dict of ndarray of shape (n,)
    library : str or None
        "pandas", "polars", "pyarrow" or "dict"; None for a path, which has none.

    Raises
    ------
    DataError
        If a column is missing, is not flat or differs in length, or the frame has no rows.
    """
    names = list(dict.fromkeys(names))
    if isinstance(source, str | os.PathLike):
        from elastirec._tables import read_table

        source, library = read_table(os.fspath(source), names), None
        if not isinstance(source, Mapping):
            return _checked(_from_frame(source, names)[0]), None
    elif isinstance(source, Mapping):
        library = "dict"
    else:
        columns, library = _from_frame(source, names)
        return _checked(columns), library
    _check_names(list(source), names)
    return _checked({name: _as_array(source[name], name) for name in names}), library


def _from_frame(source: Any, names: list[str]) -> tuple[Columns, str]:
    import narwhals.stable.v2 as nw

    try:
        frame = nw.from_native(source)
        if isinstance(frame, nw.LazyFrame):
            frame = frame.collect()
        columns = frame.columns
    except TypeError:
        kind = type(source).__name__
        wanted = "a pandas, polars or pyarrow frame, a mapping of arrays, or a path"
        raise DataError(f"cannot read interactions from {kind}; give {wanted}") from None
    except Exception as problem:  # each library has errors of its own for repeated names
        raise DataError(f"the frame cannot be read: {problem}") from problem
    _check_names(columns, names)
    library = frame.implementation.name.lower()
    return {name: _from_series(frame.get_column(name), name) for name in names}, library


def _from_series(series: Any, name: str) -> NDArray[Any]:
    """Return a column as an array, with None or NaN or NaT for what is missing."""
    try:
        return _converted(series)
    except Exception as problem:  # odd objects fail in ways of their own
        raise DataError(f"column {name!r} cannot be read: {problem!r}") from problem


def _converted(series: Any) -> NDArray[Any]:
    import narwhals.stable.v2 as nw

    kind = series.dtype
    missing = series.is_null()
    if kind == nw.Datetime or kind == nw.Date:
        unit = getattr(kind, "time_unit", "us")
        unit = "ms" if unit == "s" else unit  # which has room for any year that means something
        stamps = series.dt.timestamp(unit).fill_null(0).to_numpy().astype(np.int64)
        stamps[missing.to_numpy().astype(np.bool_)] = np.iinfo(np.int64).min  # means NaT
        return np.asarray(stamps.view(f"datetime64[{unit}]"))
    # NumPy's own strings lose zeros at their end, and not every category or list becomes an array.
    if kind in (nw.String, nw.Categorical, nw.Enum, nw.List, nw.Array) or missing.any():
        return objects(series.to_list())
    return np.asarray(series.to_numpy())


def objects(values: list[Any]) -> NDArray[Any]:
    """Return a flat object array of the values, whatever they are."""
    return np.asarray(np.fromiter(values, dtype=object, count=len(values)))


def _as_array(values: Any, name: str) -> NDArray[Any]:
    if hasattr(values, "__array__"):
        return np.asarray(unmasked(values))
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise DataError(f"column {name!r} must be a list or an array, got {values!r}")
    values = objects(list(values))
    kinds = {type(value) for value in values}
    return np.asarray(values.astype(kinds.pop())) if kinds in ({float}, {bool}) else values


def _check_names(columns: Sequence[Any], names: Sequence[str]) -> None:
    for name in names:
        count = list(columns).count(name)
        if count > 1:
            raise DataError(f"the frame has {count} columns named {name!r}")
        if count == 0:
            near = get_close_matches(str(name), [str(column) for column in columns], n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            listed = ", ".join(repr(column) for column in columns)
            others = f"The columns are {listed}" if listed else "There are no columns at all"
            raise DataError(f"there is no column {name!r}.{hint} {others}")


def _checked(columns: Columns) -> Columns:
    for name, values in columns.items():
        if values.ndim != 1:
            raise DataError(f"column {name!r} must have one dimension, got shape {values.shape}")
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"the columns differ in length: {lengths}")
    if not all(lengths.values()):
        raise DataError("the frame has no rows")
    return columns


def as_times(values: NDArray[Any], column: str) -> NDArray[Any]:
    """Return times as int64, float64 or datetime64, all of them present.

    Raises
    ------
    DataError
        If a value is missing, infinite, or neither a number, a datetime nor a date.
    """
    kind = values.dtype.kind
    if kind in "OU":
        values = _times_from_objects(values, column)
        kind = values.dtype.kind
    if kind == "i" or (kind == "u" and int(values.max()) < 2**63):
        return values.astype(np.int64)
    if kind == "f":
        _refuse_times(~np.isfinite(values), column, "a missing or infinite time")
        return values.astype(np.float64)
    if kind == "M":
        _refuse_times(np.isnat(values), column, "a missing time")
        unit = "ns" if np.datetime_data(values.dtype)[0] == "ns" else "us"
        times = values.astype(f"datetime64[{unit}]")
        if np.can_cast(values.dtype, times.dtype):  # which does not look at the values
            _refuse_times(
                times.astype(values.dtype) != values, column, f"a time beyond {times.dtype}"
            )
        return times
    raise DataError(f"column {column!r} holds {values.dtype}; {_TIMES}")


_TIMES = "times are numbers, datetimes, dates or ISO 8601 strings, without gaps"


def _times_from_objects(values: NDArray[Any], column: str) -> NDArray[Any]:
    listed = values.tolist()
    _refuse_times(np.array([is_missing(value) for value in listed]), column, "a missing time")
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in listed):
        return np.array(listed)
    moments: list[datetime] = []
    for row, value in enumerate(listed):
        try:
            moments.append(_moment(value))
        except (TypeError, ValueError, OverflowError):
            _refuse_times(np.arange(len(listed)) == row, column, repr(value))
    zoned = np.array([moment.tzinfo is not None for moment in moments])
    if zoned.all():
        moments = [moment.astimezone(UTC).replace(tzinfo=None) for moment in moments]
    else:
        _refuse_times(zoned, column, "a time zone, which other rows lack")
    return np.array(moments, dtype="datetime64[us]")


def _moment(value: Any) -> datetime:
    if isinstance(value, np.datetime64):
        if abs(int(value.astype("datetime64[Y]").astype(np.int64))) > 10_000:
            raise OverflowError
        value = value.astype("datetime64[us]").item()  # a date beyond the year 9999 stays a number
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    return datetime.fromisoformat(value)


def instant(value: str | date | np.datetime64) -> np.datetime64:
    """Return a moment, in UTC where it has a zone."""
    moment: Any = value
    if isinstance(value, str):
        with suppress(ValueError):  # NumPy reads more forms, and warns of zones
            moment = datetime.fromisoformat(value)
    if isinstance(moment, datetime) and moment.tzinfo is not None:
        return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None))
    return np.datetime64(value)


def _refuse_times(bad: NDArray[np.bool_], column: str, problem: str) -> None:
    if bad.any():
        raise DataError(
            f"column {column!r}, row {int(np.argmax(bad))} (the first is 0) holds {problem}"
            f" ({int(bad.sum())} of {len(bad)} rows); {_TIMES}"
        )


def make_frame(columns: Columns, library: str | None) -> Any:
    """Return columns as a frame of ``library``, or of the first library that is installed.

    Without any of pandas, polars and pyarrow, and for "dict", the answer is a dict of arrays.
    """
    if library not in (*LIBRARIES, "dict") or (library != "dict" and not find_spec(library)):
        library = next((name for name in LIBRARIES if find_spec(name)), "dict")
    if library == "dict":
        return columns
    texts = [name for name, values in columns.items() if values.dtype.kind == "O"]
    if library == "pandas":
        import pandas as pd

        frame = pd.DataFrame(columns, copy=False)
        if len(frame):
            return frame
        return frame.astype(dict.fromkeys(texts, pd.Series([""]).dtype))  # as if there were some
    # Where a column mixes kinds, all of it becomes strings.
    data = {name: [*map(str, v)] if name in texts else v for name, v in columns.items()}
    if library == "polars":
        import polars as pl

        return pl.DataFrame(data, schema_overrides=dict.fromkeys(texts, pl.String))
    import pyarrow as pa

    kinds = {name: pa.string() if name in texts else None for name in data}
    return pa.table({name: pa.array(values, kinds[name]) for name, values in data.items()})
