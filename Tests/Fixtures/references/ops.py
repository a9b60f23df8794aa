"""Cases of operations, each forwards and backwards: ``ops.json``."""

import jax
import jax.numpy as jnp
import numpy as np

from .attention import check_linear_attention
from .common import ACTIVATIONS, cumulative, gelu, generator, linear, normal
from .operations import OPERATIONS, WITHOUT_GRADIENT, gbce_beta, metrics
from .recurrent import random_recurrence


def make_case(op, name, inputs, **attributes):
    """Run one operation forwards and, for a random cotangent, backwards."""
    name = f"{op}/{name}"

    def function(**inputs):
        result = OPERATIONS[op](**inputs)
        return result if isinstance(result, dict) else {"y" if result.ndim else "loss": result}

    case = {"op": op, "name": name, "attributes": attributes, "inputs": inputs}
    if op in WITHOUT_GRADIENT:
        return case | {"outputs": function(**inputs, **attributes)}
    variables = {
        key: jnp.asarray(value)
        for key, value in inputs.items()
        if value.dtype == np.float64 and not key.endswith("_log_q")
    }
    outputs, pullback = jax.vjp(lambda v: function(**{**inputs, **v}, **attributes), variables)
    rng = generator(name + "/cotangent")
    cotangents = {key: normal(rng, *value.shape) for key, value in outputs.items()}
    (gradients,) = pullback(jax.tree.map(jnp.asarray, cotangents))
    return case | {"outputs": outputs, "cotangents": cotangents, "gradients": gradients}


def linear_cases():
    """Linear maps, with and without bias and activation."""
    for m, k, n in [(1, 1, 1), (3, 5, 7), (7, 17, 13), (131, 3, 2), (2, 67, 33)]:
        rng = generator(f"linear {m} {k} {n}")
        x, weight, bias = normal(rng, m, k), normal(rng, n, k), normal(rng, n)
        yield make_case("linear", f"{m}x{k}x{n}", {"x": x, "weight": weight, "bias": bias})
    for m, k, n in [(1, 2, 5), (5, 11, 3)]:
        rng = generator(f"linear without bias {m} {k} {n}")
        inputs = {"x": normal(rng, m, k), "weight": normal(rng, n, k)}
        yield make_case("linear", f"{m}x{k}x{n}-without-bias", inputs)
    for activation in ACTIVATIONS:
        for m, k, n in [(1, 3, 2), (5, 7, 19), (3, 65, 17)]:
            rng = generator(f"linear {activation} {m} {k} {n}")
            inputs = {"x": normal(rng, m, k), "weight": normal(rng, n, k), "bias": normal(rng, n)}
            name = f"{activation}-{m}x{k}x{n}"
            yield make_case("linear_activation", name, inputs, activation=activation)


def pointwise_cases():
    """Activations over a wide range; sums, products and multiples."""
    for activation in ACTIVATIONS:
        rng = generator(f"activation {activation}")
        wide = normal(rng, 67, std=0.1, mean=np.linspace(-30, 30, 67))
        close = np.array([-1, -0.5, -0.02, -1e-4, 0, 1e-4, 0.02, 0.5, 1, 3]).astype(np.float32)
        x = np.concatenate([wide, close.astype(np.float64)]).reshape(7, 11)
        if activation == "relu":
            x = np.where(np.abs(x) < 0.01, 0.25, x)
        yield make_case("activation", f"{activation}-wide", {"x": x}, activation=activation)
        x = normal(rng, 1, 13, std=2.0)
        yield make_case("activation", f"{activation}-one-row", {"x": x}, activation=activation)
    for m, d in [(1, 1), (3, 7), (5, 67)]:
        rng = generator(f"pointwise {m} {d}")
        inputs = {"a": normal(rng, m, d), "b": normal(rng, m, d)}
        yield make_case("add", f"{m}x{d}", inputs)
        yield make_case("multiply", f"{m}x{d}", inputs)
        for factor in (-0.375, 8.0):
            yield make_case("scale", f"{m}x{d}-by-{factor}", {"x": inputs["a"]}, factor=factor)


def norm_cases():
    """Layer norms; every third row has a mean much larger than its spread."""
    shapes = [(3, 1, 1e-5), (1, 7, 1e-12), (5, 16, 1e-5), (3, 67, 1e-12), (4, 33, 1e-5)]
    for m, d, epsilon in shapes:
        rng = generator(f"norm {m} {d} {epsilon}")
        mean = np.where(np.arange(m) % 3 == 2, 300.0, 0.0)[:, None]
        x, r = normal(rng, m, d, mean=mean), normal(rng, m, d)
        affine = {"weight": normal(rng, d, std=0.3, mean=1.0), "bias": normal(rng, d)}
        name = f"{m}x{d}-{epsilon}"
        yield make_case("layer_norm", name, {"x": x, **affine}, epsilon=epsilon)
        yield make_case("residual_layer_norm", name, {"x": x, "r": r, **affine}, epsilon=epsilon)


