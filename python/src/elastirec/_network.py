"""A native model: its weights by name, and what it answers about rows of item indices."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elastirec._features import Categories, Feature
from elastirec._ids import IdMap
from elastirec._library import complaints_as, native
from elastirec._origins import Origin
from elastirec._params import nearest
from elastirec._rows import Histories, Int32, Int64, Rows
from elastirec.errors import ConfigError, DataError

Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Cost(Mapping[str, int]):
    """What a model costs; also a mapping of the same names.

    Attributes
    ----------
    parameters : int
        Trained numbers.
    macs : int
        Multiply-adds to encode one history and take its state.
    bytes : int
        Memory of the weights.
    """

    parameters: int
    macs: int
    bytes: int

    def __getitem__(self, name: str) -> int:
        if name not in list(self):
            raise KeyError(name)
        return int(getattr(self, name))

    def __iter__(self) -> Iterator[str]:
        return (field.name for field in fields(self))

    def __len__(self) -> int:
        return len(fields(self))


class Network:
    """A native model with the configuration that made it.

    Parameters
    ----------
    configuration : mapping
        What the library takes as JSON: "model", "items" and the sizes of the model.
    handle : native.Model, default=None
        A native model of this configuration; None makes one with fresh weights.

    Raises
    ------
    ConfigError
        If the library refuses the configuration.
    """

    def __init__(
        self, configuration: Mapping[str, Any], handle: native.Model | None = None
    ) -> None:
        self.configuration = dict(configuration)
        self.n_items = int(configuration["items"])
        if handle is None:
            with complaints_as(ConfigError):
                handle = native.model_create(json.dumps(self.configuration, allow_nan=False))
        self.handle = handle
        self.shapes: dict[str, tuple[int, ...]] = {
            parameter["name"]: tuple(parameter["shape"])
            for parameter in _described(handle)["parameters"]
        }
        self.fallback = np.zeros(self.n_items, dtype=np.float32)
        self.features: tuple[Feature, ...] = ()
        self.origins: tuple[Origin, ...] = ()  # of the weights, for as long as they stay

    def parameters(self) -> dict[str, Float32]:
        """Return a copy of the weights."""
        weights = {}
        for name, shape in self.shapes.items():
            weights[name] = np.empty(shape, dtype=np.float32)
            native.model_get_parameter(self.handle, name, weights[name])
        return weights

    def set_parameters(self, weights: Mapping[str, Any]) -> None:
        """Replace some or all weights, or none if any of them does not fit.

        Raises
        ------
        DataError
            If a name is unknown, a shape differs or a value is not finite.
        """
        if not isinstance(weights, Mapping):
            kind = type(weights).__name__
            raise DataError(f"parameters must be a mapping of names to arrays, got {kind}")
        checked = {name: self._checked(name, values) for name, values in weights.items()}
        with complaints_as(DataError):
            for name, values in checked.items():
                native.model_set_parameter(self.handle, name, values)

    def _checked(self, name: str, values: Any) -> Float32:
        if name not in self.shapes:
            meant = nearest(str(name), self.shapes)
            hint = f"; did you mean {meant!r}?" if meant else ""
            raise DataError(f"the model has no parameter {name!r}{hint}")
        try:
            array = np.ascontiguousarray(values, dtype=np.float32)
        except (TypeError, ValueError):
            raise DataError(f"parameter {name!r} must be an array of numbers") from None
        if np.shape(values) != self.shapes[name]:
            shapes = f"{self.shapes[name]}, got {np.shape(values)}"
            raise DataError(f"parameter {name!r} must have shape {shapes}")
        if not np.isfinite(array).all():
            raise DataError(f"parameter {name!r} holds NaN or infinity")
        return array

    def set_fallback(self, scores: NDArray[Any]) -> None:
        """Set the scores of all items, shape ``(n_items,)``, that an empty history gets."""
        self.fallback = np.ascontiguousarray(scores, dtype=np.float32)
        with complaints_as(DataError):
            native.model_set_fallback(self.handle, self.fallback)

    def set_features(self, features: Sequence[Feature]) -> None:
        """Set what the items are like; as many features as the configuration has."""
        self.features = tuple(features)
        with complaints_as(DataError):
            for number, feature in enumerate(self.features):
                if isinstance(feature, Categories):
                    native.model_set_feature_values(self.handle, number, feature.rows)
                else:
                    vectors = np.ascontiguousarray(feature.values, dtype=np.float32)
                    native.model_set_feature_vectors(self.handle, number, vectors)

    def copy(self) -> Network:
        """Return another model with the same weights."""
        twin = Network(self.configuration)
        twin.set_parameters(self.parameters())
        twin.set_fallback(self.fallback)
        twin.set_features(self.features)
        return twin

    def slice(self, size: int, keep_features: bool) -> Network:
        """Return the network of a trained size, with the first of these weights.

        Its items keep their features, or what the network makes of these becomes embeddings.
        """
        with complaints_as(ConfigError):
            handle = native.model_slice(self.handle, size, keep_features)
        whole, small = (_described(each)["configuration"] for each in (self.handle, handle))
        changes = {name: value for name, value in small.items() if value != whole.get(name)}
        configuration = {**self.configuration, **changes}
        if not configuration.get("features"):
            configuration.pop("features", None)
        network = Network(configuration, handle)
        # The native model has both already.
        network.fallback, network.features = self.fallback, self.features if keep_features else ()
        return network

    @property
    def knows_people(self) -> bool:
        """Whether answers depend on whose a history is, which then goes with it."""
        return bool(self.configuration.get("users"))

    def score(self, histories: Histories, threads: int) -> Float32:
        """Return the scores of all items after each history, shape ``(rows, n_items)``."""
        scores = np.empty((len(histories[1]) - 1, self.n_items), dtype=np.float32)
        native.model_score(self.handle, histories, threads, scores)
        return scores

    def recommend(
        self,
        histories: Histories,
        excluded: Rows | None,
        allowed: NDArray[np.uint8] | None,
        k: int,
        threads: int,
    ) -> tuple[Int32, Float32]:
        """Return the best items of each history and their scores, shape ``(rows, k)``.

        Rows with fewer than k items left end in item -1 with score -infinity.
        """
        items = np.empty((len(histories[1]) - 1, k), dtype=np.int32)
        scores = np.empty(items.shape, dtype=np.float32)
        native.model_recommend(self.handle, histories, excluded, allowed, k, threads, items, scores)
        return items, scores

    def rank(
        self,
        histories: Histories,
        targets: Rows,
        excluded: Rows | None,
        candidates: Rows | None,
        k: int,
        sizes: Sequence[int] | None,
        threads: int,
    ) -> tuple[Int32, Int32 | None]:
        """Return the ranks of targets, and each history's best k items where k is not 0.

        Both have a row for each of the trained ``sizes``, or one where these are None: shapes
        ``(sizes, targets)`` and ``(sizes, rows, k)``.
        """
        lists = 1 if sizes is None else len(sizes)
        widths = None if sizes is None else np.array(sizes, dtype=np.int64)
        ranks = np.empty((lists, len(targets[0])), dtype=np.int32)
        top = np.empty((lists, len(histories[1]) - 1, k), dtype=np.int32) if k else None
        native.model_rank(
            self.handle, histories, targets, excluded, candidates, k, widths, threads, ranks, top
        )
        return ranks, top

    def similar(self, items: Int32, k: int, threads: int) -> tuple[Int32, Float32]:
        """Return the items most alike to each of ``items`` and their cosines, ``(items, k)``."""
        similar = np.empty((len(items), k), dtype=np.int32)
        cosines = np.empty(similar.shape, dtype=np.float32)
        native.model_similar(self.handle, items, k, threads, similar, cosines)
        return similar, cosines

    def stream_size(self) -> int | None:
        """Return how many numbers follow a person, or None where the model cannot stream."""
        try:
            return native.model_stream_size(self.handle)
        except ValueError:
            return None

    def advance(self, streams: Float32, items: Int32, threads: int) -> None:
        """Advance each row of ``streams`` by its item, in place."""
        with complaints_as(DataError):
            native.model_stream_advance(self.handle, streams, items, threads)

    def slice_streams(self, streams: Float32, size: int, width: int) -> Float32:
        """Return streams as the network of a trained size has them, with ``width`` numbers."""
        small = np.empty((len(streams), width), dtype=np.float32)
        with complaints_as(DataError):
            native.model_stream_slice(self.handle, streams, size, small)
        return small

    def recommend_streams(
        self,
        streams: Float32,
        excluded: Rows | None,
        allowed: NDArray[np.uint8] | None,
        k: int,
        threads: int,
    ) -> tuple[Int32, Float32]:
        """Return what ``recommend`` returns, after streams instead of histories."""
        items = np.empty((len(streams), k), dtype=np.int32)
        scores = np.empty(items.shape, dtype=np.float32)
        with complaints_as(DataError):
            native.model_stream_recommend(
                self.handle, streams, excluded, allowed, k, threads, items, scores
            )
        return items, scores

    def fingerprint(self) -> str:
        """Return a hash of the configuration, the weights and the features."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(json.dumps(self.configuration, sort_keys=True).encode())
        for name, values in self.parameters().items():
            digest.update(f"{name} {values.shape}".encode())
            digest.update(values.data)
        for feature in self.features:
            arrays = feature.rows if isinstance(feature, Categories) else [feature.values]
            for array in arrays:
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def cost(self, length: int) -> Cost:
        """Return what it costs to encode a history of this length."""
        with complaints_as(ConfigError):
            return Cost(*native.model_cost(self.handle, length))


def _described(handle: native.Model) -> dict[str, Any]:
    """Return what the library says of a model: its "configuration" and its "parameters"."""
    description: dict[str, Any] = json.loads(native.model_describe(handle))
    return description


@dataclass(frozen=True, eq=False)
class Fitted:
    """What ``fit`` leaves behind to answer questions with."""

    network: Network
    items: IdMap
    users: IdMap
    histories: Rows  # of the users, as fit saw them
    counts: Int64  # [n_items] events of each item, as fit saw them
    library: str | None  # in which frames are answered

    @cached_property
    def fingerprint(self) -> str:
        """What streams carry: a hash of the network and of the items that it knows."""
        return self.fresh_fingerprint()

    def fresh_fingerprint(self) -> str:
        """Return `fingerprint` of this moment, for networks that are being trained."""
        digest = hashlib.blake2b(self.network.fingerprint().encode(), digest_size=16)
        digest.update(json.dumps(self.items.values.tolist()).encode())
        return digest.hexdigest()
