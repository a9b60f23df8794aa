"""What models share whose first channels are smaller models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, TypedDict, Unpack, overload

import numpy as np

from elastirec import _checks, _evaluation, _streams
from elastirec._budgets import budgets, excess
from elastirec._evaluation import Report
from elastirec._frames import Columns
from elastirec._sized import SizedRecommender
from elastirec._streams import StreamState
from elastirec._timing import median_length, request_seconds
from elastirec.errors import ConfigError
from elastirec.nesting import Frontier
from elastirec.splits import Holdout


class _Options(TypedDict, total=False):
    """Further arguments of ``evaluate``."""

    candidates: str
    exclude_seen: bool
    per_user: bool
    metrics: str | Sequence[str] | None
    random_state: int


class NestedRecommender(SizedRecommender):
    """A network that holds smaller ones: its first channels are a model of their own.

    It is trained at all of its sizes at once; `at` takes one of them out.
    """

    def at(
        self,
        *,
        size: int | None = None,
        max_parameters: int | None = None,
        max_bytes: int | None = None,
        max_latency: str | float | None = None,
        keep_features: bool = False,
    ) -> Self:
        """Return the model of one size: a model of its own, with the first channels of this one.

        It answers as this model does at that size, and has the users, items and histories of this
        model, but none of its other channels.

        Parameters
        ----------
        size : int, default=None
            One of ``sizes_``.
        max_parameters, max_bytes : int, default=None
            In place of a size: the largest model of at most so many weights, or bytes of them.
        max_latency : str or float, default=None
            The largest model that answers a single request within this time: seconds, or text such
            as "200us" or "1.5ms". Measured here and now, on histories that ``fit`` saw, as the
            median of calls of ``recommend(histories=..., output="arrays")``. Several limits hold
            together.
        keep_features : bool, default=False
            Whether the model goes on reading the features of items, so that items can be added to
            it. Otherwise what it makes of them becomes item embeddings, and they are not needed.

        Returns
        -------
        model
            Of the class of this model, fitted; its sizes end at its own.

        Raises
        ------
        ConfigError
            If the size was not trained, or no size is within the limits; the message says what the
            smallest one costs.
        UnsupportedError
            If the model is not nested.
        """
        trained = self._trained_sizes()
        keep_features = _checks.flag("keep_features", keep_features)
        limits = budgets(max_parameters, max_bytes, max_latency)
        if (size is None) == (not limits):
            names = "max_parameters, max_bytes, max_latency"
            raise ConfigError(f"give either a size, or limits: some of {names}")
        if size is not None:
            return self._cut(self._chosen_sizes("size", [size])[0], keep_features)
        for width in reversed(trained):
            model = self._cut(width, keep_features)
            over = excess(limits, model)
            if over is None:
                return model
        raise ConfigError(f"no size is small enough: the smallest, {trained[0]}, takes {over}")

    @overload
    def evaluate(
        self,
        holdout: Holdout,
        k: int | Sequence[int] = ...,
        *,
        sizes: None = None,
        **options: Unpack[_Options],
    ) -> Report: ...

    @overload
    def evaluate(
        self,
        holdout: Holdout,
        k: int | Sequence[int] = ...,
        *,
        sizes: str | Sequence[int],
        **options: Unpack[_Options],
    ) -> dict[int, Report]: ...

    def evaluate(
        self,
        holdout: Holdout,
        k: int | Sequence[int] = (5, 10, 20),
        *,
        sizes: str | Sequence[int] | None = None,
        candidates: str = "all",
        exclude_seen: bool = True,
        per_user: bool = False,
        metrics: str | Sequence[str] | None = None,
        random_state: int = 0,
    ) -> Report | dict[int, Report]:
        """Rank what people chose next, and return metrics of the ranks, also of several sizes.

        Parameters
        ----------
        holdout, k, candidates, exclude_seen, per_user, metrics, random_state
            As for every model, see `Recommender.evaluate`.
        sizes : "all" or sequence of int, default=None
            Some of ``sizes_``, for a report of each. They are ranked in one pass, which costs
            little more than that of the whole model.

        Returns
        -------
        Report, or dict of int to Report
            With ``sizes`` a report for each of them, ascending.

        Raises
        ------
        ConfigError
            If a size was not trained.
        DataError
            If the holdout has other items than the log that ``fit`` saw.
        UnsupportedError
            If there are ``sizes`` and the model is not nested.
        """
        chosen = None if sizes is None else self._chosen_sizes("sizes", sizes)
        reports = _evaluation.evaluate(
            self._state(),
            holdout,
            k,
            candidates=candidates,
            exclude_seen=exclude_seen,
            per_user=per_user,
            metrics=metrics,
            random_state=random_state,
            n_jobs=self.n_jobs,
            sizes=chosen,
        )
        return reports[0] if chosen is None else dict(zip(chosen, reports, strict=True))

    def frontier(
        self,
        holdout: Holdout,
        *,
        sizes: str | Sequence[int] = "all",
        k: int | Sequence[int] = 10,
        metrics: str | Sequence[str] | None = ("recall", "ndcg", "mrr"),
        keep_features: bool = False,
        **options: Any,
    ) -> Frontier:
        """Measure how well each size ranks, and what it costs.

        Parameters
        ----------
        holdout : Holdout
            Such as ``split.test``; its histories also are the requests that are timed.
        sizes : "all" or sequence of int, default="all"
            Some of ``sizes_``.
        k, metrics
            As in ``evaluate``.
        keep_features : bool, default=False
            As in ``at``, whose models are measured.
        **options
            Further arguments of ``evaluate``.

        Returns
        -------
        Frontier
            With a ``frame`` and a ``plot``.

        Raises
        ------
        ConfigError, DataError, UnsupportedError
            As in ``evaluate``.
        """
        keep_features = _checks.flag("keep_features", keep_features)
        chosen = self._chosen_sizes("sizes", sizes)
        reports = self.evaluate(holdout, k, sizes=chosen, metrics=metrics, **options)
        network = self._state().network
        length = min(median_length(holdout), network.configuration["max_length"])
        rows = []
        for size, report in reports.items():
            model = self._cut(size, keep_features)
            latency = request_seconds(model, holdout._histories)
            rows.append({"size": size, **report, **model.cost(length), "latency": latency})
        columns: Columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        return Frontier(reports, columns, self._state().library, length)

    def adopt(self, state: StreamState) -> StreamState:
        """Return a state of the model that this one was made of as one of this model.

        This model was made of it with `at` or `add_items`.

        It is what this model would know of the same people had it followed them from the start.
        ``state`` itself stays as it is; a state of this model comes back unchanged.

        Parameters
        ----------
        state : StreamState
            From `start` and `update` of that model.

        Raises
        ------
        DataError
            If the state is of a model that this one was not made of.
        """
        fitted = self._state()
        size = self._stream_size(fitted)
        return _streams.adopt(state, fitted.network.origins, size, self._fingerprint(fitted))
