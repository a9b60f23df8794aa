"""Streams: people who are followed item by item."""

from __future__ import annotations

import pickle
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import tolerance
from conftest import SIZES

import elastirec as er
from elastirec._base import Recommender

STREAMING: list[tuple[type[Recommender], dict[str, Any]]] = [
    (er.SASRec, {"attention": "linear_causal"}),
    (er.SASRec, {"attention": "linear_decayed"}),
    (er.SASRecF, {"attention": "linear_causal"}),
    (er.SASRecF, {"attention": "linear_decayed"}),
    (er.FDSA, {"attention": "linear_causal"}),
    (er.FDSA, {"attention": "linear_decayed"}),
    (er.LRURec, {}),
    (er.GRU4Rec, {}),
    (er.FMRLRec, {}),
]


COLUMNS = ["numpy", "pandas", "polars", "pyarrow"]


@pytest.fixture(scope="module", params=STREAMING, ids=str)
def streaming(request, split) -> Recommender:
    """Every model that can stream, fitted."""
    kind, options = request.param
    model = kind(**SIZES[kind], **options, epochs=2)
    return model.fit(split.train, progress=False)


def histories(model: Recommender, lengths: list[int]) -> list[list[int]]:
    rng = np.random.default_rng(3)
    return [rng.choice(model.items_, length).tolist() for length in lengths]


def assert_same_answers(one: Any, two: Any) -> None:
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_allclose(one[1], two[1], rtol=tolerance.STREAM, atol=tolerance.STREAM)


def test_a_stream_answers_like_the_history(streaming):
    people = histories(streaming, [12, 5, 1, 7])
    state = streaming.start(len(people))
    for step in range(12):
        state = streaming.update(state, [history[step : step + 1] for history in people])
        so_far = [history[: step + 1] for history in people]
        assert_same_answers(
            streaming.recommend(state=state, k=6, output="arrays"),
            streaming.recommend(histories=so_far, k=6, output="arrays"),
        )


def test_a_whole_history_may_be_given_at_once(streaming):
    people = histories(streaming, [4, 0, 9])
    state = streaming.update(streaming.start(3), people)
    assert_same_answers(
        streaming.recommend(state=state, output="arrays"),
        streaming.recommend(histories=people, output="arrays"),
    )
    again = streaming.start(3)
    for step in range(9):
        again = streaming.update(again, [history[step : step + 1] for history in people])
    np.testing.assert_array_equal(again.values, state.values)


def test_who_chose_nothing_gets_the_popular_items(streaming):
    state = streaming.start()
    assert len(state) == 1
    assert not state.values.any()
    assert_same_answers(
        streaming.recommend(state=state, output="arrays"),
        streaming.recommend(histories=[[]], output="arrays"),
    )


def test_an_item_alone_is_one_person_s(streaming):
    state = streaming.update(streaming.start(), 3)
    np.testing.assert_array_equal(
        state.values, streaming.update(streaming.start(), np.array([3])).values
    )


@pytest.mark.parametrize("kind", [np.array, pd.Series, pl.Series, pa.array], ids=COLUMNS)
def test_items_come_in_any_column(streaming, kind):
    state = streaming.start(2)
    one, two = streaming.update(state, kind([1, 2])), streaming.update(state, [kind([1, 3]), 2])
    np.testing.assert_array_equal(one.values, streaming.update(state, [1, 2]).values)
    np.testing.assert_array_equal(two.values, streaming.update(state, [[1, 3], 2]).values)


def test_states_stay_as_they_are(streaming):
    first = streaming.start(2)
    second = streaming.update(first, [1, 2])
    before = second.values.copy()
    streaming.update(second, [3, 4])
    assert not first.values.any()
    np.testing.assert_array_equal(second.values, before)


def test_answers_are_filtered_and_framed(streaming):
    state = streaming.update(streaming.start(2), [1, 2])
    frame = streaming.recommend(state=state, k=3, allow=[1, 2, 5, 6], block=[6])
    assert list(frame) == ["person", "item", "score", "rank"]
    found = list(zip(np.asarray(frame["person"]), np.asarray(frame["item"]), strict=True))
    assert sorted(found) == [(0, 2), (0, 5), (1, 1), (1, 5)]
    shown = streaming.recommend(state=state, k=30, exclude_seen=False, output="arrays")[0]
    assert np.sort(shown[0]).tolist() == streaming.items_.tolist()


