"""fMRLRec: ``fmrlrec.json``."""

import jax
import jax.numpy as jnp
import numpy as np

from .common import (
    apply_linear,
    apply_norm,
    cumulative,
    generator,
    linear_shapes,
    norm_shapes,
    pack,
    random_histories,
    silu,
)
from .featured import random_features, vectors
from .nested import (
    Widths,
    check_nested_linear,
    masked_parameters,
    nested_case,
    nested_shapes,
    small_configuration,
)
from .recurrent import RECURRENCE, check_recurrence, linear_recurrence, recurrent_parameters


def has_ids(c):
    """Whether items have embeddings of their own."""
    return c.get("ids", not c.get("features"))


def fmrlrec_maps(c):
    """Name and widths of the nested maps."""
    k, maps = c["state_factor"], {}
    for b in range(c["blocks"]):
        name = f"blocks.{b}"
        maps[f"{name}.recurrence.input"] = Widths(k_out=k, planes_out=2)
        maps[f"{name}.recurrence.output"] = Widths(k_in=k, planes_in=2)
        maps |= {f"{name}.feed_forward.{part}": Widths() for part in ("gate", "value", "output")}
    return maps


def fmrlrec_shapes(c):
    """Name and shape of every parameter."""
    dim, k, features = c["sizes"][-1], c["state_factor"], c.get("features", [])
    shapes = {"item_embedding": (c["items"] + 1, dim)} if has_ids(c) else {}
    shapes |= {f"features.{f}.map.weight": (dim, kind["width"]) for f, kind in enumerate(features)}
    if features:
        shapes |= {"projection_bias": (dim,)}
    for b in range(c["blocks"]):
        name = f"blocks.{b}"
        shapes |= norm_shapes(f"{name}.recurrence_norm", dim)
        shapes |= {f"{name}.recurrence.{part}": (k * dim,) for part in RECURRENCE}
        shapes |= linear_shapes(f"{name}.recurrence.input", dim, 2 * k * dim)
        shapes |= linear_shapes(f"{name}.recurrence.output", 2 * k * dim, dim)
        shapes |= norm_shapes(f"{name}.feed_forward_norm", dim)
        for part in ("gate", "value", "output"):
            shapes |= linear_shapes(f"{name}.feed_forward.{part}", dim, dim)
    return nested_shapes(shapes, c["sizes"], fmrlrec_maps(c))


def item_table(p, c, features):
    """E: for each item the maps of its features, a bias and its own embedding; padding is last.

    The features of padding are zero, its row of E is not.
    """
    table = jnp.zeros((c["items"] + 1, c["sizes"][-1]))
    for f, feature in enumerate(features):
        padded = np.pad(feature["vectors"], ((0, 1), (0, 0)))
        table = table + padded @ p[f"features.{f}.map.weight"].T
    if features:
        table = table + p["projection_bias"]
    return table + p["item_embedding"] if has_ids(c) else table


def scanned_recurrence(x, nu_log, theta_log, gamma_log, offsets):
    """States h_t = lambda h_{t-1} + gamma x_t step by step, zero where a history starts.

    Columns of ``x`` and of the states: real parts, then imaginary parts.
    """
    n = len(nu_log)
    eigenvalues = jnp.exp(-jnp.exp(nu_log) + 1j * jnp.exp(theta_log))
    starts = np.isin(np.arange(len(x)), offsets)

    def step(h, inputs):
        x, start = inputs
        h = eigenvalues * jnp.where(start, 0.0, h) + jnp.exp(gamma_log) * x
        return h, h

    h = jax.lax.scan(step, jnp.zeros(n, complex), (x[:, :n] + 1j * x[:, n:], starts))[1]
    return jnp.concatenate([h.real, h.imag], axis=1)


def fmrlrec_encode(p, c, features, histories):
    """States after every item: blocks of a linear recurrence and a gated feed-forward net.

    Both are on residual branches with a norm in front, and there is no norm behind the last. The
    columns of the recurrence's output map are Re C, then -Im C: it gives Re(C h).
    """
    offsets = cumulative(map(len, histories))
    p = masked_parameters(p, c["sizes"], fmrlrec_maps(c))

    def norm(name, x):
        return apply_norm(p, name, x, c["norm_epsilon"], c["sizes"])

    x = item_table(p, c, features)[np.concatenate(histories)]
    for b in range(c["blocks"]):
        name = f"blocks.{b}.recurrence"
        driven = apply_linear(p, f"{name}.input", norm(f"{name}_norm", x))
        logs = {part: p[f"{name}.{part}"] for part in RECURRENCE}
        h = scanned_recurrence(driven, offsets=offsets, **logs)
        x = x + apply_linear(p, f"{name}.output", h)
        name = f"blocks.{b}.feed_forward"
        w = norm(f"{name}_norm", x)
        inner = silu(apply_linear(p, f"{name}.gate", w)) * apply_linear(p, f"{name}.value", w)
        x = x + apply_linear(p, f"{name}.output", inner)
    return x


