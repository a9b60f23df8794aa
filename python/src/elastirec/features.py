"""What is known about items besides who chose them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from elastirec._features import Feature, Vectors, read_categories
from elastirec._frames import read_columns
from elastirec._ids import IdMap, number_ids, shown, unmasked
from elastirec._params import nearest
from elastirec.errors import ConfigError, DataError, FeatureWarning, warn

if TYPE_CHECKING:
    from elastirec.interactions import Interactions


class ItemFeatures:
    """Categories and vectors of items, one row an item.

    Parameters
    ----------
    frame : frame, mapping of arrays, or path
        As in `Interactions`.
    item : str, default="item"
        The column of item ids; each id stands in one row.
    categorical : sequence of str, default=()
        Columns of categories: strings, integers or booleans. A cell holds one value, a list of
        values, or none (None, NaN, an empty string or list).
    separator : str, default=None
        What stands between several values of a string, such as "|" in "Comedy|Drama".
    vectors : mapping of str to array of shape (rows, width), default=None
        Named vectors, one row for each row of the frame, finite.

    Attributes
    ----------
    items_ : ndarray of shape (n_items,)
        Item ids, sorted.
    names : list of str
        Of the features: first those of ``categorical``, then those of ``vectors``.
    categorical : dict of ndarray of shape (n_items,)
        Cells in the order of ``items_``.
    vectors : dict of ndarray of shape (n_items, width), float32
        Vectors in the order of ``items_``.

    Raises
    ------
    DataError
        If an item stands in two rows, a column is missing, a value is no category, or a vector has
        a wrong shape or is not finite; the message names the column and the row.

    Examples
    --------
    >>> table = {"item": [20, 10], "genre": ["comedy", "comedy|drama"]}
    >>> text = {"text": np.eye(2)}
    >>> ItemFeatures(table, categorical=["genre"], separator="|", vectors=text)
    ItemFeatures(2 items; genre: 2 categories; text: vectors of 2)
    """

    def __init__(
        self,
        frame: Any,
        *,
        item: str = "item",
        categorical: Sequence[str] = (),
        separator: str | None = None,
        vectors: Mapping[str, Any] | None = None,
    ) -> None:
        categorical = _columns(categorical)
        if separator is not None and (not isinstance(separator, str) or not separator):
            raise ConfigError(f"separator must be a string or None, got {separator!r}")
        vectors = _by_name(vectors)
        self.names = [*categorical, *vectors]
        twice = {name for name in self.names if self.names.count(name) > 1}
        if twice:
            raise DataError(f"two features are called {min(twice)!r}; give each a name of its own")
        columns, _ = read_columns(frame, [item, *categorical])
        self._ids, numbers = number_ids(columns[item], item)
        _expect_each_once(self._ids, numbers, item)
        order = np.argsort(numbers)
        self.items_: NDArray[Any] = self._ids.values
        self.categorical = {name: columns[name][order] for name in categorical}
        self.vectors = {
            name: _vectors(name, values, len(order))[order] for name, values in vectors.items()
        }
        self._features: dict[str, Feature] = {
            name: read_categories(name, columns[name], separator).of(order) for name in categorical
        }
        self._features |= {name: Vectors(name, values) for name, values in self.vectors.items()}

    def __len__(self) -> int:
        return len(self.items_)

    def __repr__(self) -> str:
        counts = {
            "categories": "{name}: {values} categories",
            "vectors": "{name}: vectors of {width}",
        }
        parts = [f"{len(self):,} items"]
        for name, feature in self._features.items():
            facts = feature.configuration
            parts.append(counts[facts["kind"]].format(name=name, **facts))
        return f"ItemFeatures({'; '.join(parts)})"

    def missing(self, log: Interactions) -> NDArray[Any]:
        """Return the ids of a log's items that have no row here, sorted.

        Models count them as having no values and zero vectors.

        Examples
        --------
        >>> features = ItemFeatures({"item": ["tea"]}, vectors={"text": [[1.0]]})
        >>> features.missing(Interactions({"user": [1, 1], "item": ["tea", "milk"]})).tolist()
        ['milk']
        """
        return log.items_[self._ids.index(log.items_) < 0]

    def check(self, items: IdMap) -> None:
        """Compare with the items of a log.

        Raises
        ------
        DataError
            If no item of the log has features, which means other ids.

        Warns
        -----
        FeatureWarning
            If some items of the log have no features.
        """
        there = self._ids.index(items.values) >= 0
        if not there.any():
            ids = f"{shown(items.values[0])} and {shown(self.items_[0])}"
            raise DataError(f"no item of the log has features; compare the ids {ids}")
        if not there.all():
            lacking = len(items) - int(there.sum())
            others = len(self) - int(there.sum())
            first = shown(items.values[int(np.argmin(there))])
            warn(
                f"{lacking:,} of {len(items):,} items of the log have no features, such as {first};"
                f" {others:,} items with features are not in the log",
                FeatureWarning,
            )

    def _of(self, items: IdMap, names: Iterable[str] | None) -> tuple[Feature, ...]:
        """Return features, all of them for None, of the items of a log in their order.

        Raises
        ------
        ConfigError
            If there is no feature of a name.
        DataError
            If no item of the log has a value of a category.
        """
        places = self._ids.index(items.values)
        chosen = self.names if names is None else list(names)
        for name in chosen:
            if name not in self._features:
                meant = nearest(str(name), self.names)
                hint = f"; did you mean {meant!r}?" if meant else ""
                listed = ", ".join(repr(known) for known in self.names)
                raise ConfigError(f"features must be some of {listed}; got {name!r}{hint}")
        features = tuple(self._features[name].of(places) for name in chosen)
        for feature in features:
            if feature.configuration.get("values") == 0:
                raise DataError(f"column {feature.name!r} has no value for any item of the log")
        return features


def _columns(names: Any) -> list[str]:
    several = isinstance(names, Iterable) and not isinstance(names, str)
    listed = list(names) if several else [names]
    if not all(isinstance(name, str) for name in listed):
        raise ConfigError(f"categorical must be a list of names of columns, got {names!r}")
    return listed


def _by_name(vectors: Any) -> dict[str, Any]:
    named = {} if vectors is None else vectors
    if not isinstance(named, Mapping) or not all(isinstance(name, str) for name in named):
        kind = type(vectors).__name__
        raise ConfigError(f'vectors must be a mapping such as {{"text": array}}, got {kind}')
    return dict(named)


def _expect_each_once(ids: IdMap, numbers: NDArray[np.int32], column: str) -> None:
    counts = np.bincount(numbers)
    if counts.max() > 1:
        number = int(np.argmax(counts))
        rows = ", ".join(map(str, np.flatnonzero(numbers == number)[:3]))
        raise DataError(
            f"column {column!r} holds {shown(ids.values[number])} in {counts.max()} rows, such as"
            f" {rows} (the first is 0); one each"
        )


def _vectors(name: str, values: Any, rows: int) -> NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):  # infinity is told below
            array = np.asarray(unmasked(values), dtype=np.float32)
    except (TypeError, ValueError):
        raise DataError(f"vectors {name!r} must be an array of numbers") from None
    if array.ndim != 2 or len(array) != rows or array.shape[1] == 0:
        raise DataError(f"vectors {name!r} must have shape ({rows}, width), got {array.shape}")
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise DataError(f"vectors {name!r}, row {row} (the first is 0) hold NaN or infinity")
    return array
