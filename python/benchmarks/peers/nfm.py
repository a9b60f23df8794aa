"""NFM: pairs of items of a history, added up, through a small network.

He and Chua, "Neural Factorization Machines for Sparse Predictive Analytics", SIGIR 2017, as a
ranker of next items: the bag of what came before predicts what comes next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from peers.base import Batch, Peer, at_places


class NFM(Peer):
    """Bi-interaction, batch norm, hidden layers, and an output table of its own."""

    def __init__(
        self,
        items: int,
        *,
        dim: int = 64,
        hidden: Sequence[int] = (64,),
        dropout: float = 0.5,
        hidden_dropout: float = 0.2,
        max_length: int = 50,
    ) -> None:
        super().__init__(items, dim, max_length, dropout)
        widths = [dim, *hidden]
        self.input_norm = nn.BatchNorm1d(dim)
        self.hidden = nn.ModuleList(map(nn.Linear, widths, widths[1:]))
        self.hidden_norms = nn.ModuleList(map(nn.BatchNorm1d, hidden))
        self.hidden_dropout = nn.Dropout(hidden_dropout)
        self.output_embedding = nn.Parameter(torch.empty(items, widths[-1]))
        self.output_bias = nn.Parameter(torch.empty(items))
        self.initialize()
        for hidden in self.hidden:
            nn.init.xavier_uniform_(hidden.weight)

    def states(self, batch: Batch) -> Tensor:
        """Return the states at the places of a batch."""
        x = self.embedded(batch)
        pairs = at_places((x.cumsum(1).square() - x.square().cumsum(1)) / 2, batch)
        y = self.dropout(self.input_norm(pairs))
        for hidden, norm in zip(self.hidden, self.hidden_norms, strict=True):
            y = self.hidden_dropout(functional.relu(norm(hidden(y))))
        return y

    def scores(self, states: Tensor) -> Tensor:
        """Return the scores of all items."""
        return torch.addmm(self.output_bias, states, self.output_embedding.T)

    def take(self, parameters: Any) -> None:
        """Take over the weights of our model, with the means and variances of its norms."""
        renamed = {
            name.replace(".mean", ".running_mean").replace(".variance", ".running_var"): values
            for name, values in parameters.items()
        }
        counts = {
            name: value.numpy() for name, value in self.state_dict().items() if "num_" in name
        }
        super().take({**renamed, **counts})
