"""What was measured, looked up by task and form, and shown."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

import runner

OURS, THEIRS = "elastirec", "pytorch"
PRECISIONS = ("float32", "bfloat16")


def form(side: str, precision: str) -> str:
    """Return what measurements of a side are called whose products have a precision."""
    return side if precision == PRECISIONS[0] else f"{side}, {precision}"


@dataclass(frozen=True)
class Line:
    """A line of the table, and which measurements are in it."""

    title: str
    task: str
    form: str = OURS


class Results:
    """All measurements of a run."""

    def __init__(self, rows: list[runner.Row]) -> None:
        self.rows = rows

    def of(self, task: str, form: str) -> list[runner.Row]:
        """Return the rows of a task, those with the better number of threads, undisturbed first."""
        rows = [row for row in self.rows if row["task"] == task and row["form"] == form]
        quiet = [row for row in rows if row["others"] <= runner.care.allowed]
        groups: dict[Any, list[runner.Row]] = {}
        for row in quiet or rows:
            groups.setdefault(row["detail"].get("threads"), []).append(row)
        if not groups:
            return []
        best = max if rows[0]["unit"] == "requests/s" else min
        return best(groups.values(), key=lambda group: median(row["value"] for row in group))

    def value(self, task: str, form: str) -> float | None:
        """Return the median of a task, or None if it was not measured."""
        rows = self.of(task, form)
        return median(row["value"] for row in rows) if rows else None

    def cell(self, task: str, form: str) -> str:
        """Return the median with its unit; an asterisk marks what was always disturbed."""
        rows = self.of(task, form)
        if not rows:
            return "-"
        value, unit = median(row["value"] for row in rows), rows[0]["unit"]
        mark = "*" if any(row["others"] > runner.care.allowed for row in rows) else ""
        return f"{figure(value)} {unit}{mark}"

    def ratio(self, line: Line, form: str) -> str:
        """Return how many times better we are than a form of the other side."""
        ours, theirs = self.value(line.task, line.form), self.value(line.task, form)
        if ours is None or theirs is None:
            return "-"
        more_is_better = self.of(line.task, form)[0]["unit"] == "requests/s"
        return f"{ours / theirs if more_is_better else theirs / ours:.1f} x"


def figure(value: float) -> str:
    """Return a number with three digits, or whole if it is large."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
