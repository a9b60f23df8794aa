"""How Elastirec's training grows: time of a step and peak memory at 1, 2, 4, 8 times the size.

Synthetic histories of one length, one size changed at a time. Each point is a process of its own.
"""

from __future__ import annotations

from statistics import median
from typing import Any

import common
import numpy as np
import runner

USERS = 4 * common.BATCH
EPOCHS = 4
BASE = {"length": 50, "items": 4000, "dim": 32}
FACTORS = (1, 2, 4, 8)
TITLES = {"length": "tokens (longer histories)", "items": "items", "dim": "width"}


def point(length: int, items: int, dim: int) -> dict[str, Any]:
    """Return what one size takes."""
    data = f"{USERS},{length + 3},{items}"
    arguments = ["train", "--data", data, "--length", length, "--dim", dim, "--epochs", EPOCHS]
    arguments += ["--threads", runner.threads()]
    rows = runner.run("side_elastirec.py", arguments)
    steps = USERS // common.BATCH
    seconds = [row["value"] / steps for row in rows if row["unit"] == "s"][1:]
    memory = next(row for row in rows if row["unit"] == "MB")
    sizes = common.Sizes(dim=dim, inner_dim=4 * dim, max_length=length)
    flops = common.training_flops(np.full(common.BATCH, length), items, sizes)
    return {
        "length": length,
        "items": items,
        "dim": dim,
        "tokens": length * common.BATCH,
        "seconds": median(seconds),
        "flops": flops,
        "memory": memory["value"],
        "working": memory["detail"]["raised"],
        "others": memory["others"],
    }


def measure() -> dict[str, list[dict[str, Any]]]:
    """Return the points for each size that is changed."""
    return {
        axis: [point(**{**BASE, axis: BASE[axis] * factor}) for factor in FACTORS] for axis in BASE
    }


def table(points: dict[str, list[dict[str, Any]]]) -> str:
    """Return the points as a markdown table; growth is against the first row of each size."""
    lines = [
        "| grows | tokens a step | items | width | ms a step | growth | operations grow | GFLOP/s "
        "| peak MB | of it training | growth |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for axis, row in ((axis, row) for axis, rows in points.items() for row in rows):
        first = points[axis][0]
        disturbed = "*" if row["others"] > runner.care.allowed else ""
        lines.append(
            f"| {TITLES[axis]} | {row['tokens']:,} | {row['items']:,} | {row['dim']} "
            f"| {1e3 * row['seconds']:.1f}{disturbed} | {row['seconds'] / first['seconds']:.1f} "
            f"| {row['flops'] / first['flops']:.1f} | {row['flops'] / row['seconds'] / 1e9:.0f} "
            f"| {row['memory']:.0f} | {row['working']:.0f} "
            f"| {row['working'] / first['working']:.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(measure()))
