"""What all models of the other side share: batches, the loss, weights that come from ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional


@dataclass
class Batch:
    """Histories padded to the longest, and the places whose states are wanted.

    Attributes
    ----------
    items : Tensor of shape (rows, width)
        Items; the padding is item 0, or the model's ``padding``.
    lengths : Tensor of shape (rows,)
    places : Tensor of shape (n,)
        Indices into the rows and columns, flattened, of the states that are wanted.
    targets : Tensor of shape (n,)
        The item that each of them should predict.
    """

    items: Tensor
    lengths: Tensor
    places: Tensor
    targets: Tensor

    @property
    def real(self) -> Tensor:
        """Which places hold an item, shape ``(rows, width)``, for histories padded at the end."""
        return torch.arange(self.items.shape[1]) < self.lengths[:, None]


class Peer(nn.Module):
    """A model that turns places of histories into states, and states into scores of all items.

    Attributes
    ----------
    samples : {"positions", "prefixes", "cloze"}
        What it trains on: every position of a history, the last one of each prefix, or masked
        ones.
    padded_first : bool
        Whether histories stand at the end of a row of ``max_length`` places.
    padding : int
        The item of the places that hold none.
    """

    samples: ClassVar[str] = "positions"
    padded_first: ClassVar[bool] = False
    padding: int = 0
    item_embedding: nn.Parameter

    def __init__(self, items: int, dim: int, max_length: int, dropout: float) -> None:
        super().__init__()
        self.items, self.dim, self.max_length = items, dim, max_length
        self.dropout = nn.Dropout(dropout)
        self.item_embedding = nn.Parameter(torch.empty(items, dim))

    def initialize(self, std: float = 0.02, but: tuple[str, ...] = ()) -> None:
        """Draw matrices from a normal distribution; biases start at 0 and gains at 1.

        Parameters whose names begin with one of ``but`` stay as PyTorch drew them: uniform within
        one over the root of the inputs.
        """
        for name, weight in self.named_parameters():
            if name.startswith(but):
                continue
            if weight.dim() > 1:
                nn.init.normal_(weight, std=std)
            elif "norm" in name and name.endswith("weight"):
                nn.init.ones_(weight)
            else:
                nn.init.zeros_(weight)

    def states(self, batch: Batch) -> Tensor:
        """Return the states at ``batch.places``, shape ``(n, dim)``."""
        raise NotImplementedError

    def scores(self, states: Tensor) -> Tensor:
        """Return the scores of all items, shape ``(n, items)``."""
        return states @ self.item_embedding.T

    def forward(self, batch: Batch) -> Tensor:
        """Return the mean loss over the places of a batch."""
        return functional.cross_entropy(self.scores(self.states(batch)), batch.targets)

    def embedded(self, batch: Batch) -> Tensor:
        """Return the embeddings of the items, shape ``(rows, width, dim)``."""
        return functional.embedding(batch.items, self.item_embedding)

    def translated(self, name: str, values: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Return one of our parameters under the names, and in the shapes, of this model."""
        return {name: values}

    def take(self, parameters: Mapping[str, NDArray[Any]]) -> None:
        """Take over the weights of our model."""
        weights: dict[str, Tensor] = {}
        for name, values in parameters.items():
            for own, array in self.translated(name, np.asarray(values)).items():
                weights[own] = torch.from_numpy(np.ascontiguousarray(array))
        self.load_state_dict(weights)


def at_places(x: Tensor, batch: Batch) -> Tensor:
    """Return the rows of ``x``, shape ``(rows, width, dim)``, at the places of a batch."""
    return x.flatten(0, 1).index_select(0, batch.places)
