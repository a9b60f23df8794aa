"""Nested models: one training, models of several sizes."""

from __future__ import annotations

import pickle
from copy import copy

import numpy as np
import pytest
import tolerance
from conftest import NESTED, SHAPES, fitted
from test_files import rewritten

import elastirec as er
from elastirec import _files


class TestSizes:
    def test_they_are_those_that_were_asked_for(self, nested):
        assert nested.sizes_ == SHAPES
        assert not hasattr(type(nested)(), "sizes_")  # before fit

    def test_all_are_ranked_as_their_own_models_rank(self, nested, split):
        reports = nested.evaluate(split.test, (1, 5), sizes="all", per_user=True)
        assert list(reports) == list(SHAPES)
        for size, report in reports.items():
            alone = nested.at(size=size).evaluate(split.test, (1, 5), per_user=True)
            np.testing.assert_array_equal(report.ranks, alone.ranks)
            np.testing.assert_array_equal(report.users, alone.users)
            assert dict(report) == dict(alone)
        assert dict(reports[32]) == dict(nested.evaluate(split.test, (1, 5)))

    def test_some_may_be_named(self, nested, split):
        reports = nested.evaluate(split.test, 5, sizes=[32, 8, 8], metrics="ndcg")
        assert list(reports) == [8, 32]
        assert list(reports[8]) == ["ndcg@5"]

    @pytest.mark.filterwarnings("ignore::elastirec.SampledMetricWarning")
    def test_sampled_candidates_are_the_same_for_all(self, nested, split):
        options = {"candidates": "uniform100", "random_state": 3}
        reports = nested.evaluate(split.test, 5, sizes=[8, 16], **options)
        alone = nested.at(size=8).evaluate(split.test, 5, **options)
        assert dict(reports[8]) == dict(alone)

    def test_a_size_without_weight_learns_nothing_of_its_own(self, split):
        options = {"size_weights": (1, 0, 0), "weight_decay": 0.0}
        one, two = (
            fitted("lrurec", split, **options, epochs=epochs).parameters() for epochs in (1, 3)
        )
        level = "blocks.0.recurrence.input.levels.{}.weight"
        assert not np.array_equal(one[level.format(0)], two[level.format(0)])
        np.testing.assert_array_equal(one[level.format(2)], two[level.format(2)])

    @pytest.mark.parametrize("kind", ["fmrlrec", "lrurec", "sasrec"])
    def test_dropout_is_what_the_channels_of_each_size_say(self, split, kind):
        def loss(**options):
            return fitted(kind, split, epochs=1, **options).history_[0]["loss"]

        plain = loss(dropout=0.5)
        assert loss(dropout=0.5, size_dropout=(1, 1, 1)) == plain
        assert loss(dropout=0.5, size_dropout=(0, 0, 0)) == loss(dropout=0.0)
        assert loss(dropout=0.5, size_dropout=(0, 1, 1)) not in (plain, loss(dropout=0.0))

    @pytest.mark.parametrize("loss", ["bce", "sampled_softmax", "bpr_max", "softmax"])
    def test_all_losses_train(self, split, loss):
        losses = [
            row["loss"]
            for row in fitted("sasrec", split, loss=loss, negatives=8, epochs=6).history_
        ]
        assert losses[-1] < losses[0]


