"""What a model holds once it is fitted, and who may use it when."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import Any, Self

from numpy.typing import NDArray

from elastirec import _checks, _files
from elastirec._network import Cost, Fitted, Float32, Network
from elastirec._params import Parametrized
from elastirec.errors import ConcurrentFitError, NotFittedError
from elastirec.interactions import Interactions

_FIT_LOCK = threading.Lock()  # held for a moment, to see whether a model is being fitted
MODELS: dict[str, type[Model]] = {}  # by the names that files have for them


class Learned:
    """What ``fit`` leaves for everybody to read.

    Attributes
    ----------
    items_ : ndarray of shape (n_items,)
        Item ids, in the order in which the model numbers them.
    users_ : ndarray of shape (n_users,)
        Ids of the users of the log that ``fit`` saw.
    history_ : list of dict
        A row for each epoch: "epoch", "loss", metrics of the validation, "seconds", "tokens".
    best_epoch_ : int
        The epoch whose weights the model has.
    stopped_ : str
        Why training ended: "epochs", "patience", "callback", "interrupted", or "unfinished"
        where ``fit`` raised an error after training had begun.
    seed_ : int
        The seed that ``fit`` used.
    """

    items_: NDArray[Any]
    users_: NDArray[Any]
    history_: list[dict[str, Any]]
    best_epoch_: int
    stopped_: str
    seed_: int


class Model(Parametrized, Learned, ABC):
    """Has weights, ids and histories from `fit`, and can be saved, loaded and pickled."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        MODELS[cls.__name__] = cls

    def parameters(self) -> dict[str, Float32]:
        """Return a copy of the weights, float32, by their stable names."""
        return self._state().network.parameters()

    def set_parameters(self, parameters: Mapping[str, Any]) -> Self:
        """Replace some or all weights; requests under way finish with those from before.

        Raises
        ------
        DataError
            If a name is unknown, a shape differs or a value is not finite. Nothing changes then.
        """
        state = self._state()
        if vars(self).get("_fitting_thread") is not None:  # the trainer holds this very network
            state.network.set_parameters(parameters)
            return self
        network = state.network.copy()
        network.set_parameters(parameters)
        self._fitted = replace(state, network=network)
        return self

    def cost(self, length: int) -> Cost:
        """Return parameters, multiply-adds to encode a history of ``length`` items, and bytes."""
        return self._state().network.cost(_checks.integer("length", length, 1, 2**31 - 1))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to a file, all of it or nothing; `elastirec.load` reads it.

        The file (safetensors) holds weights, ids and the histories that ``fit`` saw.
        """
        self._state()
        _files.save(self, path)

    def _state(self) -> Fitted:
        """Return what ``fit`` left, unless another thread is fitting just now."""
        state: Fitted | None = vars(self).get("_fitted")
        if state is None:
            name = type(self).__name__
            raise NotFittedError(f"this {name} is not fitted yet; call {name}.fit first")
        fitting = vars(self).get("_fitting_thread")
        if fitting is not None and fitting != threading.get_ident():
            raise ConcurrentFitError("the model is being fitted in another thread; wait for fit")
        return state

    def _set_state(self, state: Fitted) -> None:
        self._fitted = state
        self.items_ = state.items.values
        self.users_ = state.users.values

    def _with(self, state: Fitted, **params: Any) -> Self:
        """Return a model of other weights, with what this one learned and changed parameters."""
        other = type(self)(**{**self.get_params(), **params})
        other._set_state(state)
        for name in _files.LEARNED:
            if hasattr(self, name):
                setattr(other, name, deepcopy(getattr(self, name)))
        return other

    def _begin(self, log: Interactions, network: Network) -> None:
        """Take over a log, with popular items as the answer to empty histories."""
        counts = log.counts()
        network.set_fallback(counts)
        library = log._names.library
        self._set_state(Fitted(network, log._items, log._users, log._rows, counts, library))

    @classmethod
    @abstractmethod
    def _outline(cls, configuration: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        """Return weights that fix every size of a configuration, with the shapes it gives them."""

    @contextmanager
    def _fitting(self) -> Iterator[None]:
        """Hold the model for one ``fit``; if that fails before training, nothing has changed."""
        with _FIT_LOCK:
            if vars(self).get("_fitting_thread") is not None:
                raise ConcurrentFitError("fit is already running on this model")
            before = dict(vars(self))
            self._fitting_thread: int | None = threading.get_ident()
        self._trained = False
        try:
            yield
        except BaseException:
            if not self._trained:
                vars(self).clear()
                vars(self).update(before)
            raise
        finally:
            self._fitting_thread = None

    def _summary(self) -> str:
        state: Fitted | None = vars(self).get("_fitted")
        if state is None:
            return "not fitted"
        sizes = f"fitted on {len(state.users):,} users and {len(state.items):,} items"
        best = f", best epoch {self.best_epoch_}" if self.history_ else ""
        return sizes + best

    def __getstate__(self) -> dict[str, Any]:
        file = _files.to_bytes(self) if vars(self).get("_fitted") is not None else None
        return {"params": self.get_params(), "file": file}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state["file"] is not None:
            vars(self).update(vars(_files.from_bytes(state["file"])))
        vars(self).update(state["params"])
