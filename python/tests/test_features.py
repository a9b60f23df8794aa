"""Item features: what is read, and what is refused."""

from __future__ import annotations

import pickle
from copy import copy

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from conftest import SIZES
from test_files import rewritten

import elastirec as er
from elastirec import _files
from elastirec._features import Categories

ITEMS = {"item": ["tea", "milk"], "kind": ["leaf", None]}
MASKED = np.ma.array([[1.0], [2.0]], mask=[[False], [True]])
LOG = {"user": [1, 1, 1], "item": ["tea", "milk", "rice"]}


def values(features: er.ItemFeatures, name: str) -> dict[str, list[object]]:
    """The values of each item."""
    feature = features._features[name]
    assert isinstance(feature, Categories)
    numbers, offsets = feature.rows
    parts = np.split(feature.vocabulary.values[numbers], offsets[1:-1])
    return dict(zip(features.items_.tolist(), (part.tolist() for part in parts), strict=True))


def test_rows_are_put_in_the_order_of_the_items():
    features = er.ItemFeatures(ITEMS, categorical=["kind"], vectors={"text": [[1, 2], [3, 4]]})
    assert features.items_.tolist() == ["milk", "tea"]
    assert features.names == ["kind", "text"]
    assert features.categorical["kind"].tolist() == [None, "leaf"]
    assert values(features, "kind") == {"milk": [], "tea": ["leaf"]}
    assert features.vectors["text"].tolist() == [[3, 4], [1, 2]]
    assert features.vectors["text"].dtype == np.float32
    assert repr(features) == "ItemFeatures(2 items; kind: 1 categories; text: vectors of 2)"


@pytest.mark.parametrize("maker", [dict, pd.DataFrame, pl.DataFrame, pa.table])
class TestCells:
    def test_lists_of_values(self, maker):
        table = maker({"item": [3, 1, 2], "tags": [["b", "a", "b"], None, [""]]})
        assert values(er.ItemFeatures(table, categorical="tags"), "tags") == {
            1: [],
            2: [],
            3: ["a", "b"],
        }

    def test_numbers_and_gaps(self, maker):
        table = maker({"item": [1, 2, 3], "year": [1999, None, 2001]})
        features = er.ItemFeatures(table, categorical=["year"])
        assert values(features, "year") == {1: [1999], 2: [], 3: [2001]}

    def test_a_separator(self, maker):
        table = maker({"item": [1, 2, 3], "genres": ["Comedy | Drama", "", "Drama||"]})
        features = er.ItemFeatures(table, categorical=["genres"], separator="|")
        assert values(features, "genres") == {1: ["Comedy", "Drama"], 2: [], 3: ["Drama"]}
        whole = er.ItemFeatures(table, categorical=["genres"])
        assert values(whole, "genres") == {1: ["Comedy | Drama"], 2: [], 3: ["Drama||"]}


def test_other_cells():
    sets = {"item": [1, 2], "tags": [{"b", "a"}, np.array(["c"])], "new": [True, False]}
    features = er.ItemFeatures(sets, categorical=["tags", "new"])
    assert values(features, "tags") == {1: ["a", "b"], 2: ["c"]}
    assert values(features, "new") == {1: [1], 2: [0]}
    gaps = [float("nan"), pd.NA, pd.NaT, None, np.nan, 2.0]
    features = er.ItemFeatures({"item": range(6), "kind": gaps}, categorical=["kind"])
    assert values(features, "kind") == {0: [], 1: [], 2: [], 3: [], 4: [], 5: [2]}


