"""What a nested model offers at each of its sizes: quality over cost, and memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from elastirec import _checks, _showing
from elastirec._evaluation import Report
from elastirec._frames import Columns, make_frame
from elastirec._timing import as_duration
from elastirec.metrics import shown_metric

COSTS = {
    "latency": "seconds of a request",
    "macs": "multiply-adds to encode a history",
    "parameters": "parameters",
    "bytes": "bytes of weights",
}


@dataclass(frozen=True, eq=False, repr=False)
class Frontier:
    """How well each size of a nested model ranks, and what it costs; prints itself as a table.

    Attributes
    ----------
    reports : dict of int to Report
        What ``evaluate`` said of each size, ascending.
    """

    reports: dict[int, Report]
    _columns: Columns
    _library: str | None
    _length: int

    @property
    def frame(self) -> Any:
        """A frame with a row for each size, in the library of the log.

        The columns are "size", the metrics, "parameters", "macs" (multiply-adds to encode a
        history of the median length), "bytes" (of weights) and "latency" (median seconds of a
        call that recommends to one history), each of the model that ``at`` returns.
        """
        return make_frame(dict(self._columns), self._library)

    def plot(self, cost: str = "latency", metric: str = "ndcg@10", ax: Any = None) -> Any:
        """Draw a metric over what it costs, a labelled point for each size.

        Parameters
        ----------
        cost : {"latency", "macs", "parameters", "bytes"}, default="latency"
        metric : str, default="ndcg@10"
            A metric of the frame.
        ax : matplotlib Axes, default=None
            Where to draw; None for a new figure.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        ConfigError
            If there is no such cost or metric.
        MissingExtraError
            If matplotlib is not installed.
        """
        from elastirec import _plotting

        cost = _checks.choice("cost", cost, tuple(COSTS))
        metric = _checks.choice("metric", metric, self._metrics())
        points = [
            _plotting.Point(str(size), float(x), float(y))
            for size, x, y in zip(
                self._columns["size"], self._columns[cost], self._columns[metric], strict=True
            )
        ]
        return _plotting.draw(points, COSTS[cost], shown_metric(metric), ax, joined=True)

    def _metrics(self) -> list[str]:
        return list(next(iter(self.reports.values())))

    def _parts(self) -> tuple[str, list[str], list[list[str]]]:
        """Return the title, the head and the rows of the table."""
        metrics, counts = self._metrics(), ("parameters", "macs", "bytes")
        rows = [
            [
                str(size),
                *(f"{self._columns[name][place]:.4f}" for name in metrics),
                *(f"{self._columns[name][place]:,}" for name in counts),
                as_duration(self._columns["latency"][place]),
            ]
            for place, size in enumerate(self._columns["size"])
        ]
        report = next(iter(self.reports.values()))
        title = f"{report._title()}; MACs of {self._length} items"
        return title, ["size", *metrics, "parameters", "MACs", "bytes", "a request"], rows

    def __repr__(self) -> str:
        return _showing.as_text(*self._parts(), left=())

    def _repr_html_(self) -> str:
        return _showing.as_html(*self._parts())


@dataclass(frozen=True, eq=False, repr=False)
class MemoryReport:
    """What the blocks of a nested model take at each size, beside models trained one by one.

    Counts are of numbers and follow section 4 of the paper of `FMRLRec`: complex numbers count
    once; layer norms, item embeddings and maps of features do not count.

    Attributes
    ----------
    tokens : int
        Positions in a step of training.
    """

    tokens: int
    _columns: Columns
    _library: str | None

    @property
    def frame(self) -> Any:
        """A frame with a row for each size.

        The columns are

        - "size"
        - "dense": weights of a model of this size alone, whose maps are whole;
        - "nested": weights that this size has of the nested model, whose maps are triangular;
        - "independent": weights of dense models of this size and of all below it;
        - "saving": what the paper saves, ``(independent - dense) / dense``;
        - "activations": what the maps give for all tokens, in the one pass of a nested model;
        - "activations_independent": the same of models of this size and of all below it;
        - "activations_paper": the same where the tokens grow with the size, as the paper has it.
        """
        return make_frame(dict(self._columns), self._library)

    def _parts(self) -> tuple[str, list[str], list[list[str]]]:
        counts = [name for name in self._columns if name not in ("size", "saving")]
        shown = {name: [f"{value:,.0f}" for value in self._columns[name]] for name in counts}
        shown["size"] = [str(size) for size in self._columns["size"]]
        shown["saving"] = [f"{saving:.2%}" for saving in self._columns["saving"]]
        names = list(self._columns)
        rows = [list(row) for row in zip(*(shown[name] for name in names), strict=True)]
        head = [name.replace("_", ", ") for name in names]
        return f"numbers in the blocks; activations of {self.tokens:,} tokens", head, rows

    def __repr__(self) -> str:
        return _showing.as_text(*self._parts(), left=())

    def _repr_html_(self) -> str:
        return _showing.as_html(*self._parts())
