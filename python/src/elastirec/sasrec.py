"""Self-attentive sequential recommendation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from elastirec._attention import STREAMS_NOT_BECAUSE, Attention
from elastirec._checks import multiple
from elastirec._kinds import Deviation, Epsilon, Share, Size, Widths
from elastirec._nested import NestedRecommender
from elastirec._nested_memory import Maps
from elastirec.errors import ConfigError


class SASRec(NestedRecommender):
    """Scores the next item of a history with causal self-attention.

    All positions of a history train at once, each to predict the item that follows.

    Parameters
    ----------
    dim : int, default=64
        Width of item embeddings and of the blocks; a multiple of ``heads``.
    inner_dim : int, default=256
        Width inside the feed-forward step.
    blocks, heads : int, default=2
        Number of blocks, and of attention heads in each.
    max_length : int, default=200
        How many of the newest items of a history are read.
    dropout : float, default=0.2
        Share dropped of the embeddings and of the outputs of attention and feed-forward step.
    attention_dropout, inner_dropout : float, default=0.0
        Share dropped of the attention probabilities, and inside the feed-forward step.
    attention : {"softmax", "linear", "linear_causal", "linear_decayed", "linear_official"}, \
default="softmax"
        "linear" weighs items by cosines of mapped queries and keys (LinRec), both ways, so that
        each prefix trains by itself; "linear_causal" looks back only, trains on all positions at
        once and can stream; "linear_decayed" is the same with heads that decay, each at a rate
        that it learns (with ``weight_decay``, name "decay_log" in ``undecayed``);
        "linear_official" is "linear" as its authors' code computes it, where padding takes part.
        The linear forms have no ``attention_dropout``.
    norm : {"pre", "post", "query"}, default="pre"
        Where layer norms stand: before each step, after each residual, or before the queries only
        as in the paper.
    activation : {"gelu", "relu", "silu"}, default="gelu"
    norm_epsilon : float, default=1e-12
        Added to the variance in layer norms.
    scale_embedding : bool, default=False
        Whether to multiply item embeddings by the root of ``dim``, as in the paper.
    tied : bool, default=True
        Whether scores use the item embeddings rather than a table of their own.
    initial_std : float, default=0.02
        Standard deviation of the first weights.
    nested_sizes : sequence of int or None, default=None
        Widths of models to train inside this one, ascending, each some heads wide; the last is
        ``dim``, of which ``inner_dim`` is then a multiple. Not with ``scale_embedding``. None for
        this one alone.

    References
    ----------
    Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018. Petrov and Macdonald,
    "gSASRec: Reducing Overconfidence in Sequential Recommendation Trained with Negative
    Sampling", RecSys 2023. Liu et al., "LinRec: Linear Attention Mechanism for Long-term Sequential
    Recommender Systems", SIGIR 2023.

    Examples
    --------
    >>> log = Interactions({"user": [1, 1, 1, 2, 2], "item": ["a", "b", "c", "a", "b"]})
    >>> model = SASRec(dim=8, epochs=2).fit(log, progress=False)
    >>> items, scores = model.recommend(histories=[["a", "b"]], k=1, output="arrays")
    >>> items.tolist()
    [['c']]
    """

    _model = "sasrec"
    _streams_not_because = STREAMS_NOT_BECAUSE

    dim: Size = 64
    inner_dim: Size = 256
    blocks: Size = 2
    heads: Size = 2
    max_length: Size = 200
    dropout: Share = 0.2
    attention_dropout: Share = 0.0
    inner_dropout: Share = 0.0
    attention: Attention = "softmax"
    norm: Literal["pre", "post", "query"] = "pre"
    activation: Literal["gelu", "relu", "silu"] = "gelu"
    norm_epsilon: Epsilon = 1e-12
    scale_embedding: bool = False
    tied: bool = True
    initial_std: Deviation = 0.02
    nested_sizes: Widths | None = None

    def _expect_fitting(self, configuration: Mapping[str, Any]) -> None:
        super()._expect_fitting(configuration)
        sizes = configuration["nested_sizes"]
        if sizes is None:
            return
        if configuration["scale_embedding"]:
            raise ConfigError("scale_embedding must be False with nested_sizes, got True")
        head = configuration["dim"] // configuration["heads"]
        for size in sizes:
            multiple("nested_sizes", size, "dim / heads", head)

    @classmethod
    def _maps(cls, configuration: Mapping[str, Any]) -> Maps:
        inner = configuration["inner_dim"] // configuration["dim"]
        return Maps(configuration["blocks"], [(3, 1), (1, 1), (inner, 1), (1, inner)])

    @classmethod
    def _outline(cls, configuration: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        items, dim = configuration["items"], configuration["dim"]
        padding = configuration.get("attention") == "linear_official"
        last = f"blocks.{configuration['blocks'] - 1}.feed_forward.expand"
        return {
            "item_embedding": (items + padding, dim),
            "position_embedding": (configuration["max_length"], dim),
            **cls._outline_of_map(configuration, last, configuration["inner_dim"]),
        }
