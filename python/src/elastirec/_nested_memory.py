"""How many numbers models of several sizes take, nested or one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from elastirec._frames import Columns


@dataclass(frozen=True)
class Maps:
    """What a network of blocks is made of, for a width s.

    Attributes
    ----------
    blocks : int
    planes : sequence of tuple of two ints
        Outputs and inputs of each linear map of a block, in units of s; biases go with outputs.
    vectors : int
        Weights of a block besides, in units of s.
    """

    blocks: int
    planes: Sequence[tuple[int, int]]
    vectors: int = 0


def count(maps: Maps, sizes: Sequence[int], tokens: int) -> Columns:
    """Return the columns of a `MemoryReport`."""
    widths = np.array(sizes, dtype=np.int64)
    products = maps.blocks * sum(outputs * inputs for outputs, inputs in maps.planes)
    outputs = maps.blocks * sum(outputs for outputs, _ in maps.planes)
    vectors = widths * (outputs + maps.blocks * maps.vectors)
    chunks = np.diff(widths, prepend=0)
    dense = products * widths**2 + vectors
    independent = np.cumsum(dense)
    activations = tokens * outputs * widths
    # Of each size s up to S with s / S of the tokens.
    growing = tokens * outputs * np.cumsum(widths**2) / widths
    return {
        "size": widths,
        "dense": dense,
        "nested": products * np.cumsum(chunks * widths) + vectors,
        "independent": independent,
        "saving": (independent - dense) / dense,
        "activations": activations,
        "activations_independent": np.cumsum(activations),
        "activations_paper": growing,
    }
