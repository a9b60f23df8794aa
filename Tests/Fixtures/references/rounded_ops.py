"""Cases of the operations that round to bfloat16, forwards and backwards: ``ops_rounded.json``."""

from itertools import count

import jax
import jax.numpy as jnp
import numpy as np

from .common import cumulative, generator, normal
from .nested import Widths, level_shapes
from .operations import OPERATIONS
from .ops import make_case
from .rounded import TIES, check_rounding, round_bfloat16

SUFFIX = "_bfloat16"
SMALLEST_TIE = 4e-6


def rounded_case(op, name, draw, **attributes):
    """Return the case of the first ``draw(rng)`` with which no computed number is near a tie."""
    op += SUFFIX

    def attempt(number):
        TIES.clear()
        inputs = draw(generator(f"{op} {name} {number}"))
        case = make_case(op, name, inputs, **attributes)
        jax.effects_barrier()
        return case

    cases = map(attempt, count())
    return next(case for case in cases if min(TIES, default=1.0) > SMALLEST_TIE)


def draw_linear(m, k, n, biased=True):
    """Return what draws the inputs of a linear map."""

    def draw(rng):
        inputs = {"x": normal(rng, m, k), "weight": normal(rng, n, k)}
        return inputs | {"bias": normal(rng, n)} if biased else inputs

    return draw


def draw_ties(rng):
    """Numbers half way between two of bfloat16, and the float32 numbers on either side of them."""
    ties = rng.choice([-1, 1], (2, 3, 7)) * (
        1 + 2.0**-8 * (2 * rng.integers(0, 128, (2, 3, 7)) + 1)
    )
    ties *= 2.0 ** rng.integers(-3, 4, ties.shape)
    ties *= 1 + 2.0**-23 * rng.integers(-1, 2, ties.shape)
    x, weight = ties.astype(np.float32).astype(np.float64)
    return {"x": x, "weight": weight}


def linear_cases():
    """Linear maps: odd shapes, a long sum, ties; with an activation."""
    shapes = [(1, 1, 1), (3, 5, 7), (2, 1, 33), (5, 18, 1), (67, 2, 1), (1, 261, 2)]
    for m, k, n in shapes:
        yield rounded_case("linear", f"{m}x{k}x{n}", draw_linear(m, k, n))
    yield rounded_case("linear", "5x11x3-without-bias", draw_linear(5, 11, 3, biased=False))
    yield rounded_case("linear", "ties", draw_ties)
    for activation, m, k, n in [("gelu", 5, 7, 9), ("silu", 1, 3, 2)]:
        name, draw = f"{activation}-{m}x{k}x{n}", draw_linear(m, k, n)
        yield rounded_case("linear_activation", name, draw, activation=activation)


def nested_linear_cases():
    """Nested linear maps of one level and several, with channels repeated and in planes."""
    for rows, sizes, widths in [
        (2, (1, 3), Widths(1, 2, 2, 1)),
        (1, (2, 5, 8), Widths(planes_out=2)),
        (5, (2, 4), Widths(k_in=2, planes_in=2)),
        (5, (5,), Widths()),
    ]:

        def draw(rng, rows=rows, sizes=sizes, widths=widths):
            inputs = {"x": normal(rng, rows, widths.planes_in * widths.k_in * sizes[-1])}
            for j, shape in enumerate(level_shapes(sizes, widths)):
                inputs |= {f"weight{j}": normal(rng, *shape), f"bias{j}": normal(rng, shape[0])}
            return inputs

        name = f"sizes-{'-'.join(map(str, sizes))}-k-{widths.k_in}-to-{widths.k_out}"
        name += f"-planes-{widths.planes_in}-to-{widths.planes_out}-rows-{rows}"
        kind = {"sizes": list(sizes), **widths._asdict()}
        yield rounded_case("nested_linear", name, draw, **kind)


