"""Ways to hold a part of a log out, for validation and for the test."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elastirec import _checks
from elastirec._frames import instant
from elastirec._ids import IdMap, is_missing
from elastirec._rows import Int64, Rows, distinct, keep, offsets_of, select
from elastirec.errors import ConfigError, DataError, LeakageWarning, warn
from elastirec.interactions import Interactions, expect_log


@dataclass(frozen=True, eq=False)
class Holdout:
    """People's histories and the items that they chose next.

    Attributes
    ----------
    users_ : ndarray of shape (n_users,)
        Whose histories these are. Everybody has at least one target.
    n_users : int
    """

    _users: IdMap
    _items: IdMap
    _chosen: Int64  # [n_users] index of each user
    _histories: Rows
    _targets: Rows

    @property
    def users_(self) -> NDArray[Any]:
        """The users' ids, shape ``(n_users,)``."""
        return self._users.values[self._chosen]

    @property
    def n_users(self) -> int:
        """How many people are held out."""
        return len(self._chosen)

    def __len__(self) -> int:
        return self.n_users

    def history(self, user: Any) -> NDArray[Any]:
        """Return the ids of the items that a user chose before, oldest first."""
        return self._row(self._histories, user)

    def target(self, user: Any) -> NDArray[Any]:
        """Return the ids of the items that a user chose next."""
        return self._row(self._targets, user)

    def _row(self, rows: Rows, user: Any) -> NDArray[Any]:
        index = self._users.known([user], "user")[0]
        row = int(self._chosen.searchsorted(index))
        if row == len(self._chosen) or self._chosen[row] != index:
            raise DataError(f"user {user!r} has nothing held out in this part")
        items, offsets = rows
        return self._items.values[items[offsets[row] : offsets[row + 1]]]

    def __repr__(self) -> str:
        return f"Holdout({self.n_users:,} users, {len(self._targets[0]):,} targets)"


class Split(NamedTuple):
    """A log to train on, and people held out for validation and for the test.

    All parts share the users, the items and their order with the log that was split.
    """

    train: Interactions
    valid: Holdout | None
    test: Holdout

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{name}</th><td>{html.escape(repr(part))}</td></tr>"
            for name, part in self._asdict().items()
        )
        return f"<table><caption>Split</caption>{rows}</table>"


def leave_one_out(log: Interactions) -> Split:
    """Hold out everybody's last item for the test and the one before it for validation.

    The history of the test includes the item of the validation. People with two items take part
    in training (the first) and in the test (the second), people with one in training only.

    Raises
    ------
    DataError
        If nobody has two items.

    Warns
    -----
    LeakageWarning
        Training sees what others did after the moments that are tested. `split_at_time` does not.

    Examples
    --------
    >>> log = Interactions({"user": [1, 1, 1], "item": ["tea", "milk", "rice"]})
    >>> split = leave_one_out(log)
    >>> split.test.history(1).tolist(), split.test.target(1).tolist()
    (['tea', 'milk'], ['rice'])
    """
    log = expect_log(log)
    warn(
        "leave-one-out lets training see what other people did after the moments that are tested;"
        " er.split_at_time does not",
        LeakageWarning,
    )
    lengths = log.lengths()
    everybody = np.arange(log.n_users)
    train_lengths = np.where(lengths >= 3, lengths - 2, np.minimum(lengths, 1))
    return Split(
        _cut(log, train_lengths),
        _last_of(log, everybody[lengths >= 3], lengths[lengths >= 3] - 1),
        _expect_people(_last_of(log, everybody[lengths >= 2], lengths[lengths >= 2])),
    )


def split_at_time(
    log: Interactions, *, test: Any, valid: Any = None, new_users: bool = False
) -> Split:
    """Train on what happened before a moment and test on what happened from then on.

    Parameters
    ----------
    log : Interactions
        With times.
    test, valid : time or duration
        The test holds what happened at ``test`` or later, validation what happened from ``valid``
        until ``test``, training what happened before both. A moment is given as the log has it (a
        number, datetime, date or ISO 8601 string); without a zone it is in UTC where the times of
        the log had zones. A duration is counted back from the end of the log: a timedelta or a
        string such as "36h", "7d" or "2w"; numbers in the log count as seconds for it. Without
        ``valid`` there is no validation.
    new_users : bool, default=False
        Whether to hold out people who have no history before the moment.

    Raises
    ------
    ConfigError
        If ``valid`` is not before ``test``, or either cannot be read as a time.
    DataError
        If the log has no times, or a part would be empty.
    """
    log = expect_log(log)
    times = log._times
    if times is None:
        raise DataError("split_at_time needs times: er.Interactions(..., time=...)")
    end = _moment("test", test, times)
    start = end if valid is None else _moment("valid", valid, times)
    if valid is not None and not start < end:
        raise ConfigError(
            f"valid must be before test, got {start} and {end}; durations count from the end"
        )
    before = times < start
    if not before.any():
        raise DataError(f"no event is before {start}; the log starts at {times.min()}")
    validation = None
    if valid is not None:
        middle = ~before & (times < end)
        validation = _expect_people(_from_mask(log, before, middle, new_users))
    held_out = _from_mask(log, times < end, times >= end, new_users)
    train = log._with(keep(log._rows, before), times[before])
    return Split(train, validation, _expect_people(held_out))


