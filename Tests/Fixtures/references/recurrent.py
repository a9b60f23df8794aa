"""Recurrent models: LRURec and GRU4Rec, and their recurrences."""

import jax
import jax.numpy as jnp
import numpy as np

from .common import (
    apply_linear,
    apply_norm,
    cumulative,
    gelu,
    generator,
    linear,
    linear_shapes,
    model_case,
    norm_shapes,
    position_examples,
    random_histories,
    random_parameters,
)


def linear_recurrence(x, nu_log, theta_log, gamma_log, offsets):
    """The linear recurrent unit's states h_t = lambda h_{t-1} + gamma x_t, zero at the start.

    All complex, stored as real parts, then imaginary parts; lambda = exp(-exp(nu_log) +
    i exp(theta_log)), gamma = exp(gamma_log) (Orvieto et al., 2023). Unrolled, so that each state
    is its own sum over the tokens before it: h_t = sum of lambda^(t-s) gamma x_s.
    """
    n = len(nu_log)
    driven = jnp.exp(gamma_log) * (x[:, :n] + 1j * x[:, n:])
    sequence = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    visible = np.tril(sequence[:, None] == sequence)[:, :, None]
    token = np.arange(len(x))
    distance = np.maximum(token[:, None] - token, 0)[:, :, None]
    exponent = -jnp.exp(nu_log) + 1j * jnp.exp(theta_log)
    powers = jnp.where(visible, jnp.exp(distance * exponent), 0)
    h = jnp.einsum("tsn,sn->tn", powers, driven)
    return jnp.concatenate([h.real, h.imag], axis=1)


def gru(x, weight, offsets, form, gate=jax.nn.sigmoid):
    """States of a gated recurrent unit (Cho et al., 2014); ``x`` is W x + b of all three gates.

    Columns and rows by gate: reset r, update z, candidate n; h = (1 - z) n + z h_before. With
    ``recbole`` n = tanh(x_n + r (U_n h_before)), as cuDNN; with ``tensorflow``
    n = tanh(x_n + U_n (r h_before)), as the paper and TensorFlow 1's ``GRUCell``.
    """
    width = weight.shape[1]
    starts = np.isin(np.arange(len(x)), offsets)

    def step(h, inputs):
        x, start = inputs
        h = jnp.where(start, 0.0, h)
        r, z = gate(x[: 2 * width] + weight[: 2 * width] @ h).reshape(2, width)
        candidate = weight[2 * width :]
        recalled = r * (candidate @ h) if form == "recbole" else candidate @ (r * h)
        h = (1 - z) * jnp.tanh(x[2 * width :] + recalled) + z * h
        return h, h

    return jax.lax.scan(step, jnp.zeros(width), (x, starts))[1]


RECURRENCE = ("nu_log", "theta_log", "gamma_log")


def ring(rng, n, ring_min, ring_max, max_phase):
    """nu_log, theta_log and gamma_log of eigenvalues uniform by area on a ring.

    gamma makes the states as large as white noise that comes in (Orvieto et al., 2023,
    section 3.4).
    """
    area = np.clip(rng.random(n), 1e-6, 1 - 1e-6) * (ring_max**2 - ring_min**2) + ring_min**2
    phase = max_phase * np.clip(rng.random(n), 1e-6, 1)
    return {
        "nu_log": np.log(-0.5 * np.log(area)),
        "theta_log": np.log(phase),
        "gamma_log": 0.5 * np.log(1 - area),
    }


def random_recurrence(rng, n, ring_min=0.3, ring_max=0.95):
    """Eigenvalues on a ring; gamma a little off its start, so that it is seen to be a parameter."""
    values = ring(rng, n, ring_min, ring_max, 2 * np.pi)
    values["gamma_log"] = values["gamma_log"] + 0.2 * rng.standard_normal(n)
    return {name: v.astype(np.float32).astype(np.float64) for name, v in values.items()}


def lrurec_shapes(c):
    """Name and shape of every parameter of LRURec."""
    dim, n, inner = c["dim"], c["state_dim"], c["inner_dim"]
    shapes = {"item_embedding": (c["items"], dim)} | norm_shapes("embedding_norm", dim)
    for b in range(c["blocks"]):
        name = f"blocks.{b}"
        shapes |= {f"{name}.recurrence.{part}": (n,) for part in RECURRENCE}
        shapes |= linear_shapes(f"{name}.recurrence.input", dim, 2 * n)
        shapes |= linear_shapes(f"{name}.recurrence.output", 2 * n, dim)
        shapes |= norm_shapes(f"{name}.recurrence_norm", dim)
        shapes |= linear_shapes(f"{name}.feed_forward.expand", dim, inner)
        shapes |= linear_shapes(f"{name}.feed_forward.contract", inner, dim)
        shapes |= norm_shapes(f"{name}.feed_forward_norm", dim)
    return shapes | {"output_bias": (c["items"],)}


