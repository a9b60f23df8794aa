"""What models share that read features of items: their parameters, and where features come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from elastirec._attention import STREAMS_NOT_BECAUSE, Attention
from elastirec._features import Feature
from elastirec._kinds import Deviation, Epsilon, Names, Share, Size
from elastirec._sequential import CausalRecommender
from elastirec.errors import DataError
from elastirec.interactions import Interactions


class FeaturedRecommender(CausalRecommender):
    """A transformer that reads features of the items besides the items themselves.

    Parameters
    ----------
    features : sequence of str or None, default=None
        Names of the log's item features to read; None for all of them.
    pooling : {"sum", "mean", "max"}, default="sum"
        How the embeddings of an item's several values of a feature become one.
    dim : int, default=64
        Width of embeddings and of the blocks; a multiple of ``heads``.
    inner_dim : int, default=256
        Width inside the feed-forward step.
    blocks, heads : int, default=2
        Number of blocks, and of attention heads in each.
    max_length : int, default=50
        How many of the newest items of a history are read.
    dropout : float, default=0.5
        Share dropped of the embeddings and of the outputs of attention and feed-forward step.
    attention_dropout, inner_dropout : float, default=0.5, 0.0
        Share dropped of the attention probabilities, and inside the feed-forward step.
    attention : {"softmax", "linear", "linear_causal", "linear_decayed", "linear_official"}, \
default="softmax"
        As in `SASRec`.
    activation : {"gelu", "relu", "silu"}, default="gelu"
    norm_epsilon : float, default=1e-12
        Added to the variance in layer norms.
    initial_std : float, default=0.02
        Standard deviation of the first weights.
    """

    _streams_not_because = STREAMS_NOT_BECAUSE

    features: Names | None = None
    pooling: Literal["sum", "mean", "max"] = "sum"
    dim: Size = 64
    inner_dim: Size = 256
    blocks: Size = 2
    heads: Size = 2
    max_length: Size = 50
    dropout: Share = 0.5
    attention_dropout: Share = 0.5
    inner_dropout: Share = 0.0
    attention: Attention = "softmax"
    activation: Literal["gelu", "relu", "silu"] = "gelu"
    norm_epsilon: Epsilon = 1e-12
    initial_std: Deviation = 0.02

    def _features(self, log: Interactions) -> tuple[Feature, ...]:
        (names,) = self._checked(["features"]).values()
        if log.item_features is None or not log.item_features.names:
            hint = "er.Interactions(..., item_features=er.ItemFeatures(..., categorical=[...]))"
            raise DataError(f"{type(self).__name__} needs a log with item features: {hint}")
        return log.item_features._of(log._items, names)

    def _configuration(self) -> dict[str, Any]:
        configuration = super()._configuration()
        configuration.pop("features", None)  # names, which the network need not know
        return configuration

    @classmethod
    def _outline_of_features(
        cls, configuration: Mapping[str, Any], blocks: str
    ) -> dict[str, tuple[int, ...]]:
        """Return the outline of what the models share; ``blocks`` is what the blocks are called."""
        dim = configuration["dim"]
        padding = configuration.get("attention") == "linear_official"
        outline: dict[str, tuple[int, ...]] = {
            "item_embedding": (configuration["items"] + padding, dim),
            "position_embedding": (configuration["max_length"], dim),
            f"{blocks}.{configuration['blocks'] - 1}.feed_forward.expand.weight": (
                configuration["inner_dim"],
                dim,
            ),
        }
        for number, feature in enumerate(configuration["features"]):
            if feature["kind"] == "categories":
                outline[f"features.{number}.embedding"] = (feature["values"], dim)
            else:
                outline[f"features.{number}.map.weight"] = (dim, feature["width"])
        return outline
