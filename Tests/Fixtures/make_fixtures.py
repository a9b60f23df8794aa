"""Write the reference numbers that every implementation of Elastirec is held to.

    pip install "jax[cpu]" numpy
    python make_fixtures.py

writes ``ops.json`` and ``sasrec.json`` beside this file. All arithmetic is JAX in float64 on the
processor, from the published formulas alone; derivatives are JAX's own. Every input, parameter and
cotangent is representable in float32, so a float32 implementation starts from the same numbers.
Numbers are printed with ten significant digits; what is below 1e-14 is rounding and printed as 0.

An array is ``{"shape": [...], "values": [...]}``, row by row; a scalar has the shape ``[]``.
Linear weights are ``[out, in]``. Variable-length rows are packed: row ``i`` is
``values[offsets[i]:offsets[i + 1]]``. The keyword arguments of an operation below are the names of
its inputs and attributes in ``ops.json``; the keys of what it returns are the names of its outputs.
"""

import json
import zlib
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erfc

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_enable_x64", True)

FOLDER = Path(__file__).parent

# Operations


def gelu(x):
    """Exact GELU, x Phi(x) (Hendrycks and Gimpel, 2016); erfc keeps the left tail accurate."""
    return 0.5 * x * erfc(-x / np.sqrt(2))


def silu(x):
    """SiLU, x sigmoid(x) (Elfwing et al., 2018)."""
    return x * jax.nn.sigmoid(x)


ACTIVATIONS = {"gelu": gelu, "relu": lambda x: jnp.maximum(x, 0), "silu": silu}


def linear(x, weight, bias=0.0):
    """Linear map x W^T + b, weights stored as PyTorch stores them."""
    return {"y": x @ weight.T + bias}


def linear_activation(x, weight, bias, activation):
    """The activation of a linear map."""
    return {"y": ACTIVATIONS[activation](linear(x, weight, bias)["y"])}


def apply_activation(x, activation):
    """The activation alone."""
    return {"y": ACTIVATIONS[activation](x)}


