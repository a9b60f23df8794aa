"""Elastirec's side of ``--nested``, through the public interface only."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from typing import Any

import common
import nested_setup as setup
import numpy as np

import elastirec as er

FORM = "elastirec"
EVENTS = 200  # of a stream that are timed


def log_of(data: common.Histories) -> er.Interactions:
    """Return a log with the vectors of its items; ids are the numbers from 0."""
    known = er.ItemFeatures({"item": np.arange(data.item_count)}, vectors={"text": setup.vectors()})
    owners = np.repeat(np.arange(data.users), np.diff(data.offsets))
    return er.Interactions({"user": owners, "item": data.items}, item_features=known)


def measure_training(args: argparse.Namespace) -> None:
    """Print the seconds of a step in each epoch but the first, and the peak memory."""
    sizes = tuple(args.sizes)
    log = log_of(setup.part(setup.STEPS * setup.BATCH))
    model = er.FMRLRec(
        sizes=sizes,
        **setup.OPTIONS,
        batch_size=args.batch,
        epochs=setup.EPOCHS,
        patience=None,
        schedule="constant",
        warmup_steps=0,
        n_jobs=args.threads,
    )
    with common.memory_measured() as memory, common.measured() as meter:
        model.fit(log, progress=False)
    steps = setup.STEPS * setup.BATCH // args.batch
    detail: dict[str, Any] = {"threads": args.threads, "steps": steps, "epochs": setup.EPOCHS}
    detail.update(losses=[row["loss"] for row in model.history_], **meter.detail)
    task = f"{setup.TASK} {args.batch} of {len(sizes)}"
    for row in model.history_[1:]:
        common.Measurement(task, FORM, row["seconds"] / steps, "s", detail).print()
    detail = {"threads": args.threads, **memory.detail}
    common.Measurement(f"{task} memory", FORM, memory.megabytes, "MB", detail).print()


def prepare(args: argparse.Namespace) -> None:
    """Leave a model, and for each size its weights with histories and what it answers to them.

    The first weights remember more than the default ones do, so that every place of a history
    matters to the answers.
    """
    model = er.FMRLRec(
        sizes=setup.SERVED,
        **setup.OPTIONS,
        initialization="orvieto",
        ring_min=0.5,
        ring_max=0.95,
        batch_size=setup.BATCH,
        epochs=1,
        patience=None,
        n_jobs=args.threads,
    )
    model.fit(log_of(setup.part(2 * setup.BATCH)), progress=False)
    model.save(setup.folder() / "model.safetensors")
    histories = common.request_histories(common.load(setup.DATA), setup.LENGTH, setup.REQUESTS)
    for size in setup.SERVED:
        small = model.at(size=size)
        ids, scores = small.recommend(
            histories=histories, k=common.TOP, exclude_seen=False, output="arrays"
        )
        np.savez(
            setup.folder() / f"{size}.npz",
            **small.parameters(),
            histories=np.array(histories, dtype=np.int64),
            ids=ids,
            scores=scores,
        )


def saved(size: int, threads: int | None) -> Any:
    """Return the model of a size of the one that ``prepare`` left."""
    whole = er.load(setup.folder() / "model.safetensors")
    return whole.at(size=size).set_params(n_jobs=threads)


def measure_requests(args: argparse.Namespace) -> None:
    """Print the latency of single requests at each size."""
    histories = common.request_histories(common.load(setup.DATA), setup.LENGTH, setup.REQUESTS)
    requests = [[history] for history in histories]
    for size in setup.SERVED:
        model = saved(size, args.threads)
        report(f"nested request {size}", answering(model), requests, args.threads)


def measure_streams(args: argparse.Namespace) -> None:
    """Print what an event costs a stream of one person at each size, and encoding 50 again."""
    histories = common.request_histories(common.load(setup.DATA), setup.LENGTH, setup.REQUESTS)
    requests = [[history] for history in histories]
    for size in setup.SERVED:
        model = saved(size, args.threads)
        events = np.random.default_rng(6).choice(model.items_, EVENTS).tolist()
        for task, answer in (("update", False), ("update and recommend", True)):
            call = following(model, answer)
            report(f"nested {task} {size}", call, events, args.threads)
        report(f"nested again {size}", answering(model), requests, args.threads)


def following(model: Any, answer: bool) -> Callable[[int], None]:
    """Return the call that an event of a new stream is, with or without an answer to it."""
    state = model.start()

    def follow(item: int) -> None:
        nonlocal state
        state = model.update(state, [item])
        if answer:
            model.recommend(state=state, k=common.TOP, output="arrays")

    return follow


def answering(model: Any) -> Callable[[list[list[int]]], Any]:
    """Return the call that a request is."""
    return lambda one: model.recommend(histories=one, k=common.TOP, output="arrays")


def report(task: str, call: Callable[[Any], Any], given: list[Any], threads: int | None) -> None:
    """Print the median time of a call."""
    with common.measured() as meter:
        took = common.latency(call, given)
    detail = {**took, "threads": threads, **meter.detail}
    common.Measurement(task, FORM, 1e6 * took["median"], "us", detail).print()


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    tasks = {"train": measure_training, "prepare": prepare}
    tasks |= {"request": measure_requests, "stream": measure_streams}
    parser.add_argument("task", choices=tuple(tasks))
    parser.add_argument("--sizes", type=int, nargs="+", default=setup.TRAINED)
    parser.add_argument("--batch", type=int, default=setup.BATCH)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    warnings.simplefilter("ignore", er.ElastirecWarning)
    tasks[args.task](args)


if __name__ == "__main__":
    main()