def recurrent_parameters(rng, shapes):
    """Draw parameters; eigenvalues of recurrences have moduli between 0.3 and 0.95."""
    parameters = random_parameters(rng, shapes)
    for name in [name for name in shapes if name.endswith(".nu_log")]:
        drawn = random_recurrence(rng, *shapes[name])
        recurrence = name.removesuffix("nu_log")
        parameters |= {f"{recurrence}{part}": drawn[part] for part in RECURRENCE}
    return parameters


def lrurec_encode(p, c, histories):
    """States after every item of LRURec.

    Yue et al., "Linear Recurrent Units for Sequential Recommendation", WSDM 2024. The input map
    has the real rows of B first; the output map's columns are Re C, then -Im C: it gives Re(C h).
    """
    offsets = cumulative(map(len, histories))
    norm = {"epsilon": c["norm_epsilon"], "sizes": c.get("nested_sizes")}
    x = p["item_embedding"][np.concatenate(histories)]
    x = apply_norm(p, "embedding_norm", x, **norm)
    for b in range(c["blocks"]):
        name = f"blocks.{b}"
        driven = apply_linear(p, f"{name}.recurrence.input", x)
        logs = {part: p[f"{name}.recurrence.{part}"] for part in RECURRENCE}
        h = linear_recurrence(driven, offsets=offsets, **logs)
        y = apply_linear(p, f"{name}.recurrence.output", h)
        x = apply_norm(p, f"{name}.recurrence_norm", y + x, **norm)
        inner = gelu(apply_linear(p, f"{name}.feed_forward.expand", x))
        y = apply_linear(p, f"{name}.feed_forward.contract", inner)
        x = apply_norm(p, f"{name}.feed_forward_norm", y + x, **norm)
    return x


LRUREC_CONFIGURATION = {
    "model": "lrurec",
    "seed": 0,
    "blocks": 2,
    "dropout": 0.0,
    "recurrence_dropout": 0.0,
    "norm_epsilon": 1e-5,
    "ring_min": 0.8,
    "ring_max": 0.99,
    "max_phase": 6.283185307179586,
    "initial_std": 0.02,
}

LRUREC = {
    "two-blocks": {"items": 13, "dim": 4, "state_dim": 8, "inner_dim": 16, "max_length": 6},
    "one-block-narrow-state": {"items": 11, "dim": 6, "state_dim": 5, "inner_dim": 7}
    | {"blocks": 1, "max_length": 5},
    "three-blocks-long": {"items": 17, "dim": 5, "state_dim": 3, "inner_dim": 9}
    | {"blocks": 3, "max_length": 37},
}


def lrurec_case(name, c):
    """Build a case of LRURec."""
    c = LRUREC_CONFIGURATION | c
    rng = generator(f"lrurec {name}")
    histories = random_histories(rng, c["items"], c["max_length"])
    return model_case(
        name,
        c,
        recurrent_parameters(rng, lrurec_shapes(c)),
        position_examples(histories, c["max_length"]),
        histories,
        states=lambda p, rows, tokens: lrurec_encode(p, c, rows)[tokens],
        scores=lambda p, h: h @ p["item_embedding"].T + p["output_bias"],
    )


def lrurec_cases():
    """Return the cases of LRURec."""
    check_recurrence()
    check_ring()
    return [lrurec_case(name, c) for name, c in LRUREC.items()]


def check_recurrence(recurrence=linear_recurrence):
    """Compare with a recurrence worked out by hand: one channel, lambda = i / 2, C = 1 - 2i."""
    x = jnp.array([[1.0, 0.0], [2.0, 0.0], [-1.0, 0.0]])
    logs = {
        "nu_log": jnp.array([np.log(np.log(2))]),
        "theta_log": jnp.array([np.log(np.pi / 2)]),
        "gamma_log": jnp.array([0.0]),
    }

    def states(x, logs):
        return recurrence(x, offsets=np.array([0, 3]), **logs)

    def outputs(x, logs):
        return states(x, logs) @ jnp.array([1.0, 2.0])

    h = [[1, 0], [2, 0.5], [-1.25, 1]]
    np.testing.assert_allclose(states(x, logs), h, atol=1e-14)
    np.testing.assert_allclose(outputs(x, logs), [1, 3, 0.75], atol=1e-14)
    gradients = jax.grad(lambda *inputs: outputs(*inputs).sum(), argnums=(0, 1))(x, logs)
    np.testing.assert_allclose(gradients[0], [[1.75, 1], [2, 1.5], [1, 2]], atol=1e-14)
    for name, value in {"nu_log": -1.7329, "theta_log": -3.9270, "gamma_log": 4.75}.items():
        np.testing.assert_allclose(gradients[1][name], [value], atol=5e-5)