def test_files_are_read(tmp_path):
    (tmp_path / "items.csv").write_text("item,genres\n5,Drama|War\n4,\n")
    features = er.ItemFeatures(tmp_path / "items.csv", categorical=["genres"], separator="|")
    assert values(features, "genres") == {4: [], 5: ["Drama", "War"]}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"categorical": ["colour"]}, "no column 'colour'"),
        ({"vectors": {"text": np.ones((3, 2))}}, r"'text' must have shape \(2, width\), got \(3"),
        ({"vectors": {"text": [1, 2]}}, r"'text' must have shape \(2, width\), got \(2,\)"),
        ({"vectors": {"text": np.ones((2, 0))}}, r"'text' must have shape"),
        ({"vectors": {"text": [[1, np.nan], [1, 1]]}}, "'text', row 0 .* NaN"),
        ({"vectors": {"text": [[1, 1], [1e300, 1]]}}, "'text', row 1 .* infinity"),
        ({"vectors": {"text": [["a"], ["b"]]}}, "'text' must be an array of numbers"),
        ({"vectors": {"text": MASKED}}, "'text', row 1 .* NaN"),
        ({"vectors": {"text": MASKED.astype(int)}}, "'text', row 1 .* NaN"),
        ({"vectors": {"text": [[None], [1]]}}, "'text', row 0 .* NaN"),
        ({"vectors": {"kind": [[1], [1]]}, "categorical": ["kind"]}, "two features .* 'kind'"),
        ({"categorical": ["kind", "kind"]}, "two features .* 'kind'"),
    ],
)
def test_a_flaw_is_named(change, problem):
    with pytest.raises(er.DataError, match=problem):
        er.ItemFeatures(ITEMS, **change)


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ([1, "a"], "column 'kind', row 1 .* holds 'a': a number among strings"),
        ([["a"], ["b", 2]], "row 1 .* a number among strings"),
        ([1, 1.5], "row 1 .* holds 1.5: no category; categories are strings or integers"),
        ([["a"], [["b"]]], r"row 1 .* holds \['b'\]: no category"),
        ([{"a": 1}, "b"], "row 0 .* no category"),
        ([2**70, 1], "row 0 .* more than 64 bits"),
    ],
)
def test_a_value_that_is_no_category_is_named(cells, problem):
    table = {"item": [7, 8], "kind": cells}
    with pytest.raises(er.DataError, match=problem):
        er.ItemFeatures(table, categorical=["kind"])


def test_an_item_stands_in_one_row():
    with pytest.raises(er.DataError, match="'tea' in 2 rows, such as 0, 2"):
        er.ItemFeatures({"item": ["tea", "milk", "tea"]})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"vectors": np.eye(2)}, "vectors must be a mapping such as .*, got ndarray"),
        ({"vectors": [np.eye(2)]}, "vectors must be a mapping such as .*, got list"),
        ({"vectors": {1: np.eye(2)}}, "vectors must be a mapping"),
        ({"categorical": None}, "categorical must be a list of names of columns, got None"),
        ({"categorical": [1]}, r"categorical must be a list of names of columns, got \[1\]"),
        ({"categorical": 1}, "categorical must be a list of names of columns, got 1"),
    ],
    ids=str,
)
def test_features_have_names(change, problem):
    with pytest.raises(er.ConfigError, match=problem):
        er.ItemFeatures(ITEMS, **change)


@pytest.mark.parametrize("separator", ["", 3])
def test_a_separator_is_text(separator):
    with pytest.raises(er.ConfigError, match="separator must be a string or None"):
        er.ItemFeatures(ITEMS, separator=separator)


