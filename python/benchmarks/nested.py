"""``--nested``: what training and serving FMRLRec cost at all of its sizes, beside others.

A training step beside PyTorch; all sizes against the largest alone; requests at each size beside
ONNX Runtime; and streams.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec

import models
import nested_setup as setup
import runner
from results import OURS, Results, figure

FORMS = {
    "authors": "PyTorch, all places scored as by the authors",
    "targets": "PyTorch, targets alone scored",
}
ALONE = (setup.TRAINED[-1],)
BATCHES = (setup.BATCH, 4 * setup.BATCH)
SPAN = f"{setup.TRAINED[0]} to {setup.TRAINED[-1]}"


def measurements(rounds: int) -> Iterator[list[runner.Row]]:
    """Yield what each process measured, the sides in turn."""
    torch = present("torch", "training runs on one side only")
    onnx = present("onnx", "requests run on one side only")
    onnx = onnx and present("onnxruntime", "requests run on one side only")
    counts = sorted({1, runner.threads()})
    runner.run("side_nested.py", ["prepare"])
    for round_number in range(rounds):
        yield runner.run("sgemm.py", ["--shared"] if runner.care.shared else [])
        for batch in BATCHES:
            for sizes in (setup.TRAINED, ALONE):
                chosen = ["--sizes", *sizes, "--batch", batch, "--threads", runner.threads()]
                yield runner.run("side_nested.py", ["train", *chosen])
        for form in FORMS if torch else ():
            yield from theirs(form, counts, round_number)
        for count in counts:
            yield runner.run("side_nested.py", ["request", "--threads", count])
            if onnx:
                yield runner.run("peer_onnx.py", ["--threads", count])
        yield runner.run("side_nested.py", ["stream", "--threads", 1])


def theirs(form: str, counts: list[int], round_number: int) -> Iterator[list[runner.Row]]:
    """Train on PyTorch's side; its peak memory is that with glibc as it is, in a run of its own."""
    for count in counts:
        arguments = ["--form", form, "--threads", count]
        environment = runner.torch_environment(count, tuned=False)
        rows = runner.run("peer_nested.py", arguments, environment)
        yield rows if runner.tcmalloc() else [row for row in rows if row["unit"] != "MB"]
    if round_number == 0 and not runner.tcmalloc():
        environment = runner.torch_environment(counts[-1], tuned=False, keep=False)
        rows = runner.run("peer_nested.py", arguments, environment)
        yield [row for row in rows if row["unit"] == "MB"]


def present(package: str, otherwise: str) -> bool:
    """Return whether a package is installed; if it is not, say so."""
    found = find_spec(package) is not None
    if not found:
        print(f"{package} is not installed: {otherwise}", file=sys.stderr)
    return found


def step_task(batch: int, sizes: tuple[int, ...]) -> str:
    """Return the task of training steps."""
    return f"{setup.TASK} {batch} of {len(sizes)}"


