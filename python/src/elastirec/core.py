"""Sessions and items in one consistent space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from elastirec._kinds import Epsilon, Positive, Share, Size
from elastirec._sequential import CausalRecommender


class CORE(CausalRecommender):
    """Scores items by their cosine with a weighted mean of the history's own embeddings.

    A transformer decides the weights and nothing else, so that histories and items stay in the same
    space. All prefixes of a history train at once.

    Parameters
    ----------
    variant : {"trm", "ave"}, default="trm"
        Whether the weights come from a transformer or are equal.
    dim : int, default=64
        Width of item embeddings and of the blocks; a multiple of ``heads``.
    inner_dim : int, default=256
        Width inside the feed-forward step.
    blocks, heads : int, default=2
        Number of blocks, and of attention heads in each.
    max_length : int, default=50
        How many of the newest items of a history are read.
    dropout, attention_dropout : float, default=0.5
        Share dropped of the transformer's embeddings and outputs, and of its attention
        probabilities.
    session_dropout, item_dropout : float, default=0.2
        Share dropped of the embeddings of a history's items, and of those of the items to score.
    temperature : float, default=0.07
        What cosines are divided by.
    activation : {"gelu", "relu", "silu"}, default="gelu"
    norm_epsilon : float, default=1e-12
        Added to the variance in layer norms.

    References
    ----------
    Hou et al., "CORE: Simple and Effective Session-based Recommendation within Consistent
    Representation Space", SIGIR 2022.

    Examples
    --------
    >>> log = Interactions({"user": [1, 1, 1, 2, 2], "item": ["a", "b", "c", "a", "b"]})
    >>> model = CORE(variant="ave", dim=8, epochs=2).fit(log, progress=False)
    >>> model.recommend(histories=[["a", "b"]], k=1, output="arrays")[0].tolist()
    [['c']]
    """

    _model = "core"

    variant: Literal["trm", "ave"] = "trm"
    dim: Size = 64
    inner_dim: Size = 256
    blocks: Size = 2
    heads: Size = 2
    max_length: Size = 50
    dropout: Share = 0.5
    attention_dropout: Share = 0.5
    session_dropout: Share = 0.2
    item_dropout: Share = 0.2
    temperature: Positive = 0.07
    activation: Literal["gelu", "relu", "silu"] = "gelu"
    norm_epsilon: Epsilon = 1e-12

    def _expect_fitting(self, configuration: Mapping[str, Any]) -> None:
        if configuration["variant"] == "trm":
            super()._expect_fitting(configuration)

    @classmethod
    def _outline(cls, configuration: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        dim = configuration["dim"]
        items: dict[str, tuple[int, ...]] = {"item_embedding": (configuration["items"], dim)}
        if configuration["variant"] == "ave":
            return items
        last = f"blocks.{configuration['blocks'] - 1}.feed_forward.expand.weight"
        return {
            **items,
            "position_embedding": (configuration["max_length"], dim),
            last: (configuration["inner_dim"], dim),
        }