def layer_norm(x, weight, bias, epsilon):
    """Layer normalisation over the last axis, population variance (Ba et al., 2016)."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    return {"y": weight * centred / jnp.sqrt(variance + epsilon) + bias}


def residual_layer_norm(x, r, weight, bias, epsilon):
    """LN(x + r), the post-norm residual of Vaswani et al. (2017)."""
    return layer_norm(x + r, weight, bias, epsilon)


def causal_attention(qkv, offsets, heads):
    """Scaled dot-product attention (Vaswani et al., 2017) inside each packed sequence.

    Columns of ``qkv``: all queries, all keys, all values; a head owns adjacent columns of each.
    A query sees the keys at or before its own position.
    """
    width = qkv.shape[1] // 3 // heads
    query, key, value = jnp.moveaxis(qkv.reshape(len(qkv), 3, heads, width), 1, 0)
    sequence = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    visible = np.tril(sequence[:, None] == sequence)
    scores = jnp.einsum("ihc,jhc->hij", query, key) / np.sqrt(width)
    weights = jax.nn.softmax(jnp.where(visible, scores, -jnp.inf), axis=-1)
    return {"y": jnp.einsum("hij,jhc->ihc", weights, value).reshape(len(qkv), -1)}


def gather(table, rows):
    """Rows of a table, repeats allowed: the embedding look-up."""
    return {"y": table[rows]}


def gather_rows(x, rows):
    """Some distinct rows of ``x``, in the order asked for."""
    return {"y": x[rows]}


def scatter_rows(x, rows, count):
    """``count`` rows of zeros with the rows of ``x`` written at ``rows``."""
    return {"y": jnp.zeros((count, x.shape[1])).at[rows].set(x)}


def add(a, b):
    """Sum, element by element."""
    return {"y": a + b}


def multiply(a, b):
    """Product, element by element."""
    return {"y": a * b}


def scale(x, factor):
    """Product with a constant."""
    return {"y": x * factor}


def softmax_cross_entropy(hidden, table, targets, label_smoothing):
    """Mean over rows of the cross-entropy over all items; scores are hidden table^T.

    Smoothing s makes the target (1 - s) one-hot + s / items (Szegedy et al., 2016, section 7).
    """
    log_p = jax.nn.log_softmax(hidden @ table.T, axis=1)
    hit = log_p[np.arange(len(targets)), targets]
    return {"loss": -jnp.mean((1 - label_smoothing) * hit + label_smoothing * log_p.mean(axis=1))}


def sampled_softmax(hidden, table, targets, negatives, target_log_q, negative_log_q):
    """Mean cross-entropy among the target and the shared negatives, each score less its log q.

    A negative equal to the row's target is removed (Jean et al., 2015; TensorFlow's
    ``sampled_softmax_loss`` with ``remove_accidental_hits``).
    """
    positive = jnp.sum(hidden * table[targets], axis=1) - target_log_q
    negative = hidden @ table[negatives].T - negative_log_q
    negative = jnp.where(targets[:, None] == negatives, -jnp.inf, negative)
    scores = jnp.concatenate([positive[:, None], negative], axis=1)
    return {"loss": -jnp.mean(jax.nn.log_softmax(scores, axis=1)[:, 0])}


def binary_cross_entropy(hidden, table, targets, negatives, beta):
    """Mean over rows of -(beta log sigmoid(r+) + sum over negatives of log(1 - sigmoid(r-))).

    Kang and McAuley (2018) with beta = 1; gBCE (Petrov and Macdonald, 2023) with ``gbce_beta``.
    """
    positive = jnp.sum(hidden * table[targets], axis=1)
    negative = jnp.einsum("md,mnd->mn", hidden, table[negatives])
    rows = beta * jax.nn.softplus(-positive) + jax.nn.softplus(negative).sum(axis=1)
    return {"loss": rows.mean()}


def gbce_beta(negatives, items, t):
    """Exponent of gBCE (Petrov and Macdonald, 2023); alpha is the sampling rate."""
    alpha = negatives / (items - 1)
    return alpha * (t * (1 - 1 / alpha) + 1 / alpha)


def adam_step(
    parameter,
    gradient,
    moments,
    step,
    *,
    form,
    decoupled,
    weight_decay,
    learning_rate,
    beta1,
    beta2,
    epsilon,
):
    """One step of Adam (Kingma and Ba, 2015); returns the parameter and the two moments.

    ``torch`` (algorithm 1, ``torch.optim.Adam``) adds epsilon to the corrected root;
    ``tensorflow`` (the remark after algorithm 1, ``tf.train.AdamOptimizer``) to the uncorrected.
    Decoupled decay shrinks the parameter by learning_rate * weight_decay before the step
    (``torch.optim.AdamW``); otherwise weight_decay * parameter is added to the gradient.
    """
    if decoupled:
        parameter = parameter - learning_rate * weight_decay * parameter
    else:
        gradient = gradient + weight_decay * parameter
    first = beta1 * moments[0] + (1 - beta1) * gradient
    second = beta2 * moments[1] + (1 - beta2) * gradient**2
    correction1, correction2 = 1 - beta1**step, 1 - beta2**step
    if form == "torch":
        change = first / correction1 / (np.sqrt(second / correction2) + epsilon)
    else:
        change = np.sqrt(correction2) / correction1 * first / (np.sqrt(second) + epsilon)
    return parameter - learning_rate * change, (first, second)


def adam(parameter, gradients, **options):
    """The parameter after each of several steps, one gradient a step."""
    moments, rows = (0.0, 0.0), []
    for step, gradient in enumerate(gradients, start=1):
        parameter, moments = adam_step(parameter, gradient, moments, step, **options)
        rows.append(parameter)
    return {"parameter_after": np.stack(rows)}


def clip_global_norm(max_norm, **gradients):
    """All gradients times min(1, max_norm / their common norm) (Pascanu et al., 2013)."""
    norm = np.sqrt(sum(np.sum(np.square(g)) for g in gradients.values()))
    factor = max_norm / norm if norm > max_norm else 1.0
    return {name: factor * g for name, g in gradients.items()}


def metrics(ranks, offsets, k):
    """Means over people of ranking metrics; ``ranks`` are those of the relevant items, from 1.

    NDCG as Jarvelin and Kekalainen (2002) with binary gains; average precision divides by the
    smaller of k and the number of relevant items.
    """
    rows = []
    for start, end in pairwise(offsets):
        hits = np.sort(ranks[start:end][ranks[start:end] <= k])
        best = min(end - start, k)
        gain = np.sum(1 / np.log2(hits + 1)) / np.sum(1 / np.log2(np.arange(best) + 2))
        precision = np.sum((np.arange(len(hits)) + 1) / hits) / best
        reciprocal = 1 / hits[0] if len(hits) else 0.0
        rows.append([len(hits) / (end - start), len(hits) > 0, reciprocal, gain, precision])
    means = np.mean(np.array(rows, dtype=float), axis=0)
    return dict(zip(["recall", "hit_rate", "mrr", "ndcg", "map"], means, strict=True))


OPERATIONS = {
    "linear": linear,
    "linear_activation": linear_activation,
    "activation": apply_activation,
    "layer_norm": layer_norm,
    "residual_layer_norm": residual_layer_norm,
    "causal_attention": causal_attention,
    "gather": gather,
    "gather_rows": gather_rows,
    "scatter_rows": scatter_rows,
    "add": add,
    "multiply": multiply,
    "scale": scale,
    "softmax_cross_entropy": softmax_cross_entropy,
    "sampled_softmax": sampled_softmax,
    "binary_cross_entropy": binary_cross_entropy,
    "adam": adam,
    "clip_global_norm": clip_global_norm,
    "metrics": metrics,
}
WITHOUT_GRADIENT = ("adam", "clip_global_norm", "metrics")

# Cases of operations


def generator(name):
    """Return the random generator of a case: its name is the seed, so cases stay as they are."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def normal(rng, *shape, std=1.0, mean=0.0):
    """Return normal numbers that float32 represents, held in float64."""
    return (mean + std * rng.standard_normal(shape)).astype(np.float32).astype(np.float64)


