"""Repeats published figures: trains models as papers did, and writes docs/results.md.

``reproduce.py beauty ml-1m/lrurec --seeds 0 1`` runs what is named, groups or single runs; without
names all but the slow ones run. What is found goes to docs/results.json at once, and runs that
are there already are skipped. Each run leaves a line for every epoch in build/reproduce.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import common
import numpy as np
from reproduced_groups import GROUPS, OTHER, Group
from reproductions import RUNS, Run

import elastirec as er

DOCS = Path(__file__).parents[2] / "docs"
STORE, PAGE = DOCS / "results.json", DOCS / "results.md"
ROW = 20  # items of a row of "ml-1m-20"
NAMES = {"hr": "HR", "ndcg": "NDCG", "mrr": "MRR", "recall": "Recall"}

Row = dict[str, Any]  # what one seed of a run gave


def log_of(data: str, vectors: Sequence[str] = (), whitened: bool = False) -> er.Interactions:
    """Return a log in the order of its file, with vectors of items; see ``common.item_vectors``."""
    if data == "ml-1m-all":
        return er.datasets.movielens_1m().log
    name = data.removesuffix(f"-{ROW}")
    loaded = common.load(name)
    if loaded.source.startswith("synthetic"):
        raise SystemExit(f"{name} is not there: set ELASTIREC_DATA to the folder that has it")
    users = np.repeat(np.arange(loaded.users), np.diff(loaded.offsets))
    if data == name:
        known = None
        if vectors:
            about = {kind: common.item_vectors(name, kind) for kind in vectors}
            if whitened:
                about = {kind: common.whitened(matrix) for kind, matrix in about.items()}
            known = er.ItemFeatures({"item": np.arange(loaded.item_count)}, vectors=about)
        return er.Interactions({"user": users, "item": loaded.items}, item_features=known)
    places = np.arange(len(users)) - loaded.offsets[users]
    whole = places < np.diff(loaded.offsets)[users] // ROW * ROW
    rows = np.cumsum(places[whole] % ROW == 0)
    return er.Interactions({"user": rows, "item": loaded.items[whole]})


def split_of(group: Group, run: Run) -> er.Split:
    """Return the parts to train on, to validate and to test with."""
    log = log_of(group.data, run.vectors, run.whitened)
    if group.split == "sequences":
        return er.split_sequences(log, fractions=(0.8, 0.1, 0.1), random_state=0)
    return er.leave_one_out(log)


def repeat(run: Run, seed: int) -> Row:
    """Train and evaluate once."""
    group = GROUPS[run.group]
    split = split_of(group, run)
    seeded = {} if run.model == "Popularity" else {"random_state": seed}
    model = getattr(er, run.model)(**run.options, **seeded)
    began = time.perf_counter()
    model.fit(
        split.train,
        validation=split.valid,
        exclude_seen=group.exclude_seen,
        callbacks=[logger(run, seed)],
    )
    minutes = (time.perf_counter() - began) / 60
    row: Row = {"run": run.key, "seed": seed, "minutes": round(minutes, 2)}
    row["best_epoch"] = model.best_epoch_
    for part, name, metrics, exclude_seen in (
        (split.valid, "valid ", group.metrics, group.exclude_seen),
        (split.test, "", group.metrics, group.exclude_seen),
        (split.test, OTHER, group.others, not group.exclude_seen),
    ):
        if not metrics:
            continue
        report = model.evaluate(
            part,
            k=sorted({int(metric.partition("@")[2]) for metric in metrics}),
            candidates=group.candidates,
            exclude_seen=exclude_seen,
        )
        row |= {f"{name}{metric}": round(report[metric], 6) for metric in metrics}
    if group.sizes:
        curve = model.evaluate(split.test, k=10, exclude_seen=group.exclude_seen, sizes="all")
        row["sizes"] = {
            str(size): [round(report[metric], 6) for metric in ("hr@10", "ndcg@10")]
            for size, report in curve.items()
        }
    return row


def logger(run: Run, seed: int) -> Callable[[Any, Row], None]:
    """Return a callback that adds a line to the run's log after each epoch."""
    folder = common.build_folder() / "reproduce"
    folder.mkdir(exist_ok=True)
    path = folder / f"{run.key.replace('/', '-')}-{seed}.log"
    path.write_text("")

    def log(model: Any, row: Row) -> None:
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")

    return log


def page(rows: Sequence[Row]) -> str:
    """Return the page with all that was found so far."""
    parts = [
        "# Results",
        "`make reproduce ARGS=--again` repeats them. Options were chosen on the validation part"
        " alone. Each line is the mean over seeds, with the spread of single seeds in brackets, and"
        " under it what was published.",
    ]
    for key, group in GROUPS.items():
        runs = [run for run in RUNS if run.group == key and any(of(run, rows))]
        if runs:
            parts += [f"## {group.title}", group.text, table(group, runs, rows)]
            parts += [sizes_table(runs, rows)] if group.sizes else []
            parts += [settings(runs)]
    return "\n\n".join(parts) + "\n"


