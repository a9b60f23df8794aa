"""SASRecF: SASRec on items joined with their features, as in RecBole.

Zhao et al., "RecBole: Towards a Unified, Comprehensive and Efficient Framework for Recommendation
Algorithms", CIKM 2021.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from peers import features as known
from peers.base import Batch, at_places
from peers.transformer import TransformerPeer


class SASRecF(TransformerPeer):
    """A linear map of item and features goes through causal blocks."""

    def __init__(
        self, items: int, features: known.Features, *, pooling: str = "sum", **options: Any
    ) -> None:
        super().__init__(items, **options)
        self.features = known.modules(features, self.dim, pooling)
        self.fusion = nn.Linear((1 + len(features)) * self.dim, self.dim)
        self.initialize()

    def states(self, batch: Batch) -> Tensor:
        """Return the states at the places of a batch."""
        parts = [self.embedded(batch), *(feature(batch.items) for feature in self.features)]
        x = self.placed(self.fusion(torch.cat(parts, dim=-1)))
        return at_places(self.through(self.blocks, x, batch), batch)

    def translated(self, name: str, values: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Return one of our parameters under the names of this model."""
        return known.with_padding_row(name, values)