def make_case(op, name, inputs, **attributes):
    """Run one operation forwards and, for a random cotangent, backwards."""
    name = f"{op}/{name}"
    function = OPERATIONS[op]
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


def cumulative(lengths):
    """Return the offsets of packed rows."""
    return np.concatenate([[0], np.cumsum(list(lengths))])


def operation_cases():
    """Return all cases of operations."""
    groups = (linear_cases, pointwise_cases, norm_cases, attention_cases, row_cases, softmax_cases)
    groups += (sampled_cases, optimiser_cases, metric_cases)
    cases = [case for group in groups for case in group()]
    assert len({case["name"] for case in cases}) == len(cases)
    return cases


# SASRec


def sasrec_shapes(c):
    """Name and shape of every parameter, in the order in which a model lists them."""
    dim, inner = c["dim"], c["inner_dim"]
    shapes = {"item_embedding": (c["items"], dim), "position_embedding": (c["max_length"], dim)}

    def norm(name):
        shapes.update({f"{name}.weight": (dim,), f"{name}.bias": (dim,)})

    def linear_map(name, inputs, outputs):
        shapes.update({f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)})

    if c["norm"] == "post":
        norm("embedding_norm")
    for b in range(c["blocks"]):
        norm(f"blocks.{b}.attention_norm")
        linear_map(f"blocks.{b}.attention.qkv", dim, 3 * dim)
        linear_map(f"blocks.{b}.attention.output", dim, dim)
        norm(f"blocks.{b}.feed_forward_norm")
        linear_map(f"blocks.{b}.feed_forward.expand", dim, inner)
        linear_map(f"blocks.{b}.feed_forward.contract", inner, dim)
    if c["norm"] != "post":
        norm("final_norm")
    if not c["tied"]:
        shapes["output_embedding"] = (c["items"], dim)
    return shapes


