"""``--models``: a training epoch of every model beside its peer in PyTorch, and what attention and
streams cost as histories grow.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec

import common
import runner
import zoo
from results import OURS, PRECISIONS, THEIRS, Results, figure, form

GROWTH = "growth"  # of attention and streams with the length, in place of a model's name
TITLES = {"beauty": "Beauty", "ml-1m": "ML-1M"}
ATTENTION = ("softmax", "linear", "linear_causal", "linear_decayed")
LENGTHS = (50, 100, 200, 400, 800, 1600, 3200)
STREAMS = ("lrurec", "gru4rec", "sasrec")


def measurements(
    names: Sequence[str], rounds: int, precisions: Sequence[str]
) -> Iterator[list[runner.Row]]:
    """Yield what each process measured, the sides in turn."""
    threads = runner.threads()
    others = find_spec("torch") is not None
    if not others:
        print("PyTorch is not installed: only one side runs", file=sys.stderr)
    for _ in range(rounds):
        yield runner.run("sgemm.py", ["--shared"] if runner.care.shared else [])
        for name, data in pairs(names):
            for precision in precisions:
                chosen = ["--model", name, "--data", data, "--precision", precision]
                yield runner.run("side_models.py", ["train", *chosen, "--threads", threads])
                for count in sorted({1, threads}) if others else ():
                    arguments = [*chosen, "--threads", count]
                    environment = runner.torch_environment(count, tuned=False)
                    yield runner.run("peer_models.py", arguments, environment)


def growth(rounds: int) -> Iterator[list[runner.Row]]:
    """Yield what attention costs at growing lengths, and what streams cost."""
    threads = ["--threads", runner.threads()]
    for _ in range(rounds):
        for kind in ATTENTION:
            for length in LENGTHS:
                chosen = ["--attention", kind, "--length", length]
                yield runner.run("side_models.py", ["attention", *chosen, *threads])
        for name in STREAMS:
            yield runner.run("side_models.py", ["stream", "--model", name, "--threads", 1])


def pairs(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the models with the data they run on."""
    for name in names:
        yield name, "beauty"
        if zoo.ZOO[name].also_long:
            yield name, "ml-1m"