def mixing_cases():
    """Maps over positions; sums over all histories and channels backwards."""
    for histories, positions, outputs, dim in [(1, 1, 1, 1), (3, 5, 4, 3), (5, 2, 1, 3)]:

        def draw(rng, histories=histories, positions=positions, outputs=outputs, dim=dim):
            inputs = {"x": normal(rng, positions * histories, dim)}
            return inputs | {
                "weight": normal(rng, outputs, positions),
                "bias": normal(rng, outputs),
            }

        name = f"{histories}x{positions}x{dim}-to-{outputs}"
        yield rounded_case("mix_positions", name, draw)


def convolution_cases():
    """Convolutions that look back further than some histories are long."""
    for lengths, inputs, outputs, kernel, dilation in [
        ([1], 1, 1, 3, 1),
        ([1, 9, 2, 5], 3, 5, 3, 2),
        ([11, 1, 5], 2, 3, 2, 8),
    ]:

        def draw(rng, lengths=lengths, inputs=inputs, outputs=outputs, kernel=kernel):
            arrays = {"x": normal(rng, sum(lengths), inputs)}
            arrays["weight"] = normal(rng, outputs, kernel * inputs)
            return arrays | {"bias": normal(rng, outputs), "offsets": cumulative(lengths)}

        name = f"lengths-{'-'.join(map(str, lengths))}-{inputs}-to-{outputs}"
        name += f"-kernel-{kernel}-dilation-{dilation}"
        yield rounded_case("causal_convolution", name, draw, kernel=kernel, dilation=dilation)


def softmax_cases():
    """Cross-entropy over all items, with and without smoothing."""
    for m, d, n, smoothing in [
        (1, 3, 2, 0.0),
        (5, 7, 11, 0.0),
        (5, 7, 11, 0.1),
        (3, 1, 35, 0.0),
        (67, 3, 17, 0.1),
    ]:

        def draw(rng, m=m, d=d, n=n):
            inputs = {"hidden": normal(rng, m, d), "table": normal(rng, n, d)}
            return inputs | {"targets": rng.integers(0, n, m)}

        name = f"{m}x{d}x{n}-smoothing-{smoothing}"
        yield rounded_case("softmax_cross_entropy", name, draw, label_smoothing=smoothing)


def nested_softmax_cases():
    """Cross-entropies over sizes, with equal and unequal weights, with and without bias."""
    for m, sizes, n, biased, weights in [
        (1, (1, 4), 3, False, (0.5, 0.5)),
        (5, (3, 5, 9), 11, True, (0.5, 0.125, 1.25)),
        (67, (1, 3), 9, False, (0.25, 1.5)),
        (3, (6,), 7, True, (2.0,)),
    ]:

        def draw(rng, m=m, sizes=sizes, n=n, biased=biased):
            inputs = {"hidden": normal(rng, m, sizes[-1]), "table": normal(rng, n, sizes[-1])}
            if biased:
                inputs["bias"] = normal(rng, n)
            return inputs | {"targets": rng.integers(0, n, m)}

        name = f"{m}-rows-sizes-{'-'.join(map(str, sizes))}-items-{n}" + "-bias" * biased
        kind = {"sizes": list(sizes), "weights": list(weights)}
        yield rounded_case("nested_softmax_cross_entropy", name, draw, **kind)


def sampled_cases():
    """Softmax among shared negatives, a target among them."""
    for m, d, n, negatives in [(1, 3, 2, 1), (5, 7, 11, 4), (19, 3, 17, 5)]:

        def draw(rng, m=m, d=d, n=n, negatives=negatives):
            inputs = {"hidden": normal(rng, m, d), "table": normal(rng, n, d)}
            targets = inputs["targets"] = rng.integers(0, n, m)
            shared = rng.permutation(n)[:negatives]
            if m > 1 and targets[0] not in shared:
                shared[0] = targets[0]
            log_q = normal(rng, n, std=0.7, mean=-2.5)
            inputs |= {"negatives": shared, "target_log_q": log_q[targets]}
            return inputs | {"negative_log_q": log_q[shared]}

        yield rounded_case("sampled_softmax", f"{m}x{d}x{n}-negatives-{negatives}", draw)