def block(p, c, prefix, x, offsets):
    """One block: attention and a feed-forward net, each with its residual and norm.

    ``post`` is RecBole's (``TransformerLayer`` in ``recbole/model/layers.py``), ``pre`` that of
    Xiong et al. (2020), ``query`` the original of Kang and McAuley (2018): only the queries and
    the residual are normalised, and the feed-forward net's residual starts behind its norm.
    """

    def norm(name, x):
        name = f"{prefix}.{name}"
        return layer_norm(x, p[f"{name}.weight"], p[f"{name}.bias"], c["norm_epsilon"])["y"]

    def linear_map(name, x):
        return linear(x, p[f"{prefix}.{name}.weight"], p[f"{prefix}.{name}.bias"])["y"]

    def attention(queries, x):
        query = linear_map("attention.qkv", queries)[:, : c["dim"]]
        key_value = linear_map("attention.qkv", x)[:, c["dim"] :]
        qkv = jnp.concatenate([query, key_value], axis=1)
        return linear_map("attention.output", causal_attention(qkv, offsets, c["heads"])["y"])

    def feed_forward(x):
        inner = ACTIVATIONS[c["activation"]](linear_map("feed_forward.expand", x))
        return linear_map("feed_forward.contract", inner)

    if c["norm"] == "post":
        s = norm("attention_norm", x + attention(x, x))
        return norm("feed_forward_norm", s + feed_forward(s))
    q = norm("attention_norm", x)
    if c["norm"] == "pre":
        s = x + attention(q, q)
        return s + feed_forward(norm("feed_forward_norm", s))
    z = norm("feed_forward_norm", q + attention(q, x))
    return z + feed_forward(z)


def encode(p, c, histories):
    """The state after every item of the packed histories; positions count from the oldest item.

    Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018; the defaults are those
    of RecBole's ``SASRec``.
    """
    items = np.concatenate(histories)
    positions = np.concatenate([np.arange(len(h)) for h in histories])
    offsets = cumulative(map(len, histories))
    factor = np.sqrt(c["dim"]) if c["scale_embedding"] else 1.0
    x = factor * p["item_embedding"][items] + p["position_embedding"][positions]

    def norm(name, x):
        return layer_norm(x, p[f"{name}.weight"], p[f"{name}.bias"], c["norm_epsilon"])["y"]

    if c["norm"] == "post":
        x = norm("embedding_norm", x)
    for b in range(c["blocks"]):
        x = block(p, c, f"blocks.{b}", x, offsets)
    return x if c["norm"] == "post" else norm("final_norm", x)


def output_table(p, c):
    """The item table that scores are taken against."""
    return p["item_embedding" if c["tied"] else "output_embedding"]


def training_windows(c, histories):
    """Inputs and targets of the histories that have a target: the newest max_length of each."""
    windows = [h[-(c["max_length"] + 1) :] for h in histories if len(h) > 1]
    return [w[:-1] for w in windows], np.concatenate([w[1:] for w in windows])


def sasrec_loss(p, c, smoothing, histories):
    """Mean cross-entropy of the next item over every position of every history."""
    inputs, targets = training_windows(c, histories)
    hidden = encode(p, c, inputs)
    return softmax_cross_entropy(hidden, output_table(p, c), targets, smoothing)["loss"]


def sasrec_scores(p, c, histories):
    """Scores of all items after the newest max_length items of each history."""
    recent = [h[-c["max_length"] :] for h in histories]
    last = cumulative(map(len, recent))[1:] - 1
    return encode(p, c, recent)[last] @ output_table(p, c).T


