"""Kinds of parameters: the type of a value, with the check of what is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from elastirec._checks import integer, integers, names, real, reals, weights, widths

LARGEST = 2**31 - 1  # that the library takes

Size = Annotated[int, partial(integer, low=1, high=LARGEST)]
Count = Annotated[int, partial(integer, low=0, high=LARGEST)]
Share = Annotated[float, partial(real, limits="[0, 1)")]
Fraction = Annotated[float, partial(real, limits="[0, 1]")]
Positive = Annotated[float, partial(real, limits="(0, inf)")]
NotNegative = Annotated[float, partial(real, limits="[0, inf)")]
Epsilon = Annotated[float, partial(real, limits="(0, 1]")]
Margin = Annotated[float, partial(real, limits="[-100, 100]")]
Deviation = Annotated[float, partial(real, limits="(0, 10]")]
Power = Annotated[float, partial(real, limits="[0, 10]")]
Epochs = Size
Seed = Annotated[int, partial(integer, low=0, high=2**63 - 1)]
Sizes = Annotated[Sequence[int], partial(integers, low=1, high=LARGEST)]
Widths = Annotated[Sequence[int], partial(widths, high=LARGEST)]
Weights = Annotated[Sequence[float], weights]
Shares = Annotated[Sequence[float], partial(reals, limits="[0, 1]")]
Names = Annotated[Sequence[str], names]
AnyNames = Annotated[Sequence[str], partial(names, least=0)]
