"""Arguments of the extension's calls that succeed, for tests to change."""

from itertools import chain
from typing import Any

import numpy as np

import elastirec  # noqa: F401  (sets the environment that the extension is loaded in)
from elastirec import _native

ITEMS = 5


def rows(*lists: list[int]) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.cumsum([0, *map(len, lists)])
    return np.array(list(chain(*lists)), np.int32), offsets.astype(np.int64)


HISTORIES = rows([0, 1], [2], [3, 4, 0])
VALUES = rows([2, 0], [], [1], [0], [1, 2])
VECTORS = np.ones((ITEMS, 2), np.float32)


def scores(dtype: Any = np.float32) -> np.ndarray:
    return np.zeros((3, ITEMS), dtype)


def recommend(model: Any, histories: Any = HISTORIES, **changes: Any) -> None:
    arguments: dict[str, Any] = {
        "excluded": None,
        "allowed": None,
        "k": 2,
        "threads": 1,
        "out_items": np.zeros((3, 2), np.int32),
        "out_scores": np.zeros((3, 2), np.float32),
    }
    _native.model_recommend(model, histories, *(arguments | changes).values())


def rank(model: Any, targets: Any = HISTORIES, **changes: Any) -> None:
    arguments: dict[str, Any] = {
        "excluded": None,
        "candidates": None,
        "k": 0,
        "sizes": None,
        "threads": 1,
        "out_ranks": np.zeros(6, np.int32),
        "out_top": None,
    }
    _native.model_rank(model, HISTORIES, targets, *(arguments | changes).values())


def similar(model: Any, **changes: Any) -> None:
    arguments: dict[str, Any] = {
        "items": np.array([1, 2], np.int32),
        "k": 3,
        "threads": 1,
        "out_items": np.zeros((2, 3), np.int32),
        "out_cosines": np.zeros((2, 3), np.float32),
    }
    _native.model_similar(model, *(arguments | changes).values())


def read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def misaligned(count: int, dtype: Any) -> np.ndarray:
    size = np.dtype(dtype).itemsize
    return np.zeros(count * size + 1, np.uint8)[1:].view(dtype)
