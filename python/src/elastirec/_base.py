"""What every recommender answers once it is fitted."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from elastirec import _checks, _evaluation, _recommendation, _streams
from elastirec._evaluation import Report
from elastirec._library import threads
from elastirec._model import Model
from elastirec._network import Fitted, Float32
from elastirec._recommendation import Unknown
from elastirec._streams import StreamState
from elastirec._training import Callback
from elastirec.errors import UnsupportedError
from elastirec.interactions import Interactions
from elastirec.splits import Holdout


class Recommender(Model):
    """Learns from a log of interactions, and recommends items by their raw ids.

    Follows scikit-learn's conventions: ``__init__`` only stores keyword arguments, ``fit`` checks
    them, and what ``fit`` learns ends with an underscore. Many threads may ask one model at a
    time; while one thread fits a model, others may not use it.

    Parameters
    ----------
    n_jobs : int or None, default=None
        Threads; None for the cores that the process may use, -1 for all of them.
    """

    _streams_not_because: ClassVar[str] = "it reads a history as a whole"

    n_jobs: int | None = None

    @abstractmethod
    def fit(
        self,
        log: Interactions,
        *,
        validation: Holdout | None = None,
        exclude_seen: bool = True,
        progress: bool = True,
        callbacks: Sequence[Callback] = (),
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Learn from a log and return ``self``."""

    def recommend(
        self,
        users: Iterable[Any] | None = None,
        *,
        histories: Iterable[Iterable[Any]] | None = None,
        state: StreamState | None = None,
        k: int = 10,
        exclude_seen: bool = True,
        allow: Iterable[Any] | None = None,
        block: Iterable[Any] | None = None,
        unknown: Unknown | None = None,
        output: str = "frame",
    ) -> Any:
        """Return the best items for users, for histories of anybody, or for streams.

        Parameters
        ----------
        users : iterable of ids, default=None
            Users of the log that ``fit`` saw, with the histories that it saw.
        histories : iterable of iterables of item ids, default=None
            Histories, oldest item first, in place of users. An empty one gets the popular items.
        state : StreamState, default=None
            From `start` and `update`, in place of users.
        k : int, default=10
            How many items; fewer where fewer are left.
        exclude_seen : bool, default=True
            Whether to leave out the items of the history.
        allow, block : iterable of item ids, default=None
            The only items to recommend, and items not to recommend.
        unknown : {"raise", "warn", "ignore"}, default=None
            What to do about ids that the model does not know. None raises for users and warns
            for items, which are then left out. An unknown user let through counts as new.
        output : {"frame", "arrays"}, default="frame"
            "arrays" skips the frame, to answer single requests quickly.

        Returns
        -------
        frame
            With a row for each item, in the library of the log's frame: "user" (or "history",
            the place in ``histories``, or "person", the place in ``state``), "item", "score",
            "rank" (from 1). Equal scores rank by smaller item id.
        or tuple of ndarray of shape (n, min(k, n_items))
            Item ids and float32 scores. Where fewer items are left, a row ends in id -1 (None
            among strings) with score -infinity.

        Raises
        ------
        UnknownIdError
            If an id is unknown and that is not allowed.
        """
        fitted = self._state()
        as_frame = _recommendation.output_kind(output)
        _recommendation.expect_one(users=users, histories=histories, state=state)
        allowed = _recommendation.allowed_items(fitted, allow, block, unknown)
        if state is not None:
            stream = _streams.check(state, self._stream_size(fitted), self._fingerprint(fitted))
            names = {"person": np.arange(len(stream))}
            items, scores = _recommendation.best_of_streams(
                fitted, stream, k, exclude_seen, allowed, threads(self.n_jobs)
            )
        else:
            names, rows, people = _recommendation.requests(fitted, users, histories, unknown)
            # To score some hundred items takes as long as to read one of a history.
            work = len(rows[0]) + len(rows[1]) + len(fitted.items) // 256
            workers = threads(self.n_jobs, work)
            items, scores = _recommendation.best_items(
                fitted, rows, k, exclude_seen, allowed, workers, people
            )
        if as_frame:
            return _recommendation.as_frame(fitted, names, items, scores)
        return _recommendation.raw(fitted.items, items), scores

    def start(self, n: int = 1, *, keep_seen: bool = True) -> StreamState:
        """Return the state of people who have chosen nothing yet.

        With `update` and ``recommend(state=...)`` it stands for histories that grow item by item.
        The answers are those for the whole histories, at a cost that does not grow with them; of
        items beyond ``max_length`` a state keeps what the model remembers, where a history would
        be cut.

        Parameters
        ----------
        n : int, default=1
            How many people.
        keep_seen : bool, default=True
            Whether to keep the items that each person chose, to leave them out of recommendations.

        Raises
        ------
        UnsupportedError
            If the model cannot stream; the message says why.
        """
        fitted = self._state()
        size = self._stream_size(fitted)
        n, keep_seen = _checks.integer("n", n), _checks.flag("keep_seen", keep_seen)
        return _streams.start(size, n, self._fingerprint(fitted), keep_seen)

    def update(self, state: StreamState, items: Iterable[Any]) -> StreamState:
        """Return the state after people have chosen items; ``state`` itself stays as it is.

        Parameters
        ----------
        state : StreamState
            From `start` or `update`.
        items : iterable of length n
            For each person the id of an item, or a list of ids, oldest first, which may be empty.

        Raises
        ------
        DataError
            If the state is another model's, or the items are not as many as the people.
        UnknownIdError
            If an item is unknown.
        """
        fitted = self._state()
        stream = _streams.check(state, self._stream_size(fitted), self._fingerprint(fitted))
        return _streams.update(fitted, stream, items, threads(self.n_jobs))

    def similar_items(self, items: Iterable[Any], k: int = 10, *, output: str = "frame") -> Any:
        """Return the items most alike to each of ``items``, by the cosine of their embeddings.

        Parameters
        ----------
        items : iterable of item ids
        k : int, default=10
        output : {"frame", "arrays"}, default="frame"

        Returns
        -------
        frame
            With the columns "item", "similar", "score" and "rank".
        or tuple of ndarray of shape (n, min(k, n_items - 1))
            Item ids and cosines.

        Raises
        ------
        UnknownIdError
            If an item is unknown.
        """
        state = self._state()
        as_frame = _recommendation.output_kind(output)
        wanted = [items] if isinstance(items, str) or not isinstance(items, Iterable) else items
        indices = state.items.known(wanted, "item")
        k = min(_checks.integer("k", k), len(state.items) - 1)
        if len(indices) and k:
            similar, cosines = state.network.similar(indices, k, threads(self.n_jobs))
        else:
            similar = np.empty((len(indices), k), dtype=np.int32)
            cosines = np.empty((len(indices), k), dtype=np.float32)
        if as_frame:
            names = {"item": state.items.values[indices]}
            return _recommendation.as_frame(state, names, similar, cosines)
        return _recommendation.raw(state.items, similar), cosines

    def scores(
        self, histories: Iterable[Iterable[Any]], *, unknown: Unknown | None = None
    ) -> Float32:
        """Return the scores of all items after each history.

        Returns
        -------
        ndarray of shape (len(histories), n_items), float32
            In the order of ``items_``.
        """
        state = self._state()
        rows = _recommendation.history_rows(state, histories, unknown)
        if len(rows[1]) == 1:
            return np.empty((0, len(state.items)), dtype=np.float32)
        return state.network.score(rows, threads(self.n_jobs))

    def evaluate(
        self,
        holdout: Holdout,
        k: int | Sequence[int] = (5, 10, 20),
        *,
        candidates: str = "all",
        exclude_seen: bool = True,
        per_user: bool = False,
        metrics: str | Sequence[str] | None = None,
        random_state: int = 0,
    ) -> Report:
        """Rank what people chose next, and return metrics of the ranks.

        Parameters
        ----------
        holdout : Holdout
            A part of a split of the log whose train part ``fit`` saw.
        k : int or sequence of int, default=(5, 10, 20)
            Lengths of list to measure.
        candidates : {"all", "uniform100", "popular100"}, default="all"
            Rank each target among all items; among 100 items drawn uniformly from those that are
            in neither history nor targets; or among 100 draws by frequency in training, history
            included and repeats collapsed (RecBole's uni100 and pop100).
        exclude_seen : bool, default=True
            Whether items of the history, unless they are targets, stay out of the ranking.
            Without effect on sampled candidates.
        per_user : bool, default=False
            Whether to keep the rank of each target in the report, for tests of significance.
        metrics : sequence of str, default=None
            Some of "recall", "hr", "mrr", "ndcg", "map" and "coverage"; None for all. Sampled
            candidates have no coverage. `elastirec.metrics` has the definitions.
        random_state : int, default=0
            Seed of the draws. Equal seeds draw the same candidates for every model that was
            fitted on the same log.

        Returns
        -------
        Report
            A mapping, such as ``report["ndcg@10"]``.

        Raises
        ------
        DataError
            If the holdout has other items than the log that ``fit`` saw.
        """
        (report,) = _evaluation.evaluate(
            self._state(),
            holdout,
            k,
            candidates=candidates,
            exclude_seen=exclude_seen,
            per_user=per_user,
            metrics=metrics,
            random_state=random_state,
            n_jobs=self.n_jobs,
        )
        return report

    def _stream_size(self, fitted: Fitted) -> int:
        size = fitted.network.stream_size()
        if size is None:
            name = type(self).__name__
            raise UnsupportedError(f"{name} cannot stream: {self._streams_not_because}")
        return size

    def _fingerprint(self, fitted: Fitted) -> str:
        if vars(self).get("_fitting_thread") is not None:  # the weights change from call to call
            return fitted.fresh_fingerprint()
        return fitted.fingerprint
