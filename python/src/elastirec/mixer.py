"""Perceptrons that mix items and channels in turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elastirec._kinds import Deviation, Epsilon, Share, Size
from elastirec._sequential import SequentialRecommender


class MLPMixer(SequentialRecommender):
    """Scores the next item with perceptrons across items and across channels, in turn.

    The perceptrons across items see all of a history, so each prefix of a history trains by itself.

    Parameters
    ----------
    dim : int, default=64
        Width of item embeddings.
    layers : int, default=2
    token_dim, channel_dim : int, default=64, 256
        Width inside the perceptrons across items, and across channels.
    max_length : int, default=50
        How many of the newest items of a history are read; the cost is that of a full history.
    dropout : float, default=0.2
        Share dropped after both maps of each perceptron.
    norm_epsilon : float, default=1e-5
        Added to the variance in the layers' norms.
    initial_std : float, default=0.02
        Standard deviation of the first embeddings and of the maps across channels; those across
        items begin uniform.

    References
    ----------
    Tolstikhin et al., "MLP-Mixer: An all-MLP Architecture for Vision", NeurIPS 2021, as AutoMLP
    (Li et al., "AutoMLP: Automated MLP for Sequential Recommendations", WWW 2023) reads
    histories with it.

    Examples
    --------
    >>> log = Interactions({"user": [1, 1, 1, 2, 2], "item": ["a", "b", "c", "a", "b"]})
    >>> model = MLPMixer(dim=8, max_length=4, epochs=2).fit(log, progress=False)
    >>> model.scores([["a", "b"]]).shape
    (1, 3)
    """

    _model = "mixer"

    dim: Size = 64
    layers: Size = 2
    token_dim: Size = 64
    channel_dim: Size = 256
    max_length: Size = 50
    dropout: Share = 0.2
    norm_epsilon: Epsilon = 1e-5
    initial_std: Deviation = 0.02

    @classmethod
    def _outline(cls, configuration: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        dim = configuration["dim"]
        last = f"layers.{configuration['layers'] - 1}"
        return {
            "item_embedding": (configuration["items"], dim),
            f"{last}.token_expand.weight": (
                configuration["token_dim"],
                configuration["max_length"],
            ),
            f"{last}.channel_expand.weight": (configuration["channel_dim"], dim),
        }
