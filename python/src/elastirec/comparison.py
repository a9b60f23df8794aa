"""Models side by side: quality, size, speed, and whether a difference could be chance."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from elastirec import _checks, _showing
from elastirec._base import Recommender
from elastirec._comparing import Finished, check_log, finish, named_models
from elastirec._evaluation import CANDIDATES, Report, check_ks
from elastirec._frames import Columns, make_frame, objects
from elastirec._timing import median_length
from elastirec.errors import DataError, FailedModelWarning, InterruptedWarning, warn
from elastirec.metrics import check_names, shown_metric
from elastirec.significance import LEVEL, paired_bootstrap
from elastirec.splits import Split

COSTS = {
    "macs": "multiply-adds to encode a history",
    "microseconds": "microseconds a history",
    "parameters": "parameters",
}


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """What `compare` found; prints itself as a table.

    Attributes
    ----------
    models : dict of str to Recommender
        The models by name, in the order given; those that did not finish are among them.
    reports : dict of str to Report
        What ``evaluate`` said of each model that finished, with the rank of each target.
    errors : dict of str to BaseException
        What ended each model that did not finish.
    first : str
        The first model that finished, which the others are compared with.
    """

    models: dict[str, Recommender]
    reports: dict[str, Report]
    errors: dict[str, BaseException]
    first: str
    _columns: Columns
    _metrics: list[str]
    _library: str | None
    _length: int

    @property
    def table(self) -> Any:
        """A frame with a row for each model, in the library of the log.

        The columns are "name", the metrics, "parameters", "macs" (multiply-adds to encode a
        history of the median length), "training_seconds" (validation included), "epochs",
        "microseconds" (to recommend to one history, in batches), "difference" (of NDCG@10 to
        the first model that finished), "difference_low" and "difference_high" (its paired
        bootstrap interval of 95 %) and "error", which is empty where all went well. Numbers of a
        model that did not finish are NaN.
        """
        return make_frame(dict(self._columns), self._library)

    def plot(self, cost: str = "macs", metric: str = "ndcg@10", ax: Any = None) -> Any:
        """Draw a metric over what it costs, a labelled point for each model.

        Models that cost nothing, such as popularity's multiply-adds, become dashed lines.

        Parameters
        ----------
        cost : {"macs", "microseconds", "parameters"}, default="macs"
        metric : str, default="ndcg@10"
            A metric of the table.
        ax : matplotlib Axes, default=None
            Where to draw; None for a new figure.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        ConfigError
            If there is no such cost or metric.
        MissingExtraError
            If matplotlib is not installed.
        """
        from elastirec import _plotting

        cost = _checks.choice("cost", cost, tuple(COSTS))
        metric = _checks.choice("metric", metric, self._metrics)
        points = [
            _plotting.Point(name, float(x), float(y))
            for name, x, y in zip(
                self._columns["name"], self._columns[cost], self._columns[metric], strict=True
            )
            if name in self.reports
        ]
        return _plotting.draw(points, COSTS[cost], shown_metric(metric), ax)

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        """Return a head and the rows as text."""
        columns = self._columns
        head = ["model", *self._metrics, "parameters", "MACs", "training s", "epochs"]
        head += ["µs a history", "difference"]
        shown: list[tuple[str, str]] = [(name, ".4f") for name in self._metrics]
        shown += [("parameters", ",.0f"), ("macs", ",.0f"), ("training_seconds", ",.1f")]
        shown += [("epochs", ".0f"), ("microseconds", ",.1f")]
        rows = []
        for place, name in enumerate(columns["name"]):
            row = [name, *(_cell(columns[column][place], form) for column, form in shown)]
            low, high = (columns[f"difference_{end}"][place] for end in ("low", "high"))
            interval = f"[{low:+.4f}, {high:+.4f}]"
            compared = name in self.reports and name != self.first
            row.append(f"{columns['difference'][place]:+.4f} {interval}" if compared else "-")
            rows.append(row + ([columns["error"][place]] if self.errors else []))
        return head + (["error"] if self.errors else []), rows

    def _title(self) -> str:
        report = self.reports[self.first]
        among = "all items" if report.candidates == "all" else f"{report.candidates} candidates"
        return (
            f"{report.n_users:,} people, ranked among {among}; MACs of {self._length} items;"
            f" differences in NDCG@10 to {self.first}, with intervals of {LEVEL:.0%}"
        )

    def __str__(self) -> str:
        head, rows = self._cells()
        left = [0, len(head) - 1] if self.errors else [0]
        return _showing.as_text(self._title(), head, rows, left)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return _showing.as_html(self._title(), *self._cells())


def compare(
    models: Sequence[Recommender] | Mapping[str, Recommender],
    split: Split,
    *,
    k: int | Sequence[int] = (10,),
    metrics: str | Sequence[str] | None = ("recall", "ndcg", "mrr"),
    candidates: str = "all",
    exclude_seen: bool = True,
    progress: bool = True,
    random_state: int = 0,
) -> Comparison:
    """Fit models on one split, and compare how well they rank and what they cost.

    Each model learns from ``split.train`` with ``split.valid``, and ranks what everybody of
    ``split.test`` chose. A model that is fitted already, on the same log, is taken as it is. A
    model that fails leaves its error in the table, and the others go on. Ctrl-C ends the
    comparison; what is finished stays.

    Parameters
    ----------
    models : sequence of Recommender, or mapping of str to Recommender
        The models; a mapping names them, else they bear the names of their classes.
    split : Split
        Such as `leave_one_out` makes.
    k, metrics, candidates, exclude_seen, random_state
        As in ``evaluate``. Sampled candidates are the same for every model.
    progress : bool, default=True
        Whether to show progress on standard error.

    Returns
    -------
    Comparison

    Raises
    ------
    ConfigError
        If two models have one name, or an argument is out of range.
    DataError
        If ``split`` is none, or a model was fitted on another log.
    Exception
        The error of the first model, if all of them fail.

    Warns
    -----
    FailedModelWarning
        If a model fails and others do not.
    InterruptedWarning
        If Ctrl-C ends the comparison.

    Examples
    --------
    >>> log = Interactions({"user": [1, 1, 1, 1, 2, 2, 2, 2], "item": [*"abcd", *"abdc"]})
    >>> split = leave_one_out(log)
    >>> found = compare([Popularity(), SASRec(dim=8, epochs=2)], split, progress=False)
    >>> list(found.reports)
    ['Popularity', 'SASRec']
    """
    named = named_models(models)
    if not isinstance(split, Split):
        hint = "such as er.leave_one_out(log)"
        raise DataError(f"split must be a Split, {hint}; got {type(split).__name__}")
    for name, model in named.items():
        check_log(name, model, split)
    arguments = {
        "k": check_ks(k),
        "metrics": check_names(metrics),
        "candidates": _checks.choice("candidates", candidates, CANDIDATES),
        "exclude_seen": _checks.flag("exclude_seen", exclude_seen),
        "random_state": _checks.integer("random_state", random_state, 0),
    }
    progress = _checks.flag("progress", progress)
    finished: dict[str, Finished] = {}
    errors: dict[str, BaseException] = {}
    try:
        for place, (name, model) in enumerate(named.items(), 1):
            if progress and sys.stderr is not None:
                print(f"{name} ({place} of {len(named)})", file=sys.stderr, flush=True)
            try:
                finished[name] = finish(model, split, arguments, progress)
            except Exception as problem:
                errors[name] = problem
                warn(f"{name} failed: {_told(problem)}", FailedModelWarning)
    except KeyboardInterrupt as stop:
        if not finished:
            raise
        errors.update({name: stop for name in named if name not in finished | errors})
        message = f"the comparison was interrupted; {len(finished)} of {len(named)} are finished"
        warn(message, InterruptedWarning)
    if not finished:
        raise _joined(errors)
    return _comparison(named, finished, errors, split, random_state)


def _comparison(
    models: dict[str, Recommender],
    finished: dict[str, Finished],
    errors: dict[str, BaseException],
    split: Split,
    seed: int,
) -> Comparison:
    first = next(iter(finished))
    metrics = list(finished[first].report)
    records = [
        _record(finished[name], finished[first], seed) if name in finished else {}
        for name in models
    ]
    columns: Columns = {"name": objects(list(models))}
    for column in records[list(models).index(first)]:
        columns[column] = np.array([record.get(column, math.nan) for record in records])
    told = [_told(errors[name]) if name in errors else "" for name in models]
    return Comparison(
        models=models,
        reports={name: done.report for name, done in finished.items()},
        errors=errors,
        first=first,
        _columns={**columns, "error": objects(told)},
        _metrics=metrics,
        _library=split.train._names.library,
        _length=median_length(split.test),
    )


def _record(done: Finished, first: Finished, seed: int) -> dict[str, float]:
    """Return the numbers of a model's row of the table."""
    difference, low, high = paired_bootstrap(first.gains, done.gains, random_state=seed)
    return {
        **done.report,
        "parameters": done.cost.parameters,
        "macs": done.cost.macs,
        "training_seconds": done.seconds,
        "epochs": done.epochs,
        "microseconds": done.microseconds,
        "difference": difference,
        "difference_low": low,
        "difference_high": high,
    }


def _joined(errors: Mapping[str, BaseException]) -> BaseException:
    """Return the first error, with a note on each of the others."""
    first, *others = errors.items()
    for name, problem in others:
        first[1].add_note(f"{name} failed too: {_told(problem)}")
    return first[1]


def _told(problem: BaseException) -> str:
    if isinstance(problem, KeyboardInterrupt):
        return "interrupted"
    return f"{type(problem).__name__}: {problem}"


def _cell(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)
