"""Whether the peers are the models they stand for: losses and states beside the reference numbers.

The references of ``Tests/Fixtures`` were made in float64, apart from both sides. What a peer has no
form for is told and left out. The exit code is 1 if anything differs.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import common
import numpy as np
import peers
import torch
from peers.features import Categories

FIXTURES = common.ROOT / "Tests" / "Fixtures"
TOLERANCE = 2e-5  # relative to the largest state
NAMES = {"sasrec": "LinRec", "mixer": "MLPMixer", "core": "CORE", "fdsa": "FDSA", "nfm": "NFM"}
NAMES |= {"bert4rec": "BERT4Rec", "caser": "Caser", "gru4rec": "GRU4Rec", "lrurec": "LRURec"}
NAMES |= {"nextitnet": "NextItNet", "sasrecf": "SASRecF", "fmrlrec": "FMRLRec"}
# The only values of our options that the peers have.
FORMS = {
    "form": ("recbole", "original"),
    "norm": ("post",),
    "activation": ("gelu",),
    "attention": ("softmax", "linear", "linear_causal"),
    "scale_embedding": (False,),
    "tied": (True,),
    "block": ("full",),
    "residual_weights": (False,),
    "output_activation": ("relu",),
    "variant": ("trm",),
    "users": (0,),
    "nested_sizes": (None,),
}


def missing(case: Mapping[str, Any]) -> str | None:
    """Return which option of a case the peer does not have, or None."""
    configuration = case["configuration"]
    for name, allowed in FORMS.items():
        value = configuration.get(name, allowed[0])
        if value not in allowed and not (name == "tied" and configuration["model"] == "nextitnet"):
            return f"{name}={value!r}"
    return None


def peer_of(case: Mapping[str, Any]) -> peers.Peer:
    """Return the model of a case, with its weights."""
    configuration = dict(case["configuration"])
    kind = getattr(peers, NAMES[configuration["model"]])
    names = {
        name
        for owner in kind.__mro__
        if issubclass(owner, peers.Peer)
        for name in inspect.signature(owner.__init__).parameters
    } - {"items", "features"}
    options = {name: configuration[name] for name in names if name in configuration}
    if configuration.get("features"):
        options["features"] = [
            features_of(kind, given)
            for kind, given in zip(configuration["features"], case["features"], strict=True)
        ]
    if "size_weights" in case:
        options["size_weights"] = case["size_weights"]
    model: peers.Peer = kind(configuration["items"], **options)
    model.take({name: array(values) for name, values in case["parameters"].items()})
    return model.eval()


def features_of(kind: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """Return a feature as the peers take it."""
    if kind["kind"] == "vectors":
        return array(given["vectors"])
    return Categories(np.array(given["values"], int), np.array(given["offsets"]), kind["values"])


def array(values: Mapping[str, Any]) -> Any:
    """Return numbers of a fixture."""
    return np.array(values["values"], dtype=np.float32).reshape(values["shape"])


def batch_of(model: peers.Peer, examples: Mapping[str, Any]) -> peers.Batch:
    """Return the batch of a case, with the tokens whose states are supervised."""
    offsets = np.array(examples["offsets"])
    lengths = np.diff(offsets)
    width = model.max_length if model.padded_first else int(lengths.max())
    items = np.full((len(lengths), width), model.padding)
    places = np.zeros(offsets[-1], dtype=np.int64)
    for row, length in enumerate(lengths):
        first = width - length if model.padded_first else 0
        columns = slice(first, first + length)
        items[row, columns] = examples["items"][offsets[row] : offsets[row + 1]]
        places[offsets[row] : offsets[row + 1]] = row * width + np.arange(width)[columns]
    parts = items, lengths, places[examples["rows"]], np.array(examples["targets"])
    return peers.Batch(*map(torch.from_numpy, parts))


def differences(path: Any) -> Iterator[tuple[str, str, bool]]:
    """Yield name, what was found and whether it is right, for the cases of a file."""
    for case in json.loads(path.read_text())["cases"]:
        model_name = case["configuration"]["model"]
        name = f"{model_name} {case['name']}"
        lacking = missing(case)
        if model_name not in NAMES or "examples" not in case:
            continue
        if lacking is not None:
            yield name, f"left out: {lacking}", True
            continue
        model = peer_of(case)
        with torch.inference_mode():
            batch = batch_of(model, case["examples"])
            if model_name == "nfm":  # whose fixtures train: the norms take the batch's moments
                model.train()
            states, loss = model.states(batch).numpy(), model(batch).item()
            errors = [distance(states, case["hidden"]), abs(loss / case["loss"] - 1)]
            if isinstance(model, peers.FMRLRec):
                errors += differences_by_size(model, case)
                model.every_place = True
                errors.append(abs(model(batch).item() / case["loss"] - 1))
        yield name, f"differs by {max(errors):.1e}", bool(max(errors) < TOLERANCE)


def differences_by_size(model: peers.FMRLRec, case: Mapping[str, Any]) -> Iterator[float]:
    """Yield how far the scores of the items after each history are off, for every size."""
    offsets = case["histories"]["offsets"]
    recent = [
        case["histories"]["items"][max(begin, end - model.max_length) : end]
        for begin, end in pairwise(offsets)
    ]
    ends = np.cumsum([len(history) for history in recent])
    packed = {"items": np.concatenate(recent), "offsets": [0, *ends], "rows": ends - 1}
    batch = batch_of(model, {**packed, "targets": np.zeros(len(ends), dtype=np.int64)})
    found = model.scores_by_size(model.states(batch), model.table()[: model.items])
    for scores, expected in zip(found, case["size_scores"].values(), strict=True):
        yield distance(scores.numpy(), expected)


def distance(found: Any, expected: Mapping[str, Any]) -> float:
    """Return the largest difference, relative to the largest number."""
    numbers = array(expected)
    return float(np.abs(found - numbers).max() / np.abs(numbers).max())


def main() -> None:
    """Check all peers that have references."""
    bad = 0
    for path in sorted(FIXTURES.glob("*.json")):
        if path.stem in ("ops", "ops_nested", "ops_rounded"):
            continue
        for name, finding, right in differences(path):
            print(f"{'ok ' if right else 'BAD'} {name}: {finding}")
            bad += not right
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
