"""PyTorch's side of ``--nested``: training steps of FMRLRec.

Two forms: ``authors`` scores every place of the padded rows for every item, as their code does;
``targets`` scores those alone that have a target, as a careful author would.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import common
import nested_setup as setup
import numpy as np
import peers
import torch
from numpy.typing import NDArray

FORMS = ("authors", "targets")


def batch_of(data: common.Histories, people: NDArray[Any], model: peers.FMRLRec) -> peers.Batch:
    """Return the rows of some people: at their end the newest items but the last.

    Each place predicts the next item; where a row has room, the place before the first item
    predicts that one.
    """
    width = model.max_length
    items = np.full((len(people), width + 1), model.padding)
    for row, person in zip(items, people, strict=True):
        history = data.of(int(person))[-(width + 1) :]
        row[width + 1 - len(history) :] = history
    targets = items[:, 1:].ravel()
    places = np.flatnonzero(targets != model.padding)
    lengths = (items[:, :-1] != model.padding).sum(1)
    parts = np.ascontiguousarray(items[:, :-1]), lengths, places, targets[places]
    return peers.Batch(*map(torch.from_numpy, parts))


def optimizer_of(model: peers.FMRLRec) -> torch.optim.Optimizer:
    """Return AdamW, in which biases do not decay."""
    groups: tuple[list[Any], list[Any]] = ([], [])
    for name, weight in model.named_parameters():
        groups["bias" in name].append(weight)
    parts = [{"params": groups[0]}, {"params": groups[1], "weight_decay": 0.0}]
    return torch.optim.AdamW(parts, lr=1e-3, eps=1e-9, weight_decay=0.01, fused=True)


def measure(args: argparse.Namespace) -> None:
    """Print the seconds of a step in each epoch but the first, and the peak memory."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    data = setup.part(setup.STEPS * setup.BATCH)
    model = peers.FMRLRec(
        data.item_count,
        [setup.vectors()],
        sizes=setup.TRAINED,
        every_place=args.form == "authors",
        **setup.OPTIONS,
    )
    optimizer = optimizer_of(model)
    losses, rows = [], []
    with common.memory_measured() as memory:
        for _ in range(setup.EPOCHS):
            began = time.perf_counter()
            with common.measured() as meter:
                total, count = 0.0, 0
                for people in np.split(rng.permutation(data.users), setup.STEPS):
                    batch = batch_of(data, people, model)
                    optimizer.zero_grad(set_to_none=True)
                    loss = model(batch)
                    loss.backward()
                    torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
                    optimizer.step()
                    total += loss.item() * len(batch.targets)
                    count += len(batch.targets)
            losses.append(total / count)
            rows.append((time.perf_counter() - began, meter.detail))
    task = f"{setup.TASK} {setup.BATCH} of {len(setup.TRAINED)}"
    about = {"threads": args.threads, "steps": setup.STEPS, "losses": losses}
    for seconds, spent in rows[1:]:
        detail = {**about, **spent}
        common.Measurement(task, args.form, seconds / setup.STEPS, "s", detail).print()
    detail = {"threads": args.threads, **memory.detail}
    common.Measurement(f"{task} memory", args.form, memory.megabytes, "MB", detail).print()


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--form", choices=FORMS, default=FORMS[0])
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    measure(args)


if __name__ == "__main__":
    main()
