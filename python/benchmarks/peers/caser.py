"""Caser: convolutions over the image that the last items make.

Tang and Wang, "Personalized Top-N Sequential Recommendation via Convolutional Sequence Embedding",
WSDM 2018. Every position of a history is the end of an image. The images overlap, so the horizontal
filters run over the whole history once, and each image takes the largest of its windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from peers.base import Batch, Peer, at_places


class Caser(Peer):
    """The authors' form, without embeddings of users."""

    def __init__(
        self,
        items: int,
        *,
        dim: int = 50,
        window: int = 5,
        horizontal_filters: int = 16,
        vertical_filters: int = 4,
        dropout: float = 0.5,
        max_length: int = 50,
    ) -> None:
        super().__init__(items, dim, max_length, dropout)
        self.window = window
        heights = range(1, window + 1)
        self.horizontal = nn.ModuleList(nn.Conv1d(dim, horizontal_filters, h) for h in heights)
        self.vertical = nn.Linear(window, vertical_filters)
        self.map = nn.Linear(vertical_filters * dim + window * horizontal_filters, dim)
        self.output_embedding = nn.Parameter(torch.empty(items, dim))
        self.output_bias = nn.Parameter(torch.empty(items))
        self.initialize(but=("horizontal.", "vertical.", "map."))

    def states(self, batch: Batch) -> Tensor:
        """Return the states at the places of a batch."""
        x = functional.pad(self.embedded(batch).mT, (self.window - 1, 0))  # [rows, dim, places]
        images = x.unfold(2, self.window, 1)  # [rows, dim, width, window]
        vertical = self.vertical(images).permute(0, 2, 3, 1).flatten(2)
        parts = [vertical]
        for height, convolution in enumerate(self.horizontal, 1):
            windows = functional.relu(convolution(x))
            best = functional.max_pool1d(windows, self.window - height + 1, stride=1)
            parts.append(best.mT)
        found = at_places(torch.cat(parts, dim=-1), batch)
        return functional.relu(self.map(self.dropout(found)))

    def scores(self, states: Tensor) -> Tensor:
        """Return the scores of all items."""
        return torch.addmm(self.output_bias, states, self.output_embedding.T)

    def translated(self, name: str, values: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Return one of our parameters in the shapes of this model; our columns go by tap."""
        if name.startswith("horizontal.") and name.endswith("weight"):
            return {name: values.reshape(len(values), -1, self.dim).transpose(0, 2, 1)}
        return {name: values}
