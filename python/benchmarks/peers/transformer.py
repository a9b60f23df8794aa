"""Post-norm transformer blocks with softmax or linear attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from peers.base import Batch, Peer

CHUNK = 64  # positions of causal linear attention that see each other through a matrix


class Attention(nn.Module):
    """Multi-head self-attention.

    Parameters
    ----------
    dim, heads : int
    kind : {"softmax", "both", "linear", "linear_causal"}
        Softmax over what came before, or over all real places; or LinRec's attention, over all
        real places or over what came before.
    """

    def __init__(self, dim: int, heads: int, kind: str) -> None:
        super().__init__()
        self.heads, self.kind = heads, kind
        self.qkv = nn.Linear(dim, 3 * dim)
        self.output = nn.Linear(dim, dim)

    def forward(self, x: Tensor, batch: Batch) -> Tensor:
        """Return the outputs, shape ``(rows, width, dim)``."""
        rows, width, dim = x.shape
        qkv = self.qkv(x).view(rows, width, 3, self.heads, dim // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each [rows, heads, width, dim of a head]
        if self.kind == "softmax":
            y = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        elif self.kind == "both":
            mask = batch.real[:, None, None, :]
            y = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        elif self.kind == "linear":
            key = unit(functional.elu(key)) * batch.real[:, None, :, None]
            y = scaled(unit(functional.elu(query)) @ (key.mT @ value))
        else:
            y = causal_linear(unit(functional.elu(query)), unit(functional.elu(key)), value)
        return self.output(y.transpose(1, 2).reshape(rows, width, dim))


def unit(x: Tensor) -> Tensor:
    """Return the rows at unit length."""
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + 1e-12)


def scaled(x: Tensor) -> Tensor:
    """Return ``x`` over the root of a head's dimension."""
    return x * x.shape[-1] ** -0.5


def causal_linear(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return linear attention to what came before, chunk by chunk.

    Within a chunk positions see each other through a triangle of products; the chunks before
    come as one running sum of ``key value^T``.
    """
    rows, heads, width, dim = query.shape
    size = min(CHUNK, width)
    short = -width % size
    if short:
        query, key, value = (functional.pad(x, (0, 0, 0, short)) for x in (query, key, value))
    parts = [x.view(rows, heads, -1, size, dim) for x in (query, key, value)]
    query, key, value = parts
    y = (query @ key.mT).tril() @ value
    if query.shape[2] > 1:
        sums = (key.mT @ value).cumsum(2)
        before = functional.pad(sums[:, :, :-1], (0, 0, 0, 0, 1, 0))
        y = y + query @ before
    return scaled(y.view(rows, heads, -1, dim)[:, :, :width])


class FeedForward(nn.Module):
    """Two linear maps with a GELU between."""

    def __init__(self, dim: int, inner_dim: int, dropout: float) -> None:
        super().__init__()
        self.expand = nn.Linear(dim, inner_dim)
        self.contract = nn.Linear(inner_dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, of the shape of ``x``."""
        return self.contract(self.dropout(functional.gelu(self.expand(x))))


class Block(nn.Module):
    """Attention and a feed-forward step, each with a residual and a norm behind it."""

    def __init__(
        self,
        dim: int,
        inner_dim: int,
        heads: int,
        kind: str,
        dropout: float,
        inner_dropout: float,
        norm_epsilon: float,
    ) -> None:
        super().__init__()
        self.attention = Attention(dim, heads, kind)
        self.attention_norm = nn.LayerNorm(dim, norm_epsilon)
        self.feed_forward = FeedForward(dim, inner_dim, inner_dropout)
        self.feed_forward_norm = nn.LayerNorm(dim, norm_epsilon)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, batch: Batch) -> Tensor:
        """Return the outputs, of the shape of ``x``."""
        x = self.attention_norm(x + self.dropout(self.attention(x, batch)))
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))


class TransformerPeer(Peer):
    """A model with blocks on top of item and position embeddings."""

    def __init__(
        self,
        items: int,
        *,
        dim: int = 64,
        inner_dim: int = 256,
        blocks: int = 2,
        heads: int = 2,
        max_length: int = 50,
        dropout: float = 0.5,
        inner_dropout: float = 0.0,
        norm_epsilon: float = 1e-12,
        attention: str = "softmax",
    ) -> None:
        super().__init__(items, dim, max_length, dropout)
        self.position_embedding = nn.Parameter(torch.empty(max_length, dim))
        self.embedding_norm = nn.LayerNorm(dim, norm_epsilon)
        self._sizes = (dim, inner_dim, heads, attention, dropout, inner_dropout, norm_epsilon)
        self.blocks = self.stack(blocks)

    def stack(self, count: int) -> nn.ModuleList:
        """Return new blocks of the model's sizes."""
        return nn.ModuleList(Block(*self._sizes) for _ in range(count))

    def placed(self, x: Tensor) -> Tensor:
        """Return ``x`` with positions, through norm and dropout."""
        return self.dropout(self.embedding_norm(x + self.position_embedding[: x.shape[1]]))

    @staticmethod
    def through(blocks: nn.ModuleList, x: Tensor, batch: Batch) -> Tensor:
        """Return ``x`` after some blocks."""
        for block in blocks:
            x = block(x, batch)
        return x
