"""``er.compare``: the table against what each model says alone, failures, Ctrl-C, the picture."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from conftest import SMALL

import elastirec as er
from elastirec import metrics
from elastirec.significance import paired_bootstrap

COSTS = ["parameters", "macs", "training_seconds", "epochs", "microseconds"]
DIFFERENCES = ["difference", "difference_low", "difference_high"]


@pytest.fixture(scope="module")
def found(split: er.Split, sasrec: er.SASRec) -> er.Comparison:
    models = {"counts": er.Popularity(), "attention": sasrec}
    return er.compare(models, split, k=(5, 10), progress=False)


def failing(problem: BaseException) -> er.SASRec:
    """Return a model whose training ends with an error after its first epoch."""

    class Failing(er.SASRec):
        def __init__(self) -> None:
            super().__init__(**SMALL, epochs=1)

        def fit(self, *arguments: object, **options: object) -> er.SASRec:
            super().fit(*arguments, **options)
            raise problem

    return Failing()


def test_the_table_says_what_each_model_says_alone(found, split, sasrec, popularity):
    table = found.table
    names = ["recall@5", "ndcg@5", "mrr@5", "recall@10", "ndcg@10", "mrr@10"]
    assert list(table.columns) == ["name", *names, *COSTS, *DIFFERENCES, "error"]
    assert table["name"].tolist() == ["counts", "attention"]
    for row, model in enumerate((popularity, sasrec)):
        alone = model.evaluate(split.test, (5, 10))
        assert [table[name][row] for name in names] == [alone[name] for name in names]
        cost = model.cost(found._length)
        assert (table["parameters"][row], table["macs"][row]) == (cost.parameters, cost.macs)
        assert table["epochs"][row] == len(model.history_)
    assert table["training_seconds"][1] == sum(row["seconds"] for row in sasrec.history_)
    assert (table["microseconds"] > 0).all()
    assert table["error"].tolist() == ["", ""]
    assert found.models["attention"] is sasrec
    lengths = [len(split.test.history(user)) for user in split.test.users_.tolist()]
    assert found._length == round(np.median(lengths))


def test_training_validates_as_the_comparison_ranks(split):
    model = er.SASRec(**SMALL, epochs=1)
    er.compare([model], split, exclude_seen=False, progress=False)
    report = model.evaluate(split.valid, 10, exclude_seen=False)
    assert model.history_[0]["ndcg@10"] == report["ndcg@10"]


def test_differences_are_those_of_each_person(found, split):
    gains = [
        metrics.ndcg(report.ranks, split.test._targets[1], 10) for report in found.reports.values()
    ]
    table = found.table
    assert [table[name][0] for name in DIFFERENCES] == [0, 0, 0]
    expected = paired_bootstrap(*gains)
    assert tuple(table[name][1] for name in DIFFERENCES) == expected
    difference, low, high = expected
    assert difference == pytest.approx(table["ndcg@10"][1] - table["ndcg@10"][0])
    assert 0 < low < difference < high  # the planted rule is learned
    assert found.first == "counts"


def test_a_list_takes_the_names_of_the_classes_and_fits(split):
    model = er.SASRec(**SMALL, epochs=2)
    found = er.compare([model, er.Popularity()], split, metrics="hr", progress=False)
    assert list(found.reports) == ["SASRec", "Popularity"]
    assert list(found.table.columns)[:2] == ["name", "hr@10"]
    assert [row["epoch"] for row in model.history_] == [1, 2]
    assert "ndcg@10" in model.history_[0]  # it was validated
    assert found.table["epochs"].tolist() == [2, 1]


def test_sampled_candidates_are_the_same_for_all(split, popularity, sasrec):
    with pytest.warns(er.SampledMetricWarning):
        found = er.compare(
            [popularity, sasrec], split, candidates="uniform100", random_state=3, progress=False
        )
    with pytest.warns(er.SampledMetricWarning):
        alone = sasrec.evaluate(split.test, 10, candidates="uniform100", random_state=3)
    assert found.table["ndcg@10"][1] == alone["ndcg@10"]
    assert "uniform100" in str(found)


def test_the_frame_is_in_the_library_of_the_log(split, popularity):
    import polars as pl

    log = er.Interactions(pl.DataFrame({"user": [1, 1, 1, 2, 2], "item": list("abcab")}))
    found = er.compare([er.Popularity()], er.leave_one_out(log), progress=False)
    assert isinstance(found.table, pl.DataFrame)
    assert found.table["name"].to_list() == ["Popularity"]


class TestFailures:
    def test_the_others_results_stay(self, split, popularity):
        models = {"broken": failing(RuntimeError("mine")), "sound": popularity}
        with pytest.warns(er.FailedModelWarning, match="broken failed: RuntimeError: mine"):
            found = er.compare(models, split, progress=False)
        assert found.first == "sound"
        assert list(found.reports) == ["sound"]
        assert found.table["error"].tolist() == ["RuntimeError: mine", ""]
        assert np.isnan(found.table["ndcg@10"][0])
        assert found.table["ndcg@10"][1] == popularity.evaluate(split.test, 10)["ndcg@10"]
        assert str(found).splitlines()[2].endswith("RuntimeError: mine")

    @pytest.mark.filterwarnings("ignore::elastirec.FailedModelWarning")
    def test_the_first_error_is_raised_if_all_fail(self, split):
        models = {"one": failing(RuntimeError("mine")), "two": er.SASRec(dim=-1)}
        with pytest.raises(RuntimeError, match="mine") as caught:
            er.compare(models, split, progress=False)
        (note,) = caught.value.__notes__
        assert note.startswith("two failed too: ConfigError: dim must be an integer, 1 to")

    @pytest.mark.parametrize("fails", [True, False])
    def test_ctrl_c_keeps_what_is_finished(self, split, popularity, fails, monkeypatch):
        stopped = er.SASRec(**SMALL)
        if fails:
            stopped = failing(KeyboardInterrupt())
        else:  # what fit does once it has begun
            monkeypatch.setattr(
                er.SASRec, "fit", lambda self, *a, **b: setattr(self, "stopped_", "interrupted")
            )
        models = {"done": popularity, "stopped": stopped, "never": er.Popularity()}
        with pytest.warns(er.InterruptedWarning, match="1 of 3 are finished"):
            found = er.compare(models, split, progress=False)
        assert list(found.reports) == ["done"]
        assert found.table["error"].tolist() == ["", "interrupted", "interrupted"]

    def test_ctrl_c_before_anything_is_finished_is_raised(self, split, popularity):
        with pytest.raises(KeyboardInterrupt):
            er.compare([failing(KeyboardInterrupt()), popularity], split, progress=False)


class TestArguments:
    def test_names_must_differ(self, split):
        with pytest.raises(er.ConfigError, match=r"two models are called 'SASRec'; name them"):
            er.compare([er.SASRec(), er.SASRec(dim=32)], split)

    def test_a_model_may_have_one_name(self, split):
        model = er.SASRec()
        with pytest.raises(er.ConfigError, match="'b' is the very model of another name"):
            er.compare({"a": model, "b": model}, split)

    def test_models_of_another_log_are_refused_before_any_training(self, split, data):
        other = er.split_sequences(data.log)  # the same users and items, other events
        fresh = er.SASRec(**SMALL)
        with pytest.raises(er.DataError, match=r"Popularity was fitted on another log than"):
            er.compare([fresh, er.Popularity().fit(other.train)], split)
        assert not hasattr(fresh, "history_")
        one = er.Interactions({"user": [1, 1, 1, 2, 2, 2], "item": [1, 2, 3, 2, 1, 3]})
        two = er.Interactions({"user": [1, 1, 1, 2, 2, 2], "item": [2, 1, 3, 1, 2, 3]})
        with pytest.raises(er.DataError, match="another log"):  # as many events of everybody
            er.compare([er.Popularity().fit(er.leave_one_out(one).train)], er.leave_one_out(two))
        small = er.Interactions({"user": [1, 1], "item": [1, 2]})
        with pytest.raises(er.DataError, match="another log"):
            er.compare([er.Popularity().fit(small)], split)

    @pytest.mark.parametrize(
        "models", [[], {}, "SASRec", None, [er.SASRec], {1: er.Popularity()}, [None]], ids=str
    )
    def test_what_are_no_models_is_refused(self, split, models):
        with pytest.raises(er.ConfigError, match=r"models must|names of models"):
            er.compare(models, split)

    @pytest.mark.parametrize(
        "arguments",
        [{"k": 0}, {"metrics": "auc"}, {"candidates": "most"}, {"exclude_seen": 1},
         {"progress": 2}, {"random_state": -1}],
        ids=str,
    )  # fmt: skip
    def test_odd_arguments_are_refused(self, split, arguments):
        with pytest.raises(er.ConfigError):
            er.compare([er.Popularity()], split, **arguments)

    def test_the_split_must_be_one(self, data):
        with pytest.raises(er.DataError, match=r"er\.leave_one_out\(log\); got Interactions"):
            er.compare([er.Popularity()], data.log)


class TestShowing:
    def test_as_text(self, found):
        title, head, *rows = str(found).splitlines()
        assert title.startswith("120 people, ranked among all items")
        assert "differences in NDCG@10 to counts" in title
        assert head.split()[:3] == ["model", "recall@5", "ndcg@5"]
        assert [row.split()[0] for row in rows] == ["counts", "attention"]
        assert rows[0].endswith("-")
        low, high = (found.table[name][1] for name in DIFFERENCES[1:])
        assert rows[1].endswith(f"[{low:+.4f}, {high:+.4f}]")
        assert repr(found) == str(found)

    def test_as_html(self, found):
        text = found._repr_html_()
        assert text.count("<tr>") == 3
        assert f"<td>{found.table['ndcg@10'][1]:.4f}</td>" in text

    def test_names_are_escaped(self, split, popularity):
        found = er.compare({"<b>": popularity}, split, progress=False)
        assert "&lt;b&gt;" in found._repr_html_()

    def test_progress_names_each_model(self, split, capfd):
        er.compare([er.SASRec(**SMALL, epochs=1), er.Popularity()], split)
        lines = capfd.readouterr().err.splitlines()
        assert lines[0] == "SASRec (1 of 2)"
        assert lines[1].startswith("epoch 1/1: loss")
        assert lines[2] == "Popularity (2 of 2)"


class TestPicture:
    @pytest.fixture(autouse=True)
    def _without_a_screen(self):
        pytest.importorskip("matplotlib").use("Agg")

    @pytest.mark.parametrize("cost", ["macs", "microseconds", "parameters"])
    def test_points_stand_at_the_numbers_of_the_table(self, found, cost):
        ax = found.plot(cost=cost, metric="mrr@5")
        table = found.table
        there = {
            (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
            for line in ax.lines
            if line.get_marker() == "o"
        }
        free = table[cost] == 0
        assert there == set(zip(table[cost][~free], table["mrr@5"][~free], strict=True))
        assert sum(line.get_marker() != "o" for line in ax.lines) == free.sum()
        assert sorted(text.get_text() for text in ax.texts) == ["attention", "counts"]
        assert ax.get_xscale() == "log"
        assert ax.get_ylabel() == "MRR@5"

    def test_labels_do_not_cover_each_other(self, found):
        from elastirec._plotting import Point, draw

        points = [Point(f"model {i}", 1000 * 1.6**i, 0.1 + 0.002 * i) for i in range(4)]
        ax = draw([*points, Point("far", 1e7, 0.2)], "cost", "quality")
        boxes = [text.get_window_extent() for text in ax.texts]
        assert len(boxes) == 5
        assert not any(one.overlaps(two) for i, one in enumerate(boxes) for two in boxes[i + 1 :])

    def test_given_axes_are_used(self, found):
        from matplotlib import pyplot as plt

        _, ax = plt.subplots()
        assert found.plot(ax=ax) is ax

    def test_odd_arguments_are_refused(self, found):
        with pytest.raises(er.ConfigError, match="cost must be one of 'macs'"):
            found.plot(cost="price")
        with pytest.raises(er.ConfigError, match="metric must be one of 'recall@5'"):
            found.plot(metric="ndcg@20")

    def test_without_matplotlib_it_says_what_to_install(self, found, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        with pytest.raises(er.MissingExtraError, match=r'pip install "elastirec\[plot\]"'):
            found.plot()


class TestBootstrap:
    """The mean of n draws of 0 or 1 is binomial, so its quantiles are known."""

    def binomial_quantile(self, n: int, p: float, share: float) -> float:
        total = 0.0
        for successes in range(n + 1):
            total += math.comb(n, successes) * p**successes * (1 - p) ** (n - successes)
            if total >= share:
                return successes / n
        raise AssertionError

    @pytest.mark.parametrize(("n", "ones", "level"), [(400, 100, 0.95), (37, 20, 0.8), (5, 1, 0.5)])
    def test_the_interval_is_the_binomial_one(self, n, ones, level):
        second = np.zeros(n)
        second[:ones] = 1
        difference, low, high = paired_bootstrap(
            np.zeros(n), second, resamples=400_000, level=level
        )
        assert difference == ones / n
        step = 1 / n  # the quantile of a sample may lie one step aside
        for found, share in ((low, (1 - level) / 2), (high, (1 + level) / 2)):
            assert abs(found - self.binomial_quantile(n, ones / n, share)) < 1.01 * step

    def test_by_hand(self):
        """Of {-1, 1}, two draws have the means -1, 0, 0, 1: the quartiles are -1 and 0 at most."""
        difference, low, high = paired_bootstrap(
            np.array([1.0, 0.0]), np.array([0.0, 1.0]), level=0.4
        )
        assert (difference, low, high) == (0, 0, 0)  # from .3 to .7 all is 0
        assert paired_bootstrap(np.array([1.0, 0.0]), np.array([0.0, 1.0]), level=0.8)[1:] == (
            -1,
            1,
        )

    def test_people_are_paired(self):
        first = np.random.default_rng(0).random(50)
        difference, low, high = paired_bootstrap(first, first + 0.25)
        assert difference == pytest.approx(0.25)
        assert high - low == pytest.approx(0)

    def test_it_agrees_with_drawing_people(self):
        rng = np.random.default_rng(1)
        first, second = rng.random((2, 60))
        drawn = rng.integers(60, size=(50_000, 60))
        expected = np.quantile((second - first)[drawn].mean(1), [0.025, 0.975])
        assert paired_bootstrap(first, second)[1:] == pytest.approx(expected, abs=0.005)

    def test_the_seed_decides(self):
        first, second = np.random.default_rng(2).random((2, 30))
        one = paired_bootstrap(first, second, random_state=1)
        assert one == paired_bootstrap(first, second, random_state=1)
        assert one != paired_bootstrap(first, second, random_state=2)

    def test_other_people_are_refused(self):
        with pytest.raises(er.DataError, match=r"the shapes \(3,\) and \(4,\)"):
            paired_bootstrap(np.zeros(3), np.zeros(4))