def table(group: Group, runs: Sequence[Run], rows: Sequence[Row]) -> str:
    """Return the figures of a group."""
    history = "ranked" if group.exclude_seen else "left out"
    heads = [column(metric) for metric in group.metrics]
    heads += [f"{column(metric)}, history {history}" for metric in group.others]
    names = [*group.metrics, *(f"{OTHER}{metric}" for metric in group.others)]
    lines = [
        f"| model | {' | '.join(heads)} | seeds | minutes a seed |",
        "|---|" + "--:|" * (len(heads) + 2),
    ]
    for run in runs:
        found = list(of(run, rows))
        cells = [spread([row[name] for row in found if name in row]) for name in names]
        minutes = np.mean([row["minutes"] for row in found])
        cells += [str(len(found)), f"{minutes:.0f}" if minutes >= 1 else "under 1"]
        lines.append(f"| {title(run)} | {' | '.join(cells)} |")
        if run.published:
            cells = [
                f"{run.published[name]:.4f}" if name in run.published else "-" for name in names
            ]
            lines.append(f"| *{run.source}* | {' | '.join(cells)} | | |")
    return "\n".join(lines)


def column(metric: str) -> str:
    """Return what heads the column of a metric."""
    name, _, k = metric.partition("@")
    return f"{NAMES[name]}@{k}"


def sizes_table(runs: Sequence[Run], rows: Sequence[Row]) -> str:
    """Return HR@10 and NDCG@10 of the models inside each model, by size."""
    curves = [(run, [row["sizes"] for row in of(run, rows) if "sizes" in row]) for run in runs]
    sizes = sorted({int(size) for _, found in curves for row in found for size in row})
    lines = [
        "HR@10 / NDCG@10 at each size:",
        "",
        f"| model | {' | '.join(map(str, sizes))} |",
        "|---|" + "--:|" * len(sizes),
    ]
    for run, found in curves:
        cells = []
        for size in map(str, sizes):
            values = [row[size] for row in found if size in row]
            cells.append(
                " / ".join(f"{mean:.4f}" for mean in np.mean(values, axis=0)) if values else "-"
            )
        if found:
            lines.append(f"| {title(run)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def title(run: Run) -> str:
    """Return what the page calls a run."""
    kind = run.options.get("attention")
    told = f"{run.model}, {kind.replace('_', ' ')} attention" if kind else run.model
    return f"{told}, {run.label}" if run.label else told


def spread(values: Sequence[float]) -> str:
    """Return mean, least and greatest."""
    if not values:
        return "-"
    mean = f"{np.mean(values):.4f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.4f} to {max(values):.4f})"


def settings(runs: Sequence[Run]) -> str:
    """Return a line for each run with the options that differ from the defaults."""
    lines = ["Options that differ from the defaults:", ""]
    for run in runs:
        told = ", ".join(f"`{name}={value!r}`" for name, value in run.options.items())
        lines.append(f"- {title(run)}: {told or 'none'}")
    return "\n".join(lines)


def of(run: Run, rows: Sequence[Row]) -> Iterator[Row]:
    """Yield what was found for a run."""
    return (row for row in rows if row["run"] == run.key)


def chosen(names: Sequence[str]) -> list[Run]:
    """Return the runs that names stand for: groups, or single runs.

    Raises
    ------
    SystemExit
        If there is no such run.
    """
    for name in names:
        if name not in GROUPS and name not in {run.key for run in RUNS}:
            raise SystemExit(f"there is no run {name!r}; --list shows them")
    if not names:
        return [run for run in RUNS if not run.slow]
    return [run for run in RUNS if run.key in names or (run.group in names and not run.slow)]


def stored() -> list[Row]:
    """Return what was found so far."""
    return json.loads(STORE.read_text()) if STORE.exists() else []


def keep(row: Row) -> None:
    """Add what was found to the store, and write the page.

    Figures of earlier versions, whose seeds are letters, go once their run has new ones.
    """
    rows = [old for old in stored() if not (old["run"] == row["run"] and replaced(old, row))]
    STORE.write_text(json.dumps([*rows, row], indent=1) + "\n")
    PAGE.write_text(page([*rows, row]))


def replaced(old: Row, new: Row) -> bool:
    """Return whether a row gives way to another of its run."""
    return isinstance(old["seed"], str) or old["seed"] == new["seed"]


def main() -> None:
    """Run what was asked for and is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="groups or runs; all but slow ones if none")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--again", action="store_true", help="run what was found already too")
    parser.add_argument("--list", action="store_true", help="show the names, and stop")
    parser.add_argument("--page", action="store_true", help="write the page anew, and stop")
    args = parser.parse_args()
    warnings.simplefilter("ignore", er.ElastirecWarning)
    if args.list:
        print("\n".join(f"{run.key}{' (slow)' if run.slow else ''}" for run in RUNS))
        return
    if args.page:
        PAGE.write_text(page(stored()))
        return
    for run in chosen(args.names):
        for seed in args.seeds if run.model != "Popularity" else [0]:
            if not args.again and any(row["seed"] == seed for row in of(run, stored())):
                print(f"{run.key}, seed {seed}: found already", flush=True)
                continue
            print(f"{run.key}, seed {seed}", flush=True)
            row = repeat(run, seed)
            keep(row)
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
