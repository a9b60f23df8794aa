"""One model of a comparison: what it is called, fitting it, and measuring it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elastirec._base import Recommender
from elastirec._evaluation import Report
from elastirec._network import Cost
from elastirec._timing import batch_seconds, median_length
from elastirec.errors import ConfigError, DataError
from elastirec.metrics import ndcg
from elastirec.splits import Split


@dataclass(frozen=True, eq=False)
class Finished:
    """What came out for one model."""

    report: Report
    gains: NDArray[np.float64]  # [n_users] NDCG@10 of each person
    cost: Cost
    seconds: float
    epochs: int
    microseconds: float


def named_models(models: Any) -> dict[str, Recommender]:
    """Return the models by name."""
    if isinstance(models, Mapping):
        pairs = list(models.items())
    elif isinstance(models, Sequence) and not isinstance(models, str):
        pairs = [(type(model).__name__, model) for model in models]
    else:
        kind = type(models).__name__
        raise ConfigError(f"models must be a list of models, or a dict of them; got {kind}")
    if not pairs:
        raise ConfigError("models must hold at least one model")
    named: dict[str, Recommender] = {}
    for name, model in pairs:
        if not isinstance(model, Recommender):
            raise ConfigError(f"models must hold models of elastirec, got {model!r}")
        if not isinstance(name, str) or not name:
            raise ConfigError(f"names of models must be strings, got {name!r}")
        if name in named:
            advice = 'name them: er.compare({"small": ..., "large": ...}, split)'
            raise ConfigError(f"two models are called {name!r}; {advice}")
        if any(model is other for other in named.values()):
            raise ConfigError(f"{name!r} is the very model of another name; make two")
        named[name] = model
    return named


def _is_fitted(model: Recommender) -> bool:
    return vars(model).get("_fitted") is not None


def check_log(name: str, model: Recommender, split: Split) -> None:
    """Raise a DataError if the model was fitted on something else than ``split.train``."""
    if not _is_fitted(model):
        return
    state, train = model._state(), split.train
    same = state.items.equals(train._items) and state.users.equals(train._users)
    (items, offsets), (given, starts) = state.histories, train._rows
    if not (same and np.array_equal(offsets, starts) and np.array_equal(items, given)):
        raise DataError(
            f"{name} was fitted on another log than split.train; give a new one:"
            f" {type(model).__name__}(**model.get_params())"
        )


def finish(
    model: Recommender, split: Split, arguments: Mapping[str, Any], progress: bool
) -> Finished:
    """Fit a model if it is not, and measure it.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C ended its training, which ``fit`` itself survives.
    """
    if not _is_fitted(model):
        model.fit(
            split.train,
            validation=split.valid,
            exclude_seen=arguments["exclude_seen"],
            progress=progress,
        )
        if model.stopped_ == "interrupted":
            raise KeyboardInterrupt
    report = model.evaluate(split.test, per_user=True, **arguments)
    assert report.ranks is not None
    return Finished(
        report,
        ndcg(report.ranks, split.test._targets[1], 10),
        model.cost(median_length(split.test)),
        sum(row["seconds"] for row in model.history_),
        len(model.history_),
        1e6 * batch_seconds(model, split.test),
    )