class TestAt:
    def test_the_small_model_is_a_whole_one(self, nested, split, tmp_path):
        small = nested.at(size=16)
        assert type(small) is type(nested)
        assert small.sizes_ == (8, 16)
        assert small.items_.tolist() == nested.items_.tolist()
        assert small.history_ == nested.history_
        assert small.history_ is not nested.history_
        assert small.cost(5).parameters < nested.cost(5).parameters
        assert small.cost(5).macs < nested.cost(5).macs
        users = nested.users_[:5].tolist()
        expected = small.recommend(users, output="arrays")
        small.save(tmp_path / "small")
        for again in (er.load(tmp_path / "small"), pickle.loads(pickle.dumps(small)), copy(small)):
            assert again.get_params() == small.get_params()
            for one, two in zip(again.recommend(users, output="arrays"), expected, strict=True):
                np.testing.assert_array_equal(one, two)

    def test_its_parameters_make_such_a_model(self, nested, split):
        small = nested.at(size=16)
        again = type(small)(**small.get_params()).fit(split.train, progress=False)
        shapes = {name: w.shape for name, w in small.parameters().items()}
        assert {name: w.shape for name, w in again.parameters().items()} == shapes
        assert again._fitted.network.configuration == small._fitted.network.configuration

    def test_training_goes_on_from_it(self, nested, split):
        small = nested.at(size=8).set_params(warm_start=True, epochs=1)
        before = small.parameters()
        small.fit(split.train, progress=False)
        assert len(small.history_) == 4
        assert any(not np.array_equal(before[name], w) for name, w in small.parameters().items())

    def test_widths_follow(self, split):
        small = fitted("lrurec", split).at(size=8)
        assert (small.dim, small.state_dim, small.inner_dim) == (8, 16, 8)
        assert small.nested_sizes == (8,)
        small = fitted("sasrec", split).at(size=16)
        assert (small.dim, small.heads, small.inner_dim) == (16, 2, 16)
        small = fitted("fmrlrec", split, size_weights=[0, 0.0, 1]).at(size=16)
        assert (small.sizes, small.size_weights) == ((8, 16), None)
        small = fitted("fmrlrec", split, size_weights=[3, 2, 1]).at(size=16)
        assert small.size_weights == (3, 2)
        small = fitted("lrurec", split, size_dropout=[0, 0.5, 1]).at(size=8)
        assert small.size_dropout == (0,)

    def test_a_small_model_can_be_cut_again(self, nested):
        histories = [[1, 2], [3]]
        twice = nested.at(size=16).at(size=8)
        np.testing.assert_array_equal(twice.scores(histories), nested.at(size=8).scores(histories))

    def test_it_does_not_follow_the_large_one(self, nested):
        twin = copy(nested)
        small = twin.at(size=8)
        before = small.scores([[1, 2]])
        twin.set_parameters({name: w * 2 for name, w in twin.parameters().items()})
        np.testing.assert_array_equal(small.scores([[1, 2]]), before)

    def test_budgets_take_the_largest_that_fits(self, nested):
        costs = {size: nested.at(size=size).cost(1) for size in SHAPES}
        assert nested.at(max_parameters=costs[16].parameters).sizes_ == (8, 16)
        assert nested.at(max_parameters=costs[16].parameters - 1).sizes_ == (8,)
        assert nested.at(max_bytes=costs[32].bytes).sizes_ == SHAPES
        both = nested.at(max_bytes=costs[32].bytes, max_parameters=costs[8].parameters)
        assert both.sizes_ == (8,)

    def test_none_fits(self, nested):
        parameters = nested.at(size=8).cost(1).parameters
        problem = (
            f"the smallest, 8, takes {parameters:,} parameters, where max_parameters allows 10"
        )
        with pytest.raises(er.ConfigError, match=problem):
            nested.at(max_parameters=10)
        with pytest.raises(
            er.ConfigError, match=r"8, takes .* [um]s, where max_latency allows 1 us"
        ):
            nested.at(max_latency="1us")

    def test_latency_is_measured(self, nested, monkeypatch):
        times = {8: 1e-4, 16: 2e-4, 32: 3e-4}
        monkeypatch.setattr(
            "elastirec._budgets.request_seconds", lambda model, rows: times[model.sizes_[-1]]
        )
        assert nested.at(max_latency="250us").sizes_ == (8, 16)
        assert nested.at(max_latency=3e-4).sizes_ == SHAPES

    def test_there_is_time_enough_for_the_largest(self, nested):
        assert nested.at(max_latency="10s").sizes_ == SHAPES

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            ({}, "give either a size, or limits: some of max_parameters, max_bytes, max_latency"),
            ({"size": 8, "max_bytes": 10**9}, "give either a size, or limits"),
            ({"size": 48}, "size must be among those trained, 8, 16, 32; got 48"),
            ({"size": 8.5}, r"size\[0\] must be an integer"),
            ({"max_parameters": 0}, "max_parameters must be an integer of at least 1, got 0"),
            ({"max_bytes": 1.5}, "max_bytes must be an integer"),
            ({"max_latency": 0}, r"max_latency must be a number in \(0, inf\), got 0"),
            ({"max_latency": "fast"}, 'max_latency must be seconds, or text such as "200us"'),
            ({"size": 8, "keep_features": 1}, "keep_features must be True or False"),
        ],
        ids=str,
    )
    def test_odd_arguments_are_refused(self, nested, arguments, problem):
        with pytest.raises(er.ConfigError, match=problem):
            nested.at(**arguments)