class TestLogs:
    def test_items_of_the_table_that_the_log_lacks_are_left_out(self):
        features = er.ItemFeatures(ITEMS, categorical=["kind"], vectors={"text": np.eye(2)})
        log = er.Interactions({"user": [1], "item": ["tea"]}, item_features=features)
        assert log.item_features is features
        kind, text = features._of(log._items, None)
        assert kind.configuration == {"kind": "categories", "values": 1}
        assert text.values.tolist() == [[1, 0]]

    def test_items_of_the_log_without_features_are_counted(self):
        features = er.ItemFeatures({"item": ["tea", "salt"], "kind": ["leaf", "rock"]})
        problem = "2 of 3 items of the log have no features, such as 'milk'; 1 items with features"
        with pytest.warns(er.FeatureWarning, match=problem):
            er.Interactions(LOG, item_features=features)

    def test_they_have_no_values_and_zeros(self):
        features = er.ItemFeatures(ITEMS, categorical=["kind"], vectors={"text": np.eye(2)})
        with pytest.warns(er.FeatureWarning):
            log = er.Interactions(LOG, item_features=features)
        text, kind = features._of(log._items, ["text", "kind"])
        assert text.values.tolist() == [[0, 1], [0, 0], [1, 0]]
        assert kind.vocabulary.values.tolist() == ["leaf"]
        assert [part.tolist() for part in kind.rows] == [[0], [0, 0, 0, 1]]

    def test_no_overlap_at_all_is_an_error(self):
        features = er.ItemFeatures(ITEMS)
        with pytest.raises(
            er.DataError, match=r"no item .* has features; compare the ids 'TEA' an"
        ):
            er.Interactions({"user": [1], "item": ["TEA"]}, item_features=features)

    def test_other_things_are_no_features(self):
        with pytest.raises(er.DataError, match=r"item_features must be er.ItemFeatures.*got dict"):
            er.Interactions(LOG, item_features=ITEMS)

    def test_they_survive_pickling_and_splitting(self):
        features = er.ItemFeatures({**ITEMS, "item": ["tea", "milk"]}, categorical=["kind"])
        log = er.Interactions({"user": [1, 1], "item": ["tea", "milk"]}, item_features=features)
        again = pickle.loads(pickle.dumps(log))
        assert values(again.item_features, "kind") == {"milk": [], "tea": ["leaf"]}
        assert er.leave_one_out(log).train.item_features is features


FEATURED = [er.SASRecF, er.FDSA]


def fit(kind, log, **options):
    return kind(**{**SIZES[kind], "epochs": 2, **options}).fit(log, progress=False)


