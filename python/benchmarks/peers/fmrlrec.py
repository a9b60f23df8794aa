"""fMRLRec: linear recurrences whose first channels are smaller models, over vectors of items.

Wang et al., "Train Once, Deploy Anywhere: Matryoshka Representation Learning for Multimodal
Recommendation", Findings of EMNLP 2024. Histories stand at the end of a row of a power of two
places, all of which go through the blocks, as in the authors' code; so do the scores of all sizes,
which are one tensor for one loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from peers.base import Batch, Peer, at_places
from peers.lrurec import Recurrence, draw_on_ring


class NestedLinear(nn.Module):
    """A linear map for each level, from the channels up to its own to its own.

    Rows have some planes side by side, each with a multiple of the channels.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        inputs: int = 1,
        outputs: int = 1,
        planes_in: int = 1,
        planes_out: int = 1,
    ) -> None:
        super().__init__()
        self.widths = [inputs * size for size in sizes]
        self.planes_in, self.planes_out = planes_in, planes_out
        self.levels = nn.ModuleList(
            nn.Linear(planes_in * inputs * size, planes_out * outputs * (size - before))
            for before, size in pairwise([0, *sizes])
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of all levels, of the shape of ``x`` but for the last axis."""
        planes = x.flatten(0, -2).unflatten(-1, (self.planes_in, -1))
        parts = [
            level(planes[..., :width].flatten(1)).unflatten(-1, (self.planes_out, -1))
            for level, width in zip(self.levels, self.widths, strict=True)
        ]
        return torch.cat(parts, dim=-1).view(*x.shape[:-1], -1)


class NestedNorm(nn.Module):
    """A layer norm for the channels of each level."""

    def __init__(self, sizes: Sequence[int], epsilon: float) -> None:
        super().__init__()
        self.widths = [size - before for before, size in pairwise([0, *sizes])]
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(sizes[-1]))
        self.bias = nn.Parameter(torch.zeros(sizes[-1]))

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, of the shape of ``x``."""
        parts = (part.split(self.widths, dim=-1) for part in (x, self.weight, self.bias))
        norms = [
            functional.layer_norm(part, weight.shape, weight, bias, self.epsilon)
            for part, weight, bias in zip(*parts, strict=True)
        ]
        return torch.cat(norms, dim=-1)


class NestedRecurrence(Recurrence):
    """The recurrence with nested maps; ``input`` begins without imaginary parts."""

    def __init__(self, sizes: Sequence[int], factor: int) -> None:
        super().__init__(sizes[-1], factor * sizes[-1])
        self.input = NestedLinear(sizes, outputs=factor, planes_out=2)
        self.output = NestedLinear(sizes, inputs=factor, planes_in=2)
        with torch.no_grad():
            for level in self.input.levels:
                for weight in level.parameters():
                    weight[len(weight) // 2 :] = 0
            for level in self.output.levels:
                level.weight[:, level.in_features // 2 :] = 0


class GatedFeedForward(nn.Module):
    """Two nested maps, one of which gates the other, and a third."""

    def __init__(self, sizes: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.gate, self.value, self.output = (NestedLinear(sizes) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, of the shape of ``x``."""
        return self.output(functional.silu(self.gate(x)) * self.dropout(self.value(x)))


class Block(nn.Module):
    """Recurrence and feed-forward step, each on the norm of its input, with residuals."""

    def __init__(
        self,
        sizes: Sequence[int],
        factor: int,
        dropout: float,
        recurrence_dropout: float,
        norm_epsilon: float,
    ) -> None:
        super().__init__()
        self.recurrence_norm = NestedNorm(sizes, norm_epsilon)
        self.recurrence = NestedRecurrence(sizes, factor)
        self.feed_forward_norm = NestedNorm(sizes, norm_epsilon)
        self.feed_forward = GatedFeedForward(sizes, dropout)
        self.dropout = nn.Dropout(dropout)
        self.recurrence_dropout = nn.Dropout(recurrence_dropout)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """Return the outputs, of the shape of ``x``; ``real`` places hand their state on."""
        x = x + self.recurrence_dropout(self.recurrence(self.recurrence_norm(x), real))
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))


class ItemVectors(nn.Module):
    """A linear map of fixed vectors, with zeros for the padding behind the last item."""

    def __init__(self, vectors: NDArray[Any], dim: int, bound: float) -> None:
        super().__init__()
        self.map = nn.Linear(vectors.shape[1], dim, bias=False)
        nn.init.uniform_(self.map.weight, -bound, bound)
        padded = torch.from_numpy(np.pad(vectors, ((0, 1), (0, 0))))
        self.register_buffer("vectors", padded, persistent=False)

    def forward(self) -> Tensor:
        """Return the mapped vectors of all items and the padding, [items + 1, dim]."""
        return self.map(self.vectors)


class FMRLRec(Peer):
    """Blocks of nested maps on what vectors say of items, on embeddings of theirs, or on both.

    With ``every_place`` the loss scores all places of a row and ignores those without a target, as
    the authors' code does; else it scores the others alone.
    """

    padded_first = True
    projection_bias: nn.Parameter | None

    def __init__(
        self,
        items: int,
        features: Sequence[NDArray[Any]] = (),
        *,
        sizes: Sequence[int],
        ids: bool | None = None,
        blocks: int = 2,
        state_factor: int = 1,
        max_length: int = 50,
        dropout: float = 0.5,
        recurrence_dropout: float = 0.5,
        norm_epsilon: float = 1e-5,
        ring_min: float = 0.0,
        ring_max: float = 0.1,
        max_phase: float = 2 * np.pi,
        initial_std: float = 0.02,
        pad_class: bool = True,
        size_weights: Sequence[float] | None = None,
        every_place: bool = False,
    ) -> None:
        dim = sizes[-1]
        super().__init__(items + 1, dim, max_length, dropout)
        self.items, self.sizes, self.padding = items, tuple(sizes), items
        self.pad_class, self.size_weights = pad_class, size_weights
        self.every_place = every_place
        self.has_ids = not features if ids is None else ids
        if self.has_ids:
            nn.init.normal_(self.item_embedding, std=initial_std)
        else:
            del self.item_embedding
        bound = sum(vectors.shape[1] for vectors in features) ** -0.5 if features else 0.0
        self.features = nn.ModuleList(ItemVectors(vectors, dim, bound) for vectors in features)
        self.projection_bias = None
        if features:
            self.projection_bias = nn.Parameter(torch.empty(dim).uniform_(-bound, bound))
        self.blocks = nn.ModuleList(
            Block(sizes, state_factor, dropout, recurrence_dropout, norm_epsilon)
            for _ in range(blocks)
        )
        for block in self.blocks:
            draw_on_ring(block.recurrence, ring_min, ring_max, max_phase)

    def table(self) -> Tensor:
        """Return the rows of all items and of the padding, which is the last."""
        parts = [feature() for feature in self.features]
        if self.projection_bias is not None:
            parts[0] = parts[0] + self.projection_bias
        if self.has_ids:
            parts.append(self.item_embedding)
        return torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]

    def encoded(self, items: Tensor, table: Tensor) -> Tensor:
        """Return the states at all places, [rows, width, dim]."""
        width = items.shape[1]
        before = 2 ** max(1, (width - 1).bit_length()) - width
        x = functional.pad(self.dropout(functional.embedding(items, table)), (0, 0, before, 0))
        real = functional.pad(items != self.padding, (before, 0))
        for block in self.blocks:
            x = block(x, real)
        return x[:, before:]

    def states(self, batch: Batch) -> Tensor:
        """Return the states at the places of a batch."""
        return at_places(self.encoded(batch.items, self.table()), batch)

    def scores(self, states: Tensor) -> Tensor:
        """Return the scores of all items at the largest size."""
        return states @ self.table()[: self.items].T

    def scores_by_size(self, states: Tensor, table: Tensor) -> Iterator[Tensor]:
        """Yield the scores of the rows of a table at each size."""
        for size in self.sizes:
            yield states[..., :size] @ table[:, :size].T

    def forward(self, batch: Batch) -> Tensor:
        """Return the mean over the sizes of the mean loss, or their weighted sum."""
        table = self.table()
        x, targets = self.encoded(batch.items, table), batch.targets
        if self.every_place:
            states = x.flatten(0, 1)
            targets = targets.new_full((len(states),), -100)
            targets[batch.places] = batch.targets
        else:
            states = at_places(x, batch)
        classes = table if self.pad_class else table[: self.items]
        scores = torch.cat(list(self.scores_by_size(states, classes)))
        targets = targets.repeat(len(self.sizes))
        if self.size_weights is None:
            return functional.cross_entropy(scores, targets)
        losses = functional.cross_entropy(scores, targets, reduction="none")
        weights = losses.new_tensor(self.size_weights)
        return weights @ losses.view(len(self.sizes), -1).sum(1) / len(batch.targets)
