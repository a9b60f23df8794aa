"""Stacks of dilated causal convolutions, and how to make them deeper."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

from elastirec._checks import choice
from elastirec._kinds import Deviation, Epsilon, Share, Size, Sizes
from elastirec._network import Network
from elastirec._sequential import CausalRecommender

# Which block of L each of 2 L blocks begins as; None for one with fresh weights.
_SOURCES: dict[str, Callable[[int, int], int | None]] = {
    "adjacent": lambda block, depth: block // 2,
    "cross": lambda block, depth: block % depth,
    "random_top": lambda block, depth: block if block < depth else None,
    "embedding": lambda block, depth: None,
}
_CONVOLUTION = re.compile(
    r"blocks\.(\d+)\.((?:convolution|convolution_a|convolution_b|reduce|expand)\.(?:weight|bias))"
)


class NextItNet(CausalRecommender):
    """Scores the next item of a history with a stack of dilated causal convolutions.

    Parameters
    ----------
    dim : int, default=64
        Width of item embeddings and of the blocks; an even number for block "bottleneck".
    kernel : int, default=3
        How many items a convolution reads at each position.
    dilations : sequence of int, default=(1, 4, 1, 4)
        One a block: how far apart the items are that it reads.
    block : {"full", "bottleneck"}, default="full"
        Two convolutions of full width, the second of twice the dilation; or one of half the width
        between two maps.
    max_length : int, default=50
        How many of the newest items of a history are read.
    dropout : float, default=0.0
        Share dropped of the embeddings.
    tied : bool, default=False
        Whether scores use the item embeddings rather than a table of their own.
    output_activation : {"relu", "none"} or None, default=None
        What the last states go through. None is what the authors do: "relu" with the loss
        "softmax", "none" with losses of sampled items.
    norm_epsilon : float, default=1e-8
        Added to the variance in layer norms.
    initial_std : float, default=0.02
        Standard deviation of the first weights, cut off at twice as much.

    References
    ----------
    Yuan et al., "A Simple Convolutional Generative Network for Next Item Recommendation", WSDM
    2019. `stack` is from Wang et al., "StackRec: Efficient Training of Very Deep Sequential
    Recommender Models by Iterative Stacking", SIGIR 2021.

    Examples
    --------
    >>> log = Interactions({"user": [1, 1, 1, 2, 2], "item": ["a", "b", "c", "a", "b"]})
    >>> model = NextItNet(dim=8, dilations=(1, 2), epochs=2).fit(log, progress=False)
    >>> deeper = model.stack("adjacent").fit(log, progress=False)
    >>> deeper.dilations, len(deeper.history_)
    ((1, 2, 1, 2), 4)
    """

    _model = "nextitnet"
    _residual_weights: ClassVar[bool] = False

    dim: Size = 64
    kernel: Size = 3
    dilations: Sizes = (1, 4, 1, 4)
    block: Literal["full", "bottleneck"] = "full"
    max_length: Size = 50
    dropout: Share = 0.0
    tied: bool = False
    output_activation: Literal["relu", "none"] | None = None
    norm_epsilon: Epsilon = 1e-8
    initial_std: Deviation = 0.02

    def stack(self, copied: str = "adjacent") -> Self:
        """Return a model of twice the blocks that begins with weights of this one.

        The dilations repeat. Copied are convolutions and item embeddings; layer norms, residual
        weights and a table of scores of its own begin afresh. The new model has
        ``warm_start=True``, so that its ``fit`` goes on from there.

        Parameters
        ----------
        copied : {"adjacent", "cross", "random_top", "embedding"}, default="adjacent"
            What the convolutions of the blocks are copied from: each block gives two neighbours;
            the whole stack is repeated; it is put below blocks with fresh weights; or no block is
            copied.

        Returns
        -------
        NextItNet
            Of the class of this model, fitted, with the ``history_`` of this one.
        """
        state = self._state()
        source = _SOURCES[choice("copied", copied, tuple(_SOURCES))]
        weights = state.network.parameters()
        dilations = state.network.configuration["dilations"]
        network = Network({**state.network.configuration, "dilations": dilations * 2})
        network.set_fallback(state.network.fallback)
        copies = {"item_embedding": weights["item_embedding"]}
        for name in network.shapes:
            found = _CONVOLUTION.fullmatch(name)
            block = source(int(found[1]), len(dilations)) if found else None
            if found and block is not None:
                copies[name] = weights[f"blocks.{block}.{found[2]}"]
        network.set_parameters(copies)
        deeper = copy(self).set_params(dilations=tuple(dilations * 2), warm_start=True)
        deeper._set_state(replace(state, network=network))
        return deeper

    def _configuration(self) -> dict[str, Any]:
        configuration = super()._configuration()
        head = "relu" if self.loss == "softmax" else "none"
        return {
            **configuration,
            "output_activation": configuration.get("output_activation", head),
            "residual_weights": self._residual_weights,
        }

    @classmethod
    def _outline(cls, configuration: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        items, dim = configuration["items"], configuration["dim"]
        last = f"blocks.{len(configuration['dilations']) - 1}"
        if configuration["block"] == "full":
            width, name = dim, f"{last}.convolution_b.weight"
        else:
            width, name = dim // 2, f"{last}.convolution.weight"
        outline: dict[str, tuple[int, ...]] = {
            "item_embedding": (items, dim),
            name: (width, configuration["kernel"] * width),
        }
        if not configuration["tied"]:
            outline["output_embedding"] = (items, dim)
        return outline


class NextItNetPlus(NextItNet):
    """`NextItNet` whose blocks have a learned weight, 0 at first, beside the residual.

    The network is the identity at the start, which lets stacks of many blocks train.

    References
    ----------
    Chen et al., "A User-Adaptive Layer Selection Framework for Very Deep Sequential Recommender
    Models", AAAI 2021.

    Examples
    --------
    >>> NextItNetPlus(dilations=(1, 4) * 8)
    NextItNetPlus(dilations=(1, 4, 1, 4, 1, 4, 1, 4, 1, 4, 1, 4, 1, 4, 1, 4))
    """

    _residual_weights = True