def check_ring():
    """Eigenvalues lie on the ring, uniform by area, and gamma^2 + |lambda|^2 = 1."""
    low, high, n = 0.8, 0.99, 20_000
    values = ring(generator("ring"), n, low, high, 1.5)
    modulus = np.exp(-np.exp(values["nu_log"]))
    assert low <= modulus.min() < low + 1e-3
    assert high - 1e-3 < modulus.max() <= high
    share = (np.sort(modulus) ** 2 - low**2) / (high**2 - low**2)
    np.testing.assert_allclose(share, (np.arange(n) + 0.5) / n, atol=0.015)
    phase = np.sort(np.exp(values["theta_log"])) / 1.5
    np.testing.assert_allclose(phase, (np.arange(n) + 0.5) / n, atol=0.015)
    np.testing.assert_allclose(np.exp(values["gamma_log"]) ** 2 + modulus**2, 1, rtol=1e-14)


def gru4rec_parameters(rng, c):
    """Draw the parameters of GRU4Rec."""
    dim, hidden, items = c["dim"], c["hidden_dim"], c["items"]
    shapes, width = {"item_embedding": (items, dim)}, dim
    for layer in range(c["layers"]):
        shapes[f"layers.{layer}.input.weight"] = (3 * hidden, width)
        if c["form"] == "tensorflow":
            shapes[f"layers.{layer}.input.bias"] = (3 * hidden,)
        shapes[f"layers.{layer}.recurrent.weight"] = (3 * hidden, hidden)
        width = hidden
    if c["form"] == "recbole":
        shapes |= linear_shapes("map", hidden, dim)
    else:
        shapes |= {"output_embedding": (items, hidden), "output_bias": (items,)}
    return random_parameters(rng, shapes)


def gru4rec_encode(p, c, histories):
    """States after every item of GRU4Rec.

    Hidasi et al., "Session-based Recommendations with Recurrent Neural Networks", ICLR 2016;
    ``recbole`` is RecBole's ``GRU4Rec``, ``tensorflow`` the baseline of NextItNet's authors.
    """
    offsets = cumulative(map(len, histories))
    x = p["item_embedding"][np.concatenate(histories)]
    for layer in range(c["layers"]):
        name = f"layers.{layer}"
        x = linear(x, p[f"{name}.input.weight"], p.get(f"{name}.input.bias", 0.0))
        x = gru(x, p[f"{name}.recurrent.weight"], offsets, c["form"])
    return apply_linear(p, "map", x) if c["form"] == "recbole" else x


GRU4REC_CONFIGURATION = {
    "model": "gru4rec",
    "seed": 0,
    "layers": 1,
    "dropout": 0.0,
    "output_dropout": 0.0,
    "initial_std": 0.02,
}

GRU4REC = {
    "recbole-one-layer": {"items": 13, "dim": 6, "hidden_dim": 8, "form": "recbole"}
    | {"max_length": 6},
    "recbole-two-layers": {"items": 17, "dim": 4, "hidden_dim": 5, "layers": 2}
    | {"form": "recbole", "max_length": 9},
    "tensorflow-one-layer": {"items": 11, "dim": 5, "hidden_dim": 8, "form": "tensorflow"}
    | {"max_length": 7},
    "tensorflow-two-layers": {"items": 14, "dim": 7, "hidden_dim": 4, "layers": 2}
    | {"form": "tensorflow", "max_length": 8},
}


def gru4rec_case(name, c):
    """Build a case of GRU4Rec."""
    c = GRU4REC_CONFIGURATION | c
    rng = generator(f"gru4rec {name}")
    histories = random_histories(rng, c["items"], c["max_length"])

    def scores(p, h):
        if c["form"] == "recbole":
            return h @ p["item_embedding"].T
        return h @ p["output_embedding"].T + p["output_bias"]

    return model_case(
        name,
        c,
        gru4rec_parameters(rng, c),
        position_examples(histories, c["max_length"]),
        histories,
        states=lambda p, rows, tokens: gru4rec_encode(p, c, rows)[tokens],
        scores=scores,
    )


def gru4rec_cases():
    """Return the cases of GRU4Rec."""
    check_gru()
    return [gru4rec_case(name, c) for name, c in GRU4REC.items()]


def check_gru():
    """Compare with numbers of Keras 1, whose gates are hard sigmoids but whose cell is ours."""
    x = jnp.array([[1.0], [-0.5]]) * jnp.array([-0.4, 0.5, 0.8])
    weight = jnp.array([[0.2], [0.3], [0.6]])
    h = gru(x, weight, np.array([0, 2]), "tensorflow", gate=lambda x: jnp.clip(0.2 * x + 0.5, 0, 1))
    np.testing.assert_allclose(h[1], [-0.0377840], atol=5e-8)


FILES = {"lrurec": lrurec_cases, "gru4rec": gru4rec_cases}
