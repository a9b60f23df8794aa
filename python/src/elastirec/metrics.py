"""Metrics of ranked lists, from the ranks that each person's targets reached.

All functions take ``ranks`` (1-based, shape ``(n_targets,)``) with the ``offsets`` (shape
``(n_users + 1,)``) of each person's targets, and return one number a person. People without
targets are left out before: every row holds at least one rank. Definitions follow Järvelin and
Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002, for NDCG, and Herlocker
et al., "Evaluating collaborative filtering recommender systems", TOIS 2004, for the others. With
one target a person, recall equals the hit rate, and MRR equals MAP.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elastirec.errors import ConfigError

Floats = NDArray[np.float64]
Ranks = NDArray[np.integer[Any]]


def recall(ranks: Ranks, offsets: Ranks, k: int) -> Floats:
    """Return the share of each person's targets that are among the first k."""
    return _sums(ranks <= k, offsets) / np.diff(offsets)


def hit_rate(ranks: Ranks, offsets: Ranks, k: int) -> Floats:
    """Return 1 for each person with a target among the first k, else 0."""
    return (_sums(ranks <= k, offsets) > 0).astype(np.float64)


def reciprocal_rank(ranks: Ranks, offsets: Ranks, k: int) -> Floats:
    """Return one over the best rank of each person's targets, 0 beyond k."""
    best = np.minimum.reduceat(ranks, offsets[:-1])
    return np.where(best <= k, 1.0 / best, 0.0)


def ndcg(ranks: Ranks, offsets: Ranks, k: int) -> Floats:
    """Return the discounted gain of each person's targets over the largest possible.

    A target at rank r within k gains ``1 / log2(r + 1)``; at best, n targets stand at the ranks 1
    to min(n, k).
    """
    gains = np.where(ranks <= k, 1.0 / np.log2(ranks + 1.0), 0.0)
    most = np.minimum(np.diff(offsets), k)
    ideal: Floats = np.cumsum(1.0 / np.log2(np.arange(1, most.max() + 1) + 1.0))
    return _sums(gains, offsets) / ideal.take(most - 1)


def average_precision(ranks: Ranks, offsets: Ranks, k: int) -> Floats:
    """Return the mean precision at each person's targets.

    The j-th best of n targets, at rank r within k, adds ``j / r``; the sum is divided by
    min(n, k).
    """
    counts = np.diff(offsets)
    people = np.repeat(np.arange(len(counts)), counts)
    ordered = ranks[np.lexsort((ranks, people))]
    place = np.arange(len(ranks)) - np.repeat(offsets[:-1], counts) + 1.0
    return _sums(np.where(ordered <= k, place / ordered, 0.0), offsets) / np.minimum(counts, k)


def _sums(values: NDArray[Any], offsets: Ranks) -> Floats:
    sums: Floats = np.add.reduceat(values, offsets[:-1], dtype=np.float64)
    return sums


BY_NAME: dict[str, Callable[[Ranks, Ranks, int], Floats]] = {
    "recall": recall,
    "hr": hit_rate,
    "mrr": reciprocal_rank,
    "ndcg": ndcg,
    "map": average_precision,
}
NAMES = (*BY_NAME, "coverage")


def coverage(top: NDArray[np.integer[Any]], n_items: int, k: int) -> float:
    """Return the share of all items that stand among anybody's first k.

    Parameters
    ----------
    top : ndarray of shape (n_users, k or more)
        Each person's best items, best first; -1 stands for none.
    n_items : int
        How many items there are.
    k : int
    """
    shown = np.unique(top[:, :k])
    return float((shown >= 0).sum() / n_items)


def summarize(
    ranks: Ranks,
    offsets: Ranks,
    ks: Sequence[int],
    names: Sequence[str] = tuple(BY_NAME),
    top: NDArray[np.integer[Any]] | None = None,
    n_items: int = 0,
) -> dict[str, float]:
    """Return the mean over all people of each metric at each k, as "ndcg@10" and so on.

    Coverage needs ``top`` and ``n_items``, and is left out without them.
    """
    report = {}
    for k in ks:
        for name in names:
            if name in BY_NAME:
                report[f"{name}@{k}"] = float(BY_NAME[name](ranks, offsets, k).mean())
            elif top is not None:
                report[f"{name}@{k}"] = coverage(top, n_items, k)
    return report


def check_names(names: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the metrics asked for, all of them for None.

    Raises
    ------
    ConfigError
        If one is unknown.
    """
    chosen = NAMES if names is None else (names,) if isinstance(names, str) else tuple(names)
    for name in chosen:
        if name not in NAMES:
            raise ConfigError(f"metrics must be among {', '.join(NAMES)}; got {name!r}")
    return chosen


def shown_metric(name: str) -> str:
    """Return the name of a metric as pictures show it, such as "NDCG@10"."""
    metric, _, k = name.partition("@")
    return f"{metric.upper() if metric in ('ndcg', 'mrr', 'map', 'hr') else metric}@{k}"