def training_table(results: Results) -> str:
    """Return a step beside PyTorch: seconds, memory, losses, and the share of the limit."""
    histories = setup.STEPS * setup.BATCH
    data = setup.part(histories)
    task = step_task(setup.BATCH, setup.TRAINED)
    flops = setup.flops(data, setup.TRAINED, setup.BATCH)
    limit = results.value("limit", "sgemm") or float("nan")
    lines = [
        f"A training step of FMRLRec: sizes {SPAN}, two blocks, vectors of texts, softmax over all"
        f" {data.item_count:,} items at each size, {setup.BATCH} histories of at most"
        f" {setup.LENGTH}. Mean of {setup.STEPS} steps on {histories} histories ({data.source});"
        " one of them has all items that the others lack. A step needs"
        f" {figure(flops / 1e9)} GFLOP; share of the {limit:.0f} GFLOP/s of large products:",
        "",
        "| | a step | ratio | peak memory | ratio | of it training | share | losses by epoch |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for form, title in {OURS: "Elastirec", **FORMS}.items():
        rows, memory = results.of(task, form), results.of(f"{task} memory", form)
        if not rows:
            continue
        seconds = results.value(task, form) or float("nan")
        cells = [results.cell(task, form), ratio(results, task, form)]
        cells += [results.cell(f"{task} memory", form), ratio(results, f"{task} memory", form)]
        cells.append(f"{memory[-1]['detail']['raised']:,.0f} MB" if memory else "-")
        cells.append(f"{flops / seconds / limit / 1e9:.0%}")
        cells.append(", ".join(f"{loss:.3f}" for loss in rows[-1]["detail"]["losses"]))
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def ratio(results: Results, task: str, form: str) -> str:
    """Return how much less we take than a form."""
    ours, other = results.value(task, OURS), results.value(task, form)
    return f"{other / ours:.1f} x" if form != OURS and ours and other else ""


def sizes_table(results: Results) -> str:
    """Return the cost of all sizes against that of the largest alone."""
    lines = [
        f"Training all sizes against the largest alone, Elastirec, {setup.LENGTH} items a history:",
        "",
        f"| histories a step | sizes {SPAN} | {ALONE[0]} alone | ratio"
        " | peak memory | alone | ratio |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for batch in BATCHES:
        cells = []
        for kind in ("", " memory"):
            tasks = [step_task(batch, sizes) + kind for sizes in (setup.TRAINED, ALONE)]
            all_sizes, alone = (results.value(task, OURS) for task in tasks)
            cells += [results.cell(task, OURS) for task in tasks]
            cells.append(f"{all_sizes / alone:.2f} x" if all_sizes and alone else "-")
        lines.append(f"| {batch} | {' | '.join(cells)} |")
    return "\n".join(lines)


def request_table(results: Results) -> str:
    """Return single requests at each size beside ONNX Runtime."""
    rows = [results.of(f"nested request {size}", "onnxruntime") for size in setup.SERVED]
    version = f" {rows[0][-1]['detail']['version']}" if rows[0] else ""
    lines = [
        f"One request, {setup.LENGTH} items, the ten best, at each size of a model of sizes"
        f" {setup.SERVED[0]} to {setup.SERVED[-1]}, from Python, with the better number of"
        f" threads. ONNX Runtime{version} runs the same weights for histories of exactly"
        f" {setup.LENGTH}, in the quickest form of the graph:",
        "",
        "| size | Elastirec | ONNX Runtime | ratio | its graph | scores within | items equal |",
        "|--:|--:|--:|--:|---|--:|--:|",
    ]
    for size, found in zip(setup.SERVED, rows, strict=True):
        task = f"nested request {size}"
        cells = [results.cell(task, form) for form in (OURS, "onnxruntime")]
        cells.append(ratio(results, task, "onnxruntime") or "-")
        if found:
            about = found[-1]["detail"]
            cells += [about["graph"], f"{about['error']:.0e}", f"{about['same']:.1%}"]
        else:
            cells += ["-", "-", "-"]
        lines.append(f"| {size:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def stream_table(results: Results) -> str:
    """Return what an event costs a stream at each size, beside encoding the history again."""
    lines = [
        "An event of a stream, one person, one thread:",
        "",
        f"| size | update | update and recommend | encode {setup.LENGTH} again and recommend"
        " | ratio |",
        "|--:|--:|--:|--:|--:|",
    ]
    for size in setup.SERVED:
        tasks = [f"nested {kind} {size}" for kind in ("update", "update and recommend", "again")]
        cells = [results.cell(task, OURS) for task in tasks]
        _, both, again = (results.value(task, OURS) for task in tasks)
        cells.append(f"{again / both:.1f} x" if both and again else "-")
        lines.append(f"| {size:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def run(rounds: int) -> tuple[list[runner.Row], list[str]]:
    """Measure, and return all rows and the parts of the text."""
    rows: list[runner.Row] = []
    for found in measurements(rounds):
        rows += models.noted(found)
    results = Results(rows)
    tables = (training_table, sizes_table, request_table, stream_table)
    return rows, [table(results) for table in tables]
