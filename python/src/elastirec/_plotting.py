"""The picture of models: quality over cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from elastirec.errors import MissingExtraError

# Where a label may stand beside its point: offset in points, alignment.
_PLACES = (
    ((7, 0), "left", "center"),
    ((-7, 0), "right", "center"),
    ((0, 7), "center", "bottom"),
    ((0, -7), "center", "top"),
    ((5, 6), "left", "bottom"),
    ((5, -6), "left", "top"),
    ((-5, 6), "right", "bottom"),
    ((-5, -6), "right", "top"),
)


class Point(NamedTuple):
    """A model in the picture."""

    name: str
    cost: float
    quality: float


def draw(
    points: Sequence[Point], cost: str, quality: str, ax: Any = None, joined: bool = False
) -> Any:
    """Draw models as labelled points, those without a cost as dashed lines.

    Parameters
    ----------
    points : sequence of Point
    cost, quality : str
        What the axes are called.
    ax : matplotlib Axes, default=None
        Where to draw; None for a new figure.
    joined : bool, default=False
        Whether a line goes from point to point.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    try:
        from matplotlib import pyplot as plt
    except ImportError:
        advice = 'pip install "elastirec[plot]"'
        raise MissingExtraError(f"a picture needs matplotlib: {advice}") from None
    if ax is None:
        _, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    placed = [point for point in points if point.cost > 0]
    if joined:
        ax.plot(*zip(*((p.cost, p.quality) for p in placed), strict=True), "-", color="0.7")
    for point in placed:
        ax.plot(point.cost, point.quality, "o", markersize=7)
    for point in points:
        if point not in placed:
            ax.axhline(point.quality, color="0.5", linestyle="--", linewidth=1)
    ax.margins(x=0.2, y=0.15)
    if placed:
        ax.set_xscale("log")
        _tick(ax)
    ax.set_xlabel(cost)
    ax.set_ylabel(quality)
    ax.grid(alpha=0.3)
    _label(ax, points)
    return ax


def _tick(ax: Any) -> None:
    """Name powers of ten, and on a short axis twice and five times them too, such as "20 k"."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    low, high = ax.get_xlim()
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 2000 * low else (1,)))
    ax.xaxis.set_major_formatter(EngFormatter())
    ax.xaxis.set_minor_formatter(NullFormatter())


def _label(ax: Any, points: Sequence[Point]) -> None:
    """Write the names where they cover neither points nor each other, if there is such a place."""
    from matplotlib.transforms import Bbox

    ax.figure.draw_without_rendering()  # decides where everything stands
    placed = [point for point in points if point.cost > 0]
    taken = []
    for point in placed:
        x, y = ax.transData.transform((point.cost, point.quality))
        taken.append(Bbox.from_extents(x - 4, y - 4, x + 4, y + 4))
    for point in points:
        if point not in placed:
            text = ax.annotate(
                point.name,
                (0.01, point.quality),
                (0, 3),
                xycoords=ax.get_yaxis_transform(),
                textcoords="offset points",
                color="0.35",
            )
            taken.append(text.get_window_extent())
    frame = ax.get_window_extent()
    for point in placed:
        for place in _PLACES:
            text = _write(ax, point, place)
            box = text.get_window_extent()
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1
            if inside and not any(box.overlaps(other) for other in taken):
                break
            text.remove()
        else:
            box = _write(ax, point, _PLACES[0]).get_window_extent()
        taken.append(box)


def _write(ax: Any, point: Point, place: tuple[tuple[int, int], str, str]) -> Any:
    offset, horizontal, vertical = place
    return ax.annotate(
        point.name,
        (point.cost, point.quality),
        offset,
        textcoords="offset points",
        ha=horizontal,
        va=vertical,
    )
