"""Repeats published figures: trains models as papers did, and writes docs/results.md.

Full ranking, leave-one-out. Options were chosen on the validation part alone. Each line gives the
mean over seeds, the published figure beside it and what was run.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import common
import numpy as np

import elastirec as er

METRICS = ("hr@10", "ndcg@10")
RESULTS = Path(__file__).parents[2] / "docs" / "results.md"


@dataclass(frozen=True)
class Run:
    """A model on a data set, and what a paper found there."""

    name: str
    data: str
    exclude_seen: bool
    published: tuple[float, float]
    source: str
    options: Mapping[str, Any] = field(default_factory=dict)


RUNS = [
    Run(
        "SASRec",
        "ml-1m",
        exclude_seen=True,
        published=(0.3181, 0.1902),
        source="LRURec's paper",
        options={
            "dim": 128,
            "dropout": 0.2,
            "attention_dropout": 0.2,
            "inner_dropout": 0.2,
            "max_length": 200,
            "crop": "all",
            "batch_size": 64,
            "learning_rate": 2e-3,
            "schedule": "cosine",
            "warmup_steps": 100,
            "epochs": 36,
            "patience": None,
        },
    ),
    Run(
        "SASRec",
        "beauty",
        exclude_seen=False,
        published=(0.0734, 0.0364),
        source="fMRLRec's paper",
        options={
            "dim": 128,
            "dropout": 0.5,
            "attention_dropout": 0.5,
            "inner_dropout": 0.5,
            "max_length": 50,
            "batch_size": 128,
            "learning_rate": 1e-3,
            "schedule": "cosine",
            "warmup_steps": 100,
            "epochs": 40,
            "patience": None,
        },
    ),
]


def log_of(data: str) -> er.Interactions:
    """Return a benchmark's log in the order of its file."""
    loaded = common.load(data)
    if loaded.source.startswith("synthetic"):
        raise SystemExit(f"{data} is not there: set ELASTIREC_DATA to the folder that has it")
    users = np.repeat(np.arange(len(loaded.offsets) - 1), np.diff(loaded.offsets))
    return er.Interactions({"user": users, "item": loaded.items}, user="user", item="item")


def repeat(run: Run, seed: int) -> dict[str, Any]:
    """Train and evaluate once."""
    split = er.leave_one_out(log_of(run.data))
    model = er.SASRec(**run.options, random_state=seed)
    began = time.perf_counter()
    model.fit(split.train, validation=split.valid)
    seconds = time.perf_counter() - began
    valid, test = (
        model.evaluate(part, k=10, exclude_seen=run.exclude_seen)
        for part in (split.valid, split.test)
    )
    row = {"name": run.name, "data": run.data, "seed": seed, "minutes": seconds / 60}
    row |= {"best_epoch": model.best_epoch_, **{name: test[name] for name in METRICS}}
    return row | {f"valid {name}": valid[name] for name in METRICS}


def table(rows: list[dict[str, Any]]) -> str:
    """Return the page with all rows found so far."""
    lines = [
        "# Results",
        "",
        "Full ranking, leave-one-out; `make reproduce` repeats them. Options were chosen on the",
        "validation part alone. History is removed from the ranking on ML-1M and not on Beauty, as",
        "the papers did. Each line: mean over seeds, and the spread of single seeds.",
        "",
        "| data | model | HR@10 | NDCG@10 | published | seeds | minutes a seed |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for run in RUNS:
        found = [row for row in rows if (row["name"], row["data"]) == (run.name, run.data)]
        if not found:
            continue
        cells = []
        for name in METRICS:
            values = [row[name] for row in found]
            cells.append(f"{np.mean(values):.4f} ({min(values):.4f} to {max(values):.4f})")
        published = f"{run.published[0]:.4f} / {run.published[1]:.4f} ({run.source})"
        minutes = np.mean([row["minutes"] for row in found])
        lines.append(
            f"| {run.data} | {run.name} | {' | '.join(cells)} | {published} "
            f"| {len(found)} | {minutes:.0f} |"
        )
    lines += ["", "Options that differ from the defaults:", ""]
    for run in RUNS:
        told = ", ".join(f"`{name}={value!r}`" for name, value in run.options.items())
        lines.append(f"- {run.data}, {run.name}: {told}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run what was asked for; rows found earlier are kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--data", nargs="+", choices=("ml-1m", "beauty"), default=["beauty", "ml-1m"]
    )
    args = parser.parse_args()
    warnings.simplefilter("ignore", er.LeakageWarning)
    store = common.build_folder() / "reproduce.json"
    rows = json.loads(store.read_text()) if store.exists() else []
    for run in (run for data in args.data for run in RUNS if run.data == data):
        for seed in args.seeds:
            row = repeat(run, seed)
            keys = ("name", "data", "seed")
            rows = [old for old in rows if any(old[key] != row[key] for key in keys)] + [row]
            store.write_text(json.dumps(rows, indent=1))
            RESULTS.parent.mkdir(exist_ok=True)
            RESULTS.write_text(table(rows))
            print(json.dumps(row), flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
