"""The errors and warnings of the package.

Every error is an ``ElastirecError`` and also the built-in that a reader would catch.
"""

from __future__ import annotations

import sys
import warnings


class ElastirecError(Exception):
    """Base of all errors that the package raises on purpose."""


class NotFittedError(ElastirecError, ValueError, AttributeError):
    """A model was used before it was fitted."""


class DataError(ElastirecError, ValueError):
    """Data cannot be used; the message names the column, the row and what is allowed."""


class UnknownIdError(ElastirecError, KeyError):
    """A user or an item is not one that the log or the model knows."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument, quotes and all.
        return str(self.args[0]) if self.args else ""


class ConfigError(ElastirecError, ValueError):
    """An argument is out of range; the message names it, its value and what is allowed."""


class ModelFileError(ElastirecError, ValueError):
    """A model file is damaged, of another format or from a newer version."""


class TrainingDiverged(ElastirecError, FloatingPointError):  # noqa: N818 - a public promise
    """Training met NaN or infinity; the message names the step and the tensor."""


class ConcurrentFitError(ElastirecError, RuntimeError):
    """A model was used in one thread while another thread was fitting it."""


class UnsupportedError(ElastirecError, NotImplementedError):
    """A model has no answer to a question that other models answer."""


class MissingExtraError(ElastirecError, ImportError):
    """An optional package is not installed; the message says what to install."""


class ElastirecWarning(UserWarning):
    """Base of all warnings of the package."""


class LeakageWarning(ElastirecWarning):
    """Training can see what other people did after the moments that are tested."""


class SampledMetricWarning(ElastirecWarning):
    """A metric was computed among sampled candidates and compares with no full ranking."""


class TimeTieWarning(ElastirecWarning):
    """Events of one user share a time, so the order of the rows decides between them."""


class FeatureWarning(ElastirecWarning):
    """Some items of a log have no features."""


class NarrowSizeWarning(ElastirecWarning):
    """Sizes of a nested model are so close that layer norms lose much of what is between them."""


class UnknownItemWarning(ElastirecWarning):
    """Ids that the model does not know were left out."""


class InterruptedWarning(ElastirecWarning):
    """Training was interrupted; the model keeps the best weights so far."""


class FailedModelWarning(ElastirecWarning):
    """A model of a comparison failed; the others went on."""


def warn(message: str, category: type[ElastirecWarning]) -> None:
    """Warn at the line outside of the package that led here."""
    level = 2
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "elastirec":
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)
