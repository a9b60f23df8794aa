"""The transformer block that several models are made of."""

import jax.numpy as jnp

from .attention import SELF_ATTENTION
from .common import (
    ACTIVATIONS,
    apply_linear,
    apply_norm,
    linear_shapes,
    norm_shapes,
)


def decays(c):
    """Whether the heads of a model decay."""
    return c.get("attention") == "linear_decayed"


def block_shapes(prefix, c):
    """Name and shape of the parameters of a block."""
    dim, inner = c["dim"], c["inner_dim"]
    decay = {f"{prefix}.attention.decay_log": (c["heads"],)} if decays(c) else {}
    return (
        norm_shapes(f"{prefix}.attention_norm", dim)
        | linear_shapes(f"{prefix}.attention.qkv", dim, 3 * dim)
        | linear_shapes(f"{prefix}.attention.output", dim, dim)
        | decay
        | norm_shapes(f"{prefix}.feed_forward_norm", dim)
        | linear_shapes(f"{prefix}.feed_forward.expand", dim, inner)
        | linear_shapes(f"{prefix}.feed_forward.contract", inner, dim)
    )


def block(p, c, prefix, x, offsets):
    """One block: attention and a feed-forward net, each with its residual and norm.

    ``post`` is RecBole's (``TransformerLayer`` in ``recbole/model/layers.py``), ``pre`` that of
    Xiong et al. (2020), ``query`` the original of Kang and McAuley (2018): only the queries and
    the residual are normalised, and the feed-forward net's residual starts behind its norm.
    """

    def norm(name, x):
        return apply_norm(p, f"{prefix}.{name}", x, c["norm_epsilon"], c.get("nested_sizes"))

    def linear_map(name, x):
        return apply_linear(p, f"{prefix}.{name}", x)

    attend = SELF_ATTENTION[c.get("attention", "softmax")]
    decay = {"decay_log": p[f"{prefix}.attention.decay_log"]} if decays(c) else {}

    def attention(queries, x):
        query = linear_map("attention.qkv", queries)[:, : c["dim"]]
        key_value = linear_map("attention.qkv", x)[:, c["dim"] :]
        qkv = jnp.concatenate([query, key_value], axis=1)
        return linear_map("attention.output", attend(qkv, offsets, c["heads"], **decay))

    def feed_forward(x):
        inner = ACTIVATIONS[c["activation"]](linear_map("feed_forward.expand", x))
        return linear_map("feed_forward.contract", inner)

    kind = c.get("norm", "post")
    if kind == "post":
        s = norm("attention_norm", x + attention(x, x))
        return norm("feed_forward_norm", s + feed_forward(s))
    q = norm("attention_norm", x)
    if kind == "pre":
        s = x + attention(q, q)
        return s + feed_forward(norm("feed_forward_norm", s))
    z = norm("feed_forward_norm", q + attention(q, x))
    return z + feed_forward(z)
