"""LRURec: a linear recurrence with a complex diagonal, in parallel over the length.

Yue et al., "Linear Recurrent Units for Sequential Recommendation", WSDM 2024; Orvieto et al.,
"Resurrecting Recurrent Neural Networks for Long Sequences", ICML 2023. The recurrence runs as the
authors' does, in a logarithm of steps over halves of ever longer parts of the history.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from peers.base import Batch, Peer, at_places
from peers.transformer import FeedForward


class Recurrence(nn.Module):
    """``h_t = lambda h_{t-1} + gamma (B x_t + b)``, read out as ``Re(C h_t + c)``.

    ``input`` holds the real rows of B above the imaginary ones; ``output`` the real columns of C
    before the negated imaginary ones, so that it maps ``[Re h; Im h]``.
    """

    def __init__(self, dim: int, state_dim: int) -> None:
        super().__init__()
        self.nu_log = nn.Parameter(torch.empty(state_dim))
        self.theta_log = nn.Parameter(torch.empty(state_dim))
        self.gamma_log = nn.Parameter(torch.empty(state_dim))
        self.input = nn.Linear(dim, 2 * state_dim)
        self.output = nn.Linear(2 * state_dim, dim)

    def forward(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        """Return the outputs, of the shape of ``x``, [rows, width, dim]."""
        width = x.shape[1]
        factor = torch.exp(torch.complex(-self.nu_log.exp(), self.theta_log.exp()))
        re, im = (self.input(x) * self.gamma_log.exp().repeat(2)).chunk(2, dim=-1)
        h = scan(torch.complex(re, im), factor, real)[:, :width]
        return self.output(torch.cat([h.real, h.imag], dim=-1))


def scan(h: Tensor, factor: Tensor, real: Tensor | None = None) -> Tensor:
    """Return the recurrence of ``h``, [rows, width, channels], padded to a power of two.

    Both halves of a part of length 2 l are done already. Place q of the second half gets
    ``factor ** q`` times the last place of the first, if that place is ``real``, [rows, width]:
    where histories are padded at the front to a power of two, the padding hands nothing on.
    """
    rows, width, channels = h.shape
    steps = max(1, (width - 1).bit_length())
    h = functional.pad(h, (0, 0, 0, 2**steps - width))
    powers = factor[None]  # factor ** 1 ... factor ** l
    for _ in range(steps):
        length = len(powers)
        first, second = h.view(rows, -1, 2, length, channels).unbind(2)
        last = first[:, :, -1:]
        if real is not None:
            last = last * real.view(rows, -1, 2, length)[:, :, 0, -1, None, None]
        second = second + powers * last
        h = torch.stack([first, second], dim=2).view(rows, -1, channels)
        powers = torch.cat([powers, powers * powers[-1]])
    return h


class Block(nn.Module):
    """Recurrence and a feed-forward step, each with a residual and a norm behind it."""

    def __init__(
        self, dim: int, state_dim: int, inner_dim: int, dropout: float, norm_epsilon: float
    ) -> None:
        super().__init__()
        self.recurrence = Recurrence(dim, state_dim)
        self.recurrence_norm = nn.LayerNorm(dim, norm_epsilon)
        self.feed_forward = FeedForward(dim, inner_dim, dropout)
        self.feed_forward_norm = nn.LayerNorm(dim, norm_epsilon)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, of the shape of ``x``."""
        x = self.recurrence_norm(x + self.dropout(self.recurrence(x)))
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))


class LRURec(Peer):
    """Blocks of recurrences on item embeddings, without positions."""

    def __init__(
        self,
        items: int,
        *,
        dim: int = 64,
        state_dim: int = 128,
        inner_dim: int = 256,
        blocks: int = 2,
        max_length: int = 50,
        dropout: float = 0.2,
        norm_epsilon: float = 1e-5,
        ring_min: float = 0.8,
        ring_max: float = 0.99,
        max_phase: float = 2 * np.pi,
    ) -> None:
        super().__init__(items, dim, max_length, dropout)
        self.embedding_norm = nn.LayerNorm(dim, norm_epsilon)
        self.blocks = nn.ModuleList(
            Block(dim, state_dim, inner_dim, dropout, norm_epsilon) for _ in range(blocks)
        )
        self.output_bias = nn.Parameter(torch.empty(items))
        for name, weight in self.named_parameters():
            if "norm" not in name and not name.endswith("_log"):
                nn.init.trunc_normal_(weight, std=0.02, a=-0.04, b=0.04)
        for block in self.blocks:
            draw_on_ring(block.recurrence, ring_min, ring_max, max_phase)

    def states(self, batch: Batch) -> Tensor:
        """Return the states at the places of a batch."""
        x = self.embedding_norm(self.dropout(self.embedded(batch)))
        for block in self.blocks:
            x = block(x)
        return at_places(x, batch)

    def scores(self, states: Tensor) -> Tensor:
        """Return the scores of all items."""
        return torch.addmm(self.output_bias, states, self.item_embedding.T)


@torch.no_grad()
def draw_on_ring(recurrence: Recurrence, least: float, most: float, max_phase: float) -> None:
    """Draw lambda uniformly from the ring of these radii, and gamma so that states keep size 1."""
    squares = torch.rand_like(recurrence.nu_log) * (most**2 - least**2) + least**2
    nu = -squares.log() / 2
    recurrence.nu_log.copy_(nu.log())
    recurrence.theta_log.copy_((max_phase * torch.rand_like(nu).clamp(min=1e-6)).log())
    recurrence.gamma_log.copy_((1 - squares).sqrt().log())
