"""FDSA: self-attention over items and, beside it, over their features.

Zhang et al., "Feature-level Deeper Self-Attention Network for Sequential Recommendation", IJCAI
2019, in RecBole's form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from peers import features as known
from peers.base import Batch, at_places
from peers.transformer import TransformerPeer


class FieldAttention(nn.Module):
    """The weights of an item's features."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.expand = nn.Linear(dim, dim)
        self.score = nn.Linear(dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the weighted sum over the fields of ``x``, [rows, width, fields, dim]."""
        weights = torch.softmax(self.score(functional.relu(self.expand(x))), dim=-2)
        return (weights * x).sum(-2)


class FDSA(TransformerPeer):
    """Two stacks of causal blocks, joined at the end; one norm serves both and the join."""

    def __init__(
        self, items: int, features: known.Features, *, pooling: str = "mean", **options: Any
    ) -> None:
        super().__init__(items, **options)
        self.features = known.modules(features, self.dim, pooling)
        self.field_attention = FieldAttention(self.dim)
        self.item_blocks = self.blocks
        del self.blocks
        self.feature_blocks = self.stack(len(self.item_blocks))
        self.output = nn.Linear(2 * self.dim, self.dim)
        self.initialize()

    def states(self, batch: Batch) -> Tensor:
        """Return the states at the places of a batch."""
        fields = torch.stack([feature(batch.items) for feature in self.features], dim=-2)
        of_items = self.placed(self.embedded(batch))
        of_fields = self.placed(self.field_attention(fields))
        joined = torch.cat(
            [
                at_places(self.through(self.item_blocks, of_items, batch), batch),
                at_places(self.through(self.feature_blocks, of_fields, batch), batch),
            ],
            dim=-1,
        )
        return self.dropout(self.embedding_norm(self.output(joined)))

    def translated(self, name: str, values: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Return one of our parameters under the names of this model."""
        return known.with_padding_row(name, values)