def train(p, c, o, histories, steps):
    """Return the losses before each step, the first gradients (unclipped) and all parameters."""
    value_and_grad = jax.jit(
        jax.value_and_grad(lambda p: sasrec_loss(p, c, o["label_smoothing"], histories))
    )
    settings = {key: o[key] for key in ("weight_decay", "learning_rate", "beta1", "beta2")}
    settings |= {"form": o["adam_form"], "decoupled": o["optimizer"] == "adamw"}
    moments = dict.fromkeys(p, (0.0, 0.0))
    losses, all_gradients, all_parameters = [], [], []
    for step in range(1, steps + 1):
        loss, gradients = value_and_grad(p)
        losses.append(float(loss))
        all_gradients.append(gradients)
        if o["gradient_clip"] > 0:
            gradients = clip_global_norm(o["gradient_clip"], **gradients)
        stepped = {
            name: adam_step(p[name], g, moments[name], step, epsilon=o["epsilon"], **settings)
            for name, g in gradients.items()
        }
        p = {name: pair[0] for name, pair in stepped.items()}
        moments = {name: pair[1] for name, pair in stepped.items()}
        all_parameters.append(p)
    return losses, all_gradients[0], all_parameters


CONFIGURATION = {
    "model": "sasrec",
    "seed": 0,
    "blocks": 2,
    "heads": 2,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "inner_dropout": 0.0,
    "norm": "post",
    "activation": "gelu",
    "norm_epsilon": 1e-12,
    "scale_embedding": False,
    "tied": True,
    "initial_std": 0.02,
}

# Epsilon is larger than usual. A constant added to all keys changes nothing, so the gradient of the
# key bias is zero but for rounding, and Adam with 1e-8 would turn that rounding into full steps.
OPTIONS = {
    "loss": "softmax",
    "negatives": 4,
    "gbce_t": 0.75,
    "sampler": "uniform",
    "batch_size": 128,
    "crop": "last",
    "optimizer": "adam",
    "adam_form": "torch",
    "learning_rate": 0.005,
    "beta1": 0.9,
    "beta2": 0.999,
    "epsilon": 1e-4,
    "weight_decay": 0.0,
    "gradient_clip": 0.0,
    "schedule": "constant",
    "warmup_steps": 0,
    "total_epochs": 3,
    "label_smoothing": 0.0,
    "seed": 0,
    "first_epoch": 0,
}

SASREC = {
    "post-gelu-tied": (
        {"items": 13, "dim": 8, "inner_dim": 16, "max_length": 6},
        {},
    ),
    "pre-gelu": (
        {"items": 11, "dim": 6, "inner_dim": 7, "blocks": 1, "heads": 3, "max_length": 5}
        | {"norm": "pre", "norm_epsilon": 1e-5},
        {},
    ),
    "pre-relu-scaled-untied": (
        {"items": 17, "dim": 4, "inner_dim": 9, "max_length": 7, "norm": "pre"}
        | {"activation": "relu", "scale_embedding": True, "tied": False, "norm_epsilon": 1e-5},
        {},
    ),
    "query-relu-scaled-tied": (
        {"items": 19, "dim": 6, "inner_dim": 11, "heads": 3, "max_length": 6, "norm": "query"}
        | {"activation": "relu", "scale_embedding": True, "norm_epsilon": 1e-8},
        {"beta2": 0.98},
    ),
    "post-silu-adamw-tensorflow": (
        {"items": 23, "dim": 5, "inner_dim": 13, "blocks": 1, "heads": 1, "max_length": 8}
        | {"activation": "silu"},
        {"optimizer": "adamw", "adam_form": "tensorflow", "weight_decay": 0.01},
    ),
    "post-gelu-smoothing-clip": (
        {"items": 12, "dim": 8, "inner_dim": 10, "blocks": 1, "heads": 4, "max_length": 5},
        {"label_smoothing": 0.1, "gradient_clip": 0.5},
    ),
}


def random_parameters(rng, c):
    """Normal parameters of spread 0.3, norm weights around one: nothing is degenerate."""
    return {
        name: normal(rng, *shape, std=0.3, mean=1.0 if name.endswith("norm.weight") else 0.0)
        for name, shape in sasrec_shapes(c).items()
    }


