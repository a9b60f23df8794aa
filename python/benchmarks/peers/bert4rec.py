"""BERT4Rec: attention both ways, trained to fill gaps.

Sun et al., "BERT4Rec: Sequential Recommendation with Bidirectional Encoder Representations from
Transformer", CIKM 2019, with RecBole's head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from peers.base import Batch, at_places
from peers.transformer import TransformerPeer


class BERT4Rec(TransformerPeer):
    """Blocks that look both ways; item ``items`` is the mask."""

    samples = "cloze"

    def __init__(self, items: int, *, max_length: int = 50, **options: Any) -> None:
        super().__init__(items + 1, attention="both", max_length=max_length + 1, **options)
        self.mask = items
        self.head = nn.Linear(self.dim, self.dim)
        self.head_norm = nn.LayerNorm(self.dim, 1e-12)
        self.output_bias = nn.Parameter(torch.empty(items))
        self.initialize()

    def states(self, batch: Batch) -> Tensor:
        """Return the states at the places of a batch."""
        x = self.through(self.blocks, self.placed(self.embedded(batch)), batch)
        return self.head_norm(functional.gelu(self.head(at_places(x, batch))))

    def scores(self, states: Tensor) -> Tensor:
        """Return the scores of all items but the mask."""
        return torch.addmm(self.output_bias, states, self.item_embedding[: self.mask].T)
