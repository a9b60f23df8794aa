"""Metrics against values worked out by hand, and against a literal reading of their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import elastirec as er
from elastirec import metrics


def brute_force(ranks: list[int], k: int) -> dict[str, float]:
    """The metrics of one person, from the list of the first k places."""
    hits = [place in ranks for place in range(1, k + 1)]
    gain = sum(1 / math.log2(place + 1) for place, hit in enumerate(hits, 1) if hit)
    ideal = sum(1 / math.log2(place + 1) for place in range(1, min(len(ranks), k) + 1))
    precisions = [sum(hits[:place]) / place for place, hit in enumerate(hits, 1) if hit]
    return {
        "recall": sum(hits) / len(ranks),
        "hr": float(any(hits)),
        "mrr": 1 / (hits.index(True) + 1) if any(hits) else 0.0,
        "ndcg": gain / ideal,
        "map": sum(precisions) / min(len(ranks), k),
    }


def test_values_worked_out_by_hand():
    # Ann's targets stand at 1, 3 and 12, Bob's at 2, Cid's at 11.
    ranks, offsets = np.array([3, 12, 1, 2, 11]), np.array([0, 3, 4, 5])
    found = metrics.summarize(ranks, offsets, [10])
    ideal = 1 + 1 / math.log2(3) + 1 / 2
    assert found == pytest.approx(
        {
            "recall@10": (2 / 3 + 1 + 0) / 3,
            "hr@10": 2 / 3,
            "mrr@10": (1 + 1 / 2 + 0) / 3,
            "ndcg@10": ((1 + 1 / 2) / ideal + 1 / math.log2(3) + 0) / 3,
            "map@10": ((1 / 1 + 2 / 3) / 3 + 1 / 2 + 0) / 3,
        }
    )


def test_gains_of_single_targets():
    gains = [metrics.ndcg(np.array([rank]), np.array([0, 1]), 10)[0] for rank in (1, 2, 3, 10, 11)]
    assert gains == pytest.approx([1, 0.63092975, 0.5, 0.28906483, 0])


def test_coverage_counts_distinct_items_and_no_gaps():
    top = np.array([[0, 1, 2], [1, 0, -1]])
    assert metrics.coverage(top, 4, 2) == 0.5
    assert metrics.coverage(top, 4, 3) == 0.75


people = st.lists(st.sets(st.integers(1, 30), min_size=1, max_size=8), min_size=1, max_size=6)


@given(people, st.integers(1, 40))
def test_metrics_agree_with_their_definitions(targets, k):
    rows = [list(ranks) for ranks in targets]
    offsets = np.cumsum([0, *map(len, rows)])
    ranks = np.concatenate([np.array(row) for row in rows])
    expected = [brute_force(row, k) for row in rows]
    for name, metric in metrics.BY_NAME.items():
        assert metric(ranks, offsets, k) == pytest.approx([one[name] for one in expected])


@given(people)
def test_recall_and_gain_reach_one_when_k_is_large(targets):
    rows = [range(1, len(ranks) + 1) for ranks in targets]
    offsets = np.cumsum([0, *map(len, rows)])
    ranks = np.concatenate([np.array(row) for row in rows])
    assert set(metrics.summarize(ranks, offsets, [10**9]).values()) == {1.0}


def test_an_unknown_metric_is_refused():
    with pytest.raises(er.ConfigError, match=r"metrics must be among recall, .*; got 'auc'"):
        metrics.check_names(["recall", "auc"])
