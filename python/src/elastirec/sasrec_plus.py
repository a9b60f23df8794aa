"""Deep stacks of self-attention with learned residual weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elastirec._kinds import Deviation, Epsilon, Share, Size
from elastirec._sequential import CausalRecommender


class SASRecPlus(CausalRecommender):
    """Scores the next item of a history with many blocks of causal self-attention.

    Attention and feed-forward step of each block have a learned weight, 0 at first, beside the
    residual, which lets stacks of many blocks train.

    Parameters
    ----------
    dim : int, default=64
        Width of item embeddings and of the blocks; a multiple of ``heads``.
    blocks : int, default=8
    heads : int, default=2
        Attention heads of a block.
    max_length : int, default=50
        How many of the newest items of a history are read.
    dropout : float, default=0.2
        Share dropped of the attention probabilities, and after each map of the feed-forward step.
    norm_epsilon : float, default=1e-8
        Added to the variance in layer norms.
    final_norm : bool, default=True
        Whether a layer norm stands before the scores; the authors' code has none.
    initial_std : float, default=0.01
        Standard deviation of the first item and position embeddings, cut off at twice as much.

    References
    ----------
    Chen et al., "A User-Adaptive Layer Selection Framework for Very Deep Sequential Recommender
    Models", AAAI 2021.

    Examples
    --------
    >>> log = Interactions({"user": [1, 1, 1, 2, 2], "item": ["a", "b", "c", "a", "b"]})
    >>> model = SASRecPlus(dim=8, blocks=3, epochs=9).fit(log, progress=False)
    >>> model.scores([["a", "b"]]).shape
    (1, 3)
    """

    _model = "sasrec_plus"

    dim: Size = 64
    blocks: Size = 8
    heads: Size = 2
    max_length: Size = 50
    dropout: Share = 0.2
    norm_epsilon: Epsilon = 1e-8
    final_norm: bool = True
    initial_std: Deviation = 0.01

    @classmethod
    def _outline(cls, configuration: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        items, dim = configuration["items"], configuration["dim"]
        return {
            "item_embedding": (items, dim),
            "output_embedding": (items, dim),
            "position_embedding": (configuration["max_length"], dim),
            f"blocks.{configuration['blocks'] - 1}.contract.weight": (dim, dim),
        }
