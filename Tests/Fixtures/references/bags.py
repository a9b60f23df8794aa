"""Models of bags of items: NFM."""

import jax.numpy as jnp
import numpy as np

from .common import (
    apply_linear,
    cumulative,
    far_from_kinks,
    last_rows,
    linear_shapes,
    model_case,
    newest,
    norm_shapes,
    position_examples,
    random_histories,
    random_parameters,
    relu,
    uniform,
    unpack,
)

EPSILON = 1e-5


def bi_interaction(x, offsets, length):
    """Half of (sum of v)^2 - sum of v^2 over the newest ``length`` tokens up to each token."""
    token, starts = np.arange(len(x)), np.repeat(offsets[:-1], np.diff(offsets))
    age = token[:, None] - token
    bag = (age >= 0) & (age < length) & (token >= starts[:, None])
    return 0.5 * ((bag @ x) ** 2 - bag @ x**2)


def nfm_parameters(rng, c):
    """Draw the parameters of NFM, running means and variances among them."""
    items, width = c["items"], c["dim"]
    shapes, norms = {"item_embedding": (items, width)}, {"input_norm": width}
    shapes |= norm_shapes("input_norm", width)
    for k, hidden in enumerate(c["hidden"]):
        shapes |= linear_shapes(f"hidden.{k}", width, hidden)
        shapes |= norm_shapes(f"hidden_norms.{k}", hidden)
        norms[f"hidden_norms.{k}"] = width = hidden
    shapes |= {"output_embedding": (items, width), "output_bias": (items,)}
    parameters = random_parameters(rng, shapes)
    for name, width in norms.items():
        parameters[f"{name}.mean"] = uniform(rng, width, low=-0.5, high=0.5)
        parameters[f"{name}.variance"] = uniform(rng, width, low=0.2, high=1.5)
    return parameters


def nfm_encode(p, c, histories, training):
    """States of NFM after every item: its history so far as a bag, pooled by pairs.

    He and Chua, "Neural Factorization Machines for Sparse Predictive Analytics", SIGIR 2017, with
    a softmax over all items in place of the regression. Batch norms take their means and variances
    over all tokens in training, and the running ones afterwards (Ioffe and Szegedy, 2015).
    """

    def norm(name, x):
        mean, variance = p[f"{name}.mean"], p[f"{name}.variance"]
        if training:
            mean = x.mean(axis=0)
            variance = ((x - mean) ** 2).mean(axis=0)
        centred = (x - mean) / jnp.sqrt(variance + EPSILON)
        return p[f"{name}.weight"] * centred + p[f"{name}.bias"]

    x = p["item_embedding"][np.concatenate(histories)]
    x = norm("input_norm", bi_interaction(x, cumulative(map(len, histories)), c["max_length"]))
    for k in range(len(c["hidden"])):
        x = relu(norm(f"hidden_norms.{k}", apply_linear(p, f"hidden.{k}", x)))
    return x


CONFIGURATION = {
    "model": "nfm",
    "seed": 0,
    "dropout": 0.0,
    "hidden_dropout": 0.0,
    "initial_std": 0.02,
}

NFM = {
    "one-hidden": {"items": 13, "dim": 6, "hidden": [8], "max_length": 6},
    "two-hidden": {"items": 17, "dim": 8, "hidden": [7, 5], "max_length": 8},
    "three-hidden-short": {"items": 11, "dim": 4, "hidden": [6, 4, 5], "max_length": 3},
}


def nfm_case(name, c):
    """Build a case of NFM."""
    c = CONFIGURATION | c
    longest = c["max_length"]

    def states(p, rows, tokens):
        return nfm_encode(p, c, rows, training=True)[tokens]

    def scores(p, h):
        return h @ p["output_embedding"].T + p["output_bias"]

    def recommend(p, histories):
        recent = newest(histories, longest)
        return scores(p, nfm_encode(p, c, recent, training=False)[last_rows(recent)])

    def draw(rng):
        return nfm_parameters(rng, c), random_histories(rng, c["items"], longest)

    def run(parameters, histories):
        inputs = unpack(position_examples(histories, longest))
        nfm_encode(parameters, c, inputs, training=True)
        recommend(parameters, histories)

    parameters, histories = far_from_kinks(f"nfm {name}", draw, run)
    return model_case(
        name,
        c,
        parameters,
        position_examples(histories, longest),
        histories,
        states=states,
        scores=scores,
        recommend=recommend,
    )


def nfm_cases():
    """Return the cases of NFM."""
    return [nfm_case(name, c) for name, c in NFM.items()]


FILES = {"nfm": nfm_cases}
