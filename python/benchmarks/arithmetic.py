"""Multiply-adds of matrix products in the forward pass of one sample, by model.

Every function takes the tokens of a sample and the sizes of the model. The scores of the items,
which all models have in common, do not count here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

Sizes = Mapping[str, Any]
Macs = Callable[[int, Sizes], float]


def state_width(sizes: Sizes) -> int:
    """Return how many numbers of a state meet an item's row."""
    return int(sizes.get("hidden", (sizes["dim"],))[-1])


def transformer(tokens: int, sizes: Sizes) -> float:
    """Blocks with four maps, a feed-forward step, and attention of any kind."""
    dim, inner, head = sizes["dim"], sizes["inner_dim"], sizes["dim"] // sizes["heads"]
    maps = tokens * dim * (4 * dim + 2 * inner)
    kind = sizes.get("attention", "softmax")
    pairs = tokens * (tokens + 1) / 2
    attention = 2 * dim * pairs if kind == "softmax" else 2 * dim * head * tokens
    return float(sizes["blocks"] * (maps + attention))


def sasrecf(tokens: int, sizes: Sizes) -> float:
    """A transformer on the map of an item with its categories and its vector."""
    dim = sizes["dim"]
    return transformer(tokens, sizes) + tokens * (384 * dim + 3 * dim * dim)


def fdsa(tokens: int, sizes: Sizes) -> float:
    """Two transformers, the weights of two features, and the join."""
    dim = sizes["dim"]
    return 2 * transformer(tokens, sizes) + tokens * (384 * dim + 2 * dim * dim + 2 * dim * dim)


def nextitnet(tokens: int, sizes: Sizes) -> float:
    """Two convolutions a block."""
    dim, blocks = sizes["dim"], len(sizes["dilations"])
    return float(tokens * blocks * 2 * sizes["kernel"] * dim * dim)


def gru4rec(tokens: int, sizes: Sizes) -> float:
    """Three gates of input and state, and the map back."""
    dim, hidden = sizes["dim"], sizes["hidden_dim"]
    first = 3 * hidden * (dim + hidden)
    later = (sizes["layers"] - 1) * 6 * hidden * hidden
    return float(tokens * (first + later + hidden * dim))


def caser(tokens: int, sizes: Sizes) -> float:
    """Filters of all heights once a token, the vertical ones, and the map."""
    dim, window, filters = sizes["dim"], sizes["window"], sizes["horizontal_filters"]
    horizontal = filters * dim * window * (window + 1) // 2
    vertical = sizes["vertical_filters"] * dim * window
    joined = dim * (sizes["vertical_filters"] * dim + filters * window)
    return float(tokens * (horizontal + vertical + joined))


def nfm(tokens: int, sizes: Sizes) -> float:
    """The hidden layers."""
    widths = [sizes["dim"], *sizes["hidden"]]
    return float(tokens * sum(a * b for a, b in pairwise(widths)))


def mixer(tokens: int, sizes: Sizes) -> float:
    """Both mixes of all places; of the last layer only the last place is read."""
    dim, length = sizes["dim"], sizes["max_length"]
    whole = 2 * length * dim * (sizes["token_dim"] + sizes["channel_dim"])
    last = dim * sizes["token_dim"] * (length + 1) + 2 * dim * sizes["channel_dim"]
    return float((sizes["layers"] - 1) * whole + last)


def lrurec(tokens: int, sizes: Sizes) -> float:
    """Maps into and out of the complex state, and the feed-forward step."""
    dim, inner, state = sizes["dim"], sizes["inner_dim"], sizes["state_dim"]
    return float(tokens * sizes["blocks"] * (4 * dim * state + 2 * dim * inner))


def fmrlrec(tokens: int, sizes: Sizes) -> float:
    """Maps into and out of the complex state, and three of the feed-forward step, all nested."""
    square = sum(size * (size - before) for before, size in pairwise([0, *sizes["sizes"]]))
    return float(tokens * sizes["blocks"] * 7 * square)
