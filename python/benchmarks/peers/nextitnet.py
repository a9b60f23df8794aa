"""NextItNet: causal convolutions whose gaps widen.

Yuan et al., "A Simple Convolutional Generative Network for Next Item Recommendation", WSDM 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from peers.base import Batch, Peer, at_places


class CausalConvolution(nn.Module):
    """A convolution that sees a place and those ``dilation`` apart before it."""

    def __init__(self, dim: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.reach = (kernel - 1) * dilation
        self.convolution = nn.Conv1d(dim, dim, kernel, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, of the shape of ``x``, [rows, width, dim]."""
        before = functional.pad(x.mT, (self.reach, 0))
        return self.convolution(before).mT


class Block(nn.Module):
    """Two convolutions, the second twice as wide, each before a norm and a ReLU."""

    def __init__(self, dim: int, kernel: int, dilation: int, norm_epsilon: float) -> None:
        super().__init__()
        self.convolution_a = CausalConvolution(dim, kernel, dilation)
        self.norm_a = nn.LayerNorm(dim, norm_epsilon)
        self.convolution_b = CausalConvolution(dim, kernel, 2 * dilation)
        self.norm_b = nn.LayerNorm(dim, norm_epsilon)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, of the shape of ``x``."""
        y = functional.relu(self.norm_a(self.convolution_a(x)))
        return x + functional.relu(self.norm_b(self.convolution_b(y)))


class NextItNet(Peer):
    """Residual blocks of convolutions, and an output table of its own."""

    def __init__(
        self,
        items: int,
        *,
        dim: int = 64,
        kernel: int = 3,
        dilations: Sequence[int] = (1, 4, 1, 4),
        max_length: int = 50,
        dropout: float = 0.0,
        norm_epsilon: float = 1e-8,
    ) -> None:
        super().__init__(items, dim, max_length, dropout)
        self.kernel = kernel
        self.blocks = nn.ModuleList(Block(dim, kernel, d, norm_epsilon) for d in dilations)
        self.output_embedding = nn.Parameter(torch.empty(items, dim))
        self.output_bias = nn.Parameter(torch.empty(items))
        self.initialize()
        for weight in self.parameters():
            if weight.dim() > 1:
                nn.init.trunc_normal_(weight, std=0.02, a=-0.04, b=0.04)

    def states(self, batch: Batch) -> Tensor:
        """Return the states at the places of a batch."""
        x = self.dropout(self.embedded(batch))
        for block in self.blocks:
            x = block(x)
        return functional.relu(at_places(x, batch))

    def scores(self, states: Tensor) -> Tensor:
        """Return the scores of all items."""
        return torch.addmm(self.output_bias, states, self.output_embedding.T)

    def translated(self, name: str, values: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Return one of our parameters under the names of this model; our columns go by tap."""
        if ".convolution_" not in name:
            return {name: values}
        place, _, kind = name.rpartition(".")
        if kind == "weight":
            values = values.reshape(self.dim, self.kernel, self.dim).transpose(0, 2, 1)
        return {f"{place}.convolution.{kind}": values}
