"""The promise of scikit-learn's estimators about their parameters, without needing scikit-learn."""

from __future__ import annotations

import functools
import html
import inspect
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any, Self

from elastirec.errors import ConfigError

# What other libraries call the same things.
_SYNONYMS = {
    "dim": "factors n_factors embedding_dim embedding_size hidden_size hidden_dim hidden_units"
    " d_model width",
    "inner_dim": "inner_size ffn_dim dim_feedforward feedforward_dim",
    "blocks": "n_blocks num_blocks layers n_layers num_layers",
    "heads": "n_heads num_heads num_attention_heads",
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
_MEANT = {word: name for name, words in _SYNONYMS.items() for word in words.split()}


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return which of ``names`` is meant by ``name``, or None."""
    names = list(names)
    if _MEANT.get(name) in names:
        return _MEANT[name]
    near = get_close_matches(name, names, n=1)
    return near[0] if near else None


class Parametrized:
    """Has keyword parameters that ``__init__`` only stores.

    ``get_params``, ``set_params`` and scikit-learn's ``clone`` work; an unknown keyword is a
    TypeError that suggests the nearest name.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            setattr(cls, "__init__", _naming_unknown(vars(cls)["__init__"]))  # noqa: B010

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        """Return the parameters of ``__init__`` with their defaults."""
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
        return {parameter.name: parameter.default for parameter in parameters}

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


def _naming_unknown(init: Callable[..., None]) -> Callable[..., None]:
    """Wrap an ``__init__`` so that an unknown keyword is answered with the nearest known one."""
    known = [name for name in inspect.signature(init).parameters if name != "self"]

    @functools.wraps(init)
    def checked(self: Any, *args: Any, **params: Any) -> None:
        for name in params:
            if name not in known:
                raise TypeError(_unknown(type(self).__name__, name, known))
        init(self, *args, **params)

    return checked
