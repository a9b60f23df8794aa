"""Nested linear recurrences over items and what is known about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Self, cast

import numpy as np

from elastirec._features import Feature, Vectors
from elastirec._frames import objects
from elastirec._ids import IdMap, number_ids, shown
from elastirec._kinds import AnyNames, Deviation, Epsilon, Positive, Share, Size, Widths
from elastirec._nested import NestedRecommender
from elastirec._nested_memory import Maps
from elastirec._network import Float32, Network
from elastirec._origins import Origin
from elastirec._rows import Int32
from elastirec.errors import ConfigError, DataError, FeatureWarning, UnsupportedError, warn
from elastirec.features import ItemFeatures
from elastirec.interactions import Interactions


class FMRLRec(NestedRecommender):
    """Scores the next item with linear recurrences of many widths in one, over features of items.

    One training gives a model of each size; `at` takes one out. Items are what vectors such as
    embeddings of texts and pictures say, so that new ones can be added without training.

    Parameters
    ----------
    features : sequence of str or None, default=None
        Names of the log's vector features to read; None for all of its vectors, () for none.
    ids : bool or None, default=None
        Whether items have learned embeddings, besides their features if there are any. None for
        where no features are read.
    sizes : sequence of int, default=(8, 16, 32, 64, 128, 256, 512, 1024)
        Widths of the models inside, ascending; the last is that of the whole.
    blocks : int, default=2
    state_factor : int, default=1
        Complex numbers of a block's state, in multiples of the width.
    max_length : int, default=50
        How many of the newest items of a history are read. A stream reads all of them.
    dropout : float, default=0.5
        Share dropped of the embeddings and in the feed-forward step.
    recurrence_dropout : float or None, default=None
        Share dropped of the outputs of the recurrence; None for ``dropout``.
    norm_epsilon : float, default=1e-5
        Added to the variance in layer norms.
    ring_min, ring_max : float, default=0.0, 0.1
        How much of a state is left after one item, at first: between these, the smaller first.
    max_phase : float, default=6.283185307179586
        The largest angle by which an item turns a state, at first.
    initialization : {"official", "lrurec", "orvieto"}, default="official"
        First weights of the maps: uniform by the width that each level reads, imaginary parts 0, as
        in the authors' code; normal, cut off, as in `LRURec`; or normal by the width, as in the
        paper on linear recurrences.
    initial_std : float, default=0.02
        Standard deviation of the first item embeddings, and of all in "lrurec".
    first_item : bool, default=True
        Whether training predicts the first item of a history, too, from nothing, where the history
        has at most ``max_length`` items.
    pad_class : bool, default=True
        Whether the padding takes part in the softmax of training, as in the authors' code.

    References
    ----------
    Wang et al., "Train Once, Deploy Anywhere: Matryoshka Representation Learning for Multimodal
    Recommendation", Findings of EMNLP 2024.

    Examples
    --------
    >>> texts = ItemFeatures({"item": ["a", "b", "c"]}, vectors={"text": np.eye(3)})
    >>> rows = {"user": [1, 1, 1, 2, 2], "item": ["a", "b", "c", "a", "b"]}
    >>> log = Interactions(rows, item_features=texts)
    >>> model = FMRLRec(sizes=(8, 16), epochs=2).fit(log, progress=False)
    >>> model.at(size=8).scores([["a"]]).shape
    (1, 3)
    >>> more = model.add_items(ItemFeatures({"item": ["d"]}, vectors={"text": [[0.0, 1.0, 1.0]]}))
    >>> more.items_.tolist()
    ['a', 'b', 'c', 'd']
    """

    _model = "fmrlrec"
    _sizes_name = "sizes"

    features: AnyNames | None = None
    ids: bool | None = None
    sizes: Widths = (8, 16, 32, 64, 128, 256, 512, 1024)
    blocks: Size = 2
    state_factor: Size = 1
    max_length: Size = 50
    dropout: Share = 0.5
    recurrence_dropout: Share | None = None
    norm_epsilon: Epsilon = 1e-5
    ring_min: Share = 0.0
    ring_max: Share = 0.1
    max_phase: Positive = 6.283185307179586
    initialization: Literal["official", "lrurec", "orvieto"] = "official"
    initial_std: Deviation = 0.02
    first_item: bool = True
    pad_class: bool = True

    optimizer = "adamw"
    epsilon = 1e-9
    weight_decay = 0.01
    undecayed = ("bias",)
    gradient_clip = 5.0
    schedule = "cosine"
    warmup_steps = 100

    def add_items(self, features: ItemFeatures) -> Self:
        """Return a model that also knows new items, by their features alone.

        This model stays as it is. Where items have learned embeddings besides, those of new ones
        are zero. States of streams go on with `adopt`.

        Parameters
        ----------
        features : ItemFeatures
            Of the new items, with the vectors that the model reads.

        Returns
        -------
        FMRLRec
            Fitted. Its ``items_`` are those of this model and the new ones, sorted.

        Raises
        ------
        DataError
            If an item is known already, its id is of another kind, or vectors are missing or of
            another width.
        UnsupportedError
            If the model reads no features.
        """
        state = self._state()
        whole = state.network
        if not whole.features:
            raise UnsupportedError(
                f"this {type(self).__name__} reads no features, by which it could know new items;"
                " fit it on a log with vectors, and cut it with keep_features=True"
            )
        vectors = _vectors_of(features, whole.features)
        items = _joined(state.items, features._ids)
        places = items.index(state.items.values)
        network = _grown(whole, len(items), places, vectors, items.index(features.items_))
        counts = np.zeros(len(items), dtype=np.int64)
        counts[places] = state.counts
        network.set_fallback(counts)
        size = whole.stream_size() or 0
        last = Origin(self._fingerprint(state), size, np.arange(size, dtype=np.int32), places)
        network.origins = (last, *(origin.through(last) for origin in whole.origins))
        histories = places[state.histories[0]], state.histories[1]
        fitted = replace(state, network=network, items=items, histories=histories, counts=counts)
        return self._with(fitted)

    def _features(self, log: Interactions) -> tuple[Feature, ...]:
        names, ids = self._checked(["features", "ids"]).values()
        known = log.item_features
        if names is None:
            names = [] if known is None else list(known.vectors)
        if not names:
            if ids is False:
                raise ConfigError("ids must be True or None where no features are read, got False")
            return ()
        if known is None:
            hint = "er.Interactions(..., item_features=er.ItemFeatures(..., vectors={...}))"
            raise DataError(f"FMRLRec needs a log with item features: {hint}")
        for name in names:
            if name in known.categorical:
                listed = ", ".join(map(repr, known.vectors)) or "none here"
                raise ConfigError(f"features must be vectors, {listed}; {name!r} is categorical")
        missing = known.missing(log)
        if len(missing):
            warn(
                f"{len(missing):,} of {log.n_items:,} items have no features, such as"
                f" {shown(missing[0])}, and count as zeros; log.item_features.missing(log) has all",
                FeatureWarning,
            )
        return known._of(log._items, names)

    def _configuration(self) -> dict[str, Any]:
        configuration = super()._configuration()
        configuration.pop("features", None)  # names, which the network need not know
        return configuration

    def _params_of(self, network: Network) -> dict[str, Any]:
        params = super()._params_of(network)
        if self._state().network.features and not network.features:
            params["features"] = ()
        return params

    @classmethod
    def _maps(cls, configuration: Mapping[str, Any]) -> Maps:
        factor = configuration["state_factor"]
        planes = [(factor, 1), (1, factor), (1, 1), (1, 1), (1, 1)]
        return Maps(configuration["blocks"], planes, 3 * factor)

    @classmethod
    def _outline(cls, configuration: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        width, features = configuration["sizes"][-1], configuration.get("features", [])
        last = f"blocks.{configuration['blocks'] - 1}.recurrence.input"
        outputs = 2 * configuration["state_factor"] * width
        outline = cls._outline_of_map(configuration, last, outputs)
        if configuration.get("ids", not features):
            outline["item_embedding"] = (configuration["items"] + 1, width)
        for number, feature in enumerate(features):
            outline[f"features.{number}.map.weight"] = (width, feature["width"])
        return outline


def _grown(
    whole: Network, n_items: int, places: Int32, vectors: Sequence[Float32], new: Int32
) -> Network:
    """Return a network with the weights of another one, for more items.

    Parameters
    ----------
    whole : Network
    n_items : int
    places, new : ndarray of shape (items of ``whole``,) and (new items,)
        The numbers that the items have now, and those of the new ones.
    vectors : sequence of ndarray of shape (new items, width)
        Of each feature.
    """
    network = Network({**whole.configuration, "items": n_items})
    weights = whole.parameters()
    if "item_embedding" in weights:
        embedding = np.zeros(network.shapes["item_embedding"], dtype=np.float32)
        embedding[np.append(places, n_items)] = weights["item_embedding"]  # the last row is padding
        weights["item_embedding"] = embedding
    network.set_parameters(weights)
    features = []
    for feature, own in zip(whole.features, vectors, strict=True):
        values = np.empty((n_items, own.shape[1]), dtype=np.float32)
        values[places], values[new] = cast(Vectors, feature).values, own
        features.append(Vectors(feature.name, values))
    network.set_features(features)
    return network


def _joined(old: IdMap, new: IdMap) -> IdMap:
    """Return the ids of both.

    Raises
    ------
    DataError
        If they are of two kinds, or one is in both.
    """
    if old.are_strings != new.are_strings:
        kinds = ["strings" if ids.are_strings else "integers" for ids in (old, new)]
        raise DataError(f"the items of this model are {kinds[0]}, the new ones {kinds[1]}")
    known = new.values[old.index(new.values) >= 0]
    if len(known):
        raise DataError(
            f"{len(known):,} of the new items are known already, such as {shown(known[0])}"
        )
    return number_ids(objects([*old.values.tolist(), *new.values.tolist()]), "item")[0]


def _vectors_of(features: Any, known: Sequence[Feature]) -> list[Float32]:
    """Return the vectors of new items for each feature that is known.

    Raises
    ------
    DataError
        If one is missing or has another width.
    """
    if not isinstance(features, ItemFeatures):
        raise DataError(f"features must be er.ItemFeatures(...), got {type(features).__name__}")
    found = []
    for feature in known:
        vectors = features.vectors.get(feature.name)
        if vectors is None:
            raise DataError(f"the new items lack the vectors {feature.name!r} that the model reads")
        width = feature.configuration["width"]
        if vectors.shape[1] != width:
            raise DataError(
                f"vectors {feature.name!r} must have {width} numbers for each item, as those of the"
                f" model do; got {vectors.shape[1]}"
            )
        found.append(vectors)
    return found
