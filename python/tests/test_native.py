"""The CPython extension: what it refuses, what it raises, and that it holds nothing back."""

import gc
import json
import re
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from native_calls import (
    HISTORIES,
    ITEMS,
    VALUES,
    VECTORS,
    misaligned,
    rank,
    read_only,
    recommend,
    rows,
    scores,
    similar,
)

from elastirec import _native


@pytest.fixture
def model() -> Any:
    return _native.model_create(json.dumps({"model": "sasrec", "items": ITEMS, "dim": 8}))


@pytest.fixture
def featured() -> Any:
    """A model of a feature of three values and one of vectors of two numbers."""
    features = [{"kind": "categories", "values": 3}, {"kind": "vectors", "width": 2}]
    configuration = {"model": "sasrecf", "items": ITEMS, "dim": 8, "features": features}
    return _native.model_create(json.dumps(configuration))


@pytest.fixture
def personal() -> Any:
    """A model that knows four people."""
    configuration = {"model": "caser", "items": ITEMS, "users": 4, "dim": 8}
    return _native.model_create(json.dumps(configuration))


def test_every_call_succeeds_on_good_arguments(model: Any) -> None:
    out = scores()
    _native.model_score(model, HISTORIES, 0, out)
    assert np.isfinite(out).all()
    _native.model_set_fallback(model, np.arange(ITEMS, dtype=np.float32))
    recommend(model)
    recommend(model, excluded=HISTORIES, allowed=np.ones(ITEMS, np.uint8))
    rank(model)
    rank(model, excluded=HISTORIES, k=2, out_top=np.zeros((3, 2), np.int32))
    rank(model, candidates=HISTORIES)
    similar(model)
    assert len(_native.model_cost(model, 3)) == 3


def test_parameters_go_out_and_in(model: Any) -> None:
    for parameter in json.loads(_native.model_describe(model))["parameters"]:
        values = np.zeros(parameter["shape"], np.float32)
        _native.model_set_parameter(model, parameter["name"], values + 0.5)
        _native.model_get_parameter(model, parameter["name"], values)
        assert (values == 0.5).all(), parameter["name"]


def test_features_reach_the_scores(featured: Any) -> None:
    found = []
    for set_features in (
        lambda: None,
        lambda: _native.model_set_feature_values(featured, 0, VALUES),
        lambda: _native.model_set_feature_vectors(featured, 1, VECTORS),
    ):
        set_features()
        found.append(scores())
        _native.model_score(featured, HISTORIES, 1, found[-1])
    assert (found[0] != found[1]).any()
    assert (found[1] != found[2]).any()


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (
            lambda m: _native.model_set_feature_values(m, 0, rows([3], [], [], [], [])),
            "values: value 3 is not in 0 ..< 3",
        ),
        (
            lambda m: _native.model_set_feature_values(m, 0, rows([0])),
            "values has 1 rows for 5 items",
        ),
        (
            lambda m: _native.model_set_feature_values(m, 1, VALUES),
            "feature 1 has no values",
        ),
        (
            lambda m: _native.model_set_feature_values(m, 2, VALUES),
            "feature 2 is not in 0 ..< 2",
        ),
        (
            lambda m: _native.model_set_feature_values(m, -1, VALUES),
            "feature must be from 0",
        ),
        (
            lambda m: _native.model_set_feature_vectors(m, 0, VECTORS),
            "feature 0 has no vectors",
        ),
        (
            lambda m: _native.model_set_feature_vectors(m, 1, VECTORS[0]),
            "vectors must have 2 dimensions, got 1",
        ),
        (
            lambda m: _native.model_set_feature_vectors(m, 1, VECTORS.reshape(2, ITEMS)),
            "vectors must have a row for each of 5 items, got 2",
        ),
        (
            lambda m: _native.model_set_feature_vectors(m, 1, np.ones((ITEMS, 3), np.float32)),
            "vectors has 15 numbers, expected 5 x 2",
        ),
        (
            lambda m: _native.model_set_feature_vectors(m, 1, VECTORS * np.float32(np.nan)),
            "vectors hold NaN or infinity",
        ),
    ],
)
def test_wrong_features_are_a_value_error(
    featured: Any, call: Callable[[Any], object], match: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(match)):
        call(featured)


def test_training_goes_epoch_by_epoch(model: Any) -> None:
    trainer = _native.trainer_create(model, "{}", HISTORIES)
    del model  # the trainer keeps it alive
    finished = False
    while not finished:
        epoch, step, steps, tokens, loss, finished = _native.trainer_advance(trainer, 0.0, 1)
    assert (epoch, step) == (1, steps)
    assert tokens > 0
    assert np.isfinite(loss)


def test_accepts_memory_that_is_not_numpy(model: Any) -> None:
    items = memoryview(bytes(8)).cast("i")
    offsets = memoryview(bytes(8) + (2).to_bytes(8, "little")).cast("q")
    out = memoryview(bytearray(4 * ITEMS)).cast("f")
    _native.model_score(model, (items, offsets), 1, out)


