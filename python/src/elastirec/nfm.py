"""Factorization machines with layers above the interactions."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from elastirec._kinds import Deviation, Share, Size, Sizes
from elastirec._sequential import CausalRecommender


class NFM(CausalRecommender):
    """Scores the next item from the bag of the newest items, whatever their order.

    The embeddings of the items interact in pairs; what their products add up to goes through a
    small network.

    Parameters
    ----------
    dim : int, default=64
        Width of item embeddings.
    hidden : sequence of int, default=(64,)
        Widths of the layers above the interactions.
    max_length : int, default=50
        How many of the newest items of a history are read.
    dropout, hidden_dropout : float, default=0.5, 0.2
        Share dropped of the interactions, and after each layer.
    initial_std : float, default=0.02
        Standard deviation of the first tables; maps begin as Glorot and Bengio have them.

    References
    ----------
    He and Chua, "Neural Factorization Machines for Sparse Predictive Analytics", SIGIR 2017.

    Examples
    --------
    >>> log = Interactions({"user": [1, 1, 1, 2, 2], "item": ["a", "b", "c", "a", "b"]})
    >>> model = NFM(dim=8, hidden=(8,), epochs=2).fit(log, progress=False)
    >>> bool((model.scores([["a", "b"]]) == model.scores([["b", "a"]])).all())
    True
    """

    _model = "nfm"

    dim: Size = 64
    hidden: Sizes = (64,)
    max_length: Size = 50
    dropout: Share = 0.5
    hidden_dropout: Share = 0.2
    initial_std: Deviation = 0.02

    @classmethod
    def _outline(cls, configuration: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        items, dim = configuration["items"], configuration["dim"]
        widths = [dim, *configuration["hidden"]]
        maps = enumerate(pairwise(widths))
        return {
            "item_embedding": (items, dim),
            "output_embedding": (items, widths[-1]),
            **{f"hidden.{layer}.weight": (out, inside) for layer, (inside, out) in maps},
        }
