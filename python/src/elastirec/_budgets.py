"""What a model may cost, and whether it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from elastirec import _checks
from elastirec._timing import as_duration, duration, request_seconds

if TYPE_CHECKING:
    from elastirec._base import Recommender


class Budget(NamedTuple):
    """The most that a model may cost in one respect."""

    name: str
    most: float
    measure: Callable[[Recommender], float]
    shown: Callable[[float], str]


def budgets(max_parameters: Any, max_bytes: Any, max_latency: Any) -> list[Budget]:
    """Return the budgets that are not None, those that are quick to measure first.

    Raises
    ------
    ConfigError
        If one is no positive number or time.
    """
    found = []
    if max_parameters is not None:
        most = _checks.integer("max_parameters", max_parameters)
        found.append(Budget("max_parameters", most, _parameters, "{:,} parameters".format))
    if max_bytes is not None:
        most = _checks.integer("max_bytes", max_bytes)
        found.append(Budget("max_bytes", most, _bytes, "{:,} bytes".format))
    if max_latency is not None:
        seconds = duration("max_latency", max_latency)
        found.append(Budget("max_latency", seconds, _latency, as_duration))
    return found


def excess(limits: Sequence[Budget], model: Recommender) -> str | None:
    """Return what a model costs beyond a limit, in words, or None where it is within all."""
    for limit in limits:
        cost = limit.measure(model)
        if cost > limit.most:
            return f"{limit.shown(cost)}, where {limit.name} allows {limit.shown(limit.most)}"
    return None


def _parameters(model: Recommender) -> int:
    return model.cost(1).parameters


def _bytes(model: Recommender) -> int:
    return model.cost(1).bytes


def _latency(model: Recommender) -> float:
    return request_seconds(model, model._state().histories)
