"""How long answers take, and times as callers write them."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from itertools import cycle
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from elastirec import _checks
from elastirec._library import threads
from elastirec._recommendation import best_items
from elastirec._rows import Rows, between, select
from elastirec.errors import ConfigError
from elastirec.splits import Holdout

if TYPE_CHECKING:
    from elastirec._base import Recommender

_BATCH = 256  # histories a call where batches are timed
_PEOPLE = 1024  # histories that are timed in batches, at most
_REQUESTS = 64  # histories that are timed one by one, at most
_SECONDS = 0.3  # of timing, at least
_UNITS = {"us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0}
_DURATION = re.compile(rf"(\d+(?:\.\d*)?|\.\d+)\s*({'|'.join(_UNITS)})", re.ASCII)


def duration(name: str, value: Any) -> float:
    """Return seconds, given as a number or as text such as "200us", "1.5ms" and "0.2s"."""
    if not isinstance(value, str):
        return _checks.real(name, value, "(0, inf)")
    found = _DURATION.fullmatch(value.strip())
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if seconds == 0.0 or not math.isfinite(seconds):
        forms = 'seconds, or text such as "200us", "1.5ms" or "0.2s"'
        raise ConfigError(f"{name} must be {forms}; got {value!r}")
    return seconds


def as_duration(seconds: float) -> str:
    """Return seconds as text, in the unit that leaves at least one digit before the point."""
    unit = next((unit for unit in ("s", "ms") if seconds >= _UNITS[unit]), "us")
    return f"{seconds / _UNITS[unit]:.3g} {unit}"


def median_length(holdout: Holdout) -> int:
    """Return the median length of the histories, at least 1."""
    return max(1, round(float(np.median(np.diff(holdout._histories[1])))))


def median_seconds(action: Callable[[], object]) -> float:
    """Return the median time that an action takes, once it has warmed up."""
    action()
    times: list[float] = []
    end = time.perf_counter() + _SECONDS
    while len(times) < 3 or time.perf_counter() < end:
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return median(times)


def batch_seconds(model: Recommender, holdout: Holdout) -> float:
    """Return the time to recommend ten items to a history of a holdout, in batches."""
    rows = _some(holdout._histories, _PEOPLE)
    count = len(rows[1]) - 1
    state, workers = model._state(), threads(model.n_jobs)

    def all_of_them() -> None:
        for start in range(0, count, _BATCH):
            batch = between(rows, start, min(start + _BATCH, count))
            best_items(state, batch, 10, True, None, workers)

    return median_seconds(all_of_them) / count


def request_seconds(model: Recommender, histories: Rows) -> float:
    """Return the median time of a call that recommends ten items to one of some histories."""
    told = np.flatnonzero(np.diff(histories[1]))
    items, offsets = _some(select(histories, told), _REQUESTS)
    ids = np.split(model.items_[items], offsets[1:-1])
    requests = cycle([[history.tolist()] for history in ids])
    return median_seconds(lambda: model.recommend(histories=next(requests), k=10, output="arrays"))


def _some(rows: Rows, most: int) -> Rows:
    """Return rows at equal distances, ``most`` of them or all."""
    count = len(rows[1]) - 1
    chosen = np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))
    return select(rows, chosen)
