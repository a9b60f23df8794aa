"""The promise of scikit-learn's estimators about their parameters, without needing scikit-learn.

A class declares each of its parameters once, as an attribute with a kind and a default, such as
``dim: Size = 64``. The kind says what may be given: a Literal, bool, or an Annotated type that
holds a check. ``__init__``, its signature, ``get_params`` and the checks come from there; what the
docstring says of inherited parameters comes from the docstring of the class that declares them.
"""

from __future__ import annotations

import html
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Self, Union, dataclass_transform, get_args, get_origin

from elastirec import _docstrings
from elastirec._checks import choice, flag, optional
from elastirec.errors import ConfigError

# What other libraries call the same things.
_SYNONYMS = {
    "hidden_dim": "hidden_size hidden_units rnn_size",
    "layers": "blocks n_blocks num_blocks n_layers num_layers",
    "dim": "factors n_factors embedding_dim embedding_size hidden_size hidden_dim hidden_units"
    " d_model width",
    "inner_dim": "inner_size ffn_dim dim_feedforward feedforward_dim",
    "blocks": "n_blocks num_blocks layers n_layers num_layers",
    "heads": "n_heads num_heads num_attention_heads",
    "state_dim": "d_state",
    "kernel": "kernel_size",
    "dilations": "dilation",
    "window": "markov_order",
    "mask_ratio": "mask_prob masking_prob mlm_probability",
    "temperature": "tau temp",
    "samples": "data_augmentation",
    "max_length": "max_len maxlen max_seq_len max_seq_length session_max_len sequence_length",
    "dropout": "dropout_rate hidden_dropout hidden_dropout_prob",
    "attention_dropout": "attn_dropout attn_dropout_prob",
    "activation": "hidden_act act",
    "norm_epsilon": "layer_norm_eps",
    "initial_std": "initializer_range init_std",
    "loss": "loss_type loss_function objective",
    "negatives": "n_negatives num_negatives neg_samples n_neg",
    "learning_rate": "lr eta step_size",
    "weight_decay": "wd l2 reg regularization",
    "epsilon": "eps adam_epsilon",
    "gradient_clip": "clip clip_norm max_grad_norm grad_clip",
    "schedule": "scheduler lr_scheduler",
    "epochs": "n_epochs num_epochs max_epochs iterations n_iter",
    "patience": "early_stopping early_stopping_patience stopping_step",
    "random_state": "seed random_seed",
    "n_jobs": "threads n_threads num_threads num_workers workers",
}


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return which of ``names`` is meant by ``name``, or None."""
    names = list(names)
    for known, words in _SYNONYMS.items():
        if known in names and name in words.split():
            return known
    near = get_close_matches(name, names, n=1)
    return near[0] if near else None


@dataclass(frozen=True)
class Parameter:
    """What a class declares about a parameter."""

    kind: Any  # without the check
    check: Callable[[str, Any], Any] | None  # of the name and a value; None where others check it

    @classmethod
    def declared(cls, annotation: Any) -> Parameter:
        """Return what an annotation says."""
        if get_origin(annotation) in (Union, UnionType) and NoneType in get_args(annotation):
            (other,) = (part for part in get_args(annotation) if part is not NoneType)
            inner = cls.declared(other)
            return cls(inner.kind | None, None if inner.check is None else optional(inner.check))
        if annotation is bool:
            return cls(bool, flag)
        if get_origin(annotation) is Literal:
            return cls(annotation, partial(choice, allowed=get_args(annotation)))
        kind, *checks = (
            get_args(annotation) if hasattr(annotation, "__metadata__") else [annotation]
        )
        return cls(kind, checks[0] if checks else None)

    @property
    def is_sequence(self) -> bool:
        """Whether several values may be given."""
        return any(get_origin(kind) is Sequence for kind in (self.kind, *get_args(self.kind)))


@dataclass_transform(kw_only_default=True, eq_default=False)
class Parametrized:
    """Has keyword parameters that ``__init__`` only stores.

    ``get_params``, ``set_params`` and scikit-learn's ``clone`` work; an unknown keyword is a
    TypeError that suggests the nearest name.
    """

    _parameters: ClassVar[Mapping[str, Parameter]] = {}  # a class's own first

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = {
            name: Parameter.declared(annotation)
            for name, annotation in inspect.get_annotations(cls, eval_str=True).items()
            if not name.startswith("_")
        }
        inherited = {name: p for name, p in cls._parameters.items() if name not in own}
        cls._parameters = {**own, **inherited}
        cls.__doc__ = _docstrings.with_inherited(cls, cls._defaults())
        setattr(cls, "__init__", _initializer(cls))  # noqa: B010

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        """Return the parameters of ``__init__`` with their defaults."""
        return {name: getattr(cls, name) for name in cls._parameters}

    def _checked(self, names: Iterable[str]) -> dict[str, Any]:
        """Return parameters as plain values.

        Raises
        ------
        ConfigError
            If one is out of range; the message names it, its value and what is allowed.
        """
        values = {}
        for name in names:
            check = self._parameters[name].check
            values[name] = (
                getattr(self, name) if check is None else check(name, getattr(self, name))
            )
        return values

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters with their present values.

        Parameters
        ----------
        deep : bool, default=True
            Without effect, as no parameter has parameters of its own.
        """
        return {name: getattr(self, name) for name in self._defaults()}

    def set_params(self, **params: Any) -> Self:
        """Change parameters; they take effect with the next ``fit``, ``n_jobs`` at once.

        Raises
        ------
        ConfigError
            If there is no such parameter.
        """
        names = self._defaults()
        for name in params:
            if name not in names:
                raise ConfigError(_unknown(type(self).__name__, name, names))
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn asks of estimators, such as in ``check_is_fitted``."""
        from sklearn.utils import Tags, TargetTags

        return Tags(estimator_type=None, target_tags=TargetTags(required=False))

    def __repr__(self) -> str:
        changed = ", ".join(f"{name}={value!r}" for name, value in self._changed().items())
        return f"{type(self).__name__}({changed})"

    def _changed(self) -> dict[str, Any]:
        defaults = self._defaults()
        return {
            name: value
            for name, value in self.get_params().items()
            if value is not defaults[name] and repr(value) != repr(defaults[name])
        }

    def _repr_html_(self) -> str:
        changed = self._changed()
        rows = "".join(
            f"<tr><th>{name}</th><td>{_emphasized(repr(value), name in changed)}</td></tr>"
            for name, value in self.get_params().items()
        )
        summary = html.escape(self._summary())
        return (
            f"<details open><summary><b>{type(self).__name__}</b> {summary}</summary>"
            f"<table>{rows}</table></details>"
        )

    def _summary(self) -> str:
        """Return a line about the state, for notebooks."""
        return ""


def _emphasized(text: str, strong: bool) -> str:
    text = html.escape(text)
    return f"<b>{text}</b>" if strong else text


def _unknown(owner: str, name: str, names: Iterable[str]) -> str:
    meant = nearest(name, names)
    hint = f"; did you mean {meant!r}?" if meant else f"; it has {', '.join(names)}"
    return f"{owner} has no parameter {name!r}{hint}"


def _initializer(owner: type[Parametrized]) -> Callable[..., None]:
    """Return an ``__init__`` that stores keywords and answers unknown ones with the nearest."""
    defaults = owner._defaults()

    def __init__(self: Any, **params: Any) -> None:  # noqa: N807
        """Store the parameters, which the class describes; ``fit`` checks them."""
        for name in params:
            if name not in defaults:
                raise TypeError(_unknown(type(self).__name__, name, defaults))
        vars(self).update({**defaults, **params})

    keywords = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=defaults[name],
            annotation=inspect.formatannotation(parameter.kind),
        )
        for name, parameter in owner._parameters.items()
    ]
    me = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    signature = inspect.Signature([me, *keywords], return_annotation="None")
    setattr(__init__, "__signature__", signature)  # noqa: B010
    __init__.__qualname__ = f"{owner.__qualname__}.__init__"
    __init__.__module__ = owner.__module__
    return __init__
