"""PyTorch's side of ``--models``: one training epoch of a model of the folder ``peers``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

import common
import numpy as np
import peers
import torch
import zoo
from numpy.typing import NDArray
from peers.features import Categories
from results import PRECISIONS, THEIRS, form

MASK_RATIO, LAST_RATIO = 0.2, 0.5


def build(name: str, data: common.Histories, source: str, max_length: int) -> peers.Peer:
    """Return a new model."""
    entry = zoo.ZOO[name]
    options = {**entry.options, "max_length": max_length}
    if entry.features:
        known = zoo.attributes(source, data)
        categories = Categories(known.values, known.offsets, known.count)
        options["features"] = [categories, known.vectors]
    model: peers.Peer = getattr(peers, entry.theirs)(data.item_count, **options)
    return model


def stretches(data: common.Histories, samples: str, max_length: int) -> NDArray[np.int64]:
    """Return begin and end of what each sample reads of ``data.items``, shape ``(n, 2)``.

    Training has all of a history but its last two items. The item at the end is the target of
    the last state, but for "cloze".
    """
    ends = data.offsets[1:] - 2
    begins = data.offsets[:-1]
    if samples == "cloze":
        begins = np.maximum(begins, ends - max_length - 1)
    else:
        ends = ends - 1
        begins = np.maximum(begins, ends - max_length)
    if samples == "prefixes":
        counts = np.maximum(data.offsets[1:] - 3 - data.offsets[:-1], 0)
        owners = np.repeat(np.arange(data.users), counts)
        places = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
        ends = data.offsets[owners] + places + 1
        begins = np.maximum(data.offsets[owners], ends - max_length)
    least = 2 if samples == "cloze" else 1
    return np.stack([begins, ends], axis=1)[ends - begins >= least]


def batch_of(
    data: common.Histories, chosen: NDArray[np.int64], model: peers.Peer, rng: np.random.Generator
) -> peers.Batch:
    """Return the batch of some stretches."""
    begins, ends = chosen.T
    lengths = ends - begins
    width = model.max_length if model.padded_first else int(lengths.max())
    columns = np.arange(width) - (width - lengths[:, None] if model.padded_first else 0)
    real = (columns >= 0) & (columns < lengths[:, None])
    places = np.minimum(begins[:, None] + np.maximum(columns, 0), len(data.items) - 1)
    items = np.where(real, data.items[places], model.padding)
    if model.samples == "positions":
        wanted = real
        targets = data.items[places[wanted] + 1]
    elif model.samples == "prefixes":
        wanted = np.broadcast_to(columns == lengths[:, None] - 1, real.shape)
        targets = data.items[ends]
    else:
        wanted = hidden(real, lengths, model, rng)
        targets = items[wanted]
        items[wanted] = model.mask
    return peers.Batch(
        torch.from_numpy(items),
        torch.from_numpy(lengths),
        torch.from_numpy(np.flatnonzero(wanted)),
        torch.from_numpy(targets),
    )


def hidden(
    real: NDArray[np.bool_],
    lengths: NDArray[np.int64],
    model: peers.Peer,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Return which items a model that fills gaps does not see: the last, or some and at least one.

    Half of the batches hide the last items alone. No history has more gaps than a fifth of
    ``max_length``, the newest ones.
    """
    wanted = np.zeros_like(real)
    rows = np.arange(len(real))
    if rng.random() < LAST_RATIO:
        wanted[rows, lengths - 1] = True
        return wanted
    wanted = real & (rng.random(real.shape) < MASK_RATIO)
    none = ~wanted.any(1)
    wanted[rows[none], rng.integers(lengths[none])] = True
    newer = wanted[:, ::-1].cumsum(1)[:, ::-1]
    return wanted & (newer <= int(MASK_RATIO * (model.max_length - 1)))


def train(
    name: str,
    data: common.Histories,
    source: str,
    max_length: int,
    epochs: int,
    precision: str = PRECISIONS[0],
) -> Iterator[tuple[float, float]]:
    """Train a new model, yielding seconds and loss of each epoch; making batches is included."""
    rounded = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = build(name, data, source, max_length)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    samples = stretches(data, model.samples, max_length)
    for _ in range(epochs):
        began = time.perf_counter()
        total, count = 0.0, 0
        drawn = rng.permutation(samples)
        for start in range(0, len(drawn), zoo.ZOO[name].batch):
            batch = batch_of(data, drawn[start : start + zoo.ZOO[name].batch], model, rng)
            optimizer.zero_grad(set_to_none=True)
            with rounded:
                loss = model(batch)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch.targets)
            count += len(batch.targets)
        yield time.perf_counter() - began, total / count


def measure(args: argparse.Namespace) -> None:
    """Print the seconds of each epoch."""
    data = common.load(args.data)
    max_length = common.MAX_LENGTH[args.data]
    run = train(args.model, data, args.data, max_length, args.epochs, args.precision)
    for epoch in range(args.epochs):
        with common.measured() as meter:
            seconds, loss = next(run)
        detail: dict[str, Any] = {"epoch": epoch + 1, "loss": loss, "threads": args.threads}
        task = f"train {args.model} {args.data}"
        told = form(THEIRS, args.precision)
        common.Measurement(task, told, seconds, "s", {**detail, **meter.detail}).print()


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=tuple(zoo.ZOO), required=True)
    parser.add_argument("--data", choices=tuple(common.MAX_LENGTH), default="beauty")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=PRECISIONS, default=PRECISIONS[0])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    measure(args)


if __name__ == "__main__":
    main()