def test_seen_items_need_not_be_kept(streaming):
    state = streaming.update(streaming.start(keep_seen=False), [1])
    with pytest.raises(er.ConfigError, match=r"exclude_seen must be False .* keep_seen=False"):
        streaming.recommend(state=state)
    shown = streaming.recommend(state=state, k=30, exclude_seen=False, output="arrays")[0]
    assert np.sort(shown[0]).tolist() == streaming.items_.tolist()


def test_many_people_are_answered_in_slices(streaming):
    n = 2500
    items = np.resize(streaming.items_, n)
    state = streaming.update(streaming.start(n), items)
    found, scores = streaming.recommend(state=state, k=2, output="arrays")
    expected = streaming.recommend(histories=items[:30, None], k=2, output="arrays")
    assert_same_answers((found[2490:], scores[2490:]), (expected[0][:10], expected[1][:10]))


def test_a_state_survives_pickling_and_saving(streaming, tmp_path):
    state = streaming.update(streaming.start(2), [1, 2])
    again = pickle.loads(pickle.dumps(state))
    streaming.save(tmp_path / "model")
    model = er.load(tmp_path / "model")
    assert repr(again) == repr(state)
    for one, two in zip(
        model.recommend(state=again, output="arrays"),
        streaming.recommend(state=state, output="arrays"),
        strict=True,
    ):
        np.testing.assert_array_equal(one, two)


def test_a_state_of_other_weights_is_refused(streaming):
    state = streaming.start()
    other = pickle.loads(pickle.dumps(streaming))
    other.set_parameters({"item_embedding": other.parameters()["item_embedding"] * 2})
    for call in (lambda: other.update(state, [1]), lambda: other.recommend(state=state)):
        with pytest.raises(er.DataError, match=f"weights {state.model}, not to this one, .* start"):
            call()


def test_fitting_goes_through_many_fingerprints(streaming, split):
    states = []
    model = type(streaming)(**streaming.get_params())
    model.fit(
        split.train, progress=False, callbacks=[lambda model, row: states.append(model.start())]
    )
    assert states[0].model != states[1].model == model.start().model


@pytest.mark.parametrize(
    ("items", "problem"),
    [
        ([1], "an entry for each of the 2 people of the state, got 1"),
        ([1, 2, 3], "got 3"),
        (5, "got 1"),
        ("ab", "got 1"),
    ],
)
def test_items_are_as_many_as_people(streaming, items, problem):
    with pytest.raises(er.DataError, match=problem):
        streaming.update(streaming.start(2), items)


def test_unknown_items_are_named(streaming):
    with pytest.raises(er.UnknownIdError, match="unknown item 987"):
        streaming.update(streaming.start(2), [1, [2, 987]])


@pytest.mark.parametrize("n", [0, -1, 1.5, None])
def test_odd_numbers_of_people_are_refused(streaming, n):
    with pytest.raises(er.ConfigError, match="n must be an integer of at least 1"):
        streaming.start(n)


def test_what_is_no_state_is_refused(streaming):
    state = streaming.start()
    flaws = {
        "got list": [1, 2],
        r"shape \(n, \d+\), got \(1, 1\)": er.StreamState(state.values[:, :1], state.model, None),
        "NaN or infinity": er.StreamState(state.values + np.nan, state.model, None),
    }
    for problem, flaw in flaws.items():
        with pytest.raises(er.DataError, match=problem):
            streaming.update(flaw, [1])
    for value in (1e30, -1e30, -7.0):  # not what a model makes, but no reason to crash
        odd = er.StreamState(np.full_like(state.values, value), state.model, None)
        with suppress(er.DataError):
            streaming.recommend(state=streaming.update(odd, [1]), exclude_seen=False)


@pytest.mark.parametrize(
    ("fixture", "reason"),
    [
        (
            "sasrec",
            r'SASRec cannot stream: .* unless attention="linear_causal" or "linear_decayed"',
        ),
        ("popularity", "Popularity cannot stream: it scores items for everybody alike"),
    ],
)
def test_models_that_cannot_stream_say_why(request, fixture, reason):
    model: Recommender = request.getfixturevalue(fixture)
    stream = er.StreamState(np.zeros((1, 4), np.float32), "weights", None)
    for call in (
        model.start,
        lambda: model.update(stream, [1]),
        lambda: model.recommend(state=stream),
    ):
        with pytest.raises(er.UnsupportedError, match=reason):
            call()


def test_recommend_answers_one_kind_of_question(sasrec):
    with pytest.raises(er.ConfigError, match="users, histories or state; got none of them"):
        sasrec.recommend()
    with pytest.raises(er.ConfigError, match="got users and state"):
        sasrec.recommend([1], state=3)
