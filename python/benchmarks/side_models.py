"""Elastirec's side of ``--models``, through the public interface only."""

from __future__ import annotations

import argparse
import warnings
from statistics import median
from typing import Any

import common
import numpy as np
import zoo
from results import OURS, PRECISIONS, form

import elastirec as er

EVENTS = 200  # of a stream that are timed
TOKENS = 25_600  # of a step where attention is timed


def log_of(name: str, data: common.Histories, features: bool) -> er.Interactions:
    """Return the log of a data set; its ids are the numbers from 0, its rows are in order."""
    known = None
    if features:
        about = zoo.attributes(name, data)
        cells = np.empty(data.item_count, dtype=object)
        cells[:] = [part.tolist() for part in np.split(about.values, about.offsets[1:-1])]
        known = er.ItemFeatures(
            {"item": np.arange(data.item_count), "attributes": cells},
            categorical=["attributes"],
            vectors={"text": about.vectors},
        )
    owners = np.repeat(np.arange(data.users), np.diff(data.offsets))
    return er.Interactions({"user": owners, "item": data.items}, item_features=known)


def measure_training(args: argparse.Namespace) -> None:
    """Print the seconds of an epoch of a model."""
    entry, data = zoo.ZOO[args.model], common.load(args.data)
    train = er.leave_one_out(log_of(args.data, data, entry.features)).train
    model = getattr(er, entry.ours)(
        **entry.options,
        **entry.only_ours,
        max_length=common.MAX_LENGTH[args.data],
        batch_size=entry.batch,
        epochs=1,
        patience=None,
        n_jobs=args.threads,
        precision=args.precision,
    )
    with common.measured() as meter:
        model.fit(train, progress=False)
    row = model.history_[0]
    detail = {"loss": row["loss"], "tokens": row["tokens"], "threads": args.threads}
    task = f"train {args.model} {args.data}"
    told = form(OURS, args.precision)
    common.Measurement(task, told, row["seconds"], "s", {**detail, **meter.detail}).print()


def made_up(users: int, length: int, items: int = 1000) -> er.Interactions:
    """Return the log of synthetic histories of one length."""
    data = common.synthetic(users, np.full(users, length), items, "synthetic")
    return log_of("synthetic", data, features=False)


def attentive(args: argparse.Namespace, **options: Any) -> er.SASRec:
    """Return a SASRec with the attention that is asked for."""
    return er.SASRec(
        dim=64,
        inner_dim=256,
        heads=2,
        norm="post",
        attention=args.attention,
        max_length=args.length,
        patience=None,
        n_jobs=args.threads,
        **options,
    )


def measure_attention(args: argparse.Namespace) -> None:
    """Print what a token costs in training, and a history to recommend to.

    Looking both ways, a model trains on prefixes, at a cost that compares with nothing here.
    """
    count = max(4, TOKENS // args.length)
    if args.attention != "linear":
        model = attentive(args, batch_size=count, epochs=4)
        model.fit(made_up(2 * count, args.length + 1), progress=False)
        seconds = median(row["seconds"] for row in model.history_[1:])
        value = 1e6 * seconds / model.history_[0]["tokens"]
        common.Measurement(f"train {args.length}", args.attention, value, "us").print()
    model = attentive(args, epochs=1).fit(made_up(100, 11), progress=False)
    rng = np.random.default_rng(5)
    histories = [rng.choice(model.items_, args.length).tolist() for _ in range(count)]
    took = common.latency(lambda batch: answers(model, batch), [histories])
    value = 1e6 * took["median"] / count
    common.Measurement(f"encode {args.length}", args.attention, value, "us", took).print()


def answers(model: Any, histories: list[list[Any]]) -> Any:
    """Return what a model recommends to histories."""
    return model.recommend(histories=histories, k=common.TOP, output="arrays")


def measure_stream(args: argparse.Namespace) -> None:
    """Print what an event costs a stream of one person, and encoding histories again."""
    options = {"dim": 64, "max_length": 1000, "epochs": 1, "n_jobs": args.threads}
    if args.model == "sasrec":
        model = er.SASRec(attention="linear_causal", **options)
    else:
        entry = zoo.ZOO[args.model]
        model = getattr(er, entry.ours)(**{**entry.options, **options}, **entry.only_ours)
    model.fit(made_up(512, 50, 3416), progress=False)
    rng = np.random.default_rng(6)
    state = model.start()

    def update(item: int) -> None:
        nonlocal state
        state = model.update(state, [item])

    def update_and_recommend(item: int) -> None:
        update(item)
        model.recommend(state=state, k=common.TOP, output="arrays")

    events = rng.choice(model.items_, EVENTS).tolist()
    for task, call in (("update", update), ("update and recommend", update_and_recommend)):
        state = model.start()
        took = common.latency(call, events)
        common.Measurement(f"stream {task}", args.model, 1e6 * took["median"], "us", took).print()
    for length in (50, 200, 1000):
        histories = [[rng.choice(model.items_, length).tolist()] for _ in range(20)]
        took = common.latency(lambda one: answers(model, one), histories)
        common.Measurement(
            f"stream again {length}", args.model, 1e6 * took["median"], "us", took
        ).print()


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=("train", "attention", "stream"))
    parser.add_argument("--model", choices=("sasrec", *zoo.ZOO))
    parser.add_argument("--data", choices=tuple(common.MAX_LENGTH), default="beauty")
    parser.add_argument("--attention", default="softmax")
    parser.add_argument("--length", type=int, default=50)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--precision", choices=PRECISIONS, default=PRECISIONS[0])
    args = parser.parse_args()
    warnings.simplefilter("ignore", er.ElastirecWarning)
    run = {"train": measure_training, "attention": measure_attention, "stream": measure_stream}
    run[args.task](args)


if __name__ == "__main__":
    main()
