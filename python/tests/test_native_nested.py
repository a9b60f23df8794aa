"""The CPython extension: models of several sizes."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from native_calls import ITEMS, rank, read_only

from elastirec import _native


@pytest.fixture
def nested() -> Any:
    """A model of the sizes 8 and 16."""
    sizes = {"dim": 16, "state_dim": 16, "inner_dim": 16, "nested_sizes": [8, 16]}
    return _native.model_create(json.dumps({"model": "lrurec", "items": ITEMS, **sizes}))


def sizes(*widths: int) -> np.ndarray:
    return np.array(widths, np.int64)


def streams(model: Any, count: int = 2) -> np.ndarray:
    return np.zeros((count, _native.model_stream_size(model)), np.float32)


def test_a_slice_answers_as_its_size_does(nested: Any) -> None:
    small = _native.model_slice(nested, 8, False)
    ranks, alone = np.zeros((2, 6), np.int32), np.zeros(6, np.int32)
    top, best = np.zeros((2, 3, 4), np.int32), np.zeros((3, 4), np.int32)
    rank(nested, sizes=sizes(8, 16), k=4, out_ranks=ranks, out_top=top)
    for row, model in enumerate((small, nested)):
        rank(model, k=4, out_ranks=alone, out_top=best)
        np.testing.assert_array_equal(ranks[row], alone)
        np.testing.assert_array_equal(top[row], best)


def test_slices_of_streams_are_those_of_the_slice(nested: Any) -> None:
    small = _native.model_slice(nested, 8, True)
    whole, part, expected = streams(nested), streams(small), streams(small)
    for items in ([1, 2], [3, 0]):
        _native.model_stream_advance(nested, whole, np.array(items, np.int32), 1)
        _native.model_stream_advance(small, expected, np.array(items, np.int32), 1)
    _native.model_stream_slice(nested, whole, 8, part)
    np.testing.assert_array_equal(part, expected)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda m: _native.model_slice(m, 12, False), ValueError, "size 12 was not trained"),
        (lambda m: _native.model_slice(m, -(2**63), False), ValueError, "was not trained"),
        (lambda m: _native.model_slice(m, "8", False), TypeError, "size must be an integer"),
        (lambda m: _native.model_slice(7, 8, False), TypeError, "Model, not int"),
        (
            lambda m: rank(m, sizes=sizes(8, 16)),
            ValueError,
            "out_ranks must have 12 x 1 entries, got 6",
        ),
        (lambda m: rank(m, sizes=sizes()), ValueError, "sizes must be None or have at least 1"),
        (lambda m: rank(m, sizes=sizes(12)), ValueError, "sizes must increase and be of"),
        (lambda m: rank(m, sizes=np.array([8], np.int32)), TypeError, "sizes .* native int64"),
        (lambda m: rank(m, sizes=8), TypeError, "sizes must be an array"),
        (
            lambda m: rank(m, sizes=sizes(8), k=2, out_top=np.zeros((2, 3, 2), np.int32)),
            ValueError,
            "out_top must have 3 x 2 entries, got 12",
        ),
        (
            lambda m: _native.model_stream_slice(m, streams(m), 12, streams(m)),
            ValueError,
            "12 was not trained",
        ),
        (lambda m: _native.model_stream_slice(m, streams(m), 8, streams(m)), ValueError, None),
        (
            lambda m: _native.model_stream_slice(m, streams(m)[:, :3].copy(), 8, streams(m)),
            ValueError,
            "a stream of this model has",
        ),
        (
            lambda m: _native.model_stream_slice(m, streams(m), 8, streams(m, 3)),
            ValueError,
            "out must have a row for each of 2 streams, got 3",
        ),
        (
            lambda m: _native.model_stream_slice(m, streams(m), 8, read_only(streams(m))),
            ValueError,
            "writable",
        ),
    ],
)
def test_what_a_nested_model_cannot_do_is_an_error(
    nested: Any, call: Callable[[Any], object], error: type[Exception], match: str | None
) -> None:
    with pytest.raises(error, match=match):
        call(nested)


def test_other_models_have_no_sizes() -> None:
    model = _native.model_create(json.dumps({"model": "sasrec", "items": ITEMS, "dim": 8}))
    for call in (
        lambda: _native.model_slice(model, 8, False),
        lambda: rank(model, sizes=sizes(8)),
    ):
        with pytest.raises(ValueError, match="not nested"):
            call()
