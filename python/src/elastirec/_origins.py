"""Where weights come from: the streams of which other models go on with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from elastirec._rows import Int32

if TYPE_CHECKING:
    from elastirec._network import Network

_DIGITS = 4096


@dataclass(frozen=True, eq=False)
class Origin:
    """A network that another one was made of, which can go on with its streams.

    Attributes
    ----------
    weights : str
        The fingerprint of that network.
    size : int
        How many numbers one of its streams has.
    places : ndarray of shape (stream size,), int32
        Which of them a stream here has.
    items : ndarray of shape (n_items of that network,), int32, or None
        The numbers of its items here; None where they are the same.
    """

    weights: str
    size: int
    places: Int32
    items: Int32 | None = None

    def through(self, later: Origin) -> Origin:
        """Return this origin of a network as that of one made of the network by ``later``."""
        items = later.items
        if self.items is not None:
            items = self.items if later.items is None else later.items[self.items]
        return Origin(self.weights, self.size, self.places[later.places], items)


def origins_of(small: Network, size: int, whole: Network, fingerprint: str) -> tuple[Origin, ...]:
    """Return the origins of the network of a trained size, which was cut out of a whole one."""
    numbers, kept = whole.stream_size(), small.stream_size()
    if numbers is None or kept is None:
        return ()
    # Streams that hold their own places tell which of them stay; a float is exact for half a place.
    halves = np.array(np.divmod(np.arange(numbers), _DIGITS), dtype=np.float32)
    high, low = whole.slice_streams(halves, size, kept).astype(np.int32)
    last = Origin(fingerprint, numbers, high * _DIGITS + low)
    return (last, *(origin.through(last) for origin in whole.origins))
