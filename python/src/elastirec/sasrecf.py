"""Self-attention over items and their features in one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elastirec._featured import FeaturedRecommender


class SASRecF(FeaturedRecommender):
    """Scores the next item with causal self-attention over items fused with their features.

    References
    ----------
    The feature-level variant of SASRec in RecBole: Zhao et al., "RecBole: Towards a Unified,
    Comprehensive and Efficient Framework for Recommendation Algorithms", CIKM 2021. It is the
    baseline "SASRec_F" of Zhang et al., "Feature-level Deeper Self-Attention Network for Sequential
    Recommendation", IJCAI 2019.

    Examples
    --------
    >>> kinds = ItemFeatures({"item": ["a", "b"], "kind": ["x|y", "x"]}, categorical=["kind"])
    >>> rows = {"user": [1, 1, 2, 2], "item": ["a", "b", "b", "a"]}
    >>> log = Interactions(rows, item_features=kinds)
    >>> SASRecF(dim=8, epochs=2).fit(log, progress=False).scores([["a"]]).shape
    (1, 2)
    """

    _model = "sasrecf"

    @classmethod
    def _outline(cls, configuration: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        dim, parts = configuration["dim"], 1 + len(configuration["features"])
        return {
            **cls._outline_of_features(configuration, "blocks"),
            "fusion.weight": (dim, parts * dim),
        }