def sasrec_case(name, c, o):
    """Build a model and histories; compute states, scores, loss, gradients and three steps."""
    c, o = CONFIGURATION | c, OPTIONS | o
    rng = generator(f"sasrec {name}")
    lengths = [3, 1, c["max_length"] + 4, 2, c["max_length"] + 1, c["max_length"] - 1]
    histories = [rng.integers(0, c["items"], length) for length in lengths]
    histories[2][-2] = histories[2][-4]
    histories[4][1] = histories[4][0]
    parameters = random_parameters(rng, c)
    p = {name: jnp.asarray(value) for name, value in parameters.items()}
    losses, gradients, trace = train(p, c, o, histories, steps=3)
    return {
        "name": name,
        "configuration": c,
        "options": o,
        "parameters": parameters,
        "histories": {
            "items": np.concatenate(histories).tolist(),
            "offsets": cumulative(lengths).tolist(),
        },
        "hidden": encode(p, c, training_windows(c, histories)[0]),
        "scores": sasrec_scores(p, c, histories),
        "loss": losses[0],
        "gradients": gradients,
        "after_one_step": trace[0],
        "trace": {"losses": losses, "parameters": trace[-1]},
    }


# Checks of this file itself


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
            before = linear(**inputs)["y"] if "weight" in inputs else inputs["x"]
            assert np.abs(before).min() > 1e-3, case["name"]


def check_sasrec_case(case):
    """Compare the gradient along a random direction with a central difference of the loss."""
    items, offsets = case["histories"]["items"], case["histories"]["offsets"]
    histories = np.split(np.array(items), offsets[1:-1])
    c, o, p = case["configuration"], case["options"], case["parameters"]
    rng = generator(f"direction {case['name']}")
    direction = {name: rng.standard_normal(value.shape) for name, value in p.items()}

    def loss_at(step):
        moved = {name: jnp.asarray(p[name] + step * direction[name]) for name in p}
        return float(sasrec_loss(moved, c, o["label_smoothing"], histories))

    slope = sum(np.sum(np.asarray(case["gradients"][name]) * direction[name]) for name in p)
    np.testing.assert_allclose((loss_at(1e-5) - loss_at(-1e-5)) / 2e-5, slope, rtol=1e-6)
    if o["gradient_clip"] > 0:
        norm = np.sqrt(sum(np.sum(np.square(g)) for g in case["gradients"].values()))
        assert norm > 1.1 * o["gradient_clip"], "the clip must bite"


# Writing


def number(value):
    """Format a float with ten significant digits, always with a point or an exponent."""
    text = f"{0.0 if abs(value) < 1e-14 else value:.10g}"
    return text if "." in text or "e" in text else text + ".0"


def flat(values):
    """Format numbers as a JSON list on one line."""
    texts = (number(v) if isinstance(v, float) else json.dumps(v) for v in values)
    return f"[{','.join(texts)}]"


def render(value, indent=""):
    """Format nested dictionaries and lists as JSON, each array on a line of its own."""
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        array = np.asarray(value)
        assert np.isfinite(array).all()
        return f'{{"shape":{flat(array.shape)},"values":{flat(array.ravel().tolist())}}}'
    if isinstance(value, float):
        return number(value)
    if isinstance(value, list) and not isinstance(value[0], dict):
        return flat(value)
    if not isinstance(value, dict | list) or not value:
        return json.dumps(value)
    inner = indent + " "
    if isinstance(value, list):
        parts, ends = [render(v, inner) for v in value], "[]"
    else:
        if all(type(v) in (str, int, float, bool) for v in value.values()):
            return json.dumps(value)
        parts, ends = [f"{json.dumps(k)}: {render(v, inner)}" for k, v in value.items()], "{}"
    return ends[0] + ",".join(f"\n{inner}{part}" for part in parts) + f"\n{indent}{ends[1]}"


def main():
    """Check this file, then write both fixtures."""
    check_known_values()
    operations = operation_cases()
    check_operation_cases(operations)
    models = [sasrec_case(name, *pair) for name, pair in SASREC.items()]
    for case in models:
        check_sasrec_case(case)
    for name, cases in {"ops": operations, "sasrec": models}.items():
        path = FOLDER / f"{name}.json"
        path.write_text(render({"cases": cases}) + "\n")
        print(f"{path.name}: {len(cases)} cases, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
