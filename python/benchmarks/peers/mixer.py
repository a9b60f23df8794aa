"""A mixer of MLPs: one over the places of a history, one over the channels.

Tolstikhin et al., "MLP-Mixer: An all-MLP Architecture for Vision", NeurIPS 2021, as AutoMLP (Li et
al., WWW 2023) uses it for sequences. It sees both ways, so each prefix trains its last position.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from peers.base import Batch, Peer


class MLP(nn.Module):
    """Two linear maps, each with dropout, and a GELU between."""

    def __init__(self, dim: int, inner_dim: int, dropout: float) -> None:
        super().__init__()
        self.expand = nn.Linear(dim, inner_dim)
        self.contract = nn.Linear(inner_dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, of the shape of ``x``."""
        x = self.dropout(functional.gelu(self.expand(x)))
        return self.dropout(self.contract(x))


class Layer(nn.Module):
    """A mix of tokens and a mix of channels, each of the norm of its input, with residuals."""

    def __init__(
        self, length: int, dim: int, token_dim: int, channel_dim: int, dropout: float, eps: float
    ) -> None:
        super().__init__()
        self.token_norm = nn.LayerNorm(dim, eps)
        self.token = MLP(length, token_dim, dropout)
        self.channel_norm = nn.LayerNorm(dim, eps)
        self.channel = MLP(dim, channel_dim, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, of the shape of ``x``, [rows, length, dim]."""
        x = x + self.token(self.token_norm(x).mT).mT
        return x + self.channel(self.channel_norm(x))


class MLPMixer(Peer):
    """Layers over rows of ``max_length`` places, zeros before the history."""

    samples = "prefixes"
    padded_first = True

    def __init__(
        self,
        items: int,
        *,
        dim: int = 64,
        layers: int = 2,
        token_dim: int = 64,
        channel_dim: int = 256,
        dropout: float = 0.2,
        max_length: int = 50,
        norm_epsilon: float = 1e-5,
    ) -> None:
        super().__init__(items + 1, dim, max_length, dropout)
        self.padding = items
        self.layers = nn.ModuleList(
            Layer(max_length, dim, token_dim, channel_dim, dropout, norm_epsilon)
            for _ in range(layers)
        )
        self.final_norm = nn.LayerNorm(dim, 1e-12)
        self.initialize(but=tuple(f"layers.{n}.token." for n in range(layers)))
        with torch.no_grad():
            self.item_embedding[self.padding] = 0

    def states(self, batch: Batch) -> Tensor:
        """Return the states of the last places."""
        x = functional.embedding(batch.items, self.item_embedding, padding_idx=self.padding)
        for layer in self.layers:
            x = layer(x)
        return self.final_norm(x[:, -1])

    def scores(self, states: Tensor) -> Tensor:
        """Return the scores of all items but the padding."""
        return states @ self.item_embedding[: self.padding].T

    def translated(self, name: str, values: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Return one of our parameters under the names of this model."""
        if name == "item_embedding":
            return {name: np.concatenate([values, np.zeros((1, self.dim), np.float32)])}
        for half in ("token", "channel"):
            for part in ("expand", "contract"):
                name = name.replace(f".{half}_{part}.", f".{half}.{part}.")
        return {name: values}