def test_accepts_booleans_as_allowed(model: Any) -> None:
    out = np.zeros((3, 2), np.int32)
    recommend(model, allowed=np.arange(ITEMS) < 1, out_items=out)
    assert (out == [0, -1]).all()


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda m: _native.model_score(m, 7, 1, scores()), "histories must be a tuple"),
        (lambda m: _native.model_score(m, HISTORIES[:1], 1, scores()), "histories must be a tuple"),
        (lambda m: _native.model_score(m, ([0], [0, 1]), 1, scores()), r"histories\[0\] .* list"),
        (
            lambda m: _native.model_score(m, (HISTORIES[1], HISTORIES[1]), 1, scores()),
            r"histories\[0\] must be an array of native int32",
        ),
        (
            lambda m: _native.model_score(m, (HISTORIES[0], HISTORIES[0]), 1, scores()),
            r"histories\[1\] must be an array of native int64",
        ),
        (
            lambda m: _native.model_score(m, (HISTORIES[0].view(">i4"), HISTORIES[1]), 1, scores()),
            r"histories\[0\] .* got format '>i'",
        ),
        (
            lambda m: _native.model_score(m, HISTORIES, 1, scores(np.float64)),
            "out must be an array of native float32",
        ),
        (lambda m: _native.model_score(m, HISTORIES, 1, scores(np.int32)), "float32"),
        (lambda m: _native.model_score(m, HISTORIES, 1.5, scores()), "threads must be an integer"),
        (lambda m: _native.model_score(7, HISTORIES, 1, scores()), "Model, not int"),
        (lambda m: _native.model_score(m, HISTORIES), "takes exactly 4 arguments"),
        (lambda m: recommend(m, k=None), "k must be an integer, got NoneType"),
        (lambda m: recommend(m, allowed=np.ones(ITEMS, np.int8)), "allowed .* uint8"),
        (lambda m: recommend(m, out_items=np.zeros((3, 2), np.int64)), "out_items .* int32"),
        (lambda m: recommend(m, out_items=np.zeros((3, 2), np.uint32)), "out_items .* int32"),
        (lambda m: rank(m, None), "targets must be a tuple"),
        (lambda m: rank(m, out_top=np.zeros((3, 0), np.int32)), "out_top must be None"),
        (lambda m: rank(m, k=1), "out_top must be an array"),
        (lambda m: _native.model_cost(m, "3"), "length must be an integer"),
        (lambda m: _native.trainer_create(m, "{}", None), "histories must be a tuple"),
        (lambda m: _native.trainer_advance(m, 1.0, 1), "Trainer, not"),
        (lambda m: _native.Model(), "cannot create"),
    ],
)
def test_wrong_type_is_a_type_error(model: Any, call: Callable[[Any], object], match: str) -> None:
    with pytest.raises(TypeError, match=match):
        call(model)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (
            lambda m: _native.model_score(m, HISTORIES, 1, scores()[:, ::2]),
            "out must be a C-contiguous, writable array of float32",
        ),
        (lambda m: _native.model_score(m, HISTORIES, 1, np.zeros((ITEMS, 3), "f").T), "contiguous"),
        (lambda m: _native.model_score(m, HISTORIES, 1, read_only(scores())), "writable"),
        (
            lambda m: _native.model_score(m, HISTORIES, 1, misaligned(3 * ITEMS, np.float32)),
            "out must be aligned to 4 bytes",
        ),
        (
            lambda m: _native.model_score(m, (HISTORIES[0][::2], HISTORIES[1]), 1, scores()),
            r"histories\[0\] must be a C-contiguous array of int32",
        ),
        (
            lambda m: _native.model_score(m, (HISTORIES[0].reshape(2, 3), HISTORIES[1]), 1, None),
            r"histories\[0\] must have 1 dimension, got 2",
        ),
        (
            lambda m: _native.model_score(m, (HISTORIES[0], HISTORIES[1][:0]), 1, scores()),
            r"histories\[1\] must have at least 1 entry",
        ),
        (lambda m: _native.model_score(m, HISTORIES, 2**31, scores()), "threads must be from"),
        (lambda m: _native.model_score(m, HISTORIES, 2**80, scores()), "threads must be from"),
        (lambda m: _native.model_score(m, HISTORIES, 1, scores()[:2]), None),
        (lambda m: _native.model_score(m, rows([ITEMS], [], []), 1, scores()), None),
        (lambda m: _native.model_score(m, rows([-1], [], []), 1, scores()), None),
        (lambda m: recommend(m, (HISTORIES[0], np.array([0, 5, 2, 6]))), None),
        (lambda m: recommend(m, (HISTORIES[0], np.array([0, 2, 3, 7]))), None),
        (lambda m: recommend(m, (HISTORIES[0], np.array([-1, 2, 3, 6]))), None),
        (lambda m: recommend(m, k=0), "k must be from 1 to 2147483647, got 0"),
        (lambda m: recommend(m, k=3), "out_items must have 3 x 3 entries, got 6"),
        (lambda m: recommend(m, k=2**31 - 1), "out_items must have 3 x 2147483647 entries"),
        (lambda m: recommend(m, out_scores=np.zeros(5, np.float32)), "out_scores must have 3 x 2"),
        (lambda m: recommend(m, excluded=rows([0])), "excluded must have a row for each of 3"),
        (
            lambda m: recommend(m, allowed=np.ones(ITEMS - 1, np.uint8)),
            "allowed must have an entry for each of 5 items, got 4",
        ),
        (lambda m: rank(m, rows([0], [1])), "targets must have a row for each of 3"),
        (lambda m: rank(m, candidates=rows([0], [1])), "candidates must have a row for each of 3"),
        (lambda m: rank(m, out_ranks=np.zeros(3, np.int32)), "out_ranks must have 6 x 1"),
        (lambda m: rank(m, k=2, out_top=np.zeros(5, np.int32)), "out_top must have 3 x 2"),
        (lambda m: rank(m, k=-1), "k must be from 0"),
        (lambda m: similar(m, items=np.array([ITEMS], np.int32)), "out_items must have 1 x 3"),
        (lambda m: similar(m, items=np.array([1, ITEMS], np.int32)), None),
        (lambda m: _native.model_set_fallback(m, np.zeros(ITEMS + 1, np.float32)), None),
        (lambda m: _native.model_get_parameter(m, "no such name", np.zeros(1, np.float32)), None),
        (lambda m: _native.model_get_parameter(m, "nul\0", np.zeros(1, np.float32)), "null"),
        (lambda m: _native.model_create('{"model": "sasrec", "items": 5, "nope": 1}'), "nope"),
        (lambda m: _native.model_create("\ud800"), "surrogates"),
        (lambda m: _native.trainer_create(m, '{"nope": 1}', HISTORIES), "nope"),
        (lambda m: _native.trainer_create(m, "{}", rows([ITEMS])), None),
        (lambda m: _native.model_set_feature_values(m, 0, VALUES), "reads no features"),
    ],
)
def test_wrong_value_is_a_value_error(
    model: Any, call: Callable[[Any], object], match: str | None
) -> None:
    with pytest.raises(ValueError, match=match):
        call(model)


