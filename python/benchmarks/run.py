"""Elastirec and PyTorch side by side: one command, one table, and build/bench.json.

Each measurement runs in a process of its own, the sides in turn, for some rounds; medians count.
A measurement is repeated if other processes disturb it, and bears an asterisk if they always do.
On a machine that is never quiet, ``--shared`` compares processor time of one thread instead.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import common
import models
import nested
import numpy as np
import runner
import scaling
import zoo
from results import OURS, Line, Results, figure

USUAL, TUNED = "usual", "tuned"
NAMES = {"ml-1m": "ML-1M", "beauty": "Beauty"}


LINES = [
    Line("training epoch, ML-1M, length 200", "train ml-1m"),
    Line("training epoch, Beauty, length 50", "train beauty"),
    Line("full ranking of all users, ML-1M", "evaluate ml-1m"),
    Line("full ranking of all users, Beauty", "evaluate beauty"),
    Line("one request, 200 items", "request of 200 ml-1m"),
    Line("one request, 200 items, as a frame", "request of 200 ml-1m", "elastirec frame"),
    Line("one request, 10 items", "request of 10 ml-1m"),
    Line("batches of 256 requests", "batch of 256 ml-1m"),
    Line("peak memory of training, ML-1M", "memory ml-1m"),
    Line("peak memory of training, Beauty", "memory beauty"),
]


def measurements(args: argparse.Namespace) -> Iterator[list[runner.Row]]:
    """Yield what each process measured, the sides in turn."""
    forms = torch_forms(args)
    threads = runner.threads()
    for round_number in range(args.rounds):
        yield runner.run("sgemm.py", ["--shared"] if runner.care.shared else [])
        for data in args.data:
            yield ours("train", data, threads, "--save", common.build_folder() / data)
            for form in forms:
                if form != "compiled":
                    yield from theirs_training(data, form, round_number)
                elif round_number == 0:
                    yield theirs("train", data, threads, form, "--epochs", 3)
        for data in args.data:
            yield ours("evaluate", data, threads, "--weights", common.build_folder() / data)
            for form in forms:
                yield theirs("evaluate", data, threads, form, *weights(data))
        if "ml-1m" in args.data:
            yield ours("request", "ml-1m", threads, "--weights", common.build_folder() / "ml-1m")
            for form in forms:
                for count in sorted({1, threads}):
                    yield theirs("request", "ml-1m", count, form, *weights("ml-1m"))


def torch_forms(args: argparse.Namespace) -> list[str]:
    """Return the forms of PyTorch to run: none if it is not installed."""
    if find_spec("torch") is None:
        print("PyTorch is not installed: only one side runs", file=sys.stderr)
        return []
    return [USUAL, TUNED, *(["compiled"] if args.compiled else [])]


def weights(data: str) -> list[object]:
    """Return the arguments that make the other side use our weights."""
    return ["--weights", common.build_folder() / f"{data}.npz"]


def ours(task: str, data: str, threads: int, *more: object) -> list[runner.Row]:
    """Run a task on our side."""
    return runner.run("side_elastirec.py", [task, "--data", data, "--threads", threads, *more])


def theirs(task: str, data: str, threads: int, form: str, *more: object) -> list[runner.Row]:
    """Run a task on PyTorch's side."""
    arguments = [task, "--data", data, "--form", form, "--threads", threads, *more]
    environment = runner.torch_environment(threads, tuned=form == TUNED)
    return runner.run("peer_torch.py", arguments, environment)


def theirs_training(data: str, form: str, round_number: int) -> Iterator[list[runner.Row]]:
    """Train on PyTorch's side.

    An allocator that was told to keep memory says nothing about peak memory: then that comes from
    a run of its own, with glibc as it is.
    """
    rows = theirs("train", data, runner.threads(), form)
    if runner.tcmalloc():
        yield rows
        return
    yield [row for row in rows if row["unit"] != "MB"]
    if round_number == 0:
        threads = runner.threads()
        arguments = ["train", "--data", data, "--form", form, "--threads", threads]
        environment = runner.torch_environment(threads, tuned=form == TUNED, keep=False)
        rows = runner.run("peer_torch.py", arguments, environment)
        yield [row for row in rows if row["unit"] == "MB"]


