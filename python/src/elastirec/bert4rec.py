"""Bidirectional transformers that fill gaps in histories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from elastirec._kinds import Deviation, Epsilon, Fraction, Share, Size
from elastirec._sequential import SequentialRecommender


class BERT4Rec(SequentialRecommender):
    """Scores the next item of a history as a gap at its end.

    Training hides items of whole histories and predicts each from what stands on both sides of it.
    A recommendation puts a mask behind the newest ``max_length`` items and reads its state.

    Parameters
    ----------
    dim : int, default=64
        Width of item embeddings and of the blocks; a multiple of ``heads``.
    inner_dim : int, default=256
        Width inside the feed-forward step.
    blocks, heads : int, default=2
        Number of blocks, and of attention heads in each.
    max_length : int, default=50
        How many of the newest items of a history are read.
    positions : {"oldest", "newest"}, default="oldest"
        Where positions are counted from: the oldest item that is read, or the gap of a
        recommendation, so that the newest item always stands at the same place.
    dropout : float, default=0.2
        Share dropped of the embeddings and of the outputs of attention and feed-forward step.
    attention_dropout : float, default=0.2
        Share dropped of the attention probabilities.
    activation : {"gelu", "relu", "silu"}, default="gelu"
        Of the feed-forward step; before the scores it is GELU always.
    norm_epsilon : float, default=1e-12
        Added to the variance in layer norms.
    initial_std : float, default=0.02
        Standard deviation of the first weights.
    mask_ratio : float, default=0.2
        Share of the items of a history that training hides.
    last_ratio : float, default=0.5
        Share of the batches of training that hide the last item of each history and no other, as
        recommending does.
    samples : {"auto", "cloze", "prefixes"}, default="auto"
        What gaps are made in: whole histories ("auto" and "cloze"), or each prefix of a history of
        two items or more, much as RecBole does, which takes far longer.

    References
    ----------
    Sun et al., "BERT4Rec: Sequential Recommendation with Bidirectional Encoder Representations
    from Transformer", CIKM 2019.

    Examples
    --------
    >>> log = Interactions({"user": [1, 1, 1, 2, 2], "item": ["a", "b", "c", "a", "b"]})
    >>> model = BERT4Rec(dim=8, epochs=2).fit(log, progress=False)
    >>> model.recommend(histories=[["a", "b"]], k=1, output="arrays")[0].tolist()
    [['c']]
    """

    _model = "bert4rec"
    _extra_options = frozenset({"mask_ratio", "last_ratio", "samples"})

    dim: Size = 64
    inner_dim: Size = 256
    blocks: Size = 2
    heads: Size = 2
    max_length: Size = 50
    positions: Literal["oldest", "newest"] = "oldest"
    dropout: Share = 0.2
    attention_dropout: Share = 0.2
    activation: Literal["gelu", "relu", "silu"] = "gelu"
    norm_epsilon: Epsilon = 1e-12
    initial_std: Deviation = 0.02
    mask_ratio: Share = 0.2
    last_ratio: Fraction = 0.5
    samples: Literal["auto", "cloze", "prefixes"] = "auto"

    @classmethod
    def _outline(cls, configuration: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        dim = configuration["dim"]
        last = f"blocks.{configuration['blocks'] - 1}.feed_forward.expand.weight"
        return {
            "item_embedding": (configuration["items"] + 1, dim),
            "position_embedding": (configuration["max_length"] + 1, dim),
            last: (configuration["inner_dim"], dim),
        }
