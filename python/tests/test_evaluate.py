"""Evaluation against ranks computed from ``scores`` with NumPy, one person at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import elastirec as er
from elastirec import _candidates, metrics
from elastirec._rows import stack


def ranks_by_hand(
    model: er.SASRec | er.Popularity, holdout: er.Holdout, exclude_seen: bool
) -> list[int]:
    """Sort all items by falling score, then by index, and look the targets up."""
    ids = model.items_.tolist()
    ranks = []
    for user in holdout.users_.tolist():
        history, targets = holdout.history(user).tolist(), holdout.target(user).tolist()
        scores = model.scores([history])[0]
        seen = set(history) - set(targets) if exclude_seen else set()
        order = sorted(
            (-score, item) for item, score in zip(ids, scores, strict=True) if item not in seen
        )
        places = [item for _, item in order]
        ranks += [1 + places.index(target) for target in targets]
    return ranks


@pytest.fixture(scope="module")
def timed() -> er.Split:
    """A split at a time: several targets a person, some of them in the history."""
    rng = np.random.default_rng(0)
    table = {"user": rng.integers(40, size=800), "item": rng.integers(30, size=800)}
    log = er.Interactions({**table, "time": np.arange(800)}, time="time")
    return er.split_at_time(log, test=700)


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_ranks_agree_with_a_sort_of_the_scores(model, split, exclude_seen):
    report = model.evaluate(split.test, exclude_seen=exclude_seen, per_user=True)
    assert report.ranks.tolist() == ranks_by_hand(model, split.test, exclude_seen)
    assert report.users.tolist() == split.test.users_.tolist()


@pytest.mark.parametrize("exclude_seen", [True, False])
@pytest.mark.parametrize("kind", [er.Popularity, er.SASRec])
def test_several_targets_are_ranked_each(timed, exclude_seen, kind):
    model = kind() if kind is er.Popularity else kind(dim=8, epochs=1, max_length=20)
    model.fit(timed.train, progress=False)
    report = model.evaluate(timed.test, 5, exclude_seen=exclude_seen, per_user=True)
    assert report.ranks.tolist() == ranks_by_hand(model, timed.test, exclude_seen)
    assert len(report.ranks) == len(report.users) == len(report.targets) > timed.test.n_users
    first = timed.test.users_[0]
    mine = report.targets[report.users == first]
    assert mine.tolist() == timed.test.target(first).tolist()


def test_equal_scores_rank_by_smaller_id():
    log = er.Interactions({"user": [1, 1, 1, 2, 2, 2], "item": [1, 2, 3, 4, 5, 6]})
    split = er.leave_one_out(log)
    model = er.Popularity().fit(split.train)  # items 1 and 4 once, all others never
    report = model.evaluate(split.test, exclude_seen=False, per_user=True)
    assert report.ranks.tolist() == [4, 6]
    report = model.evaluate(split.test, exclude_seen=True, per_user=True)
    assert report.ranks.tolist() == [2, 4]


def test_the_report_sums_the_ranks_up(model, split):
    report = model.evaluate(split.test, k=[3, 7], per_user=True)
    expected = metrics.summarize(report.ranks, split.test._targets[1], [3, 7])
    assert {name: report[name] for name in expected} == expected


def test_coverage_is_that_of_the_recommendations(model, split):
    histories = [split.test.history(user).tolist() for user in split.test.users_.tolist()]
    items, _ = model.recommend(histories=histories, k=4, output="arrays")
    found = model.evaluate(split.test, 4)["coverage@4"]
    assert found == len(np.unique(items)) / 30


def test_some_metrics_may_be_asked_for(model, split):
    assert list(model.evaluate(split.test, 5, metrics="ndcg")) == ["ndcg@5"]
    chosen = model.evaluate(split.test, (2, 2, 1), metrics=["hr", "map"])
    assert list(chosen) == ["hr@2", "map@2", "hr@1", "map@1"]


@pytest.mark.parametrize(
    "arguments",
    [{"k": 0}, {"k": []}, {"k": (5, 1.5)}, {"candidates": "all100"}, {"metrics": "auc"},
     {"exclude_seen": 1}, {"per_user": None}, {"random_state": -1}],
)  # fmt: skip
def test_odd_arguments_are_refused(model, split, arguments):
    with pytest.raises(er.ConfigError):
        model.evaluate(split.test, **arguments)


def test_what_is_no_holdout_of_the_log_is_refused(model, split):
    with pytest.raises(er.DataError, match=r"split\.test; got Interactions"):
        model.evaluate(split.train)
    other = er.leave_one_out(er.Interactions({"user": [1, 1, 1], "item": [1, 2, 99]}))
    with pytest.raises(er.DataError, match="other items than the log"):
        model.evaluate(other.test)


def test_reports_print_a_table(model, split):
    report = model.evaluate(split.test, (5, 10))
    lines = str(report).splitlines()
    assert lines[0] == "120 people, ranked among all items"
    assert lines[1].split() == ["@5", "@10"]
    assert lines[2].split() == ["recall", f"{report['recall@5']:.4f}", f"{report['recall@10']:.4f}"]
    assert "<th>@10</th>" in report._repr_html_()
    assert report.ranks is None
    with pytest.raises(KeyError):
        report["ndcg@99"]


class TestSampledCandidates:
    @pytest.mark.parametrize("candidates", ["uniform100", "popular100"])
    def test_they_warn_and_are_fixed_by_the_seed(self, model, split, candidates):
        def evaluate(seed: int) -> list[int]:
            with pytest.warns(er.SampledMetricWarning, match="not comparable with full ranking"):
                report = model.evaluate(
                    split.test, candidates=candidates, per_user=True, random_state=seed
                )
            assert "coverage@5" not in report
            assert report.candidates == candidates
            return report.ranks.tolist()

        assert evaluate(0) == evaluate(0)
        assert min(evaluate(1)) >= 1

    def test_ranks_are_among_the_candidates(self, model, timed):
        model = type(model)(**model.get_params()).fit(timed.train, progress=False)
        test = timed.test
        candidates = _candidates.popular(test._targets, timed.train.counts(), 3)
        with pytest.warns(er.SampledMetricWarning):
            found = model.evaluate(test, candidates="popular100", per_user=True, random_state=3)
        ranks = []
        for row, user in enumerate(test.users_.tolist()):
            items, offsets = candidates
            allowed = items[offsets[row] : offsets[row + 1]].tolist()
            scores = model.scores([test.history(user).tolist()])[0]
            order = sorted(allowed, key=lambda item, scores=scores: (-scores[item], item))
            ranks += [1 + order.index(target) for target in test.target(user).tolist()]
        assert found.ranks.tolist() == ranks

    @settings(max_examples=30, deadline=None)
    @given(st.integers(2, 700), st.integers(1, 12), st.integers(0, 2**40))
    def test_uniform_ones_are_distinct_and_unseen(self, n_items, n_rows, seed):
        rng = np.random.default_rng(seed)
        rows = [rng.permutation(n_items).astype(np.int32) for _ in range(n_rows)]
        cuts = [int(rng.integers(1, n_items)) for _ in rows]
        histories = stack([row[:cut] for row, cut in zip(rows, cuts, strict=True)])
        targets = stack([row[cut : cut + 1] for row, cut in zip(rows, cuts, strict=True)])
        items, offsets = _candidates.uniform(histories, targets, n_items, seed)
        for row, cut, start, stop in zip(rows, cuts, offsets[:-1], offsets[1:], strict=True):
            chosen = items[start:stop]
            free = n_items - cut - 1
            assert len(np.unique(chosen)) == len(chosen) == 1 + min(free, 100)
            assert row[cut] in chosen
            assert not set(row[:cut]) & set(chosen)

    def test_popular_ones_follow_the_frequency_and_may_be_seen(self):
        counts = np.array([0, 1, 2, 7, 90])
        targets = stack([np.array([4], np.int32)] * 2000)
        items, offsets = _candidates.popular(targets, counts, 0)
        assert np.diff(offsets).max() <= 4
        there = np.bincount(items, minlength=5) / 2000
        assert there[0] == 0
        assert there[4] == 1  # the target itself
        assert there[1:4] == pytest.approx(1 - (1 - counts[1:4] / 10) ** 100, abs=0.01)

    def test_a_target_that_is_all_of_the_log_stands_alone(self):
        items, offsets = _candidates.popular(stack([np.array([1], np.int32)]), np.array([0, 9]), 0)
        assert (items.tolist(), offsets.tolist()) == ([1], [0, 1])
