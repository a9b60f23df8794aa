"""LinRec: SASRec with linear attention.

Liu et al., "LinRec: Linear Attention Mechanism for Long-term Sequential Recommender Systems", SIGIR
2023. The published form looks both ways inside a history, so each prefix trains its last position;
the causal one trains all positions.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from peers.base import Batch, at_places
from peers.transformer import TransformerPeer


class LinRec(TransformerPeer):
    """SASRec in RecBole's form (post-norm) with any kind of attention."""

    def __init__(self, items: int, *, attention: str = "linear", **options: Any) -> None:
        super().__init__(items, attention=attention, **options)
        self.samples = "prefixes" if attention == "linear" else "positions"  # type: ignore[misc]
        self.initialize()

    def states(self, batch: Batch) -> Tensor:
        """Return the states at the places of a batch."""
        x = self.through(self.blocks, self.placed(self.embedded(batch)), batch)
        return at_places(x, batch)