class TestNotNested:
    @pytest.mark.parametrize(
        "call",
        [
            lambda model, split: model.at(size=16),
            lambda model, split: model.evaluate(split.test, sizes="all"),
            lambda model, split: model.frontier(split.test),
            lambda model, split: model.memory_report(),
        ],
    )
    def test_it_says_what_to_pass(self, sasrec, split, call):
        problem = r"this SASRec is not nested; fit it with nested_sizes=\(16, 32, 64\)"
        with pytest.raises(er.UnsupportedError, match=problem):
            call(sasrec, split)

    def test_it_has_no_sizes(self, sasrec):
        assert sasrec.sizes_ == ()


class TestParameters:
    @pytest.mark.parametrize(
        ("kind", "options", "problem"),
        [
            (er.LRURec, {"nested_sizes": (8, 16)}, "nested_sizes must end in dim=32, got 16"),
            (er.LRURec, {"state_dim": 48}, "state_dim must be a multiple of dim=32, got 48"),
            (er.LRURec, {"inner_dim": 40}, "inner_dim must be a multiple of dim=32, got 40"),
            (er.LRURec, {"nested_sizes": (2, 32)}, r"nested_sizes\[0\] must be .* 4 to \d+, got 2"),
            (er.LRURec, {"nested_sizes": (8, 11, 32)}, "must be ascending, 4 or more apart"),
            (er.LRURec, {"size_weights": (1, 1)}, "a number for each of 3 nested_sizes, got 2"),
            (er.LRURec, {"size_weights": (1, -1, 1)}, r"size_weights\[1\] must be .* got -1"),
            (
                er.LRURec,
                {"nested_sizes": None, "size_weights": [1]},
                "size_weights must be None without nested_sizes",
            ),
            (er.LRURec, {"size_dropout": (0, 0.5, 1.5)}, r"size_dropout\[2\] must be .* got 1.5"),
            (er.LRURec, {"size_dropout": (1,)}, "size_dropout must have a number for each of 3"),
            (er.SASRec, {"heads": 2}, r"nested_sizes must be a multiple of dim / heads=16, got 8"),
            (er.SASRec, {"scale_embedding": True}, "scale_embedding must be False with nested"),
            (er.FMRLRec, {"sizes": ()}, "sizes must be a list of one integer or more"),
            (er.FMRLRec, {"sizes": (16, 8)}, "sizes must be ascending, 4 or more apart"),
            (er.FMRLRec, {"size_weights": [1] * 9}, "a number for each of 3 sizes, got 9"),
            (er.FMRLRec, {"features": "text"}, "features must be a list of distinct names"),
            (
                er.FMRLRec,
                {"features": (), "ids": False},
                "ids must be True or None where no features are read, got False",
            ),
            (er.FMRLRec, {"features": ["tags"]}, "must be vectors, 'text'; 'tags' is categorical"),
            (er.FMRLRec, {"features": ["txt"]}, "must be some of .* did you mean 'text'"),
        ],
        ids=str,
    )
    def test_what_does_not_go_together_is_named(self, split, kind, options, problem):
        given = next(given for other, given in NESTED.values() if other is kind)
        with pytest.raises(er.ConfigError, match=problem):
            kind(**{**given, **options}).fit(split.train, progress=False)

    def test_narrow_sizes_warn(self, split):
        with pytest.warns(er.NarrowSizeWarning, match="sizes has 12 less than 8 above the size"):
            fitted("fmrlrec", split, sizes=(8, 12, 24), epochs=1)


