"""Odd inputs, found by hypothesis: every one is either right or refused with an error of ours."""

from __future__ import annotations

import contextlib
import warnings
from collections import defaultdict

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import elastirec as er

odd = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

integers = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 4)
unsigned = st.integers(2**63 - 2, 2**64 - 1) | st.integers(0, 4)
texts = st.text(max_size=6).filter(lambda text: _is_unicode(text))
id_lists = st.one_of(
    *(st.lists(kind, min_size=1, max_size=30) for kind in (integers, unsigned, texts))
)
garbage = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.dates(),
    st.decimals(allow_nan=False),
    st.tuples(st.integers(0, 2)),
    st.complex_numbers(),
)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@pytest.fixture(autouse=True)
def no_warnings_of_ours():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", er.ElastirecWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


@odd
@given(st.data(), id_lists)
def test_a_log_groups_by_user_and_sorts_by_time_stably(data, users):
    size = len(users)
    items = data.draw(st.lists(integers, min_size=size, max_size=size))
    times = data.draw(st.lists(st.integers(-3, 3), min_size=size, max_size=size))
    expected = defaultdict(list)
    for _, user, item in sorted(zip(times, users, items, strict=True), key=lambda row: row[0]):
        expected[user].append(item)
    log = er.Interactions({"user": users, "item": items, "time": times}, time="time")
    assert log.users_.tolist() == sorted(set(users))
    assert log.items_.tolist() == sorted(set(items))
    for user, history in expected.items():
        assert log.history(user).tolist() == history


@odd
@given(st.lists(garbage, max_size=8), st.sampled_from(["user", "item", "time"]))
def test_garbage_is_refused_with_an_error_of_ours_or_understood(values, column):
    table = {name: list(range(len(values))) for name in ("user", "item", "time")}
    table[column] = values
    try:
        log = er.Interactions(table, time="time")
    except er.DataError:
        return
    assert len(log) == len(values)


@odd
@given(st.lists(garbage, max_size=8), st.sampled_from(["user", "item", "time"]))
def test_garbage_in_frames_is_refused_or_understood(values, column):
    table = {name: list(range(len(values))) for name in ("user", "item", "time")}
    table[column] = values
    frame = pd.DataFrame({name: pd.Series(v, dtype=object) for name, v in table.items()})
    try:
        log = er.Interactions(frame, time="time")
    except er.DataError:
        return
    assert len(log) == len(values)


@odd
@given(st.one_of(st.lists(kind, min_size=1, max_size=9) for kind in (integers, texts)))
def test_frames_of_all_libraries_agree(ids):
    table = {"user": ids, "item": ids[::-1]}
    logs = [er.Interactions(make(table)) for make in (dict, pd.DataFrame, pl.DataFrame)]
    for log in logs[1:]:
        assert log.users_.tolist() == logs[0].users_.tolist()
        assert [log.history(u).tolist() for u in ids] == [logs[0].history(u).tolist() for u in ids]


ARRAYS = [
    np.arange(20)[::2],
    np.arange(10)[::-1],
    np.asfortranarray(np.arange(20).reshape(2, 10))[1] - 10,
    np.arange(10, dtype=">i8"),
    np.arange(10, dtype=np.uint8),
    np.arange(10, dtype=np.int16),
    np.arange(10, dtype=np.uint64) + np.uint64(2**63),
    np.arange(10, dtype=np.float16),
    np.arange(10).astype("U3"),
    np.arange(10).astype(object),
    np.lib.stride_tricks.as_strided(np.array([7]), (10,), (0,)),
]


@pytest.mark.parametrize("ids", ARRAYS, ids=lambda ids: f"{ids.dtype}-{ids.strides}")
def test_arrays_of_every_make_are_ids(ids):
    ids.flags.writeable = False
    log = er.Interactions({"user": ids, "item": ids})
    assert log.n_users == len(set(ids.tolist()))
    model = er.Popularity().fit(log)
    again = model.recommend(log.users_, k=2, exclude_seen=False, output="arrays")[0]
    assert again.shape[0] == log.n_users
    scores = model.scores([ids[:3].tolist()])
    np.testing.assert_array_equal(model.scores([ids[:3]]), scores)


