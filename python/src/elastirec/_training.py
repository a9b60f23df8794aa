"""The loop round the native trainer: progress, validation, early stopping, callbacks, Ctrl-C."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from elastirec import _evaluation
from elastirec._library import complaints_as, native
from elastirec._network import Fitted, Float32
from elastirec._progress import Progress
from elastirec.errors import ConfigError, InterruptedWarning, TrainingDiverged, warn
from elastirec.splits import Holdout

if TYPE_CHECKING:
    from elastirec._base import Recommender

Callback = Callable[[Any, dict[str, Any]], object]
METRIC = "ndcg@10"  # decides which epoch is best
_SLICE = 0.1  # seconds of training between two looks at Ctrl-C


@dataclass(frozen=True)
class Plan:
    """How to train, apart from what the native trainer needs to know."""

    epochs: int
    patience: int | None
    validation: Holdout | None
    exclude_seen: bool
    threads: int
    progress: bool
    callbacks: Sequence[Callback]
    checkpoint: str | os.PathLike[str] | None


class Training:
    """One call of ``fit``: trains the network of ``model`` and fills ``model.history_``.

    Parameters
    ----------
    model : Recommender
        Has its fitted state already, with ``history_`` of the epochs before.
    options : mapping
        What the native trainer takes as JSON.
    plan : Plan
    """

    def __init__(self, model: Recommender, options: Mapping[str, Any], plan: Plan) -> None:
        self.model = model
        self.plan = plan
        self.state: Fitted = model._state()
        with complaints_as(ConfigError):
            self.trainer = native.trainer_create(
                self.state.network.handle,
                json.dumps(dict(options), allow_nan=False),
                self.state.histories,
            )
        self.first = len(model.history_)
        model.best_epoch_ = self.first
        self.best: dict[str, Float32] | None = None
        self.best_value = -math.inf
        self.progress = Progress(plan.progress, plan.epochs, METRIC)

    def run(self) -> None:
        """Train, and set ``best_epoch_`` and ``stopped_`` of the model.

        Raises
        ------
        TrainingDiverged
            If a step met NaN or infinity.
        KeyboardInterrupt
            If it comes before the first step.
        """
        self.model.stopped_ = "unfinished"
        try:
            self.model.stopped_ = self._epochs()
            self._keep()
        except KeyboardInterrupt:
            if not self._keep():
                raise
            self.model.stopped_ = "interrupted"
            message = "training was interrupted; the model keeps the best weights so far"
            warn(message, InterruptedWarning)
        except BaseException:
            self._keep()
            raise
        finally:
            self.progress.close()

    def _keep(self) -> bool:
        """Go back to the best weights, or stay with the present ones; False if neither will do."""
        if self.best is not None:
            self.state.network.set_parameters(self.best)
            return True
        self.model._trained &= _broken(self.state.network.parameters()) is None
        return self.model._trained

    def _epochs(self) -> str:
        for number in range(1, self.plan.epochs + 1):
            row = self._epoch(number)
            is_best = self._remember(row)
            self.progress.epoch(number, row)
            if is_best and self.plan.checkpoint is not None:
                self.model.save(self.plan.checkpoint)
            stops = [bool(call(self.model, dict(row))) for call in self.plan.callbacks]
            if any(stops):
                return "callback"
            if self._is_stale():
                return "patience"
        return "epochs"

    def _epoch(self, number: int) -> dict[str, Any]:
        began = time.perf_counter()
        finished = False
        while not finished:
            step, steps, tokens, loss, finished = self._advance(number)
            self.progress.step(number, step, steps, tokens, loss)
        row: dict[str, Any] = {"epoch": self.first + number, "loss": loss}
        row.update(self._validate())
        row["seconds"] = time.perf_counter() - began
        row["tokens"] = tokens
        return row

    def _advance(self, number: int) -> tuple[int, int, int, float, bool]:
        try:
            _, step, steps, tokens, loss, finished = native.trainer_advance(
                self.trainer, _SLICE, self.plan.threads
            )
        except FloatingPointError as problem:
            raise self._diverged(self.first + number, problem) from None
        self.model._trained |= step > 0
        return step, steps, tokens, loss, finished

    def _diverged(self, epoch: int, problem: object) -> TrainingDiverged:
        advice = "try a smaller learning_rate, or gradient_clip=1.0"
        return TrainingDiverged(f"training diverged in epoch {epoch}: {problem}; {advice}")

    def _validate(self) -> dict[str, float]:
        if self.plan.validation is None:
            return {}
        (report,) = _evaluation.evaluate(
            self.state,
            self.plan.validation,
            10,
            candidates="all",
            exclude_seen=self.plan.exclude_seen,
            per_user=False,
            metrics=("recall", "ndcg", "mrr"),
            random_state=0,
            n_jobs=self.plan.threads,
        )
        return dict(report)

    def _remember(self, row: dict[str, Any]) -> bool:
        """Add a row to the history, and return whether its epoch is the best so far.

        Without validation the last epoch counts as the best, and its weights are there anyway.
        """
        weights = self.state.network.parameters()
        broken = _broken(weights)
        if broken is not None:
            raise self._diverged(row["epoch"], f"{broken} is not finite after it")
        validated = METRIC in row
        is_best = not validated or row[METRIC] > self.best_value
        if is_best:
            self.model.best_epoch_ = row["epoch"]
        if is_best and validated:
            self.best, self.best_value = weights, row[METRIC]
        self.model.history_.append(row)
        return is_best

    def _is_stale(self) -> bool:
        patience = self.plan.patience
        if self.best is None or patience is None:
            return False
        return len(self.model.history_) - self.model.best_epoch_ >= patience


def _broken(weights: Mapping[str, Float32]) -> str | None:
    """Return the name of the first weight that is not finite, or None."""
    return next((name for name, w in weights.items() if not np.isfinite(w).all()), None)
