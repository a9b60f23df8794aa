"""ONNX Runtime's side of ``--nested``: requests to the models that our side left.

Of each size all forms of the graph are tried for a moment, checked against our answers, and the
quickest is timed. The items come as an array that is ready, and those of the history stay in.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import common
import nested_setup as setup
import numpy as np
import onnx_network
import onnxruntime

FORM = "onnxruntime"
TOLERANCE = 1e-4  # of scores, relative to the largest
TRIAL = 0.3  # seconds that each form is tried

Call = Callable[[Any], Any]


def caller(network: bytes, threads: int) -> Call:
    """Return the call that a request is."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # it warns of a table that is no constant, on purpose
    session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    return lambda items: session.run(None, {"items": items})


def difference(call: Call, expected: dict[str, Any]) -> float:
    """Return how far the scores are from ours, relative to the largest.

    Raises
    ------
    AssertionError
        If that is too far.
    """
    found = np.concatenate([call(items)[0] for items in expected["histories"]])
    scores = expected["scores"]
    error = float(np.abs(found - scores).max() / np.abs(scores).max())
    assert error < TOLERANCE, f"scores differ from ours by {error:.1e} of the largest"
    return error


def measure(size: int, threads: int) -> None:
    """Print the latency of single requests to the model of a size."""
    with np.load(setup.folder() / f"{size}.npz") as arrays:
        expected = dict(arrays)
    weights = {name: values for name, values in expected.items() if "." in name or "_" in name}
    requests = list(expected["histories"])
    best: tuple[float, Call, str, float] | None = None
    for form in onnx_network.forms(onnx_network.sizes_of(weights)):
        call = caller(onnx_network.network(weights, setup.LENGTH, form), threads)
        error = difference(call, expected)
        seconds = common.latency(call, requests, TRIAL)["median"]
        if best is None or seconds < best[0]:
            best = seconds, call, str(form), error
    assert best is not None
    _, call, graph, error = best
    with common.measured() as meter:
        took = common.latency(call, requests)
    detail: dict[str, Any] = {**took, "threads": threads, **meter.detail}
    same = np.mean(np.concatenate([call(items)[1] for items in requests]) == expected["ids"])
    detail.update(graph=graph, error=error, same=float(same), version=onnxruntime.__version__)
    value = 1e6 * took["median"]
    common.Measurement(f"nested request {size}", FORM, value, "us", detail).print()


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    for size in setup.SERVED:
        measure(size, args.threads)


if __name__ == "__main__":
    main()
