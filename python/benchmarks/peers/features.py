"""Embeddings of what is known about the items: lists of categories, and vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Categories:
    """Some of ``count`` values for each item, in compressed-sparse-row form."""

    values: NDArray[Any]
    offsets: NDArray[Any]
    count: int


class CategoryEmbedding(nn.Module):
    """The sum or the mean of the embeddings of an item's values; zeros for none."""

    def __init__(self, categories: Categories, dim: int, pooling: str) -> None:
        super().__init__()
        self.pooling = pooling
        self.embedding = nn.Parameter(torch.empty(categories.count + 1, dim))  # the last pads
        lengths = np.diff(categories.offsets)
        padded = np.full((len(lengths), lengths.max()), categories.count)
        padded[np.arange(lengths.max()) < lengths[:, None]] = categories.values
        self.register_buffer("padded", torch.from_numpy(padded), persistent=False)

    def forward(self, items: Tensor) -> Tensor:
        """Return the embeddings of items of any shape, with a last axis of ``dim``."""
        values = self.padded[items.flatten()]
        x = functional.embedding_bag(
            values, self.embedding, mode=self.pooling, padding_idx=len(self.embedding) - 1
        )
        return x.view(*items.shape, -1)


class VectorMap(nn.Module):
    """A linear map of fixed vectors."""

    def __init__(self, vectors: NDArray[Any], dim: int) -> None:
        super().__init__()
        self.map = nn.Linear(vectors.shape[1], dim)
        self.register_buffer("vectors", torch.from_numpy(vectors), persistent=False)

    def forward(self, items: Tensor) -> Tensor:
        """Return the mapped vectors of items of any shape, with a last axis of ``dim``."""
        return self.map(functional.embedding(items, self.vectors))


Features = Sequence[Categories | NDArray[Any]]


def modules(features: Features, dim: int, pooling: str) -> nn.ModuleList:
    """Return a module for each feature."""
    return nn.ModuleList(
        CategoryEmbedding(feature, dim, pooling)
        if isinstance(feature, Categories)
        else VectorMap(feature, dim)
        for feature in features
    )


def with_padding_row(name: str, values: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return a table of categories with the row of zeros that pads, others as they are."""
    if name.startswith("features.") and name.endswith(".embedding"):
        return {name: np.concatenate([values, np.zeros((1, values.shape[1]), values.dtype)])}
    return {name: values}
