"""CORE (Hou et al., SIGIR 2022), as in RecBole: ``core.json``."""

import jax
import jax.numpy as jnp
import numpy as np

from .common import (
    apply_linear,
    apply_norm,
    check_causal,
    cumulative,
    generator,
    linear_shapes,
    model_case,
    norm_shapes,
    position_examples,
    positions,
    random_histories,
    random_parameters,
)
from .transformer import block, block_shapes

CONFIGURATION = {
    "model": "core",
    "seed": 0,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "session_dropout": 0.0,
    "item_dropout": 0.0,
    "norm_epsilon": 1e-12,
    "activation": "gelu",
}

CORE = {
    "trm-two-blocks": (
        {"variant": "trm", "items": 13, "dim": 8, "inner_dim": 12, "blocks": 2, "heads": 2}
        | {"max_length": 6, "temperature": 0.07}
    ),
    "trm-warm": (
        {"variant": "trm", "items": 17, "dim": 6, "inner_dim": 9, "blocks": 1, "heads": 3}
        | {"max_length": 9, "temperature": 0.4}
    ),
    "ave": {"variant": "ave", "items": 19, "dim": 5, "max_length": 7, "temperature": 0.07},
    "ave-warm": {"variant": "ave", "items": 11, "dim": 8, "max_length": 5, "temperature": 1.5},
}


def core_shapes(c):
    """Name and shape of every parameter."""
    dim = c["dim"]
    shapes = {"item_embedding": (c["items"], dim)}
    if c["variant"] == "ave":
        return shapes
    shapes |= {"position_embedding": (c["max_length"], dim)} | norm_shapes("embedding_norm", dim)
    for b in range(c["blocks"]):
        shapes |= block_shapes(f"blocks.{b}", c)
    return shapes | linear_shapes("score", dim, 1)


def unit(x):
    """Each row over its length."""
    length = jnp.sqrt((x * x).sum(axis=-1, keepdims=True))
    return x / jnp.maximum(length, 1e-12)


def logits(p, c, histories, x):
    """e_j, one number a token, of which a history's weights are the softmax."""
    if c["variant"] == "ave":
        return jnp.zeros(len(x))
    y = x + p["position_embedding"][positions(histories)]
    y = apply_norm(p, "embedding_norm", y, c["norm_epsilon"])
    for b in range(c["blocks"]):
        y = block(p, c, f"blocks.{b}", y, cumulative(map(len, histories)))
    return apply_linear(p, "score", y)[:, 0]


def encode(p, c, histories):
    """h_t = unit(sum over j <= t of a_j x_j) with x the item embeddings themselves.

    The transformer is causal, so the weights of a prefix are the softmax over its own tokens of
    the same e_j that the whole history has.
    """
    x = p["item_embedding"][np.concatenate(histories)]
    history = np.repeat(np.arange(len(histories)), list(map(len, histories)))
    visible = np.tril(history[:, None] == history)
    e = logits(p, c, histories, x)
    return unit(jax.nn.softmax(jnp.where(visible, e, -jnp.inf), axis=1) @ x)


def core_case(name, c):
    """Compute the case of one configuration."""
    c = CONFIGURATION | c
    rng = generator(f"core {name}")
    histories = random_histories(rng, c["items"], c["max_length"])
    parameters = random_parameters(rng, core_shapes(c))
    check_causal(lambda rows: encode(parameters, c, rows))
    return model_case(
        name,
        c,
        parameters,
        position_examples(histories, c["max_length"]),
        histories,
        states=lambda p, histories, rows: encode(p, c, histories)[rows],
        scores=lambda p, states: states @ unit(p["item_embedding"]).T / c["temperature"],
    )


def core_cases():
    """Return all cases of CORE."""
    return [core_case(name, c) for name, c in CORE.items()]


FILES = {"core": core_cases}
