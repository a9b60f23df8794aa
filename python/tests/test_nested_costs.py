"""What the sizes of a nested model cost: curves of quality, memory, times."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import SHAPES

import elastirec as er
from elastirec._nested_memory import Maps, count
from elastirec._timing import as_duration, duration


@pytest.fixture(scope="module")
def found(nested: Any, split: er.Split) -> er.Frontier:
    return nested.frontier(split.test, k=(5, 10))


class TestFrontier:
    def test_the_frame_says_what_each_size_says_alone(self, found, nested, split):
        frame = found.frame
        metrics = ["recall@5", "ndcg@5", "mrr@5", "recall@10", "ndcg@10", "mrr@10"]
        costs = ["parameters", "macs", "bytes", "latency"]
        assert list(frame.columns) == ["size", *metrics, *costs]
        assert frame["size"].tolist() == list(SHAPES)
        for row, size in enumerate(SHAPES):
            small = nested.at(size=size)
            report = small.evaluate(split.test, (5, 10))
            assert [frame[name][row] for name in metrics] == [report[name] for name in metrics]
            cost = small.cost(found._length)
            assert [frame[name][row] for name in costs[:3]] == list(cost.values())
        assert (frame["latency"] > 1e-6).all()
        assert found.reports.keys() == set(SHAPES)

    def test_as_text_and_html(self, found):
        title, head, *rows = repr(found).splitlines()
        assert title.startswith("120 people, ranked among all items; MACs of")
        assert head.split()[:2] == ["size", "recall@5"]
        assert [row.split()[0] for row in rows] == ["8", "16", "32"]
        assert rows[0].split()[-1] in {"us", "ms"}
        assert found._repr_html_().count("<tr>") == 4

    def test_some_sizes_and_other_arguments(self, nested, split):
        found = nested.frontier(split.test, sizes=[16], metrics="hr", exclude_seen=False)
        alone = nested.at(size=16).evaluate(split.test, 10, metrics="hr", exclude_seen=False)
        assert found.frame["hr@10"].tolist() == list(alone.values())

    @pytest.mark.parametrize("cost", ["latency", "macs", "parameters", "bytes"])
    def test_the_picture_joins_the_points(self, found, cost):
        pytest.importorskip("matplotlib").use("Agg")
        from matplotlib import pyplot as plt

        ax = found.plot(cost=cost, metric="ndcg@5")
        frame = found.frame
        points = list(zip(frame[cost], frame["ndcg@5"], strict=True))
        line = next(line for line in ax.lines if len(line.get_xdata()) > 1)
        assert list(zip(line.get_xdata(), line.get_ydata(), strict=True)) == points
        assert {text.get_text() for text in ax.texts} == {"8", "16", "32"}
        assert ax.get_ylabel() == "NDCG@5"
        assert found.plot(ax=ax, metric="ndcg@10") is ax
        plt.close(ax.figure)

    @pytest.mark.parametrize("arguments", [{"cost": "watts"}, {"metric": "auc@5"}], ids=str)
    def test_odd_axes_are_refused(self, found, arguments):
        with pytest.raises(er.ConfigError, match="must be one of"):
            found.plot(**arguments)


class TestMemory:
    def test_the_savings_of_the_paper(self):
        """Section 6.3: 0, 25.16, 31.39, 32.90, 33.25 % for the sizes 128 to 2048."""
        report = er.FMRLRec(sizes=(128, 256, 512, 1024, 2048)).memory_report()
        savings = np.round(100 * np.asarray(report.frame["saving"]), 2)
        assert savings.tolist() == [0, 25.16, 31.39, 32.90, 33.25]

    def test_the_examples_of_the_paper(self):
        """Section 4: four maps of twice the width at 512, 32 histories of 50 items."""
        sizes = [2**power for power in range(1, 10)]
        columns = {name: values[-1] for name, values in count(
            Maps(1, [(2, 1)] * 4), sizes, 32 * 50
        ).items()}  # fmt: skip
        weights = columns["independent"] - columns["dense"]
        assert weights == pytest.approx(4 / 3 * 512 * 1024, rel=0.01)
        activations = columns["activations_paper"] - columns["activations"]
        assert activations == pytest.approx(4 / 3 * 32 * 50 * 1024, rel=0.01)
        fixed = columns["activations_independent"] / columns["activations"]
        assert fixed == pytest.approx(2, rel=0.01)

    def test_by_hand(self):
        columns = count(Maps(3, [(2, 1), (1, 1)], vectors=5), [4, 12], tokens=7)
        expected = {
            "size": [4, 12],
            "dense": [3 * (3 * 16 + 8 * 4), 3 * (3 * 144 + 8 * 12)],
            "nested": [3 * (3 * 16 + 8 * 4), 3 * (3 * (4 * 4 + 8 * 12) + 8 * 12)],
            "independent": [240, 240 + 1584],
            "saving": [0, 240 / 1584],
            "activations": [7 * 9 * 4, 7 * 9 * 12],
            "activations_independent": [7 * 9 * 4, 7 * 9 * 16],
            "activations_paper": [7 * 9 * 4, 7 * 9 * (4 * 4 / 12 + 12)],
        }
        assert {name: values.tolist() for name, values in columns.items()} == expected

    def test_nested_weights_are_those_of_the_blocks(self, nested):
        """All but embeddings, norms, rates of decay, and the imaginary parts of complex numbers."""
        counted = 0
        for name, weights in nested.parameters().items():
            if not name.startswith("blocks.") or "norm" in name or name.endswith("decay_log"):
                continue
            complex_ = ".recurrence.input." in name or (
                ".recurrence.output." in name and name.endswith("weight")
            )
            counted += weights.size // 2 if complex_ else weights.size
        assert np.asarray(nested.memory_report().frame["nested"])[-1] == counted

    def test_tokens_are_those_of_a_batch(self):
        model = er.FMRLRec(batch_size=10, max_length=7)
        assert model.memory_report().tokens == 70
        assert model.memory_report(tokens=3).tokens == 3
        with pytest.raises(er.ConfigError, match="tokens must be an integer"):
            model.memory_report(tokens=0)
        with pytest.raises(er.ConfigError, match="sizes must be"):
            er.FMRLRec(sizes=7).memory_report()

    def test_as_text_and_html(self, nested):
        report = nested.memory_report()
        title, head, *rows = repr(report).splitlines()
        assert f"{report.tokens:,} tokens" in title
        assert head.split()[:5] == ["size", "dense", "nested", "independent", "saving"]
        assert len(rows) == 3
        assert report._repr_html_().count("<tr>") == 4


class TestDurations:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("200us", 2e-4), ("1.5ms", 1.5e-3), ("0.2s", 0.2), (" 3 µs ", 3e-6), (".5 s", 0.5)],
    )
    def test_text_and_numbers_are_seconds(self, text, seconds):
        assert duration("max_latency", text) == pytest.approx(seconds)
        assert duration("max_latency", np.float32(0.5)) == 0.5

    @pytest.mark.parametrize("text", ["", "200", "us", "-1ms", "1e3us", "0s", "1.2.3s", "5 min"])
    def test_other_text_is_refused(self, text):
        with pytest.raises(er.ConfigError, match="max_latency must be seconds, or text"):
            duration("max_latency", text)

    @pytest.mark.parametrize("value", [0, -1.0, np.nan, None, [1]])
    def test_other_values_are_refused(self, value):
        with pytest.raises(er.ConfigError, match="max_latency must be"):
            duration("max_latency", value)

    def test_they_are_shown_in_the_unit_that_fits(self):
        shown = [as_duration(seconds) for seconds in (2.344e-4, 0.0015, 2.0)]
        assert shown == ["234 us", "1.5 ms", "2 s"]
