"""Linear recurrent units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elastirec._kinds import Deviation, Epsilon, Positive, Share, Size, Widths
from elastirec._nested import NestedRecommender
from elastirec._nested_memory import Maps


class LRURec(NestedRecommender):
    """Scores the next item of a history with linear recurrent units.

    Trains as fast as attention, and reads a history item by item, so that a stream of a person's
    items costs the same at any length.

    Parameters
    ----------
    dim : int, default=64
        Width of item embeddings.
    state_dim : int, default=128
        Complex numbers of a block's state.
    inner_dim : int, default=256
        Width inside the feed-forward step.
    blocks : int, default=2
    max_length : int, default=50
        How many of the newest items of a history are read. A stream reads all of them.
    dropout : float, default=0.2
        Share dropped of the embeddings and in the feed-forward step.
    recurrence_dropout : float or None, default=None
        Share dropped of the outputs of the recurrence; None for ``dropout``.
    norm_epsilon : float, default=1e-5
        Added to the variance in layer norms.
    ring_min, ring_max : float, default=0.8, 0.99
        How much of a state is left after one item, at first: between these, the smaller first.
    max_phase : float, default=6.283185307179586
        The largest angle by which an item turns a state, at first.
    initial_std : float, default=0.02
        Standard deviation of the first weights, cut off at twice as much.
    nested_sizes : sequence of int or None, default=None
        Widths of models to train inside this one, ascending; the last is ``dim``, of which
        ``state_dim`` and ``inner_dim`` are then multiples. None for this one alone.

    References
    ----------
    Yue et al., "Linear Recurrent Units for Sequential Recommendation", WSDM 2024.

    Examples
    --------
    >>> log = Interactions({"user": [1, 1, 1, 2, 2], "item": ["a", "b", "c", "a", "b"]})
    >>> model = LRURec(dim=8, state_dim=8, epochs=9, learning_rate=0.01).fit(log, progress=False)
    >>> state = model.update(model.start(), ["a"])
    >>> model.recommend(state=model.update(state, ["b"]), k=1, output="arrays")[0].tolist()
    [['c']]
    """

    _model = "lrurec"

    dim: Size = 64
    state_dim: Size = 128
    inner_dim: Size = 256
    blocks: Size = 2
    max_length: Size = 50
    dropout: Share = 0.2
    recurrence_dropout: Share | None = None
    norm_epsilon: Epsilon = 1e-5
    ring_min: Share = 0.8
    ring_max: Share = 0.99
    max_phase: Positive = 6.283185307179586
    initial_std: Deviation = 0.02
    nested_sizes: Widths | None = None

    optimizer = "adamw"
    weight_decay = 0.01
    undecayed = ("bias", "norm")
    gradient_clip = 5.0

    @classmethod
    def _maps(cls, configuration: Mapping[str, Any]) -> Maps:
        state, inner = (
            configuration[name] // configuration["dim"] for name in ("state_dim", "inner_dim")
        )
        planes = [(state, 1), (1, state), (inner, 1), (1, inner)]
        return Maps(configuration["blocks"], planes, 3 * state)

    @classmethod
    def _outline(cls, configuration: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        last = f"blocks.{configuration['blocks'] - 1}"
        expand, states = f"{last}.feed_forward.expand", 2 * configuration["state_dim"]
        return {
            "item_embedding": (configuration["items"], configuration["dim"]),
            **cls._outline_of_map(configuration, f"{last}.recurrence.input", states),
            **cls._outline_of_map(configuration, expand, configuration["inner_dim"]),
        }
