"""MLP mixer on the newest items, as AutoMLP (Li et al., WWW 2023) stacks it: ``mixer.json``."""

import jax.numpy as jnp
import numpy as np

from .common import (
    apply_linear,
    apply_norm,
    cumulative,
    gelu,
    generator,
    linear_shapes,
    model_case,
    norm_shapes,
    prefix_examples,
    random_histories,
    random_parameters,
)

CONFIGURATION = {"model": "mixer", "seed": 0, "dropout": 0.0, "norm_epsilon": 1e-5}
FINAL_EPSILON = 1e-12

MIXER = {
    "two-layers": (
        {"items": 13, "dim": 6, "layers": 2, "token_dim": 7, "channel_dim": 11, "max_length": 6}
    ),
    "one-layer-narrow": (
        {"items": 17, "dim": 8, "layers": 1, "token_dim": 3, "channel_dim": 5, "max_length": 9}
    ),
    "three-layers": (
        {"items": 11, "dim": 4, "layers": 3, "token_dim": 10, "channel_dim": 16, "max_length": 5}
        | {"norm_epsilon": 1e-3}
    ),
}


def layer_shapes(prefix, length, dim, token_dim, channel_dim):
    """Name and shape of the parameters of one mixer layer."""
    return (
        norm_shapes(f"{prefix}.token_norm", dim)
        | linear_shapes(f"{prefix}.token_expand", length, token_dim)
        | linear_shapes(f"{prefix}.token_contract", token_dim, length)
        | norm_shapes(f"{prefix}.channel_norm", dim)
        | linear_shapes(f"{prefix}.channel_expand", dim, channel_dim)
        | linear_shapes(f"{prefix}.channel_contract", channel_dim, dim)
    )


def mixer_shapes(c):
    """Name and shape of every parameter."""
    shapes = {"item_embedding": (c["items"], c["dim"])}
    sizes = c["max_length"], c["dim"], c["token_dim"], c["channel_dim"]
    for i in range(c["layers"]):
        shapes |= layer_shapes(f"layers.{i}", *sizes)
    return shapes | norm_shapes("final_norm", c["dim"])


def mix(p, prefix, x, epsilon):
    """One layer on x [..., tokens, channels]: an MLP along tokens, then one along channels.

    Both norms are over channels. Tolstikhin et al., "MLP-Mixer", NeurIPS 2021.
    """

    def mlp(kind, x):
        hidden = gelu(apply_linear(p, f"{prefix}.{kind}_expand", x))
        return apply_linear(p, f"{prefix}.{kind}_contract", hidden)

    normal = apply_norm(p, f"{prefix}.token_norm", x, epsilon)
    u = x + mlp("token", normal.swapaxes(-1, -2)).swapaxes(-1, -2)
    return u + mlp("channel", apply_norm(p, f"{prefix}.channel_norm", u, epsilon))


def encode_last(p, c, histories):
    """The state after each history: the newest token of the mixed ``max_length`` tokens.

    Shorter histories have zero vectors before them, which mix like any other.
    """
    length = c["max_length"]
    padded = np.full((len(histories), length), -1)
    for row, history in zip(padded, histories, strict=True):
        row[length - len(history) :] = history
    x = jnp.where((padded < 0)[:, :, None], 0, p["item_embedding"][padded])
    for i in range(c["layers"]):
        x = mix(p, f"layers.{i}", x, c["norm_epsilon"])
    return apply_norm(p, "final_norm", x[:, -1], FINAL_EPSILON)


def states(p, c, histories, rows):
    """States at the given packed tokens, which must be the last of their histories."""
    ends = cumulative(map(len, histories))[1:] - 1
    assert np.isin(rows, ends).all()
    return encode_last(p, c, histories)[np.searchsorted(ends, rows)]


def check_known_values():
    """Compare numbers of parameters with those that were worked out by hand."""

    def count(length, dim, token_dim, channel_dim):
        shapes = layer_shapes("x", length, dim, token_dim, channel_dim)
        sizes = {name: int(np.prod(shape)) for name, shape in shapes.items()}
        maps = {kind: (f"x.{kind}_expand", f"x.{kind}_contract") for kind in ("token", "channel")}
        return [
            sum(size for name, size in sizes.items() if name.startswith(prefixes))
            for prefixes in maps.values()
        ]

    assert count(50, 64, 64, 256) == [6514, 33088]
    assert count(50, 64, 200, 256) == [20250, 33088]


def mixer_case(name, c):
    """Compute the case of one configuration."""
    c = CONFIGURATION | c
    rng = generator(f"mixer {name}")
    histories = random_histories(rng, c["items"], c["max_length"])
    return model_case(
        name,
        c,
        random_parameters(rng, mixer_shapes(c)),
        prefix_examples(histories, c["max_length"]),
        histories,
        states=lambda p, histories, rows: states(p, c, histories, rows),
        scores=lambda p, states: states @ p["item_embedding"].T,
    )


def mixer_cases():
    """Return all cases of the mixer."""
    check_known_values()
    return [mixer_case(name, c) for name, c in MIXER.items()]


FILES = {"mixer": mixer_cases}
