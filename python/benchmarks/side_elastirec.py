"""Elastirec's side: one measurement a call, through the public interface only."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import common
import numpy as np

import elastirec as er

FORM = "elastirec"


def log_of(data: common.Histories) -> er.Interactions:
    """Return the log of a data set; its ids are the numbers from 0, its rows are in order."""
    owners = np.repeat(np.arange(data.users), np.diff(data.offsets))
    return er.Interactions({"user": owners, "item": data.items})


def model_of(sizes: common.Sizes, epochs: int, threads: int | None) -> er.SASRec:
    """Return the model that both sides train."""
    return er.SASRec(
        dim=sizes.dim,
        inner_dim=sizes.inner_dim,
        blocks=sizes.blocks,
        heads=sizes.heads,
        max_length=sizes.max_length,
        dropout=sizes.dropout,
        attention_dropout=0.0,
        inner_dropout=sizes.dropout,
        norm="pre",
        activation="gelu",
        norm_epsilon=sizes.norm_epsilon,
        initial_std=sizes.initial_std,
        loss="softmax",
        crop="last",
        epochs=epochs,
        patience=None,
        batch_size=common.BATCH,
        learning_rate=sizes.learning_rate,
        n_jobs=threads,
    )


def measure_training(args: argparse.Namespace, data: common.Histories, sizes: common.Sizes) -> None:
    """Print the seconds of each epoch, and the peak memory; with ``--save`` leave the model."""
    log = log_of(data)
    train = er.leave_one_out(log).train
    model = model_of(sizes, args.epochs, args.threads)
    with common.memory_measured() as memory, common.measured() as meter:
        model.fit(train, progress=False)
    for row in model.history_:
        detail = {key: row[key] for key in ("epoch", "loss", "tokens")}
        detail.update(threads=args.threads, fit=meter.seconds, epochs=args.epochs, **meter.detail)
        common.Measurement(f"train {args.data}", FORM, row["seconds"], "s", detail).print()
    task = f"memory {args.data}"
    common.Measurement(task, FORM, memory.megabytes, "MB", memory.detail).print()
    if args.save:
        model.save(Path(args.save).with_suffix(".safetensors"))
        np.savez(Path(args.save).with_suffix(".npz"), **model.parameters())


def saved_model(args: argparse.Namespace, data: common.Histories, sizes: common.Sizes) -> er.SASRec:
    """Return the model that ``--weights`` names, or one trained for an epoch."""
    if args.weights:
        model: er.SASRec = er.load(Path(args.weights).with_suffix(".safetensors"))
        return model.set_params(n_jobs=args.threads)
    train = er.leave_one_out(log_of(data)).train
    return model_of(sizes, 1, args.threads).fit(train, progress=False)


def measure_evaluation(
    args: argparse.Namespace, data: common.Histories, sizes: common.Sizes
) -> None:
    """Print the seconds that full ranking of all users takes."""
    model = saved_model(args, data, sizes)
    test = er.leave_one_out(log_of(data)).test
    for _ in range(args.repeats + 1):
        with common.measured() as meter:
            report = model.evaluate(
                test, k=common.TOP, candidates="all", exclude_seen=True, metrics="ndcg"
            )
        detail = {"ndcg@10": report["ndcg@10"], "threads": args.threads, **meter.detail}
    common.Measurement(f"evaluate {args.data}", FORM, meter.seconds, "s", detail).print()


def measure_requests(args: argparse.Namespace, data: common.Histories, sizes: common.Sizes) -> None:
    """Print the latency of single requests, and how many a second go through in batches."""
    model = saved_model(args, data, sizes)

    def answers(histories: list[list[int]], output: str = "arrays") -> Any:
        return model.recommend(histories=histories, k=common.TOP, output=output)

    for length in (sizes.max_length, 10):
        histories = [[one] for one in common.request_histories(data, length, 100)]
        task = f"request of {length} {args.data}"
        for output in ("arrays", "frame"):
            with common.measured() as meter:
                took = common.latency(lambda one, output=output: answers(one, output), histories)
            detail = {**took, "threads": args.threads, **meter.detail}
            if output == "arrays":
                ids, scores = answers(histories[0])
                detail.update(ids=ids[0].tolist(), scores=scores[0].tolist())
            form = FORM if output == "arrays" else f"{FORM} frame"
            common.Measurement(task, form, 1e6 * took["median"], "us", detail).print()
    histories = common.request_histories(data, 0, common.REQUESTS)
    with common.measured() as meter:
        took = common.latency(answers, [histories])
    detail = {**took, "threads": args.threads, **meter.detail}
    task, rate = f"batch of {common.REQUESTS} {args.data}", common.REQUESTS / took["median"]
    common.Measurement(task, FORM, rate, "requests/s", detail).print()


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("train", "evaluate", "request"))
    parser.add_argument("--data", default="ml-1m", help="ml-1m, beauty, or users,length,items")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--length", type=int, help="the model's max_length")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--weights", help="what --save left")
    parser.add_argument("--save", help="path of the model and of its weights, without suffix")
    args = parser.parse_args()
    warnings.simplefilter("ignore", er.ElastirecWarning)
    data = common.load(args.data)
    length = args.length or common.MAX_LENGTH.get(args.data, 200)
    sizes = common.Sizes(max_length=length, dim=args.dim, inner_dim=4 * args.dim)
    run = {"train": measure_training, "evaluate": measure_evaluation, "request": measure_requests}
    run[args.task](args, data, sizes)


if __name__ == "__main__":
    main()