def table(results: Results) -> str:
    """Return the main table."""
    lines = [
        "| | Elastirec | PyTorch, usual | ratio | PyTorch, tuned by hand | ratio |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for line in LINES:
        if not results.of(line.task, line.form):
            continue
        cells = [results.cell(line.task, line.form)]
        for form in (USUAL, TUNED):
            cells += [results.cell(line.task, form), results.ratio(line, form)]
        lines.append(f"| {line.title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def limits(results: Results, names: list[str]) -> str:
    """Return what share of the arithmetic limit each side reaches."""
    limit = results.value("limit", "sgemm")
    lines = [
        f"Arithmetic limit, OpenBLAS with large matrices: {limit:.0f} GFLOP/s. Share of it:",
        "",
        "| | needed GFLOP | least time | Elastirec | PyTorch, usual | PyTorch, tuned by hand |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for title, task, flops, unit in needs(names):
        shares = []
        for form in (OURS, USUAL, TUNED):
            value = results.value(task, form)
            shares.append(f"{flops / (value * unit) / limit / 1e9:.0%}" if value else "-")
        least = flops / limit / 1e9
        lines.append(f"| {title} | {figure(flops / 1e9)} | {least:.2g} s | {' | '.join(shares)} |")
    return "\n".join(lines)


def needs(names: list[str]) -> Iterator[tuple[str, str, float, float]]:
    """Yield title, task, floating-point operations that it needs, and its unit in seconds."""
    for name in names:
        data, sizes = common.load(name), common.Sizes(max_length=common.MAX_LENGTH[name])
        lengths = common.training_lengths(data, sizes.max_length)
        flops = common.training_flops(lengths, data.item_count, sizes)
        yield f"training epoch, {NAMES[name]}", f"train {name}", flops, 1.0
        events = np.minimum(np.diff(data.offsets) - 1, sizes.max_length)
        counts = zip(*np.unique(events, return_counts=True), strict=True)
        flops = sum(n * common.request_flops(int(e), data.item_count, sizes) for e, n in counts)
        yield f"full ranking, {NAMES[name]}", f"evaluate {name}", flops, 1.0
        if name == "ml-1m":
            flops = common.request_flops(sizes.max_length, data.item_count, sizes)
            yield "one request, 200 items", "request of 200 ml-1m", flops, 1e-6


def agreement(results: Results, names: list[str]) -> str:
    """Return whether both sides, with the same weights, said the same."""
    parts = []
    for name in names:
        found = [results.of(f"evaluate {name}", form) for form in (OURS, TUNED)]
        if all(found):
            mine, other = (rows[-1]["detail"]["ndcg@10"] for rows in found)
            parts.append(f"NDCG@10 on {NAMES[name]} {mine:.6f} and {other:.6f}")
    found = [results.of("request of 200 ml-1m", form) for form in (OURS, TUNED)]
    if all(found):
        mine, other = (rows[-1]["detail"] for rows in found)
        same = sum(a == b for a, b in zip(mine["ids"], other["ids"], strict=True))
        furthest = np.abs(np.subtract(mine["scores"], other["scores"])).max()
        parts.append(f"{same} of 10 recommendations equal, scores within {furthest:.1e}")
    losses = [
        " and ".join(f"{row[-1]['detail']['loss']:.3f}" for row in trained)
        for name in names
        if all(trained := [results.of(f"train {name}", form) for form in (OURS, USUAL, TUNED)])
    ]
    if losses:
        parts.append(f"losses of the first epoch {'; '.join(losses)}")
    return "Same weights, both sides: " + "; ".join(parts) + "." if parts else ""


def compiled(results: Results) -> str:
    """Return what ``torch.compile`` gave, or nothing if it was not asked for."""
    lines = []
    for name in NAMES:
        rows = [
            row
            for row in results.rows
            if (row["task"], row["form"]) == (f"train {name}", "compiled")
        ]
        if rows:
            first, later = rows[0]["value"], median(row["value"] for row in rows[1:])
            lines.append(f"{NAMES[name]}: first epoch {first:.1f} s, later ones {later:.1f} s")
    return "torch.compile of the usual form, training: " + "; ".join(lines) if lines else ""


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
        model = next(names, model)
    packages = {}
    for name in ("elastirec", "torch", "numpy"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "missing"
    allocator = Path(runner.tcmalloc() or "glibc, told to keep its memory").name
    unlocked = "AVX-512 kernels of MKL, " if runner.mkl_for_any_processor() else ""
    return {
        "processor": model,
        "cores": runner.cores(),
        "python": platform.python_version(),
        **packages,
        "allocator": allocator,
        "tuned": f"{unlocked}length buckets, chunked loss, byte dropout, last position only",
        "data": {name: common.load(name).source for name in NAMES},
    }


def heading(about: dict[str, Any]) -> str:
    """Return one paragraph on the machine, versions and data."""
    threads = (
        "one thread a side, processor seconds" if runner.care.shared else f"{about['cores']} cores"
    )
    data = ", ".join(f"{NAMES[name]}: {source}" for name, source in about["data"].items())
    return (
        f"{about['processor']}, {threads}; elastirec {about['elastirec']}, "
        f"PyTorch {about['torch']} (allocator: {about['allocator']}; tuned: {about['tuned']}), "
        f"Python {about['python']}. "
        f"{data}."
    )


def arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each side runs")
    parser.add_argument("--data", nargs="+", choices=tuple(NAMES), default=list(NAMES))
    parser.add_argument("--compiled", action="store_true", help="try torch.compile as well")
    parser.add_argument(
        "--no-scaling", action="store_true", help="leave out the growth of training"
    )
    parser.add_argument(
        "--models",
        nargs="*",
        choices=(*zoo.ZOO, models.GROWTH),
        metavar="NAME",
        help="time other models than SASRec instead: all of them, or those named; growth: of"
        " attention and streams",
    )
    parser.add_argument(
        "--bfloat16", action="store_true", help="train those of --models in bfloat16 as well"
    )
    parser.add_argument(
        "--nested", action="store_true", help="time models of many sizes in one instead"
    )
    parser.add_argument("--shared", action="store_true", help="one thread, processor time")
    parser.add_argument("--hasty", action="store_true", help="do not wait for a quiet machine")
    parser.add_argument("--out", type=Path, default=common.BUILD / "bench.json")
    return parser.parse_args()


def main() -> None:
    """Measure, print the tables and write the JSON."""
    args = arguments()
    if args.hasty:
        runner.care = runner.Care(patience=0.0, attempts=1)
    if args.shared:
        runner.care = runner.Care(patience=0.0, attempts=1, allowed=np.inf, shared=True)
    about, began = machine(), time.strftime("%Y-%m-%d %H:%M")
    if args.nested:
        (rows, text), points = nested.run(args.rounds), {}
    else:
        rows, text, points = with_others(args) if args.models is None else of_models(args)
    text.insert(0, heading(about))
    if any("*" in part for part in text):
        text.append("\\* other processes ran at the same time")
    common.build_folder()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    report = {"when": began, "machine": about, "measurements": rows, "scaling": points}
    args.out.write_text(json.dumps(report, indent=1))
    print("\n\n".join(part for part in text if part))


Found = tuple[list[runner.Row], list[str], dict[str, Any]]


def with_others(args: argparse.Namespace) -> Found:
    """Measure SASRec beside PyTorch; return all rows, the parts of the text and the growth."""
    rows: list[runner.Row] = []
    for found in measurements(args):
        rows += models.noted(found)
    results = Results(rows)
    text = [
        table(results),
        limits(results, args.data),
        agreement(results, args.data),
        compiled(results),
    ]
    points = {} if args.no_scaling else scaling.measure()
    return rows, text + ([scaling.table(points)] if points else []), points


def of_models(args: argparse.Namespace) -> Found:
    """Measure the other models."""
    rows, text = models.run(args.models or [*zoo.ZOO, models.GROWTH], args.rounds, args.bfloat16)
    return rows, text, {}


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    main()
