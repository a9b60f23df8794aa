"""Columns of files: CSV and TSV (plain, gzip, xz, bzip2) and Parquet."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from operator import itemgetter
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from elastirec._frames import objects
from elastirec.errors import DataError, MissingExtraError

_GAPS = frozenset({"", "na", "nan", "null", "none", "n/a", "<na>"})
_INTEGER = re.compile(r"(0|-?[1-9]\d*)(\.0+)?", re.ASCII)
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?", re.ASCII)


def read_table(path: str, names: Sequence[str]) -> Any:
    """Return a frame (Parquet) or a dict of arrays (text) that holds at least ``names``.

    The ending decides: .parquet; .tsv and .txt are separated by tabs, .csv by commas, each also
    with .gz, .xz or .bz2. The first line names the columns. A column whose every value is
    written as an integer holds integers ("7" and "7.0", but not "007"), one of numbers holds
    floats, and any other holds strings.

    Raises
    ------
    DataError
        If the ending is unknown, a line is too short or wrongly quoted, or the file is empty,
        damaged or of another kind than its ending says.
    MissingExtraError
        If a Parquet file is given and neither pyarrow nor polars is installed.
    """
    endings = [suffix.lower() for suffix in Path(path).suffixes]
    if endings[-1:] == [".parquet"]:
        return _read_parquet(path)
    kind = next((e for e in reversed(endings) if e not in {".gz", ".xz", ".bz2"}), "")
    if kind not in {".csv", ".tsv", ".txt"}:
        wanted = ".csv, .tsv (also .gz, .xz, .bz2) or .parquet"
        raise DataError(f"cannot tell the format of {path!r}: it should end in {wanted}")
    separator = "," if kind == ".csv" else "\t"
    with open_text(path) as file:
        try:
            return _read_text(file, separator, names)
        except csv.Error as problem:
            place = f"{path!r}, line {_first_unread(file, separator)}"
            rule = "quotes round a value must be closed, and quotes inside it doubled"
            raise DataError(f"{place} cannot be read: {problem}; {rule}") from problem
        except _damages() as problem:
            if getattr(problem, "errno", None):  # the system's own
                raise
            raise DataError(f"{path!r} cannot be read as text: {problem}") from problem


def open_text(path: str | Path) -> TextIO:
    """Open a text file, decompressed as its ending says."""
    ending = Path(path).suffix.lower()
    if ending == ".xz":
        import lzma

        return lzma.open(path, "rt", encoding="utf-8-sig", newline="")
    if ending == ".gz":
        import gzip

        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    if ending == ".bz2":
        import bz2

        return bz2.open(path, "rt", encoding="utf-8-sig", newline="")
    return open(path, encoding="utf-8-sig", newline="")


def _damages() -> tuple[type[Exception], ...]:
    """Return what reading raises where a file is no text, or not compressed as its ending says."""
    import lzma
    import zlib

    return UnicodeDecodeError, EOFError, OSError, lzma.LZMAError, zlib.error


def _first_unread(file: TextIO, separator: str) -> int:
    """Return the number of the line at which the first row begins that cannot be read."""
    file.seek(0)
    lines, line = _rows(file, separator), 1
    with suppress(csv.Error):
        for _ in lines:
            line = lines.line_num + 1
    return line


def _rows(file: TextIO, separator: str) -> Any:
    return csv.reader(file, delimiter=separator, strict=True)


def _read_parquet(path: str) -> Any:
    if find_spec("pyarrow"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return pq.read_table(path)
        except (pa.ArrowException, OSError) as problem:
            if isinstance(problem, OSError) and type(problem) is not OSError:  # the system's own
                raise
            raise DataError(f"{path!r} is no Parquet file or damaged: {problem}") from problem
    if find_spec("polars"):
        import polars as pl

        try:
            return pl.read_parquet(path)
        except pl.exceptions.PolarsError as problem:
            raise DataError(f"{path!r} is no Parquet file or damaged: {problem}") from problem
    raise MissingExtraError('Parquet files need pyarrow: pip install "elastirec[parquet]"')


def _read_text(file: TextIO, separator: str, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    lines = _rows(file, separator)
    header: list[str] = next(filter(None, lines), [])
    if not header:
        raise DataError("the file is empty; its first line should name the columns")
    wanted = [name for name in names if name in header]
    for name in wanted:
        if header.count(name) > 1:
            raise DataError(f"the file has {header.count(name)} columns named {name!r}")
    if len(wanted) < len(names):  # the caller says which is missing, from the names alone
        return {name: np.empty(0, dtype=object) for name in header}
    pick = itemgetter(*[header.index(name) for name in wanted], 0)  # two or more give a tuple
    try:
        picked = list(map(pick, filter(None, lines)))
    except IndexError:
        raise DataError(f"line {lines.line_num} is too short for the names of line 1") from None
    columns: Iterable[Sequence[str]] = zip(*picked, strict=True) if picked else [()] * len(names)
    return {name: _typed(column) for name, column in zip(wanted, columns, strict=False)}


def _typed(texts: Sequence[str]) -> NDArray[Any]:
    """Return a column of text as what all of its values are written as."""
    distinct = set(texts)
    gaps = {text for text in distinct if text.strip().lower() in _GAPS}
    given = distinct - gaps
    values: dict[str, Any] = dict.fromkeys(gaps)
    if all(map(_INTEGER.fullmatch, given)):
        values.update({text: int(text.partition(".")[0]) for text in given})
        if not gaps and all(-(2**63) <= value < 2**63 for value in values.values()):
            return np.fromiter(map(values.__getitem__, texts), np.int64, len(texts))
    elif all(map(_NUMBER.fullmatch, given)):
        values.update({text: float(text) for text in given})
    else:
        values.update(zip(given, given, strict=True))
    return objects(list(map(values.__getitem__, texts)))
