"""Progress of a training: one updating line in terminals and notebooks, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

_FORMAT = "{desc} {percentage:3.0f}%|{bar:20}| {postfix} [{elapsed}<{remaining}]"


class Progress:
    """Shows epoch, loss, metric, tokens a second and the time left.

    Parameters
    ----------
    shown : bool
        Whether to show anything.
    epochs : int
        How many epochs there are at most.
    metric : str
        Which metric of the validation to show.
    """

    def __init__(self, shown: bool, epochs: int, metric: str) -> None:
        self._shown = shown
        self._epochs = epochs
        self._metric = metric
        self._validated = ""
        self._began = time.perf_counter()
        self._bar: Any = None
        if shown and _can_update():
            from tqdm.std import tqdm

            self._bar = tqdm(total=1, bar_format=_FORMAT, file=sys.stderr, dynamic_ncols=True)

    def step(self, epoch: int, step: int, steps: int, tokens: int, loss: float) -> None:
        """Show how far an epoch has come; ``epoch`` counts from 1 within this training."""
        if self._bar is None:
            return
        speed = tokens / max(time.perf_counter() - self._began, 1e-9)
        self._bar.total = self._epochs * steps
        self._bar.set_description_str(f"epoch {epoch}/{self._epochs}", refresh=False)
        status = f"loss {loss:.4f}{self._validated}, {_short(speed)} tokens/s"
        self._bar.set_postfix_str(status, refresh=False)
        self._bar.update((epoch - 1) * steps + step - self._bar.n)

    def epoch(self, epoch: int, row: Mapping[str, Any]) -> None:
        """Show the result of an epoch."""
        self._began = time.perf_counter()
        if self._metric in row:
            self._validated = f", {self._metric} {row[self._metric]:.4f}"
        if self._shown and self._bar is None:
            speed = _short(row["tokens"] / max(row["seconds"], 1e-9))
            result = f"loss {row['loss']:.4f}{self._validated}"
            line = (
                f"epoch {epoch}/{self._epochs}: {result}, {row['seconds']:.1f} s, {speed} tokens/s"
            )
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the last line as it is."""
        if self._bar is not None:
            self._bar.refresh()
            self._bar.close()


def _short(number: float) -> str:
    return f"{number / 1000:,.0f}k" if number >= 10_000 else f"{number:,.0f}"


def _can_update() -> bool:
    """Return whether a carriage return rewrites the line where standard error is shown."""
    if sys.stderr is None:
        return False
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell" or sys.stderr.isatty()