@pytest.mark.parametrize(
    "ids",
    [
        np.array([b"a", b"b"]),
        np.array([True, False]),
        np.array([1 + 2j, 2]),
        np.array(["2024-01-01"], "datetime64[D]"),
        np.array([5], "timedelta64[s]"),
        np.array([2**70]),
        np.array([-1, 2**63], dtype=object),
        np.array([2.0**60]),
        np.array(["\ud800"]),
        np.zeros(2, [("a", int)]),
    ],
    ids=lambda ids: str(ids.dtype),
)
def test_arrays_that_are_no_ids_are_refused(ids):
    with pytest.raises(er.DataError):
        er.Interactions({"user": ids, "item": np.arange(len(ids))})


@odd
@given(id_lists, st.data())
def test_recommending_by_id_is_recommending_by_index(items, data):
    log = er.Interactions({"user": list(range(len(items))), "item": items})
    model = er.Popularity().fit(log)
    history = data.draw(st.lists(st.sampled_from(items), max_size=5))
    found, scores = model.recommend(histories=[history], k=3, output="arrays")
    expected = [item for item in _by_count(items) if item not in history][:3]
    assert found[0][np.isfinite(scores[0])].tolist() == expected


def _by_count(items: list[object]) -> list[object]:
    return sorted(set(items), key=lambda item: (-items.count(item), item))


@odd
@given(
    st.lists(st.lists(garbage, max_size=4), max_size=4), st.sampled_from(["warn", "raise", None])
)
def test_garbage_in_histories_is_refused_or_left_out(sasrec, histories, unknown):
    try:
        scores = sasrec.scores(histories, unknown=unknown)
    except (er.DataError, er.UnknownIdError):
        return
    assert scores.shape == (len(histories), 30)
    assert np.isfinite(scores).all()


@odd
@given(st.lists(garbage, max_size=4))
def test_garbage_as_users_is_refused_or_new(sasrec, users):
    try:
        items, _ = sasrec.recommend(users, unknown="ignore", output="arrays")
    except er.DataError:
        return
    assert items.shape == (len(users), 10)


@odd
@given(garbage)
def test_garbage_as_a_single_argument_is_refused_or_understood(sasrec, value):
    calls = [
        lambda: sasrec.recommend(value),
        lambda: sasrec.recommend(histories=value),
        lambda: sasrec.recommend([1], k=value),
        lambda: sasrec.recommend([1], allow=value),
        lambda: sasrec.recommend([1], unknown=value),
        lambda: sasrec.similar_items(value),
        lambda: sasrec.scores(value),
        lambda: sasrec.cost(value),
        lambda: sasrec.evaluate(value),
        lambda: sasrec.set_parameters({"item_embedding": value}),
        lambda: er.Interactions(value if not isinstance(value, str) else None),
        lambda: er.leave_one_out(value),
    ]
    for call in calls:
        with contextlib.suppress(er.ElastirecError):
            call()


@odd
@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(0, 3))
def test_splits_lose_and_repeat_nothing(lengths, seed):
    users = np.repeat(np.arange(len(lengths)), lengths)
    table = {"user": users, "item": np.arange(len(users)) % 5, "time": np.arange(len(users))}
    log = er.Interactions(table, time="time")
    try:
        split = er.leave_one_out(log)
    except er.DataError:
        assert max(lengths) < 2
        return
    for user, length in enumerate(lengths):
        whole = log.history(user).tolist()
        trained = split.train.history(user).tolist()
        assert trained == whole[: max(length - 2, 1)]
        if length >= 2:
            history, target = split.test.history(user), split.test.target(user)
            assert [*history.tolist(), *target.tolist()] == whole
        if length >= 3:
            assert split.valid.history(user).tolist() == trained
            assert split.valid.target(user).tolist() == [whole[-2]]
    assert split.test.n_users == sum(length >= 2 for length in lengths)
    assert split.valid.n_users == sum(length >= 3 for length in lengths)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=9), min_size=1, max_size=5),
    st.integers(1, 4),
    st.sampled_from(["last", "random", "all"]),
)
def test_histories_of_any_shape_train(histories, max_length, crop):
    users = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
    log = er.Interactions({"user": users, "item": np.concatenate(histories)})
    model = er.SASRec(
        dim=4, heads=1, blocks=1, inner_dim=4, epochs=2, max_length=max_length, crop=crop
    )
    if max(map(len, histories)) < 2:
        with pytest.raises(er.DataError, match="no order to learn"):
            model.fit(log, progress=False)
        return
    model.fit(log, progress=False)
    assert np.isfinite(model.scores([[], *histories])).all()
