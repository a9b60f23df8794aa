"""Item features: what is read, and what is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import elastirec as er
from elastirec._features import Categories

ITEMS = {"item": ["tea", "milk"], "kind": ["leaf", None]}
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
