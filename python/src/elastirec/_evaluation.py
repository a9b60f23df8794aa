"""Ranking what people chose next, and the report about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elastirec import _candidates, _checks, _showing
from elastirec._ids import IdMap
from elastirec._library import threads
from elastirec._network import Fitted
from elastirec._rows import Int32, Rows, between, with_people, without
from elastirec.errors import ConfigError, DataError, SampledMetricWarning, warn
from elastirec.metrics import check_names, summarize
from elastirec.splits import Holdout

CANDIDATES = ("all", "uniform100", "popular100")
_MACS = 5e9  # of one native call, about a tenth of a second, so that Ctrl-C is heard


@dataclass(frozen=True, eq=False, repr=False)
class Report(Mapping[str, float]):
    """Metrics by name, such as ``report["ndcg@10"]``.

    Attributes
    ----------
    values_ : dict of str to float
        The metrics, means over people.
    n_users : int
        How many people they are about.
    candidates : str
        What the targets were ranked among.
    ranks : ndarray of shape (n_targets,), int32, or None
        With ``per_user=True``: the 1-based rank of each target.
    users, targets : ndarray of shape (n_targets,), or None
        With ``per_user=True``: whose target it is, and which item.
    """

    values_: dict[str, float]
    n_users: int
    candidates: str
    ranks: Int32 | None = field(default=None)
    users: NDArray[Any] | None = field(default=None)
    targets: NDArray[Any] | None = field(default=None)

    def __getitem__(self, name: str) -> float:
        return self.values_[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)

    def _table(self) -> tuple[list[str], list[list[str]]]:
        """Return the values of k, and a row for each metric."""
        ks = list(dict.fromkeys(name.partition("@")[2] for name in self))
        names = list(dict.fromkeys(name.partition("@")[0] for name in self))
        return ks, [[name, *(f"{self[f'{name}@{k}']:.4f}" for k in ks)] for name in names]

    def _title(self) -> str:
        among = "all items" if self.candidates == "all" else f"{self.candidates} candidates"
        return f"{self.n_users:,} people, ranked among {among}"

    def __repr__(self) -> str:
        ks, rows = self._table()
        lines = [["", *(f"@{k}" for k in ks)], *rows]
        body = ("".join(f"{cell:<10}" for cell in line).rstrip() for line in lines)
        return "\n".join([self._title(), *body])

    def _repr_html_(self) -> str:
        ks, rows = self._table()
        return _showing.as_html(self._title(), ["", *(f"@{k}" for k in ks)], rows)


def check_holdout(holdout: Any, items: IdMap, argument: str = "holdout") -> Holdout:
    """Return ``holdout`` if it is one, of the same items.

    Raises
    ------
    DataError
        If it is not a Holdout, or its items are not those of the log that ``fit`` saw.
    """
    if not isinstance(holdout, Holdout):
        kind = type(holdout).__name__
        wanted = "a part of a split, such as split.valid or split.test"
        raise DataError(f"{argument} must be {wanted}; got {kind}")
    if not items.equals(holdout._items):
        raise DataError(
            f"{argument} has other items than the log that fit saw;"
            " split one log and fit on its train part"
        )
    return holdout


def check_ks(k: int | Sequence[int]) -> list[int]:
    """Return the lengths of lists to measure, in the order given, each once."""
    ks = list(k) if isinstance(k, list | tuple | range | np.ndarray) else [k]
    if not ks:
        raise ConfigError("k must name at least one length of list")
    return list(dict.fromkeys(_checks.integer("k", value) for value in ks))


def evaluate(
    state: Fitted,
    holdout: Any,
    k: int | Sequence[int],
    *,
    candidates: str,
    exclude_seen: bool,
    per_user: bool,
    metrics: str | Sequence[str] | None,
    random_state: int,
    n_jobs: int | None,
    sizes: Sequence[int] | None = None,
) -> list[Report]:
    """Check the arguments, which are those of ``Recommender.evaluate``, and rank the targets.

    Returns
    -------
    list of Report
        One for each of the trained ``sizes``, or for the whole model where these are None.
    """
    holdout = check_holdout(holdout, state.items)
    ks, names = check_ks(k), check_names(metrics)
    exclude_seen = _checks.flag("exclude_seen", exclude_seen)
    per_user = _checks.flag("per_user", per_user)
    seed = _checks.integer("random_state", random_state, 0)
    n_items = len(state.items)
    chosen = _choose(state, holdout, _checks.choice("candidates", candidates, CANDIDATES), seed)
    excluded = None
    if exclude_seen and chosen is None:
        excluded = without(holdout._histories, holdout._targets, n_items)
    depth = min(max(ks), n_items) if "coverage" in names and chosen is None else 0
    ranks, tops = rank(state, holdout, excluded, chosen, depth, sizes, threads(n_jobs))
    items, offsets = holdout._targets
    people: dict[str, Any] = {}
    if per_user:
        owners = np.repeat(holdout.users_, np.diff(offsets))
        people = {"users": owners, "targets": holdout._items.values[items]}
    reports = []
    for place, row in enumerate(ranks):
        top = None if tops is None else tops[place]
        values = summarize(row, offsets, ks, names, top, n_items)
        kept = {**people, "ranks": row} if per_user else {}
        reports.append(Report(values, holdout.n_users, candidates, **kept))
    return reports


def _choose(state: Fitted, holdout: Holdout, candidates: str, seed: int) -> Rows | None:
    if candidates == "all":
        return None
    warn(
        f"metrics among {candidates} candidates are not comparable with full ranking, nor with"
        ' other samples; use candidates="all" to compare models',
        SampledMetricWarning,
    )
    if candidates == "uniform100":
        return _candidates.uniform(holdout._histories, holdout._targets, len(state.items), seed)
    return _candidates.popular(holdout._targets, state.counts, seed)


def rank(
    state: Fitted,
    holdout: Holdout,
    excluded: Rows | None,
    candidates: Rows | None,
    depth: int,
    sizes: Sequence[int] | None,
    threads: int,
) -> tuple[Int32, Int32 | None]:
    """Return the rank of each target, and the best ``depth`` items of each row if not 0.

    The work goes in slices of people whose number does not depend on the clock, so that the
    answer does not either.

    Returns
    -------
    tuple of ndarray of shape (sizes, n_targets) and (sizes, n_users, depth), int32
    """
    histories, targets = holdout._histories, holdout._targets
    longest = int(np.diff(histories[1]).max(initial=1))
    configuration = state.network.configuration
    length = min(longest, configuration.get("max_length", longest))
    width = configuration.get("dim", max(configuration.get("sizes", [1])))
    macs = state.network.cost(length).macs + state.network.n_items * width
    size = int(min(1024, max(16, _MACS / macs)))
    people = state.users.index(holdout.users_) if state.network.knows_people else None
    lists = 1 if sizes is None else len(sizes)
    ranks = np.empty((lists, len(targets[0])), dtype=np.int32)
    top = np.empty((lists, holdout.n_users, depth), dtype=np.int32) if depth else None
    for start in range(0, holdout.n_users, size):
        stop = min(start + size, holdout.n_users)
        found, best = state.network.rank(
            with_people(
                between(histories, start, stop), None if people is None else people[start:stop]
            ),
            between(targets, start, stop),
            None if excluded is None else between(excluded, start, stop),
            None if candidates is None else between(candidates, start, stop),
            depth,
            sizes,
            threads,
        )
        ranks[:, targets[1][start] : targets[1][stop]] = found
        if top is not None and best is not None:
            top[:, start:stop] = best
    return ranks, top