def attention_cases():
    """Packed attention, one-token sequences among them."""
    for lengths, dim, heads in [
        ([1], 1, 1),
        ([1, 4, 1, 7, 2], 6, 3),
        ([17, 1, 33], 4, 2),
        ([1, 70, 3], 6, 2),
        ([1, 3], 68, 1),
        ([3, 2], 66, 3),
    ]:
        rng = generator(f"attention {lengths} {dim} {heads}")
        inputs = {"qkv": normal(rng, sum(lengths), 3 * dim), "offsets": cumulative(lengths)}
        name = f"lengths-{'-'.join(map(str, lengths))}-dim-{dim}-heads-{heads}"
        yield make_case("causal_attention", name, inputs, heads=heads)


def separate_attention_cases():
    """Packed attention of queries, keys and values that stand alone."""
    for lengths, dim, heads in [
        ([1], 2, 1),
        ([1, 4, 1, 7, 2], 6, 3),
        ([17, 1, 33], 4, 2),
        ([3, 2], 66, 3),
    ]:
        rng = generator(f"separate attention {lengths} {dim} {heads}")
        inputs = {key: normal(rng, sum(lengths), dim) for key in ("query", "key", "value")}
        inputs["offsets"] = cumulative(lengths)
        name = f"lengths-{'-'.join(map(str, lengths))}-dim-{dim}-heads-{heads}"
        yield make_case("full_attention", name, inputs, heads=heads)
        for mode in ("masked", "causal"):
            kind = {"heads": heads, "mode": mode, "epsilon": 1e-12}
            yield make_case("linear_attention", f"{mode}-{name}", inputs, **kind)
        rates = {"decay_log": normal(generator(f"rates of {name}"), heads) - 2}
        kind = {"heads": heads, "mode": "causal", "epsilon": 1e-12}
        yield make_case("linear_attention", f"decayed-{name}", inputs | rates, **kind)
    # A query and a key of which one head is all zero: epsilon alone keeps them finite.
    rng = generator("attention with a zero head")
    inputs = {key: normal(rng, 5, 4) for key in ("query", "key", "value")}
    inputs["query"][1, :2] = inputs["key"][2, 2:] = 0.0
    inputs["offsets"] = cumulative([4, 1])
    for mode in ("masked", "causal"):
        kind = {"heads": 2, "mode": mode, "epsilon": 1e-12}
        yield make_case("linear_attention", f"{mode}-zero-head", inputs, **kind)


def recurrence_cases():
    """Recurrences over packed histories, long and of one token; memories short and long."""
    for lengths, n, ring in [
        ([1], 1, (0.3, 0.95)),
        ([1, 2, 3, 31, 32, 33, 50], 3, (0.3, 0.95)),
        ([4, 1, 3], 37, (0.3, 0.95)),
        ([300], 2, (0.8, 0.99)),
    ]:
        rng = generator(f"linear recurrence {lengths} {n}")
        inputs = {"x": normal(rng, sum(lengths), 2 * n), **random_recurrence(rng, n, *ring)}
        name = f"lengths-{'-'.join(map(str, lengths))}-channels-{n}"
        yield make_case("linear_recurrence", name, inputs | {"offsets": cumulative(lengths)})
    for lengths, width in [([1], 1), ([3, 1, 12, 2], 5), ([1, 3], 17)]:
        for form in ("recbole", "tensorflow"):
            name = f"{form}-lengths-{'-'.join(map(str, lengths))}-width-{width}"
            rng = generator(f"gru {name}")
            inputs = {"x": normal(rng, sum(lengths), 3 * width)}
            inputs["weight"] = normal(rng, 3 * width, width, std=width**-0.5)
            inputs["offsets"] = cumulative(lengths)
            yield make_case("gru", name, inputs, form=form)


