"""Self-attention over items and over their features, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elastirec._featured import FeaturedRecommender


class FDSA(FeaturedRecommender):
    """Scores the next item with one transformer over items and one over their features.

    The features of an item are weighed by attention to each other before the second transformer
    reads them.

    References
    ----------
    Zhang et al., "Feature-level Deeper Self-Attention Network for Sequential Recommendation",
    IJCAI 2019.

    Examples
    --------
    >>> kinds = ItemFeatures({"item": ["a", "b"], "kind": ["x|y", "x"]}, categorical=["kind"])
    >>> rows = {"user": [1, 1, 2, 2], "item": ["a", "b", "b", "a"]}
    >>> log = Interactions(rows, item_features=kinds)
    >>> FDSA(dim=8, epochs=2).fit(log, progress=False).scores([["a"]]).shape
    (1, 2)
    """

    _model = "fdsa"

    pooling = "mean"

    @classmethod
    def _outline(cls, configuration: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        inner = configuration["inner_dim"], configuration["dim"]
        last = f"feature_blocks.{configuration['blocks'] - 1}.feed_forward.expand.weight"
        return {**cls._outline_of_features(configuration, "item_blocks"), last: inner}
