"""Parts of model files as tensors, and back again with every doubt checked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elastirec._features import Categories, Feature, Vectors
from elastirec._frames import objects
from elastirec._ids import IdMap
from elastirec._origins import Origin
from elastirec.errors import ModelFileError

Tensors = dict[str, NDArray[Any]]


def pack_features(features: Sequence[Feature]) -> Tensors:
    """Return features as tensors; their names go into the header."""
    tensors: Tensors = {}
    for number, feature in enumerate(features):
        place = f"elastirec.features.{number}"
        if isinstance(feature, Vectors):
            tensors[f"{place}.vectors"] = feature.values
        else:
            tensors[f"{place}.vocabulary"] = pack_ids(feature.vocabulary)
            tensors[f"{place}.values"], tensors[f"{place}.offsets"] = feature.rows
    return tensors


def read_features(header: Mapping[str, Any], tensors: Tensors, n_items: int) -> list[Feature]:
    """Return the features that the configuration counts, all of them checked."""
    features: list[Feature] = []
    settings, names = header["configuration"].get("features", []), header.get("features", [])
    texts = isinstance(names, list) and all(isinstance(name, str) for name in names)
    require(texts, "names features by something else than a list of text")
    for number, name in enumerate(names):
        place = f"elastirec.features.{number}"
        vectors = tensors.get(f"{place}.vectors")
        if vectors is not None:
            flat = vectors.dtype == np.float32 and vectors.shape[:-1] == (n_items,)
            require(flat and bool(np.isfinite(vectors).all()), f"has wrong vectors {name!r}")
            features.append(Vectors(name, vectors))
        else:
            vocabulary = read_ids(f"values of {name!r}", tensors[f"{place}.vocabulary"])
            rows = tensors[f"{place}.values"], tensors[f"{place}.offsets"]
            check_rows(f"values of {name!r}", *rows, n_items, len(vocabulary))
            features.append(Categories(name, vocabulary, rows))
    same = [feature.configuration for feature in features] == settings
    require(same, "describes its features in two ways")
    return features


def pack_origins(origins: Sequence[Origin]) -> Tensors:
    """Return the numbers of origins as tensors; the rest of them goes into the header."""
    tensors: Tensors = {}
    for number, origin in enumerate(origins):
        tensors[f"elastirec.origins.{number}.places"] = origin.places
        if origin.items is not None:
            tensors[f"elastirec.origins.{number}.items"] = origin.items
    return tensors


def read_origins(
    header: Mapping[str, Any], tensors: Tensors, width: int | None, n_items: int
) -> tuple[Origin, ...]:
    """Return the origins of a network whose streams have ``width`` numbers, all of them checked."""
    origins = []
    for number, named in enumerate(header.get("origins", [])):
        weights, size = named["weights"], named["size"]
        require(isinstance(weights, str) and type(size) is int, "names an origin wrongly")
        places = tensors[f"elastirec.origins.{number}.places"]
        require(places.shape == (width,), "has streams of an origin of a wrong size")
        _check_numbers("places of streams", places, size)
        items = tensors.get(f"elastirec.origins.{number}.items")
        if items is not None:
            _check_numbers("items of an origin", items, n_items)
        origins.append(Origin(weights, size, places, items))
    return tuple(origins)


def check_rows(
    what: str, items: NDArray[Any], offsets: NDArray[Any], rows: int, width: int
) -> None:
    """Refuse rows of numbers below ``width`` that are none; ``what`` says what they are."""
    _check_numbers(what, items, width)
    right = offsets.dtype == np.int64 and offsets.shape == (rows + 1,)
    require(right, f"has {what} with wrong offsets")
    whole = offsets[0] == 0 and offsets[-1] == len(items)
    ascending = bool(whole) and bool((np.diff(offsets) >= 0).all())
    require(ascending, f"has {what} with wrong offsets")


def _check_numbers(what: str, numbers: NDArray[Any], high: int) -> None:
    require(numbers.dtype == np.int32 and numbers.ndim == 1, f"has {what} of a wrong type")
    inside = not len(numbers) or (numbers.min() >= 0 and numbers.max() < high)
    require(bool(inside), f"has {what} out of range")


def pack_ids(ids: IdMap) -> NDArray[Any]:
    """Return ids as a tensor: integers, or the bytes of a list of strings in JSON."""
    if not ids.are_strings:
        return ids.values
    text = json.dumps(ids.values.tolist(), ensure_ascii=False)
    return np.frombuffer(text.encode(), dtype=np.uint8)


def read_ids(name: str, packed: NDArray[Any]) -> IdMap:
    """Return the ids that ``pack_ids`` packed; ``name`` says what they are."""
    values = packed
    if packed.dtype == np.uint8:
        try:
            texts = json.loads(packed.tobytes())
        except ValueError:
            raise wrong(f"has {name} that are no text") from None
        strings = isinstance(texts, list) and all(isinstance(text, str) for text in texts)
        require(strings, f"has {name} that are no strings")
        values = objects(texts)
    kinds = "a list of integers or strings"
    require(values.ndim == 1 and values.dtype.kind in "iuO", f"has {name} that are not {kinds}")
    require(bool((values[1:] > values[:-1]).all()), f"has {name} out of order or twice")
    return IdMap(values)


def wrong(problem: str) -> ModelFileError:
    """Return the error about a file."""
    return ModelFileError(f"the model file {problem}")


def require(condition: bool, problem: str) -> None:
    """Raise the error about a file unless a condition holds."""
    if not condition:
        raise wrong(problem)