class TestStreams:
    @pytest.fixture(params=["fmrlrec", "lrurec", "linear", "decayed"])
    def streaming(self, request, split):
        return fitted(request.param, split)

    def test_states_of_the_large_model_become_those_of_the_small_one(self, streaming):
        people = [[1, 2, 3], [4], []]
        large = streaming.update(streaming.start(3), people)
        before = large.values.copy()
        for size in SHAPES:
            small = streaming.at(size=size)
            adopted = small.adopt(large)
            expected = small.update(small.start(3), people)
            np.testing.assert_allclose(
                adopted.values, expected.values, rtol=tolerance.STREAM, atol=tolerance.STREAM
            )
            assert adopted.model == expected.model
            for one, two in zip(
                small.recommend(state=small.update(adopted, [5, 6, 7]), output="arrays"),
                small.recommend(histories=[[1, 2, 3, 5], [4, 6], [7]], output="arrays"),
                strict=True,
            ):
                np.testing.assert_allclose(one, two, rtol=tolerance.STREAM, atol=tolerance.STREAM)
        np.testing.assert_array_equal(large.values, before)

    def test_over_two_steps_and_a_file(self, streaming, tmp_path):
        large = streaming.update(streaming.start(), 3)
        middle = streaming.at(size=16)
        small = middle.at(size=8)
        small.save(tmp_path / "small")
        again = er.load(tmp_path / "small")
        expected = streaming.at(size=8).adopt(large).values
        for state in (large, middle.adopt(large)):
            for model in (small, again):
                np.testing.assert_array_equal(model.adopt(state).values, expected)

    def test_its_own_state_comes_back(self, streaming):
        small = streaming.at(size=8)
        state = small.start()
        assert small.adopt(state) is state

    def test_states_of_others_are_refused(self, streaming):
        small = streaming.at(size=8)
        large = streaming.update(streaming.start(), 3)
        with pytest.raises(er.DataError, match="not to this one"):
            small.recommend(state=large)
        changed = copy(small)
        changed.set_parameters({"item_embedding": small.parameters()["item_embedding"] * 2})
        for model, state in ((streaming, small.start()), (changed, large)):
            with pytest.raises(er.DataError, match=f"weights {state.model}, of which this one was"):
                model.adopt(state)
        with pytest.raises(er.DataError, match="got list"):
            small.adopt([1, 2])
        odd = er.StreamState(large.values[:, :3], large.model, None)
        with pytest.raises(er.DataError, match=r"shape \(n, \d+\), got \(1, 3\)"):
            small.adopt(odd)

    def test_models_that_cannot_stream_say_why(self, split):
        small = fitted("sasrec", split).at(size=8)
        with pytest.raises(er.UnsupportedError, match="SASRec cannot stream"):
            small.adopt(er.StreamState(np.zeros((1, 4), np.float32), "weights", None))

    @pytest.mark.parametrize(
        ("header", "tensors"),
        [
            ({"origins": [{"weights": 3, "size": 160}]}, {}),
            ({"origins": [{"weights": "w", "size": 3}]}, {}),
            ({"origins": [{"weights": "w"}]}, {}),
            ({"origins": [{"weights": "w", "size": 160}] * 2}, {}),
            ({"origins": 7}, {}),
            ({}, {"elastirec.origins.0.places": np.zeros(3, np.int32)}),
            ({}, {"elastirec.origins.0.places": np.full(40, -1, np.int32)}),
            ({}, {"elastirec.origins.0.places": None}),
            ({}, {"elastirec.origins.0.items": np.array([30], np.int32)}),
        ],
        ids=str,
    )
    def test_forged_origins_are_refused(self, split, header, tensors):
        good = _files.to_bytes(fitted("fmrlrec", split, epochs=1).at(size=8))
        _files.from_bytes(rewritten(good, {}, {}))
        with pytest.raises(er.ModelFileError):
            _files.from_bytes(rewritten(good, header, tensors))