def test_errors_leak_nothing(model: Any) -> None:
    out = scores()
    bad = np.array([ITEMS, 0], np.int32), np.array([0, 2], np.int64)

    def fail() -> None:
        for arguments in [(bad, 1, out[:1]), (HISTORIES, 1, out[:, ::2]), (HISTORIES, None, out)]:
            with pytest.raises((TypeError, ValueError)):
                _native.model_score(model, *arguments)
        with pytest.raises(ValueError, match="nope"):
            _native.model_create('{"model": "sasrec", "items": 5, "nope": 1}')

    tracemalloc.start()
    try:
        for _ in range(2):
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(300):
                fail()
            gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 10_000  # 300 objects take more
    finally:
        tracemalloc.stop()
    out.resize((1, 1))  # numpy refuses while anything holds the buffer


def test_threads_share_a_model(model: Any) -> None:
    expected = scores()
    _native.model_score(model, HISTORIES, 1, expected)
    results = [scores() for _ in range(8)]

    def work(out: np.ndarray) -> None:
        for _ in range(20):
            _native.model_score(model, HISTORIES, 1, out)

    workers = [threading.Thread(target=work, args=(out,)) for out in results]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all((out == expected).all() for out in results)


def test_histories_may_say_whose_they_are(personal: Any) -> None:
    items, offsets = rows([0, 1], [0, 1], [0, 1])

    def scored(users: list[int] | None) -> np.ndarray:
        out = scores()
        histories = (items, offsets) if users is None else (items, offsets, np.array(users, "i4"))
        _native.model_score(personal, histories, 1, out)
        return out

    known = scored([3, -1, 0])
    assert not np.array_equal(known[0], known[2])
    np.testing.assert_array_equal(known[1], scored(None)[0])
    with pytest.raises(ValueError, match=r"^histories: user 4 is not in -1 \.\.< 4$"):
        scored([0, 4, 1])
    with pytest.raises(ValueError, match=r"^histories\[2\] must have an entry for each of 3 rows"):
        scored([0, 1])


def test_models_that_know_nobody_ignore_whose_histories_are(model: Any) -> None:
    out, expected = scores(), scores()
    _native.model_score(model, (*HISTORIES, np.array([7, 8, 9], "i4")), 1, out)
    _native.model_score(model, HISTORIES, 1, expected)
    np.testing.assert_array_equal(out, expected)
