"""Checks of arguments: each returns the value as a plain Python one, or raises a ConfigError."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from elastirec.errors import ConfigError


def integer(name: str, value: Any, low: int = 1, high: int | None = None) -> int:
    """Return an integer from ``low`` to ``high``, both included."""
    limits = f"an integer of at least {low}" if high is None else f"an integer, {low} to {high}"
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ConfigError(f"{name} must be {limits}, got {value!r}")
    number = value.__index__()
    if number < low or (high is not None and number > high):
        raise ConfigError(f"{name} must be {limits}, got {value!r}")
    return int(number)


def real(name: str, value: Any, limits: str) -> float:
    """Return a finite number within limits written as in mathematics, such as "[0, 1)"."""
    low, high = (float(part) for part in limits[1:-1].split(","))
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    above = number >= low if limits[0] == "[" else number > low
    below = number <= high if limits[-1] == "]" else number < high
    if not (above and below and math.isfinite(number)):
        raise ConfigError(f"{name} must be a number in {limits}, got {value!r}")
    return number


def choice(name: str, value: Any, allowed: Sequence[str]) -> str:
    """Return one of the allowed strings."""
    if not isinstance(value, str) or value not in allowed:
        listed = ", ".join(repr(option) for option in allowed)
        raise ConfigError(f"{name} must be one of {listed}; got {value!r}")
    return str(value)


def flag(name: str, value: Any) -> bool:
    """Return True or False."""
    if type(value).__name__ not in {"bool", "bool_"}:
        raise ConfigError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def integers(name: str, value: Any, low: int = 1, high: int | None = None) -> list[int]:
    """Return one or more integers from ``low`` to ``high``, both included."""
    if not isinstance(value, list | tuple | range | np.ndarray) or not len(value):
        raise ConfigError(f"{name} must be a list of one integer or more, got {value!r}")
    return [integer(f"{name}[{place}]", each, low, high) for place, each in enumerate(value)]


def widths(name: str, value: Any, high: int, apart: int = 4) -> list[int]:
    """Return one or more integers that increase, each ``apart`` or more above the one before."""
    found = integers(name, value, apart, high)
    if any(after - before < apart for before, after in pairwise(found)):
        raise ConfigError(f"{name} must be ascending, {apart} or more apart, got {value!r}")
    return found


def reals(name: str, value: Any, limits: str) -> list[float]:
    """Return one or more finite numbers within limits written as in mathematics."""
    if not isinstance(value, list | tuple | np.ndarray) or not len(value):
        raise ConfigError(f"{name} must be a list of one number or more, got {value!r}")
    return [real(f"{name}[{place}]", each, limits) for place, each in enumerate(value)]


def weights(name: str, value: Any) -> list[float]:
    """Return one or more numbers of at least 0, not all of them 0."""
    found = reals(name, value, "[0, inf)")
    if not any(found):
        raise ConfigError(f"{name} must be numbers, not all of them 0, got {value!r}")
    return found


def names(name: str, value: Any, least: int = 1) -> list[str]:
    """Return distinct strings, ``least`` of them or more."""
    if (
        not isinstance(value, list | tuple)
        or len(value) < least
        or not all(isinstance(each, str) for each in value)
        or len(set(value)) < len(value)
    ):
        raise ConfigError(f"{name} must be a list of distinct names, got {value!r}")
    return list(value)


def callables(name: str, value: Any) -> list[Callable[..., Any]]:
    """Return a list of callables, which may be empty."""
    if not isinstance(value, list | tuple) or not all(map(callable, value)):
        raise ConfigError(f"{name} must be a list of callables, got {value!r}")
    return list(value)


def optional(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """Return a check that also lets None through."""
    return lambda name, value: None if value is None else check(name, value)


def multiple(name: str, value: int, other: str, divisor: int) -> None:
    """Raise a ConfigError unless ``value`` is a multiple of ``divisor``, the value of ``other``."""
    if value % divisor:
        raise ConfigError(f"{name} must be a multiple of {other}={divisor}, got {value}")
