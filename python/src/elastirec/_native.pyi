"""Types of the CPython extension. Arrays are C-contiguous with exactly these dtypes; anything else
is a TypeError or ValueError, never a read out of bounds. A status of the library becomes
ConfigError-to-be ValueError (invalid argument), FloatingPointError (diverged), MemoryError or
RuntimeError (a bug)."""

import numpy as np
from numpy.typing import NDArray

Rows = tuple[NDArray[np.int32], NDArray[np.int64]]
"""Items and offsets of rows in compressed-sparse-row form."""

Histories = Rows | tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int32]]
"""Rows and, for models that know people, the number of whose history each row is, -1 for somebody
unknown. Without those, people are the rows of training, and unknown afterwards."""

class Model: ...
class Trainer: ...

def library_describe() -> str: ...
def model_create(json: str, /) -> Model: ...
def model_slice(model: Model, size: int, keep_features: bool, /) -> Model:
    """Return the model of a trained size with the prefixes of the weights. Features become item
    embeddings, or stay."""

def model_describe(model: Model, /) -> str: ...
def model_get_parameter(model: Model, name: str, out: NDArray[np.float32], /) -> None: ...
def model_set_parameter(model: Model, name: str, values: NDArray[np.float32], /) -> None: ...
def model_set_fallback(model: Model, scores: NDArray[np.float32], /) -> None: ...
def model_set_feature_values(model: Model, feature: int, values: Rows, /) -> None: ...
def model_set_feature_vectors(
    model: Model, feature: int, vectors: NDArray[np.float32], /
) -> None: ...
def model_score(
    model: Model, histories: Histories, threads: int, out: NDArray[np.float32], /
) -> None: ...
def model_recommend(
    model: Model,
    histories: Histories,
    excluded: Rows | None,
    allowed: NDArray[np.uint8] | None,
    k: int,
    threads: int,
    out_items: NDArray[np.int32],
    out_scores: NDArray[np.float32],
    /,
) -> None: ...
def model_rank(
    model: Model,
    histories: Histories,
    targets: Rows,
    excluded: Rows | None,
    candidates: Rows | None,
    k: int,
    sizes: NDArray[np.int64] | None,
    threads: int,
    out_ranks: NDArray[np.int32],
    out_top: NDArray[np.int32] | None,
    /,
) -> None:
    """Fill ranks [sizes, targets] and best items [sizes, histories, k]; None is one size, all."""

def model_similar(
    model: Model,
    items: NDArray[np.int32],
    k: int,
    threads: int,
    out_items: NDArray[np.int32],
    out_cosines: NDArray[np.float32],
    /,
) -> None: ...
def model_stream_size(model: Model, /) -> int: ...
def model_stream_advance(
    model: Model, streams: NDArray[np.float32], items: NDArray[np.int32], threads: int, /
) -> None: ...
def model_stream_recommend(
    model: Model,
    streams: NDArray[np.float32],
    excluded: Rows | None,
    allowed: NDArray[np.uint8] | None,
    k: int,
    threads: int,
    out_items: NDArray[np.int32],
    out_scores: NDArray[np.float32],
    /,
) -> None: ...
def model_stream_slice(
    model: Model, streams: NDArray[np.float32], width: int, out: NDArray[np.float32], /
) -> None:
    """Fill the streams of the model of the trained size ``width``."""

def model_cost(model: Model, length: int, /) -> tuple[int, int, int]: ...
def trainer_create(model: Model, options: str, histories: Histories, /) -> Trainer: ...
def trainer_advance(
    trainer: Trainer, seconds: float, threads: int, /
) -> tuple[int, int, int, int, float, bool]:
    """Return epoch, step, steps, tokens, mean loss, finished."""