def split_sequences(
    log: Interactions,
    *,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    random_state: int | None = 0,
) -> Split:
    """Hold whole people out: the last item of each is the target, what precedes it the history.

    Parameters
    ----------
    log : Interactions
    fractions : sequence of three floats, default=(0.8, 0.1, 0.1)
        Shares of people to train on, to validate and to test with; they add up to 1. People
        held out who have a single item are left out.
    random_state : int or None, default=0
        Seed of the choice of people.

    Raises
    ------
    ConfigError
        If the fractions are not three numbers from 0 to 1 that add up to 1, or the seed is no
        integer of at least 0.
    DataError
        If nobody would be left to train on or to test with.
    """
    log = expect_log(log)
    shares: list[float] = []
    with suppress(ConfigError):
        shares = _checks.reals("fractions", fractions, "[0, 1]")
    if len(shares) != 3 or not math.isclose(sum(shares), 1, abs_tol=1e-9):
        raise ConfigError(f"fractions must be three shares that add up to 1, got {fractions!r}")
    seed = None if random_state is None else _checks.integer("random_state", random_state, 0)
    order = np.random.Generator(np.random.Philox(seed)).permutation(log.n_users)
    first, second = np.rint(np.cumsum(shares)[:2] * log.n_users).astype(np.int64)
    lengths = log.lengths()
    training = np.zeros(log.n_users, dtype=np.bool_)
    training[order[:first]] = True
    train = _cut(log, np.where(training, lengths, 0))
    if not train.n_interactions:
        raise DataError(f"fractions {tuple(shares)} leave nobody of {log.n_users} to train on")
    valid, test = (np.sort(part) for part in (order[first:second], order[second:]))
    valid, test = valid[lengths[valid] >= 2], test[lengths[test] >= 2]
    validation = _last_of(log, valid, lengths[valid]) if len(valid) else None
    return Split(train, validation, _expect_people(_last_of(log, test, lengths[test])))


def _cut(log: Interactions, lengths: Int64) -> Interactions:
    """Return the first events of each user."""
    everybody = np.arange(log.n_users)
    rows = select(log._rows, everybody, lengths)
    if log._times is None:
        return log._with(rows, None)
    place = np.arange(log.n_interactions) - np.repeat(log._rows[1][:-1], log.lengths())
    return log._with(rows, log._times[place < np.repeat(lengths, log.lengths())])


def _last_of(log: Interactions, users: Int64, lengths: Int64) -> Holdout:
    """Hold out the last of the first ``lengths`` events of each of the users."""
    items, offsets = log._rows
    histories = select(log._rows, users, lengths - 1)
    targets = items[offsets[users] + lengths - 1], offsets_of(np.ones(len(users), dtype=np.int64))
    return Holdout(log._users, log._items, users, histories, targets)


def _from_mask(
    log: Interactions, history: NDArray[np.bool_], target: NDArray[np.bool_], new_users: bool
) -> Holdout:
    """Hold out the events of one mask, with those of the other as histories."""
    histories = keep(log._rows, history)
    targets = distinct(keep(log._rows, target), log.n_items)
    chosen = np.diff(targets[1]) > 0
    if not new_users:
        chosen &= np.diff(histories[1]) > 0
    users = np.flatnonzero(chosen)
    parts = select(histories, users), select(targets, users)
    return Holdout(log._users, log._items, users, *parts)


def _expect_people(holdout: Holdout) -> Holdout:
    if not holdout.n_users:
        raise DataError("nobody has both a history and an item to hold out")
    return holdout


_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}


def _moment(argument: str, value: Any, times: NDArray[Any]) -> Any:
    """Return a moment as a scalar of the log's own kind of time."""
    dated = times.dtype.kind == "M"
    duration, moment = _duration(value), None
    if duration is not None:
        back = duration.astype("timedelta64[us]") if dated else _seconds(duration)
        moment = times.max() - back
    elif dated and isinstance(value, str | date | np.datetime64):
        with suppress(TypeError, ValueError, OverflowError):  # a NaT of pandas is a TypeError
            moment = instant(value)
    elif not dated and isinstance(value, int | float | np.number) and math.isfinite(value):
        moment = value
    if not is_missing(moment):
        return moment
    kind = "a datetime, date or ISO 8601 string" if dated else "a number"
    raise ConfigError(f'{argument} must be {kind} as in the log, or "7d"; got {value!r}')


def _duration(value: Any) -> np.timedelta64 | None:
    if isinstance(value, timedelta | np.timedelta64):
        return np.timedelta64(value)
    match = (
        re.fullmatch(r"\s*(\d{1,9}(?:\.\d+)?)\s*([a-z]+)\s*", value) if type(value) is str else None
    )
    if match is None or match[2] not in _UNITS:
        return None
    return np.timedelta64(round(float(match[1]) * _UNITS[match[2]]), "s")


def _seconds(duration: np.timedelta64) -> float:
    return float(duration / np.timedelta64(1, "s"))
