"""Popularity on public data, against figures computed exactly elsewhere: HR@10 and NDCG@10."""

from __future__ import annotations

import functools

import pytest

import elastirec as er

ANCHORS = {
    "ml-1m": (functools.partial(er.datasets.movielens_1m, order="sasrec"), 0.0369, 0.0180),
    "ml-100k": (er.datasets.movielens_100k, 0.0498, 0.0254),
    "amazon-beauty": (er.datasets.amazon_beauty, 0.0115, 0.0055),
}
SIZES = {
    "ml-1m": (6040, 3416, 999_611),
    "ml-100k": (943, 1682, 100_000),
    "amazon-beauty": (22_363, 12_101, 198_502),
}


@pytest.mark.filterwarnings("ignore::elastirec.TimeTieWarning")
@pytest.mark.parametrize("name", ANCHORS)
def test_popularity_reaches_the_figures_computed_elsewhere(real_data, monkeypatch, name):
    monkeypatch.setenv("ELASTIREC_DATA", str(real_data))
    load, hit_rate, gain = ANCHORS[name]
    log = load().log
    assert (log.n_users, log.n_items, log.n_interactions) == SIZES[name]
    split = er.leave_one_out(log)
    report = er.Popularity().fit(split.train).evaluate(split.test, 10, exclude_seen=True)
    assert round(report["hr@10"], 4) == hit_rate
    assert round(report["ndcg@10"], 4) == gain
    assert report.n_users == log.n_users
