"""The most popular items, the same for everybody."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from elastirec._base import Recommender
from elastirec._checks import callables
from elastirec._evaluation import check_holdout
from elastirec._files import expect_folder
from elastirec._network import Network
from elastirec._training import Callback
from elastirec.errors import UnsupportedError
from elastirec.interactions import Interactions, expect_log
from elastirec.splits import Holdout


class Popularity(Recommender):
    """Scores each item by how often the log holds it; the yardstick for other models.

    Examples
    --------
    >>> log = Interactions({"user": [1, 1, 2], "item": ["tea", "milk", "tea"]})
    >>> items, scores = Popularity().fit(log).recommend(histories=[[]], output="arrays")
    >>> items.tolist(), scores.tolist()
    ([['tea', 'milk']], [[2.0, 1.0]])
    """

    _streams_not_because = "it scores items for everybody alike, whatever the history"

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
        """Count the items of a log and return ``self``.

        Parameters
        ----------
        log : Interactions
        validation : Holdout, default=None
            Ranked once, for ``history_``.
        exclude_seen, progress, callbacks, checkpoint
            As for every model; there is one epoch, without a loss and too short to show.

        Raises
        ------
        DataError
            If the validation has other items than the log.
        """
        with self._fitting():
            log = expect_log(log)
            if validation is not None:
                check_holdout(validation, log._items, "validation")
            calls = callables("callbacks", callbacks)
            if checkpoint is not None:
                expect_folder(checkpoint)
            began = time.perf_counter()
            network = Network({"model": "popularity", "items": log.n_items})
            self._begin(log, network)
            network.set_parameters({"popularity": log.counts().astype(np.float32)})
            row: dict[str, Any] = {"epoch": 1}
            if validation is not None:
                metrics = ("recall", "ndcg", "mrr")
                row.update(
                    self.evaluate(validation, 10, metrics=metrics, exclude_seen=exclude_seen)
                )
            row.update(seconds=time.perf_counter() - began, tokens=log.n_interactions)
            self.history_, self.best_epoch_, self.stopped_ = [row], 1, "epochs"
            if checkpoint is not None:
                self.save(checkpoint)
            for call in calls:
                call(self, dict(row))
        return self

    def similar_items(self, items: Iterable[Any], k: int = 10, *, output: str = "frame") -> Any:
        """Raise an UnsupportedError: counts do not say which items are alike."""
        raise UnsupportedError("Popularity has no embeddings that items could be compared by")

    @classmethod
    def _outline(cls, configuration: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        return {"popularity": (configuration["items"],)}
