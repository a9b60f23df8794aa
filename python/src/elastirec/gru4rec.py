"""Gated recurrent units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from elastirec._kinds import Deviation, Share, Size
from elastirec._sequential import CausalRecommender


class GRU4Rec(CausalRecommender):
    """Scores the next item of a history with gated recurrent units.

    Reads a history item by item, so that a stream of a person's items costs the same at any length.

    Parameters
    ----------
    dim : int, default=64
        Width of item embeddings.
    hidden_dim : int, default=128
        Width of the recurrent layers.
    layers : int, default=1
    max_length : int, default=50
        How many of the newest items of a history are read. A stream reads all of them.
    dropout, output_dropout : float, default=0.3, 0.0
        Share dropped of the embeddings, and of what each layer gives.
    form : {"recbole", "tensorflow"}, default="recbole"
        Units without biases, a map back to ``dim`` and scores by the item embeddings; or units with
        biases whose reset gate acts before the product, and scores by a table of their own.
    initial_std : float, default=0.02
        Standard deviation of the first tables; maps begin as Glorot and Bengio have them.
    samples : {"auto", "positions", "prefixes", "sessions"}, default="auto"
        What is trained on: after each item the next one ("positions", which "auto" means here); one
        sample for each prefix of a history; or ``batch_size`` histories side by side, an item a
        step, with the items of the others among the negatives of a sampled loss, as the authors do.

    References
    ----------
    Hidasi et al., "Session-based Recommendations with Recurrent Neural Networks", ICLR 2016.
    Hidasi and Karatzoglou, "Recurrent Neural Networks with Top-k Gains for Session-based
    Recommendations", CIKM 2018.

    Examples
    --------
    >>> log = Interactions({"user": [1, 1, 1, 2, 2], "item": ["a", "b", "c", "a", "b"]})
    >>> model = GRU4Rec(dim=8, hidden_dim=8, epochs=9, learning_rate=0.03).fit(log, progress=False)
    >>> state = model.update(model.start(), ["a"])
    >>> model.recommend(state=model.update(state, ["b"]), k=1, output="arrays")[0].tolist()
    [['c']]
    """

    _model = "gru4rec"

    dim: Size = 64
    hidden_dim: Size = 128
    layers: Size = 1
    max_length: Size = 50
    dropout: Share = 0.3
    output_dropout: Share = 0.0
    form: Literal["recbole", "tensorflow"] = "recbole"
    initial_std: Deviation = 0.02
    samples: Literal["auto", "positions", "prefixes", "sessions"] = "auto"  # type: ignore[assignment]

    @classmethod
    def _outline(cls, configuration: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        items, dim, hidden = (configuration[name] for name in ("items", "dim", "hidden_dim"))
        return {
            "item_embedding": (items, dim),
            "layers.0.input.weight": (3 * hidden, dim),
            f"layers.{configuration['layers'] - 1}.recurrent.weight": (3 * hidden, hidden),
        }
