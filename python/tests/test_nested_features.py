"""Nested models that read features of items, and items that come later."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tolerance
from conftest import NESTED, fitted

import elastirec as er


@pytest.fixture(scope="module")
def model(split: er.Split) -> er.FMRLRec:
    """A model of features alone."""
    return fitted("features", split, epochs=10)


def known(ids: list[Any], vectors: np.ndarray, name: str = "text") -> er.ItemFeatures:
    return er.ItemFeatures({"item": ids}, vectors={name: vectors})


def new_items(ids: list[Any], width: int = 4, name: str = "text") -> er.ItemFeatures:
    return known(ids, np.random.default_rng(1).normal(size=(len(ids), width)), name)


class TestFeatures:
    def test_what_the_log_has_is_read(self, model, split):
        assert "item_embedding" not in model.parameters()
        assert model.parameters()["features.0.map.weight"].shape == (32, 4)
        both = fitted("fmrlrec", split, epochs=1)
        assert {"item_embedding", "features.0.map.weight"} <= both.parameters().keys()
        none = fitted("features", split, features=(), epochs=1)
        assert "item_embedding" in none.parameters()
        assert not any(name.startswith("features") for name in none.parameters())

    def test_a_log_without_features_has_items_alone(self, data):
        options = NESTED["features"][1]
        bare = er.FMRLRec(**options, epochs=1).fit(data.log, progress=False)
        assert "item_embedding" in bare.parameters()
        with pytest.raises(er.DataError, match="FMRLRec needs a log with item features"):
            er.FMRLRec(**{**options, "features": ["text"]}).fit(data.log, progress=False)

    def test_a_small_model_needs_none(self, model, split):
        small = model.at(size=16)
        assert (small.features, small.ids) == ((), True)
        assert small.parameters()["item_embedding"].shape == (31, 16)
        assert not small._fitted.network.features
        keeping = model.at(size=16, keep_features=True)
        assert (keeping.features, keeping.ids) == (None, None)
        assert keeping.parameters()["features.0.map.weight"].shape == (16, 4)
        one, two = small.scores([[1, 2], [3]]), keeping.scores([[1, 2], [3]])
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5)

    def test_items_without_features_are_counted_and_named(self, data):
        items = data.log.items_
        features = new_items(items[3:].tolist())
        with pytest.warns(er.FeatureWarning):
            log = er.Interactions(data.log.to_frame(), item_features=features)
        assert features.missing(log).tolist() == items[:3].tolist()
        problem = f"3 of 30 items have no features, such as {items[0]}, and count as zeros"
        with pytest.warns(er.FeatureWarning, match=problem):
            model = er.FMRLRec(**NESTED["features"][1], epochs=1).fit(log, progress=False)
        scores = model.scores([[int(items[5])]])[0]
        assert scores[0] == scores[1] == scores[2]


class TestAddItems:
    def test_a_new_item_is_what_its_features_say(self, model):
        vectors = model._fitted.network.features[0].values
        twin = er.ItemFeatures({"item": [100]}, vectors={"text": vectors[[7]]})
        more = model.add_items(twin)
        assert more.items_.tolist() == [*model.items_.tolist(), 100]
        scores = more.scores([[1, 2], [100]])
        np.testing.assert_allclose(scores[:, -1], scores[:, 7], rtol=1e-5)
        np.testing.assert_allclose(scores[:1, :-1], model.scores([[1, 2]]), rtol=1e-5, atol=1e-5)
        found = more.recommend(histories=[[1]], k=31, output="arrays")[0]
        assert 100 in found

    def test_ids_keep_their_order(self, model):
        """New items in front of, between and behind those there are."""
        more = model.add_items(new_items([500, -5, 12345, -7]))
        assert more.items_.tolist() == sorted([*model.items_.tolist(), 500, -5, 12345, -7])
        old = [place for place, item in enumerate(more.items_) if item in model.items_]
        np.testing.assert_allclose(
            more.scores([[3, 4], []])[:, old], model.scores([[3, 4], []]), rtol=1e-5, atol=1e-5
        )
        users = model.users_[:4].tolist()
        known = model.items_.tolist()
        one = model.recommend(users, k=3, output="arrays")[0]
        two = more.recommend(users, k=3, allow=known, output="arrays")[0]
        np.testing.assert_array_equal(one, two)

    def test_this_model_stays(self, model, tmp_path):
        before = model.parameters()
        more = model.add_items(new_items([99]))
        assert len(model.items_) == 30
        assert all(np.array_equal(before[name], w) for name, w in model.parameters().items())
        assert more.get_params() == model.get_params()
        assert more.history_ == model.history_
        more.save(tmp_path / "more")
        again = er.load(tmp_path / "more")
        np.testing.assert_array_equal(again.scores([[1, 99]]), more.scores([[1, 99]]))

    def test_learned_embeddings_of_new_items_are_zero(self, split):
        model = fitted("fmrlrec", split)
        more = model.add_items(new_items([-1]))
        weights = more.parameters()["item_embedding"]
        assert not weights[0].any()
        np.testing.assert_array_equal(weights[1:], model.parameters()["item_embedding"])

    def test_strings_may_be_added_to_strings(self):
        rows = {"user": [1, 1, 1, 2, 2], "item": ["b", "d", "f", "b", "d"]}
        log = er.Interactions(rows, item_features=new_items(["b", "d", "f"]))
        model = er.FMRLRec(sizes=(8,), epochs=1).fit(log, progress=False)
        more = model.add_items(new_items(["a", "e"]))
        assert more.items_.tolist() == ["a", "b", "d", "e", "f"]

    def test_streams_and_slices_go_on(self, model):
        state = model.update(model.start(2), [[1, 2], [3]])
        more = model.add_items(new_items([-1, 99]))
        adopted = more.adopt(state)
        for one, two in zip(
            more.recommend(state=more.update(adopted, [99, -1]), output="arrays"),
            more.recommend(histories=[[1, 2, 99], [3, -1]], output="arrays"),
            strict=True,
        ):
            np.testing.assert_allclose(one, two, rtol=tolerance.STREAM, atol=tolerance.STREAM)
        small = more.at(size=8, keep_features=True).add_items(new_items([50]))
        seen = small.adopt(state)._seen
        assert small.items_[seen[0]].tolist() == [1, 2, 3]
        assert small.adopt(adopted).model == small.start().model

    def test_states_tell_items_apart_that_came_later(self, model):
        more = model.add_items(new_items([100]))
        state = more.update(more.start(), [100])
        for features in (new_items([101]), known([100], np.ones((1, 4)))):
            changed = model.add_items(features)
            with pytest.raises(er.DataError, match="weights"):
                changed.recommend(state=state)
            with pytest.raises(er.DataError):
                changed.adopt(state)
        again = model.add_items(new_items([100]))
        assert again.recommend(state=state)["item"].tolist() == (
            more.recommend(state=state)["item"].tolist()
        )

    def test_training_goes_on_with_them(self, model, data):
        more = model.add_items(new_items([100])).set_params(warm_start=True, epochs=1)
        rows = {"user": [1, 1, 2, 2], "item": [1, 100, 2, 100]}
        features = new_items([*data.log.items_.tolist(), 100])
        rows["user"] += [9] * 30
        rows["item"] += data.log.items_.tolist()
        log = er.Interactions(rows, item_features=features)
        more.fit(log, progress=False)
        assert len(more.history_) == 11

    @pytest.mark.parametrize(
        ("features", "problem"),
        [
            (lambda: new_items([100, 3]), "1 of the new items are known already, such as 3"),
            (lambda: new_items([100], width=5), "'text' must have 4 numbers .* got 5"),
            (lambda: new_items([100], name="image"), "lack the vectors 'text'"),
            (lambda: new_items(["a"]), "of this model are integers, the new ones strings"),
            (lambda: {"item": [100]}, r"features must be er.ItemFeatures\(...\), got dict"),
            (
                lambda: er.ItemFeatures({"item": [100]}, vectors={"text": [[1, 2, np.nan, 4]]}),
                "row 0 .* NaN",
            ),
        ],
    )
    def test_what_does_not_fit_is_named(self, model, features, problem):
        with pytest.raises(er.DataError, match=problem):
            model.add_items(features())

    def test_models_without_features_say_what_to_do(self, model):
        with pytest.raises(er.UnsupportedError, match="cut it with keep_features=True"):
            model.at(size=8).add_items(new_items([100]))