def convolution_cases():
    """Convolutions that look back further than some histories are long."""
    for lengths, inputs, outputs, kernel, dilation in [
        ([1], 1, 1, 3, 1),
        ([1, 9, 2, 5], 3, 5, 3, 2),
        ([4, 1, 11], 4, 4, 2, 4),
        ([3, 1], 17, 33, 3, 1),
        ([2, 5], 3, 2, 1, 3),
        ([35, 1, 20], 2, 3, 4, 8),
    ]:
        name = f"lengths-{'-'.join(map(str, lengths))}-{inputs}-to-{outputs}"
        name += f"-kernel-{kernel}-dilation-{dilation}"
        rng = generator(f"causal convolution {name}")
        arrays = {"x": normal(rng, sum(lengths), inputs)}
        arrays["weight"] = normal(rng, outputs, kernel * inputs)
        arrays |= {"bias": normal(rng, outputs), "offsets": cumulative(lengths)}
        yield make_case("causal_convolution", name, arrays, kernel=kernel, dilation=dilation)


def row_cases():
    """Look-ups with repeats; gathers and scatters of distinct rows."""
    for n, d, count in [(1, 1, 3), (5, 3, 7), (11, 67, 5), (7, 16, 1), (13, 2, 131)]:
        rng = generator(f"gather {n} {d} {count}")
        inputs = {"table": normal(rng, n, d), "rows": rng.integers(0, n, count)}
        yield make_case("gather", f"{count}-of-{n}x{d}", inputs)
    for m, d, count in [(1, 1, 1), (7, 5, 3), (6, 67, 5), (17, 3, 17)]:
        rng = generator(f"rows {m} {d} {count}")
        rows = rng.permutation(m)[:count]
        name = f"{count}-of-{m}x{d}"
        yield make_case("gather_rows", name, {"x": normal(rng, m, d), "rows": rows})
        yield make_case("scatter_rows", name, {"x": normal(rng, count, d), "rows": rows}, count=m)


def softmax_cases():
    """Full softmax cross-entropy, one item and large scores among them."""
    shapes = [(1, 1, 1), (1, 3, 2), (5, 7, 11), (131, 3, 5), (3, 67, 19)]
    for m, d, n, std in [*((*shape, 1.0) for shape in shapes), (7, 16, 13, 30.0)]:
        for smoothing in (0.0, 0.1):
            name = f"{m}x{d}x{n}-std-{std}-smoothing-{smoothing}"
            rng = generator(f"softmax {name}")
            inputs = {"hidden": normal(rng, m, d, std=std), "table": normal(rng, n, d)}
            inputs["targets"] = rng.integers(0, n, m)
            yield make_case("softmax_cross_entropy", name, inputs, label_smoothing=smoothing)


def seen_cases():
    """Scores with a margin: repeats, the target, what is no item, nothing among what was seen."""
    for m, d, n, longest in [(1, 3, 2, 1), (5, 7, 11, 6), (67, 5, 40, 9)]:
        for margin, smoothing in [(2.0, 0.0), (0.5, 0.1), (-20.0, 0.0)]:
            name = f"{m}x{d}x{n}-margin-{margin}-smoothing-{smoothing}"
            rng = generator(f"seen {name}")
            inputs = {"hidden": normal(rng, m, d), "table": normal(rng, n, d)}
            inputs["targets"] = rng.integers(0, n, m)
            lengths = rng.integers(0, longest + 1, m)
            inputs["seen"] = rng.integers(0, n + 1, lengths.sum())
            inputs["offsets"] = cumulative(lengths)
            options = {"margin": margin, "label_smoothing": smoothing}
            yield make_case("seen_softmax_cross_entropy", name, inputs, **options)


def sampled_cases():
    """Losses with negatives; targets among the shared negatives, repeats among a row's own."""
    shapes = [(1, 3, 2, 1), (5, 7, 11, 4), (13, 5, 7, 7), (3, 67, 17, 5)]
    for m, d, n, count, std in [*((*shape, 1.0) for shape in shapes), (7, 16, 19, 9, 30.0)]:
        name = f"{m}x{d}x{n}-negatives-{count}-std-{std}"
        rng = generator(f"sampled {name}")
        inputs = {"hidden": normal(rng, m, d, std=std), "table": normal(rng, n, d)}
        targets = inputs["targets"] = rng.integers(0, n, m)

        shared = rng.permutation(n)[:count]
        shared[0] = shared[0] if targets[0] in shared else targets[0]
        log_q = normal(rng, n, std=0.7, mean=-2.5)
        sampled = {"negatives": shared, "target_log_q": log_q[targets]}
        sampled["negative_log_q"] = log_q[shared]
        yield make_case("sampled_softmax", name, inputs | sampled)

        own = inputs | {"negatives": (targets[:, None] + rng.integers(1, n, (m, count))) % n}
        yield make_case("binary_cross_entropy", name, own, beta=1.0)
        if count < n - 1:
            beta = gbce_beta(count, n, 0.75)
            case = make_case("binary_cross_entropy", f"{name}-gbce", own, beta=beta)
            case["attributes"]["gbce_t"] = 0.75
            yield case


