"""What is known about items besides who chose them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elastirec._frames import read_columns
from elastirec._ids import IdMap, number_ids
from elastirec.errors import DataError


class ItemFeatures:
    """Categories and vectors of items, one row an item.

    Parameters
    ----------
    frame : frame, mapping of arrays, or path
        As in `Interactions`.
    item : str, default="item"
        The column of item ids; each id stands in one row.
    categorical : sequence of str, default=()
        Columns to keep as categories; a value may be missing.
    vectors : mapping of str to array of shape (rows, width), default=None
        Named vectors, one row for each row of the frame, finite.

    Attributes
    ----------
    items_ : ndarray of shape (n_items,)
        Item ids, sorted.
    categorical : dict of ndarray of shape (n_items,)
        Values in the order of ``items_``.
    vectors : dict of ndarray of shape (n_items, width), float32
        Vectors in the order of ``items_``.

    Raises
    ------
    DataError
        If an item stands in two rows, a column is missing, or a vector has a wrong shape or is
        not finite.

    Examples
    --------
    >>> table = {"item": [20, 10], "genre": ["comedy", "drama"]}
    >>> features = ItemFeatures(table, categorical=["genre"], vectors={"text": np.eye(2)})
    >>> features.items_.tolist(), features.categorical["genre"].tolist()
    ([10, 20], ['drama', 'comedy'])
    """

    def __init__(
        self,
        frame: Any,
        *,
        item: str = "item",
        categorical: Sequence[str] = (),
        vectors: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(categorical, str):
            categorical = [categorical]
        columns, _ = read_columns(frame, [item, *categorical])
        self._ids, numbers = number_ids(columns[item], item)
        counts = np.bincount(numbers)
        if counts.max() > 1:
            twice = self._ids.values[int(np.argmax(counts))]
            raise DataError(f"column {item!r} holds {twice!r} in {counts.max()} rows; one each")
        order = np.argsort(numbers)
        self.items_: NDArray[Any] = self._ids.values
        self.categorical = {name: columns[name][order] for name in categorical}
        self.vectors = {
            name: _vectors(name, values, len(order))[order]
            for name, values in (vectors or {}).items()
        }

    def __len__(self) -> int:
        return len(self.items_)

    def __repr__(self) -> str:
        widths = ", ".join(f"{name} [{v.shape[1]}]" for name, v in self.vectors.items())
        categories = ", ".join(self.categorical)
        return f"ItemFeatures({len(self)} items; categorical: {categories}; vectors: {widths})"

    def check(self, items: IdMap) -> None:
        """Raise a DataError if no item of a log has features, which means other ids."""
        if (items.index(self.items_) < 0).all():
            shown = f"{items.values[:1].tolist()[0]!r} and {self.items_[:1].tolist()[0]!r}"
            raise DataError(f"no item of the log has features; compare the ids {shown}")


def _vectors(name: str, values: Any, rows: int) -> NDArray[np.float32]:
    try:
        array = np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError):
        raise DataError(f"vectors {name!r} must be an array of numbers") from None
    if array.ndim != 2 or len(array) != rows or array.shape[1] == 0:
        raise DataError(f"vectors {name!r} must have shape ({rows}, width), got {array.shape}")
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise DataError(f"vectors {name!r}, row {row} (the first is 0) hold NaN or infinity")
    return array