def fmrlrec_examples(c, histories):
    """Every token predicts the next; the padding item alone predicts the first of all.

    The newest ``max_length`` items of a history are predicted. Those of a history that is no longer
    include its first, which a history of the padding item alone stands for.
    """
    length, inputs, targets = c["max_length"], [], []
    for history in histories:
        if c["first_item"] and len(history) <= length:
            inputs.append(np.array([c["items"]]))
            targets.append(history[:1])
        if len(history) > 1:
            inputs.append(history[-(length + 1) : -1])
            targets.append(history[-length:] if len(history) > length else history[1:])
    targets = np.concatenate(targets)
    return pack(inputs) | {"rows": list(range(len(targets))), "targets": targets.tolist()}


CONFIGURATION = {
    "model": "fmrlrec",
    "seed": 0,
    "blocks": 1,
    "state_factor": 1,
    "dropout": 0.0,
    "recurrence_dropout": 0.0,
    "norm_epsilon": 1e-5,
    "ring_min": 0.0,
    "ring_max": 0.1,
    "max_phase": 6.283185307179586,
    "initialization": "official",
    "initial_std": 0.02,
    "first_item": True,
    "pad_class": True,
}

FMRLREC = {
    "ids": {"items": 13, "sizes": [4, 8, 12], "blocks": 2, "max_length": 6},
    "two-vectors": {"items": 11, "sizes": [4, 10], "blocks": 2, "max_length": 5}
    | {"features": [vectors(3), vectors(5)]},
    "vector-and-ids": {"items": 12, "sizes": [5, 9], "max_length": 7}
    | {"features": [vectors(4)], "ids": True},
    "without-padding-class": {"items": 14, "sizes": [4, 8], "max_length": 5}
    | {"pad_class": False, "features": [], "ids": True},
    "without-first-item-and-padding-class": {"items": 10, "sizes": [4, 9], "max_length": 6}
    | {"pad_class": False, "first_item": False},
    "irregular-sizes": {"items": 13, "sizes": [4, 12, 20], "max_length": 6}
    | {"features": [vectors(2)], "ids": False},
    "state-factor-two": {"items": 9, "sizes": [4, 8], "state_factor": 2, "max_length": 5}
    | {"features": [vectors(3)], "ids": True},
    "one-size-long": {"items": 15, "sizes": [8], "blocks": 2, "max_length": 37},
    "size-weights": {"items": 12, "sizes": [4, 8, 13], "max_length": 6}
    | {"features": [vectors(3), vectors(1)], "ids": True},
}

SIZE_WEIGHTS = {"size-weights": [0.125, 0.75, 0.5]}


def fmrlrec_case(name, c):
    """Build a case of fMRLRec; the first item, the last and some more have features of zeros."""
    c = CONFIGURATION | c
    rng = generator(f"fmrlrec {name}")
    histories = random_histories(rng, c["items"], c["max_length"])
    histories[0][:2] = 0, c["items"] - 1
    parameters = recurrent_parameters(rng, fmrlrec_shapes(c))
    features = random_features(rng, {"features": []} | c)

    def output(p, c):
        return item_table(p, c, features)[: c["items"] + c["pad_class"]], 0.0

    return nested_case(
        name,
        c,
        parameters,
        fmrlrec_examples(c, histories),
        histories,
        encode=lambda p, c, rows: fmrlrec_encode(p, c, features, rows),
        output=output,
        size_weights=SIZE_WEIGHTS.get(name),
        features=features if "features" in c else None,
    )


def fmrlrec_cases():
    """Return the cases of fMRLRec."""
    check_nested_linear()
    check_scanned_recurrence()
    check_parameter_counts()
    return [fmrlrec_case(name, c) for name, c in FMRLREC.items()]


def check_scanned_recurrence():
    """Compare with a recurrence worked out by hand, and with the unrolled one."""
    check_recurrence(scanned_recurrence)
    rng = generator("scanned recurrence")
    x, offsets = rng.standard_normal((40, 6)), np.array([0, 1, 2, 5, 40])
    logs = {part: rng.uniform(-1, 1, 3) for part in RECURRENCE}
    expected = linear_recurrence(x, offsets=offsets, **logs)
    np.testing.assert_allclose(scanned_recurrence(x, offsets=offsets, **logs), expected, atol=1e-12)


def check_parameter_counts():
    """Compare with the numbers of parameters of the authors' modules.

    Theirs also have imaginary parts of the output map's biases, which change nothing.
    """
    sizes = [8, 16, 32, 64, 128, 256, 512, 1024]
    known = [560, 1568, 5376, 20160, 78400, 309568, 1230656, 4907840]
    c = CONFIGURATION | {"items": 1, "sizes": sizes, "blocks": 2, "features": [vectors(2048)]}
    for size, count in zip(sizes, known, strict=True):
        counts = {
            name: np.prod(s) for name, s in fmrlrec_shapes(small_configuration(c, size)).items()
        }
        encoder = sum(count for name, count in counts.items() if name.startswith("blocks."))
        assert encoder == 2 * (count - size)
        assert sum(counts.values()) - encoder == 2049 * size


FILES = {"fmrlrec": fmrlrec_cases}
