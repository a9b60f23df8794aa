"""Cases of the operations of nested models, each forwards and backwards: ``ops_nested.json``."""

from itertools import product

import numpy as np

from .common import generator, normal
from .nested import Widths, check_nested_linear, level_shapes
from .ops import make_case

# Every repetition of channels at small sizes, then larger sizes.
KINDS = (1, 2, 4)
LINEAR = [((1, 3), Widths(*k, *p)) for k in product(KINDS, KINDS) for p in [(1, 1), (1, 2), (2, 1)]]
LINEAR += [((1, 3), Widths(*k, 2, 2)) for k in [(1, 1), (2, 4), (4, 2)]]
LINEAR += [
    ((3, 7, 20), Widths()),
    ((3, 7, 20), Widths(k_in=4)),
    ((3, 7, 20), Widths(k_out=4)),
    ((3, 7, 12), Widths(k_out=2, planes_out=2)),
    ((3, 7, 12), Widths(k_in=2, planes_in=2)),
    ((3, 7, 12), Widths(planes_out=3)),
    ((4, 12, 17), Widths()),
    ((5,), Widths(1, 2, 2, 1)),
]


def nested_linear_cases():
    """Nested linear maps of one level and several, with channels repeated and in planes."""
    for number, (sizes, widths) in enumerate(LINEAR):
        rows = (2, 1, 5)[number % 3]
        name = f"sizes-{'-'.join(map(str, sizes))}-k-{widths.k_in}-to-{widths.k_out}"
        name += f"-planes-{widths.planes_in}-to-{widths.planes_out}-rows-{rows}"
        rng = generator(f"nested linear {name}")
        inputs = {"x": normal(rng, rows, widths.planes_in * widths.k_in * sizes[-1])}
        for j, shape in enumerate(level_shapes(sizes, widths)):
            inputs |= {f"weight{j}": normal(rng, *shape), f"bias{j}": normal(rng, shape[0])}
        yield make_case("nested_linear", name, inputs, sizes=list(sizes), **widths._asdict())


def chunk_norm_cases():
    """Norms of chunks; every third row has means much larger than its spread, of both signs."""
    for m, sizes, epsilon in [
        (3, (1,), 1e-5),
        (1, (7,), 1e-12),
        (3, (1, 4, 9), 1e-5),
        (5, (3, 7, 20), 1e-5),
        (4, (8, 16, 32, 67), 1e-12),
        (6, (16, 33), 1e-5),
    ]:
        name = f"rows-{m}-sizes-{'-'.join(map(str, sizes))}-{epsilon}"
        rng = generator(f"chunk norm {name}")
        chunk = np.repeat(np.arange(len(sizes)), np.diff(sizes, prepend=0))
        far = (np.arange(m) % 3 == 2)[:, None]
        x = normal(rng, m, sizes[-1], mean=np.where(far, 300.0 * (-1.0) ** chunk, 0.0))
        inputs = {"x": x, "weight": normal(rng, sizes[-1], std=0.3, mean=1.0)}
        inputs["bias"] = normal(rng, sizes[-1])
        kind = {"sizes": list(sizes), "epsilon": epsilon}
        yield make_case("chunk_layer_norm", name, inputs, **kind)


def nested_softmax_cases():
    """Cross-entropies over sizes, equal and unequal weights, large scores among them."""
    for m, sizes, n, biased, weights, std in [
        (1, (3, 7), 37, False, None, 1.0),
        (5, (3, 7, 20), 37, True, (0.5, 0.125, 1.25), 1.0),
        (70, (2, 5), 37, False, None, 1.0),
        (70, (4, 8, 9), 41, True, None, 1.0),
        (5, (6,), 1, True, None, 1.0),
        (1, (6,), 37, False, (2.0,), 1.0),
        (7, (4, 8, 16), 13, False, None, 30.0),
        (70, (1, 2), 1031, True, (0.25, 1.5), 1.0),
    ]:
        name = f"{m}-rows-sizes-{'-'.join(map(str, sizes))}-items-{n}-std-{std:.0f}"
        name += "-bias" * biased + "-weights" * (weights is not None)
        rng = generator(f"nested softmax {name}")
        inputs = {"hidden": normal(rng, m, sizes[-1], std=std), "table": normal(rng, n, sizes[-1])}
        if biased:
            inputs["bias"] = normal(rng, n)
        targets = inputs["targets"] = rng.integers(0, n, m)
        targets[: min(m, 3)] = [n - 1, 0, max(0, n - 8)][:m]
        equal = [1 / len(sizes)] * len(sizes)
        kind = {"sizes": list(sizes), "weights": list(weights or equal)}
        yield make_case("nested_softmax_cross_entropy", name, inputs, **kind)


def nested_operation_cases():
    """Return all cases of the operations of nested models."""
    check_nested_linear()
    groups = nested_linear_cases, chunk_norm_cases, nested_softmax_cases
    cases = [case for group in groups for case in group()]
    assert len({case["name"] for case in cases}) == len(cases)
    return cases


FILES = {"ops_nested": nested_operation_cases}
