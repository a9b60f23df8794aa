"""Recommendations: frames and arrays, filters, unknown ids, odd requests."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from conftest import SMALL

import elastirec as er

MAKERS = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table, "dict": dict}


def chunked(values: list[object]) -> pa.ChunkedArray:
    return pa.chunked_array([values[:1], values[1:]])


def scalars(values: list[object]) -> list[pa.Scalar]:
    return list(pa.array(values))


COLUMNS = [np.array, pd.Series, pl.Series, pa.array, chunked, scalars]


@pytest.fixture(
    scope="module", params=[*itertools.product(MAKERS, ["integers", "strings"])], ids=str
)
def own(request, data):
    """A model fitted on a frame of each library, with ids of each kind."""
    library, ids = request.param
    table = data.log.to_frame()
    columns = {name: np.asarray(table[name]) for name in ("user", "item")}
    if ids == "strings":
        columns = {name: np.array([f"{name}{i}" for i in v], object) for name, v in columns.items()}
    log = er.Interactions(MAKERS[library](columns))
    return library, er.SASRec(**SMALL, epochs=1).fit(log, progress=False)


def as_pandas(frame: object) -> pd.DataFrame:
    return frame.to_pandas() if isinstance(frame, pl.DataFrame | pa.Table) else pd.DataFrame(frame)


def test_answers_come_in_the_library_of_the_input(own):
    library, model = own
    frame = model.recommend(model.users_[:2], k=3)
    assert type(frame).__module__.partition(".")[0] == (
        "builtins" if library == "dict" else library
    )
    table = as_pandas(frame)
    assert list(table) == ["user", "item", "score", "rank"]
    assert table["user"].tolist() == np.repeat(model.users_[:2], 3).tolist()
    assert table["rank"].tolist() == [1, 2, 3, 1, 2, 3]
    assert set(table["item"]) <= set(model.items_.tolist())
    assert table["score"].dtype == np.float32
    assert all(scores.is_monotonic_decreasing for _, scores in table.groupby("user")["score"])


def test_frames_and_arrays_say_the_same(own):
    _, model = own
    items, scores = model.recommend(model.users_[:4], k=5, output="arrays")
    table = as_pandas(model.recommend(model.users_[:4], k=5))
    assert table["item"].tolist() == items.ravel().tolist()
    assert table["score"].tolist() == scores.ravel().tolist()


def types(frame: object) -> list[object]:
    if isinstance(frame, pa.Table):
        return frame.schema.types
    columns = frame.values() if isinstance(frame, dict) else (frame[name] for name in frame.columns)
    return [column.dtype for column in columns]


def test_types_of_columns_do_not_depend_on_the_answer(own):
    _, model = own
    known = model.users_[0]
    stranger = known + "?" if isinstance(known, str) else 10**6
    usual = types(model.recommend([known]))
    assert types(model.recommend([])) == types(model.recommend([known], allow=[])) == usual
    frame = model.recommend([known, stranger], unknown="ignore")
    assert types(frame) == usual
    assert as_pandas(frame)["user"].iloc[-1] == stranger


def test_users_of_mixed_kinds_are_strings_where_a_column_has_one_type(own):
    library, model = own
    other = 7 if isinstance(model.users_[0], str) else "seven"
    asked = [model.users_[0], other]
    users = as_pandas(model.recommend(asked, k=1, unknown="ignore"))["user"].tolist()
    assert users == ([*map(str, asked)] if library in ("polars", "pyarrow") else asked)


def test_histories_are_numbered_by_their_place(own):
    _, model = own
    table = as_pandas(
        model.recommend(histories=[model.items_[:2], [], model.items_[:1].tolist()], k=2)
    )
    assert list(table) == ["history", "item", "score", "rank"]
    assert table["history"].tolist() == [0, 0, 1, 1, 2, 2]


def test_similar_items_leave_the_item_itself_out(own):
    _, model = own
    asked = model.items_[[3, 0]]
    table = as_pandas(model.similar_items(asked, k=4))
    assert list(table) == ["item", "similar", "score", "rank"]
    assert table["item"].tolist() == np.repeat(asked, 4).tolist()
    assert (table["item"] != table["similar"]).all()
    vectors = model.parameters()["item_embedding"].astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors[3]
    cosines[3] = -2
    np.testing.assert_allclose(table["score"][:4], np.sort(cosines)[::-1][:4], rtol=1e-5)


def test_similar_items_of_everything(sasrec):
    items, cosines = sasrec.similar_items(sasrec.items_, k=99, output="arrays")
    assert items.shape == (30, 29)
    assert (np.diff(cosines, axis=1) <= 0).all()
    assert sasrec.similar_items([], output="arrays")[0].shape == (0, 10)
    assert len(sasrec.similar_items(3, k=2)["item"]) == 2
    with pytest.raises(er.UnknownIdError, match="unknown item 77"):
        sasrec.similar_items([3, 77])


def test_popularity_has_no_similar_items(popularity):
    for error in (er.UnsupportedError, NotImplementedError):
        with pytest.raises(error, match="no embeddings"):
            popularity.similar_items([1])


class TestFilters:
    def test_allow_and_block(self, model):
        allowed = [3, 5, 7, 9, 11]
        items, _ = model.recommend(
            histories=[[3]], k=9, allow=allowed, block=np.array([9]), output="arrays"
        )
        assert sorted(items[0][items[0] >= 0]) == [5, 7, 11]

    def test_seen_items_may_be_shown(self, model):
        items, _ = model.recommend(histories=[[3, 4]], k=30, exclude_seen=False, output="arrays")
        assert sorted(items[0]) == list(range(30))

    def test_rows_with_too_few_items_end_early(self, model):
        items, scores = model.recommend(histories=[[1], [5]], k=3, allow=[1, 2, 5], output="arrays")
        assert items.shape == (2, 3)
        assert items[:, 2].tolist() == [-1, -1]
        assert np.isneginf(scores[:, 2]).all()
        assert len(model.recommend(histories=[[1], [5]], k=3, allow=[1, 2, 5])["item"]) == 4

    def test_nothing_may_be_left(self, model):
        frame = model.recommend(histories=[[1]], allow=[1])
        assert len(frame["item"]) == 0
        assert list(frame) == ["history", "item", "score", "rank"]
        assert len(model.recommend(histories=[[1]], allow=[])["item"]) == 0

    def test_k_may_exceed_the_items(self, model):
        assert model.recommend(histories=[[]], k=10**9, output="arrays")[0].shape == (1, 30)

    @pytest.mark.parametrize("argument", ["allow", "block"])
    def test_unknown_items_in_a_filter_warn(self, model, argument):
        with pytest.warns(er.UnknownItemWarning, match="unknown item 99"):
            model.recommend(histories=[[1]], **{argument: [1, 2, 99]})
        with pytest.raises(er.UnknownIdError):
            model.recommend(histories=[[1]], unknown="raise", **{argument: [99]})
        with pytest.raises(er.DataError, match=f"{argument} must be a list"):
            model.recommend(histories=[[1]], **{argument: 1})

    @pytest.mark.parametrize("argument", ["allow", "block"])
    @pytest.mark.parametrize("kind", COLUMNS)
    def test_items_in_a_filter_come_in_any_column(self, model, argument, kind):
        found = model.recommend(histories=[[1]], output="arrays", **{argument: kind([2, 3])})
        listed = model.recommend(histories=[[1]], output="arrays", **{argument: [2, 3]})
        np.testing.assert_array_equal(found, listed)


class TestUnknownIds:
    def test_users_raise_unless_told_otherwise(self, model):
        with pytest.raises(KeyError, match="unknown user 500"):
            model.recommend([1, 500])
        with pytest.warns(er.UnknownItemWarning, match=r"unknown user 500 \(1 answered as new\)$"):
            model.recommend([1, 500], unknown="warn")

    def test_an_unknown_user_let_through_counts_as_new(self, model):
        frame = model.recommend([1, 500], k=2, unknown="ignore")
        popular = model.recommend(histories=[[]], k=2, output="arrays")[0][0]
        assert frame["user"].tolist() == [1, 1, 500, 500]
        assert frame["item"].tolist()[2:] == popular.tolist()

    def test_items_warn_unless_told_otherwise(self, model):
        with pytest.warns(er.UnknownItemWarning, match=r"unknown item 99 \(2 left out\)"):
            model.recommend(histories=[[99, 1, 98]])
        with pytest.raises(er.UnknownIdError, match="unknown item 99"):
            model.scores([[1, 99]], unknown="raise")
        np.testing.assert_array_equal(
            model.scores([[99, 1, 98]], unknown="ignore"), model.scores([[1]])
        )

    def test_a_history_of_unknown_items_is_an_empty_one(self, model):
        np.testing.assert_array_equal(model.scores([[99]], unknown="ignore"), model.scores([[]]))

    def test_ids_of_another_kind_are_told_apart(self, model):
        with pytest.raises(er.UnknownIdError, match="'1': the users of this log are integers"):
            model.recommend(["1"])
        told = r"item '1' \(1 left out\): the items of this log are integers"
        with pytest.warns(er.UnknownItemWarning, match=told):
            model.scores([["1"]])

    def test_the_warning_points_at_the_caller(self, model):
        with pytest.warns(er.UnknownItemWarning) as caught:
            model.recommend(histories=[[99]])
        assert caught[0].filename == __file__
        with pytest.warns(er.UnknownItemWarning) as caught:
            model.scores([[99]])
        assert caught[0].filename == __file__


class TestRequests:
    def test_a_single_user_may_stand_alone(self, model):
        assert model.recommend(5, k=2)["user"].tolist() == [5, 5]

    @pytest.mark.parametrize("kind", [list, tuple, iter, *COLUMNS])
    def test_ids_come_in_any_sequence(self, model, kind):
        items, _ = model.recommend(kind([1, 2]), k=3, output="arrays")
        again, _ = model.recommend([1, 2], k=3, output="arrays")
        np.testing.assert_array_equal(items, again)
        scores = model.scores(histories=[kind([4, 5])])
        np.testing.assert_array_equal(scores, model.scores([[4, 5]]))

    @pytest.mark.parametrize("kind", COLUMNS)
    def test_similar_items_are_asked_for_in_any_column(self, sasrec, kind):
        found = sasrec.similar_items(kind([4, 5]), output="arrays")
        np.testing.assert_array_equal(found, sasrec.similar_items([4, 5], output="arrays"))

    @pytest.mark.parametrize("argument", ["users", "allow", "block", "histories"])
    @pytest.mark.parametrize("kind", [tuple, *COLUMNS])
    def test_masks_are_no_ids(self, model, argument, kind):
        mask = kind([False, True, True])
        given = {"users": [1], argument: mask}
        if argument == "histories":
            given = {"histories": [mask]}
        with pytest.raises(er.DataError, match=r"ids must be integers or strings.* not a mask"):
            model.recommend(**given)

    def test_what_a_mask_hides_is_missing(self, model):
        history = np.ma.array([4, 5], mask=[False, True])
        with pytest.warns(er.UnknownItemWarning, match=r"unknown item None \(1 left out\)"):
            scores = model.scores([history])
        np.testing.assert_array_equal(scores, model.scores([[4]]))

    @pytest.mark.parametrize("kind", [pd.Series, pl.Series, pa.array, np.array])
    def test_histories_come_in_any_column_of_lists(self, model, kind):
        scores = model.scores([[4, 5], [6, 7]])
        np.testing.assert_array_equal(model.scores(kind([[4, 5], [6, 7]])), scores)

    def test_many_requests_are_answered_as_one_by_one(self, model):
        histories = [[item % 30, (7 * item) % 30] for item in range(2500)]
        items, scores = model.recommend(histories=histories, k=2, output="arrays")
        for place in (0, 1023, 1024, 2499):
            one = model.recommend(histories=[histories[place]], k=2, output="arrays")
            np.testing.assert_array_equal(one[0][0], items[place])
            np.testing.assert_allclose(one[1][0], scores[place], rtol=1e-5)

    def test_no_requests_are_answered_with_nothing(self, model):
        assert model.recommend([], output="arrays")[0].shape == (0, 10)
        assert model.recommend(histories=[], output="arrays")[1].shape == (0, 10)
        assert model.scores([]).shape == (0, 30)
        assert len(model.recommend([])["item"]) == 0

    def test_long_histories_are_read_from_their_end(self, sasrec):
        history = [1, 2, 3] * 100
        np.testing.assert_array_equal(sasrec.scores([history]), sasrec.scores([history[-12:]]))

    @pytest.mark.parametrize("k", [0, -1, 2.5, "5", None, True])
    def test_odd_k_are_refused(self, model, k):
        with pytest.raises(er.ConfigError, match="k must be an integer of at least 1"):
            model.recommend([1], k=k)

    @pytest.mark.parametrize(
        "histories", [[1, 2], "abc", ["abc"], 5, {1: [2]}, [[[1]]], [None], [np.ones((2, 2), int)]]
    )
    def test_odd_histories_are_refused(self, model, histories):
        with pytest.raises(er.DataError):
            model.recommend(histories=histories)

    @pytest.mark.parametrize(
        "arguments",
        [
            {},
            {"users": [1], "histories": [[1]]},
            {"users": [1], "output": "json"},
            {"users": [1], "unknown": "skip"},
            {"users": [1], "exclude_seen": "yes"},
        ],
    )
    def test_odd_arguments_are_refused(self, model, arguments):
        with pytest.raises(er.ConfigError):
            model.recommend(**arguments)