@pytest.mark.parametrize("kind", FEATURED)
class TestModels:
    def test_all_features_of_the_log_are_read(self, kind, featured_log):
        shapes = {name: w.shape for name, w in fit(kind, featured_log).parameters().items()}
        assert shapes["features.0.embedding"] == (2, 16)
        assert shapes["features.1.embedding"] == (5, 16)
        assert shapes["features.2.map.weight"] == (16, 4)

    def test_some_may_be_named_in_any_order(self, kind, featured_log):
        shapes = {
            name: w.shape
            for name, w in fit(kind, featured_log, features=["text", "parity"]).parameters().items()
        }
        assert shapes["features.0.map.weight"] == (16, 4)
        assert shapes["features.1.embedding"] == (2, 16)
        assert not any(name.startswith("features.2") for name in shapes)

    def test_they_change_the_scores(self, kind, featured_log):
        model = fit(kind, featured_log, features=["tags"])
        weights = model.parameters()
        changed = model.set_parameters(
            {"features.0.embedding": np.roll(weights["features.0.embedding"], 1, axis=0)}
        )
        # Items 0 and 15 have no tags: 0 % 3 == 15 % 3 == 0.
        before = fit(kind, featured_log, features=["tags"])
        tagged, bare = [[1]], [[15]]
        assert not np.array_equal(changed.scores(tagged), before.scores(tagged))
        np.testing.assert_array_equal(changed.scores(bare), before.scores(bare))

    def test_they_stay_when_weights_are_set(self, kind, featured_log):
        model = fit(kind, featured_log)
        before = model.scores([[1, 2]])
        model.set_parameters(model.parameters())
        np.testing.assert_array_equal(model.scores([[1, 2]]), before)

    def test_they_come_back_from_files_and_pickles(self, kind, featured_log, tmp_path):
        model = fit(kind, featured_log)
        model.save(tmp_path / "model")
        for again in (er.load(tmp_path / "model"), pickle.loads(pickle.dumps(model)), copy(model)):
            np.testing.assert_array_equal(again.scores([[1, 2], [5]]), model.scores([[1, 2], [5]]))
            names = [feature.name for feature in again._fitted.network.features]
            assert names == ["parity", "tags", "text"]
            words = again._fitted.network.features[1].vocabulary.values.tolist()
            assert words == ["t0", "t1", "t2", "t3", "t4"]
            assert again.get_params() == model.get_params()

    def test_a_log_without_features_is_refused(self, kind, data):
        none = er.ItemFeatures({"item": data.log.items_})
        bare = er.Interactions(data.log.to_frame(), item_features=none)
        for log in (data.log, bare):
            with pytest.raises(er.DataError, match=f"{kind.__name__} needs a log with item feat"):
                fit(kind, log)

    @pytest.mark.parametrize(
        ("names", "problem"),
        [
            (["tag"], "features must be some of 'parity', 'tags', 'text'; .* did you mean 'tags'"),
            ([], "features must be a list of distinct names"),
            ("tags", "features must be a list of distinct names"),
            (["tags", "tags"], "features must be a list of distinct names"),
        ],
    )
    def test_names_of_features_are_checked(self, kind, featured_log, names, problem):
        with pytest.raises(er.ConfigError, match=problem):
            fit(kind, featured_log, features=names)

    def test_a_log_whose_items_lack_all_values_is_refused(self, kind, data):
        items = data.log.items_
        features = er.ItemFeatures({"item": items, "kind": [None] * 30}, categorical=["kind"])
        bare = er.Interactions(data.log.to_frame(), item_features=features)
        with pytest.raises(er.DataError, match="'kind' has no value for any item of the log"):
            fit(kind, bare)

    def test_warm_start_needs_the_same_categories(self, kind, featured_log, data):
        model = fit(kind, featured_log, features=["parity"], warm_start=True)
        table = {"item": data.log.items_, "parity": data.log.items_ % 2 + 1}
        features = er.ItemFeatures(table, categorical=["parity"])
        other = er.Interactions(data.log.to_frame(), item_features=features)
        with pytest.raises(er.DataError, match="warm_start needs the values of feature 'parity'"):
            model.fit(other, progress=False)
        with pytest.raises(er.ConfigError, match="warm_start cannot change features"):
            model.set_params(features=["text"]).fit(featured_log, progress=False)
        model.set_params(features=["parity"]).fit(featured_log, progress=False)
        assert len(model.history_) == 4

    @pytest.mark.parametrize(
        "forged",
        [
            {"elastirec.features.0.vocabulary": np.array([0])},
            {"elastirec.features.0.vocabulary": np.array([1, 0])},
            {"elastirec.features.0.values": np.full(30, 2, np.int32)},
            {"elastirec.features.0.values": np.full(30, -1, np.int32)},
            {"elastirec.features.0.values": None},
            {"elastirec.features.0.offsets": np.arange(30)},
            {"elastirec.features.2.vectors": np.ones((30, 5), np.float32)},
            {"elastirec.features.2.vectors": np.ones((29, 4), np.float32)},
            {"elastirec.features.2.vectors": np.full((30, 4), np.nan, np.float32)},
            {"elastirec.features.2.vectors": None},
        ],
        ids=str,
    )
    def test_forged_features_are_refused(self, kind, featured_log, forged):
        good = _files.to_bytes(fit(kind, featured_log))
        with pytest.raises(er.ModelFileError):
            _files.from_bytes(rewritten(good, {}, forged))

    @pytest.mark.parametrize("names", [["parity"], ["parity", "tags", 3], None, "abc"], ids=str)
    def test_forged_names_of_features_are_refused(self, kind, featured_log, names):
        good = _files.to_bytes(fit(kind, featured_log))
        with pytest.raises(er.ModelFileError):
            _files.from_bytes(rewritten(good, {"features": names}, {}))
