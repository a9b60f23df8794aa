"""The sizes that a network can be cut to: what they must be, what they take, and the cut."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, ClassVar, Self

from elastirec import _checks
from elastirec._kinds import Shares, Weights
from elastirec._nested_memory import Maps, count
from elastirec._network import Network
from elastirec._origins import origins_of
from elastirec._sequential import CausalRecommender
from elastirec.errors import ConfigError, NarrowSizeWarning, UnsupportedError, warn
from elastirec.interactions import Interactions
from elastirec.nesting import MemoryReport

_NARROW = 8  # channels whose norm says little


class SizedRecommender(CausalRecommender):
    """A network whose first channels are networks of smaller sizes.

    Parameters
    ----------
    size_weights : sequence of float or None, default=None
        What the loss of each size counts, in the order of the sizes; None for equal weights that
        add up to 1.
    size_dropout : sequence of float or None, default=None
        What the dropouts are multiplied by in the channels that each size adds, from 0 to 1; None
        for 1. Small models want less of it than large ones.
    """

    _extra_options = CausalRecommender._extra_options | {"size_weights", "size_dropout"}
    _sizes_name: ClassVar[str] = "nested_sizes"  # the parameter that has them

    size_weights: Weights | None = None
    size_dropout: Shares | None = None

    @property
    def sizes_(self) -> tuple[int, ...]:
        """The sizes that were trained, ascending; none where the model is not nested."""
        return tuple(self._state().network.configuration.get(self._sizes_name, ()))

    def memory_report(self, *, tokens: int | None = None) -> MemoryReport:
        """Count what the blocks take at each size, beside models trained one by one.

        Needs no ``fit``: it follows from the parameters.

        Parameters
        ----------
        tokens : int, default=None
            Positions in a step of training; None for ``batch_size * max_length``.

        Raises
        ------
        ConfigError
            If a parameter is out of range.
        UnsupportedError
            If the model is not nested.
        """
        configuration = self._configuration()
        sizes = self._nested(configuration.get(self._sizes_name))
        if tokens is None:
            tokens = self._options()["batch_size"] * configuration["max_length"]
        tokens = _checks.integer("tokens", tokens)
        state = vars(self).get("_fitted")
        library = None if state is None else state.library
        return MemoryReport(tokens, count(self._maps(configuration), sizes, tokens), library)

    @classmethod
    @abstractmethod
    def _maps(cls, configuration: Mapping[str, Any]) -> Maps:
        """Return what the blocks of a configuration are made of."""

    @classmethod
    def _outline_of_map(
        cls, configuration: Mapping[str, Any], name: str, outputs: int
    ) -> dict[str, tuple[int, ...]]:
        """Return the weights of a map of the width to ``outputs``, of every level if nested."""
        sizes = configuration.get(cls._sizes_name)
        if not sizes:
            return {f"{name}.weight": (outputs, configuration["dim"])}
        each = outputs // sizes[-1]
        return {
            f"{name}.levels.{level}.weight": (each * (size - before), size)
            for level, (before, size) in enumerate(pairwise([0, *sizes]))
        }

    def _expect_fitting(self, configuration: Mapping[str, Any]) -> None:
        super()._expect_fitting(configuration)
        name, sizes = self._sizes_name, configuration.get(self._sizes_name)
        lists = self._checked(["size_weights", "size_dropout"])
        given = {option: values for option, values in lists.items() if values is not None}
        if sizes is None:
            for option, values in given.items():
                raise ConfigError(f"{option} must be None without {name}, got {values}")
            return
        dim = configuration.get("dim", sizes[-1])
        if sizes[-1] != dim:
            raise ConfigError(f"{name} must end in dim={dim}, got {sizes[-1]}")
        for other in ("inner_dim", "state_dim"):
            if other in configuration:
                _checks.multiple(other, configuration[other], "dim", dim)
        for option, values in given.items():
            if len(values) != len(sizes):
                wanted = f"a number for each of {len(sizes)} {name}"
                raise ConfigError(f"{option} must have {wanted}, got {len(values)}")

    def _prepare(self, log: Interactions, configuration: dict[str, Any]) -> None:
        sizes = configuration.get(self._sizes_name, ())
        narrow = [after for before, after in pairwise([0, *sizes]) if after - before < _NARROW]
        if narrow:
            warn(
                f"{self._sizes_name} has {narrow[0]} less than {_NARROW} above the size before it;"
                " layer norms over so few channels lose much of what they say",
                NarrowSizeWarning,
            )
        super()._prepare(log, configuration)

    def _trained_sizes(self) -> tuple[int, ...]:
        return self._nested(self.sizes_)

    def _nested(self, sizes: Sequence[int] | None) -> tuple[int, ...]:
        """Return sizes, or raise an UnsupportedError where there are none."""
        if not sizes:
            advice = f"{self._sizes_name}=(16, 32, 64), which ends in dim"
            raise UnsupportedError(
                f"this {type(self).__name__} is not nested; fit it with {advice}"
            )
        return tuple(sizes)

    def _chosen_sizes(self, name: str, sizes: Any) -> list[int]:
        """Return trained sizes, ascending."""
        trained = self._trained_sizes()
        if isinstance(sizes, str) and sizes == "all":
            return list(trained)
        chosen = sorted(set(_checks.integers(name, sizes)))
        for size in chosen:
            if size not in trained:
                listed = ", ".join(map(str, trained))
                raise ConfigError(f"{name} must be among those trained, {listed}; got {size}")
        return chosen

    def _cut(self, size: int, keep_features: bool) -> Self:
        state = self._state()
        network = state.network.slice(size, keep_features)
        network.origins = origins_of(network, size, state.network, self._fingerprint(state))
        return self._with(replace(state, network=network), **self._params_of(network))

    def _params_of(self, network: Network) -> dict[str, Any]:
        """Return the parameters of a model of some first channels that are not this one's."""
        before, now = self._state().network.configuration, network.configuration
        params = {
            name: value
            for name, value in now.items()
            if name in self._parameters and value != before.get(name)
        }
        sizes = params[self._sizes_name] = tuple(now[self._sizes_name])
        if self.size_weights is not None:
            kept = tuple(self.size_weights)[: len(sizes)]
            params["size_weights"] = kept if any(kept) else None
        if self.size_dropout is not None:
            params["size_dropout"] = tuple(self.size_dropout)[: len(sizes)]
        return params