def optimiser_cases():
    """Adam in all its forms, for gradients ordinary, zero and small; the global norm."""
    sizes = np.array([1.0] * 14 + [0.0, 1e-7, 1e-3])
    usual = {"learning_rate": 0.01, "beta1": 0.9, "epsilon": 1e-8}
    for form in ("torch", "tensorflow"):
        for decoupled in (False, True):
            beta2 = 0.98 if decoupled else 0.999
            for decay in (0.0, 0.1):
                name = f"{form}-{'decoupled' if decoupled else 'l2'}-decay-{decay}"
                rng = generator(f"adam {name}")
                inputs = {"parameter": normal(rng, 17), "gradients": normal(rng, 5, 17, std=sizes)}
                kind = {"form": form, "decoupled": decoupled, "weight_decay": decay}
                yield make_case("adam", name, inputs, beta2=beta2, **kind, **usual)
    for name, std, max_norm in [("above", 1.0, 0.5), ("below", 0.01, 5.0), ("zero", 0.0, 1.0)]:
        rng = generator(f"clip {name}")
        inputs = {"g0": normal(rng, 3, 7, std=std), "g1": normal(rng, 19, std=std)}
        inputs["g2"] = normal(rng, 1, 1, std=std)
        yield make_case("clip_global_norm", name, inputs, max_norm=max_norm)


def metric_cases():
    """One and several relevant items a person, some beyond k; ranks in no particular order."""
    one = np.array([3, 1, 6, 10, 11, 2, 500])
    several = [[2], [7, 1, 4], [30, 21], [1, 2, 3, 4, 5, 6], [11, 10, 3, 90], [6, 5], [20]]
    for k in (1, 5, 10, 20):
        inputs = {"ranks": one, "offsets": np.arange(len(one) + 1)}
        yield make_case("metrics", f"one-relevant-at-{k}", inputs, k=k)
        inputs = {"ranks": np.concatenate(several), "offsets": cumulative(map(len, several))}
        yield make_case("metrics", f"several-relevant-at-{k}", inputs, k=k)


GROUPS = (
    linear_cases,
    pointwise_cases,
    norm_cases,
    attention_cases,
    row_cases,
    softmax_cases,
    seen_cases,
    sampled_cases,
    optimiser_cases,
    metric_cases,
    recurrence_cases,
    convolution_cases,
    separate_attention_cases,
)


def operation_cases():
    """Return all cases of operations."""
    check_known_values()
    check_linear_attention()
    cases = [case for group in GROUPS for case in group()]
    assert len({case["name"] for case in cases}) == len(cases)
    check_operation_cases(cases)
    return cases


def check_known_values():
    """Compare with values that were published or worked out by hand."""
    x = np.array([-2, -1, -0.5, 0, 0.5, 1, 2])
    known = [-0.04550026, -0.15865525, -0.15426877, 0, 0.34573123, 0.84134475, 1.95449974]
    np.testing.assert_allclose(gelu(x), known, atol=5e-9)
    np.testing.assert_allclose(jax.grad(gelu)(0.7), 0.976614, atol=5e-7)
    for rank, gain in [(1, 1), (2, 0.63092975), (3, 0.5), (10, 0.28906483)]:
        values = metrics(np.array([rank]), np.array([0, 1]), k=10)
        np.testing.assert_allclose(values["ndcg"], gain, atol=5e-9)
        np.testing.assert_allclose(values["mrr"], 1 / rank)
    values = metrics(np.array([4, 1, 9]), np.array([0, 3]), k=5)
    np.testing.assert_allclose(values["map"], (1 + 2 / 4) / 3)
    np.testing.assert_allclose(gbce_beta(5, 21, 1.0), 0.25)  # t = 1 gives the sampling rate
    np.testing.assert_allclose(gbce_beta(5, 21, 0.0), 1.0)  # t = 0 gives plain cross-entropy


def check_operation_cases(cases):
    """Keep rectifiers away from their kink, where float32 may land on the other side."""
    for case in cases:
        if case["attributes"].get("activation") == "relu":
            inputs = case["inputs"]
            before = linear(**inputs) if "weight" in inputs else inputs["x"]
            assert np.abs(before).min() > 1e-3, case["name"]


FILES = {"ops": operation_cases}
