"""CORE: a weighted mean of item embeddings, so that states and items share one space.

Hou et al., "CORE: Simple and Effective Session-based Recommendation within Consistent
Representation Space", SIGIR 2022. All prefixes of a history train at once: the weights over a
prefix are a running softmax.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from peers.base import Batch, at_places
from peers.transformer import TransformerPeer


class CORE(TransformerPeer):
    """The form "trm", whose weights come from causal blocks."""

    def __init__(
        self,
        items: int,
        *,
        session_dropout: float = 0.2,
        item_dropout: float = 0.2,
        temperature: float = 0.07,
        **options: Any,
    ) -> None:
        super().__init__(items, **options)
        self.session_dropout = nn.Dropout(session_dropout)
        self.item_dropout = nn.Dropout(item_dropout)
        self.temperature = temperature
        self.score = nn.Linear(self.dim, 1)
        for weight in self.parameters():
            nn.init.uniform_(weight, -(self.dim**-0.5), self.dim**-0.5)

    def states(self, batch: Batch) -> Tensor:
        """Return the states at the places of a batch."""
        x = self.session_dropout(self.embedded(batch))
        y = self.through(self.blocks, self.placed(x), batch)
        logits = self.score(y)
        weights = (logits - logits.amax(1, keepdim=True)).exp()
        sums = (weights * x).cumsum(1)  # unit length makes the sum of the weights cancel
        return functional.normalize(at_places(sums, batch), dim=-1)

    def scores(self, states: Tensor) -> Tensor:
        """Return cosines over the temperature."""
        table = functional.normalize(self.item_dropout(self.item_embedding), dim=-1)
        return states @ table.T / self.temperature
