"""GRU4Rec in RecBole's form.

Hidasi et al., "Session-based Recommendations with Recurrent Neural Networks", ICLR 2016; Tan et
al., "Improved Recurrent Neural Networks for Session-based Recommendations", DLRS 2016.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from peers.base import Batch, Peer, at_places


class GRU4Rec(Peer):
    """Item embeddings through ``nn.GRU`` without biases, and back to their dimension."""

    def __init__(
        self,
        items: int,
        *,
        dim: int = 64,
        hidden_dim: int = 128,
        layers: int = 1,
        max_length: int = 50,
        dropout: float = 0.3,
    ) -> None:
        super().__init__(items, dim, max_length, dropout)
        self.gru = nn.GRU(dim, hidden_dim, layers, bias=False, batch_first=True)
        self.map = nn.Linear(hidden_dim, dim)
        self.initialize()
        for weight in (*self.gru.parameters(), self.map.weight):
            nn.init.xavier_uniform_(weight)

    def states(self, batch: Batch) -> Tensor:
        """Return the states at the places of a batch."""
        x = self.dropout(self.embedded(batch))
        packed = pack_padded_sequence(x, batch.lengths, batch_first=True, enforce_sorted=False)
        y, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=x.shape[1])
        return self.map(at_places(y, batch))

    def translated(self, name: str, values: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Return one of our parameters under the names of this model."""
        if name.startswith("layers."):
            _, layer, part, _ = name.split(".")
            return {f"gru.weight_{'ih' if part == 'input' else 'hh'}_l{layer}": values}
        return {name: values}
