"""Convolutions over the newest items as an image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from elastirec._kinds import Deviation, Share, Size
from elastirec._sequential import CausalRecommender
from elastirec.errors import ConfigError
from elastirec.interactions import Interactions

# Horizontal filters of each height, and vertical ones, where none are given.
_FILTERS = {"original": (16, 4), "text": (100, 1)}


class Caser(CausalRecommender):
    """Scores the next item with convolutions over the embeddings of the newest items.

    Horizontal filters see some neighbouring items whole, vertical ones a weighted sum of all items.

    Parameters
    ----------
    form : {"original", "text"}, default="original"
        Heights from 1 to ``window``, and a map to ``dim`` before the scores; or the heights 2, 3
        and 4, and scores of the filters' outputs themselves.
    dim : int, default=50
        Width of item embeddings.
    window : int, default=5
        How many of the newest items of a history are read, at least 4 in form "text".
    max_length : int or None, default=None
        How many of the newest items are trained on together; None for ``window``.
    horizontal_filters : int or None, default=None
        Of each height; None for 16, or 100 in form "text".
    vertical_filters : int or None, default=None
        None for 4, or 1 in form "text".
    user_embeddings : bool, default=False
        Whether scores depend on who asks, too, as in the paper; not for form "text". Histories of
        people who are not in the log are scored without.
    dropout : float, default=0.5
        Share dropped of the filters' outputs.
    initial_std : float, default=0.02
        Standard deviation of the first tables; filters and the map begin as PyTorch's do.
    targets : int, default=1
        How many of the items that follow a position it learns to predict; the paper has 3.

    References
    ----------
    Tang and Wang, "Personalized Top-N Sequential Recommendation via Convolutional Sequence
    Embedding", WSDM 2018. The form "text" is from Yuan et al., "A
    Simple Convolutional Generative Network for Next Item Recommendation", WSDM 2019.

    Examples
    --------
    >>> log = Interactions({"user": [1, 1, 1, 2, 2], "item": ["a", "b", "c", "a", "b"]})
    >>> model = Caser(dim=8, window=3, epochs=2).fit(log, progress=False)
    >>> model.scores([["a", "b"]]).shape
    (1, 3)
    """

    _model = "caser"
    _extra_options = CausalRecommender._extra_options | {"targets"}

    form: Literal["original", "text"] = "original"
    dim: Size = 50
    window: Size = 5
    max_length: Size | None = None
    horizontal_filters: Size | None = None
    vertical_filters: Size | None = None
    user_embeddings: bool = False
    dropout: Share = 0.5
    initial_std: Deviation = 0.02
    targets: Size = 1

    def _counts(self, log: Interactions) -> dict[str, int]:
        users = {"users": log.n_users} if self.user_embeddings else {}
        return {**super()._counts(log), **users}

    def _expect_fitting(self, configuration: Mapping[str, Any]) -> None:
        if configuration["user_embeddings"] and configuration["form"] == "text":
            raise ConfigError('user_embeddings must be False with form="text", got True')

    def _configuration(self) -> dict[str, Any]:
        configuration = super()._configuration()
        del configuration["user_embeddings"]  # the library takes their number
        horizontal, vertical = _FILTERS[configuration["form"]]
        return {
            "horizontal_filters": horizontal,
            "vertical_filters": vertical,
            "max_length": configuration["window"],
            **configuration,
        }

    @classmethod
    def _outline(cls, configuration: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        items, dim, window = (configuration[name] for name in ("items", "dim", "window"))
        filters = configuration["horizontal_filters"]
        vertical = configuration["vertical_filters"]
        users = configuration.get("users", 0)
        heights = [2, 3, 4] if configuration["form"] == "text" else [1, window]
        highest = 2 if configuration["form"] == "text" else window - 1
        outline = {
            "item_embedding": (items, dim),
            "horizontal.0.weight": (filters, heights[0] * dim),
            f"horizontal.{highest}.weight": (filters, heights[-1] * dim),
            "vertical.weight": (vertical, window),
        }
        if configuration["form"] == "text":
            return {**outline, "output_embedding": (items, vertical * dim + 3 * filters)}
        return {
            **outline,
            **({"user_embedding": (users, dim)} if users else {}),
            "map.weight": (dim, vertical * dim + filters * window),
            "output_embedding": (items, 2 * dim if users else dim),
        }
