"""Whether a difference between two models could be chance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from elastirec import _checks
from elastirec.errors import DataError

RESAMPLES = 10_000
LEVEL = 0.95
_CELLS = 2_000_000  # numbers drawn at a time, to bound memory


def paired_bootstrap(
    first: NDArray[np.floating[Any]],
    second: NDArray[np.floating[Any]],
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    random_state: int = 0,
) -> tuple[float, float, float]:
    """Return by how much ``second`` is above ``first`` on average, with a bootstrap interval.

    People are drawn with replacement, each with both of their values. As the mean does not
    depend on who has a value, it is the numbers of equal differences that are drawn, from their
    multinomial distribution.

    Parameters
    ----------
    first, second : ndarray of shape (n_users,)
        A metric of the same people, in the same order.
    resamples : int, default=10,000
    level : float, default=0.95
        Share of the resamples' means inside the interval, its ends the quantiles.
    random_state : int, default=0
        Seed of the draws.

    Returns
    -------
    difference, low, high : float

    References
    ----------
    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.

    Examples
    --------
    >>> difference, low, high = paired_bootstrap(np.zeros(100), np.arange(100.0) % 2)
    >>> round(difference, 2), round(low, 2), round(high, 2)
    (0.5, 0.4, 0.6)
    """
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        shapes = f"{first.shape} and {second.shape}"
        raise DataError(f"both need the values of the same people, got the shapes {shapes}")
    draws = _checks.integer("resamples", resamples)
    share = _checks.real("level", level, "(0, 1)")
    values, counts = np.unique(second - first, return_counts=True)
    rng = np.random.Generator(np.random.Philox(_checks.integer("random_state", random_state, 0)))
    people = int(counts.sum())
    means = np.empty(draws)
    rows = max(1, _CELLS // len(values))
    for start in range(0, draws, rows):
        stop = min(start + rows, draws)
        drawn = rng.multinomial(people, counts / people, size=stop - start)
        means[start:stop] = drawn @ values / people
    low, high = np.quantile(means, [(1 - share) / 2, (1 + share) / 2])
    return float(values @ counts / people), float(low), float(high)