def table(results: Results, names: Sequence[str]) -> str:
    """Return a line for each model: seconds, ratio, and share of the arithmetic limit."""
    limit = results.value("limit", "sgemm")
    lines = [
        f"One training epoch, full cross-entropy. Share of the {limit:.0f} GFLOP/s of large"
        " products:",
        "",
        "| model | data | Elastirec | PyTorch | ratio | needed GFLOP | Elastirec's share"
        " | PyTorch's | losses |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, data in pairs(names):
        task, entry = f"train {name} {data}", zoo.ZOO[name]
        seconds = [results.value(task, form) for form in (OURS, THEIRS)]
        flops = zoo.training_flops(entry, common.load(data), common.MAX_LENGTH[data])
        shares = [f"{flops / s / limit / 1e9:.0%}" if s else "-" for s in seconds]
        mine, other = seconds
        ratio = f"{other / mine:.1f} x" if mine and other else "-"
        cells = [results.cell(task, form) for form in (OURS, THEIRS)]
        lines.append(
            f"| {entry.title} | {TITLES[data]}, {common.MAX_LENGTH[data]} | {' | '.join(cells)}"
            f" | {ratio} | {figure(flops / 1e9)} | {' | '.join(shares)} | {losses(results, task)} |"
        )
    return "\n".join(lines)


def losses(results: Results, task: str, forms: Sequence[str] = (OURS, THEIRS)) -> str:
    """Return the losses of the first epoch, by default on both sides."""
    found = (results.of(task, form) for form in forms)
    return " / ".join(f"{rows[-1]['detail']['loss']:.3f}" if rows else "-" for rows in found)


def rounded_table(results: Results, names: Sequence[str]) -> str:
    """Return a line for each model: seconds in bfloat16, and against the better PyTorch."""
    forms = [form(side, precision) for side in (OURS, THEIRS) for precision in PRECISIONS]
    lines = [
        "The same with factors of bfloat16, on PyTorch's side by autocast; the ratio is to the"
        " better of its two.",
        "",
        f"| model | data | {' | '.join(forms)} | ratio | losses |",
        "|---|---|" + "--:|" * (len(forms) + 2),
    ]
    for name, data in pairs(names):
        task = f"train {name} {data}"
        cells = [results.cell(task, one) for one in forms]
        mine = results.value(task, forms[1])
        others = [value for one in forms[2:] if (value := results.value(task, one)) is not None]
        cells.append(f"{min(others) / mine:.1f} x" if mine and others else "-")
        cells.append(losses(results, task, forms))
        place = f"{TITLES[data]}, {common.MAX_LENGTH[data]}"
        lines.append(f"| {zoo.ZOO[name].title} | {place} | {' | '.join(cells)} |")
    return "\n".join(lines)


def attention_table(results: Results) -> str:
    """Return times by kind of attention and length, and from where linear attention wins."""
    parts = []
    for task, what in (("train", "Training, µs a token"), ("encode", "Recommending, µs a history")):
        kinds = [kind for kind in ATTENTION if results.value(f"{task} 50", kind) is not None]
        lines = [f"| {what} | {' | '.join(kinds)} |", "|--:|" + "--:|" * len(kinds)]
        for length in LENGTHS:
            cells = [results.cell(f"{task} {length}", kind) for kind in kinds]
            lines.append(f"| {length:,} | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
        told = (f"{kind} {wins_from(results, task, kind)}" for kind in kinds[1:])
        parts.append(f"Against softmax: {'; '.join(told)}.")
    return "\n\n".join(parts)


def wins_from(results: Results, task: str, kind: str) -> str:
    """Return from which length on a kind of attention is faster than softmax."""
    first = None
    for length in reversed(LENGTHS):
        mine, softmax = (results.value(f"{task} {length}", k) for k in (kind, ATTENTION[0]))
        if mine is None or softmax is None or mine >= softmax:
            break
        first = length
    return f"is faster from {first:,} on" if first else "is never faster"


def stream_table(results: Results) -> str:
    """Return what an event costs a stream, beside encoding the history again."""
    lines = [
        "| µs an event, one person | update | update and recommend | encode 50 again"
        " | encode 200 again | encode 1,000 again |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    tasks = ("update", "update and recommend", "again 50", "again 200", "again 1000")
    for name in STREAMS:
        cells = [results.cell(f"stream {task}", name) for task in tasks]
        lines.append(f"| {stream_title(name)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def stream_title(name: str) -> str:
    """Return what a model that streams is called."""
    return "SASRec, causal linear attention" if name == "sasrec" else zoo.ZOO[name].title


def run(
    names: Sequence[str], rounds: int, bfloat16: bool = False
) -> tuple[list[runner.Row], list[str]]:
    """Measure, and return all rows and the parts of the text."""
    rows: list[runner.Row] = []
    chosen = [name for name in names if name != GROWTH]
    if chosen:
        for found in measurements(chosen, rounds, PRECISIONS if bfloat16 else PRECISIONS[:1]):
            rows += noted(found)
    if GROWTH in names:
        for found in growth(rounds):
            rows += noted(found)
    results = Results(rows)
    parts = [table(results, chosen)] if chosen else []
    if chosen and bfloat16:
        parts.append(rounded_table(results, chosen))
    if GROWTH in names:
        parts += [attention_table(results), stream_table(results)]
    return rows, parts


def noted(found: list[runner.Row]) -> list[runner.Row]:
    """Say on standard error what was just measured."""
    for row in found:
        disturbed = " (disturbed)" if row["others"] > runner.care.allowed else ""
        value = f"{figure(row['value'])} {row['unit']}"
        print(f"  {row['task']}, {row['form']}: {value}{disturbed}", file=sys.stderr, flush=True)
    return found
