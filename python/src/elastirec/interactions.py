"""A log of who chose what, in order."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elastirec._frames import Columns, as_times, make_frame, read_columns
from elastirec._ids import IdMap, number_ids
from elastirec._rows import Int64, Rows, offsets_of
from elastirec.errors import DataError, TimeTieWarning, warn
from elastirec.features import ItemFeatures


@dataclass(frozen=True)
class Names:
    """What the columns of a log are called, and the library its frame came from."""

    user: str
    item: str
    time: str | None
    library: str | None


class Interactions:
    """A log of interactions, grouped by user and in the order of time.

    Parameters
    ----------
    frame : frame, mapping of arrays, or path
        A pandas, polars or pyarrow frame (others that Narwhals reads work too), a mapping of
        column names to arrays, or the path of a CSV, TSV (also .gz, .xz, .bz2) or Parquet file.
    user, item : str, default="user", "item"
        Columns of ids: integers (also written as floats) or strings. Repeated rows are kept.
        Frames whose columns have numbers for names take these.
    time : str, default=None
        Column of numbers, datetimes or dates. Without it the rows count as being in order.
        Where times are equal, the order of the rows decides. Times with a zone are kept in UTC,
        without the zone.
    item_features : ItemFeatures, default=None
        What is known about the items. Items that the log does not hold are left out.

    Attributes
    ----------
    users_, items_ : ndarray of shape (n_users,), (n_items,)
        The ids, sorted. Models number users and items in this order.
    n_users, n_items, n_interactions : int
    item_features : ItemFeatures or None

    Raises
    ------
    DataError
        If a column is missing or repeated, or a value is missing or of a wrong kind; the message
        names the column and the row.

    Warns
    -----
    TimeTieWarning
        If events of a user share a time.
    FeatureWarning
        If some items have no features.

    Examples
    --------
    >>> log = Interactions({"user": [1, 1, 2], "item": ["tea", "milk", "tea"]})
    >>> log.history(1).tolist()
    ['tea', 'milk']
    """

    def __init__(
        self,
        frame: Any,
        *,
        user: str = "user",
        item: str = "item",
        time: str | None = None,
        item_features: ItemFeatures | None = None,
    ) -> None:
        if item_features is not None and not isinstance(item_features, ItemFeatures):
            kind = type(item_features).__name__
            raise DataError(f"item_features must be er.ItemFeatures(...), got {kind}")
        columns, library = read_columns(frame, [user, item] + ([] if time is None else [time]))
        users, owners = number_ids(columns[user], user)
        items, chosen = number_ids(columns[item], item)
        times = None if time is None else as_times(columns[time], time)
        order = np.lexsort((owners,) if times is None else (times, owners))
        self._set(
            Names(user, item, time, library),
            users,
            items,
            (chosen[order], offsets_of(np.bincount(owners, minlength=len(users)))),
            None if times is None else times[order],
            item_features,
        )
        if item_features is not None:
            item_features.check(items)
        if self._times is not None:
            _warn_of_ties(self._times, self._rows[1])

    def _set(
        self,
        names: Names,
        users: IdMap,
        items: IdMap,
        rows: Rows,
        times: NDArray[Any] | None,
        item_features: ItemFeatures | None,
    ) -> None:
        self._names = names
        self._users = users
        self._items = items
        self._rows = rows
        self._times = times
        self.item_features = item_features

    def _with(self, rows: Rows, times: NDArray[Any] | None) -> Interactions:
        """Return a log of other rows with the same users, items and names."""
        log = object.__new__(Interactions)
        log._set(self._names, self._users, self._items, rows, times, self.item_features)
        return log

    @property
    def users_(self) -> NDArray[Any]:
        """User ids, sorted, shape ``(n_users,)``."""
        return self._users.values

    @property
    def items_(self) -> NDArray[Any]:
        """Item ids, sorted, shape ``(n_items,)``."""
        return self._items.values

    @property
    def n_users(self) -> int:
        """How many users there are, those without an event in this part of a split included."""
        return len(self._users)

    @property
    def n_items(self) -> int:
        """How many items there are, those without an event in this part of a split included."""
        return len(self._items)

    @property
    def n_interactions(self) -> int:
        """How many events there are."""
        return len(self._rows[0])

    def __len__(self) -> int:
        return self.n_interactions

    def lengths(self) -> Int64:
        """Return how many events each user has, shape ``(n_users,)``, in order of ``users_``."""
        return np.diff(self._rows[1])

    def counts(self) -> Int64:
        """Return how many events each item has, shape ``(n_items,)``, in order of ``items_``."""
        return np.bincount(self._rows[0], minlength=self.n_items).astype(np.int64)

    def history(self, user: Any) -> NDArray[Any]:
        """Return the ids of the items that a user chose, oldest first.

        Raises
        ------
        UnknownIdError
            If the log has no such user.
        """
        row = self._users.known([user], "user")[0]
        items, offsets = self._rows
        return self.items_[items[offsets[row] : offsets[row + 1]]]

    def to_frame(self) -> Any:
        """Return the log, by user and time, as a frame of the library that it came from.

        Times that had a zone are in UTC, without the zone.
        """
        items, offsets = self._rows
        columns: Columns = {
            self._names.user: np.repeat(self.users_, np.diff(offsets)),
            self._names.item: self.items_[items],
        }
        if self._names.time is not None and self._times is not None:
            columns[self._names.time] = self._times
        return make_frame(columns, self._names.library)

    def __repr__(self) -> str:
        sizes = f"{self.n_users:,} users, {self.n_items:,} items"
        return f"Interactions({sizes}, {self.n_interactions:,} events)"

    def _repr_html_(self) -> str:
        facts = {
            "users": f"{self.n_users:,}",
            "items": f"{self.n_items:,}",
            "events": f"{self.n_interactions:,}",
        }
        if self._times is not None and len(self._times):
            facts["time"] = f"{self._times.min()} to {self._times.max()}"
        if self.n_interactions:
            lengths = self.lengths()
            marks = np.quantile(lengths[lengths > 0], [0, 0.25, 0.5, 0.75, 1])
            names = ("least", "quarter", "median", "three quarters", "most")
            pairs = zip(names, marks, strict=True)
            facts["events a user"] = ", ".join(f"{name} {mark:g}" for name, mark in pairs)
        rows = "".join(
            f"<tr><th>{name}</th><td>{html.escape(fact)}</td></tr>" for name, fact in facts.items()
        )
        return f"<table><caption>Interactions</caption>{rows}</table>"


def _warn_of_ties(times: NDArray[Any], offsets: Int64) -> None:
    tied = np.zeros(len(times), dtype=np.bool_)
    tied[1:] = times[1:] == times[:-1]
    tied[offsets[:-1]] = False
    if tied.any():
        warn(
            f"{int(tied.sum()):,} of {len(times):,} events have the same time as the one before"
            " them of the same user; they keep the order of the rows",
            TimeTieWarning,
        )


def expect_log(value: Any, argument: str = "log") -> Interactions:
    """Return ``value`` if it is a log.

    Raises
    ------
    DataError
        If it is something else; the message says how to make a log of it.
    """
    if isinstance(value, Interactions):
        return value
    kind = type(value).__name__
    hint = "; pass split.train" if kind == "Split" else "; make one with er.Interactions(...)"
    raise DataError(f"{argument} must be Interactions, got {kind}{hint}")