def recurrence_cases():
    """Gated recurrences over packed histories, few and many, short and long."""
    for lengths, width in [([1, 2], 1), ([3, 1, 7, 2], 5), ([2, 1, 1, 3, 1, 2, 1, 1, 4, 1], 2)]:
        for form in ("recbole", "tensorflow"):

            def draw(rng, lengths=lengths, width=width):
                inputs = {"x": normal(rng, sum(lengths), 3 * width)}
                inputs["weight"] = normal(rng, 3 * width, width, std=width**-0.5)
                return inputs | {"offsets": cumulative(lengths)}

            name = f"{form}-lengths-{'-'.join(map(str, lengths))}-width-{width}"
            yield rounded_case("gru", name, draw, form=form)


def mix_positions(x, weight, bias):
    """W x + b over positions, without rounding: the operation that ``ops.json`` has no case of."""
    mixed = jnp.einsum("op,phd->ohd", weight, x.reshape(weight.shape[1], -1, x.shape[1]))
    return (mixed + bias[:, None, None]).reshape(-1, x.shape[1])


UNROUNDED = OPERATIONS | {"mix_positions": mix_positions}
# Their products round the inputs and the cotangent alone.
MAPS = ("linear", "nested_linear", "mix_positions", "causal_convolution")


def run(op, case, inputs, cotangents):
    """Output and gradients of an operation that does not round."""
    fixed = {key: value for key, value in inputs.items() if key not in case["gradients"]}

    def function(variables):
        return UNROUNDED[op](**variables, **fixed, **case["attributes"])

    output, pullback = jax.vjp(function, {key: inputs[key] for key in case["gradients"]})
    (gradients,) = pullback(jnp.asarray(cotangents))
    return {"output": output, **gradients}


def check_rounded_case(case):
    """Compare with the operation that does not round, for inputs as they are and rounded before.

    The first must differ visibly. The second is the same where products round inputs and cotangent
    alone, apart from sums for biases, which round nothing, and about the same elsewhere.
    """
    op, (cotangent,) = case["op"].removesuffix(SUFFIX), case["cotangents"].values()
    found = {"output": next(iter(case["outputs"].values())), **case["gradients"]}
    plain = run(op, case, case["inputs"], cotangent)
    factors = {
        key: value if key.startswith("bias") else round_bfloat16(value)
        for key, value in case["inputs"].items()
        if key in case["gradients"]
    }
    is_map = op in MAPS
    rounded = run(
        op, case, case["inputs"] | factors, round_bfloat16(cotangent) if is_map else cotangent
    )
    differences = []
    for key, value in found.items():
        size = np.abs(value).max()
        differences.append(float(np.abs(value - plain[key]).max() / size))
        if is_map and not key.startswith("bias"):
            np.testing.assert_allclose(value, rounded[key], rtol=0, atol=1e-13 * size)
        elif key.startswith("bias") and op in (*MAPS, "linear_activation"):
            continue
        else:
            np.testing.assert_allclose(value, rounded[key], rtol=0, atol=2e-2 * size)
    assert max(differences) > 2e-4, (case["name"], differences)


GROUPS = (
    linear_cases,
    nested_linear_cases,
    mixing_cases,
    convolution_cases,
    softmax_cases,
    nested_softmax_cases,
    sampled_cases,
    recurrence_cases,
)


def rounded_operation_cases():
    """Return all cases of operations that round."""
    check_rounding()
    cases = [case for group in GROUPS for case in group()]
    assert len({case["name"] for case in cases}) == len(cases)
    for case in cases:
        check_rounded_case(case)
    return cases


FILES = {"ops_rounded": rounded_operation_cases}
