"""SASRec+, the backbone of SkipRec (Wang et al., AAAI 2021): ``sasrec_plus.json``."""

import numpy as np

from .attention import causal_attention
from .common import (
    apply_linear,
    apply_norm,
    check_causal,
    cumulative,
    far_from_kinks,
    linear_shapes,
    model_case,
    norm_shapes,
    normal,
    position_examples,
    positions,
    random_histories,
    random_parameters,
    relu,
    unpack,
)

CONFIGURATION = {"model": "sasrec_plus", "seed": 0, "dropout": 0.0}

SASREC_PLUS = {
    "two-blocks": (
        {"items": 13, "dim": 6, "blocks": 2, "heads": 2, "max_length": 6, "norm_epsilon": 1e-8}
        | {"final_norm": True}
    ),
    "no-final-norm": (
        {"items": 17, "dim": 4, "blocks": 3, "heads": 1, "max_length": 5, "norm_epsilon": 1e-8}
        | {"final_norm": False}
    ),
    "three-heads": (
        {"items": 11, "dim": 6, "blocks": 1, "heads": 3, "max_length": 7, "norm_epsilon": 1e-5}
        | {"final_norm": True}
    ),
}


def sasrec_plus_shapes(c):
    """Name and shape of every parameter."""
    items, dim = c["items"], c["dim"]
    shapes = {"item_embedding": (items, dim), "position_embedding": (c["max_length"], dim)}
    for b in range(c["blocks"]):
        name = f"blocks.{b}"
        shapes |= norm_shapes(f"{name}.input_norm", dim)
        shapes |= linear_shapes(f"{name}.qkv", dim, 3 * dim)
        shapes |= norm_shapes(f"{name}.feed_forward_norm", dim)
        shapes |= linear_shapes(f"{name}.expand", dim, dim)
        shapes |= linear_shapes(f"{name}.contract", dim, dim)
        shapes |= norm_shapes(f"{name}.output_norm", dim)
        shapes |= {f"{name}.attention_weight": (1,), f"{name}.feed_forward_weight": (1,)}
    if c["final_norm"]:
        shapes |= norm_shapes("final_norm", dim)
    return shapes | {"output_embedding": (items, dim), "output_bias": (items,)}


def block(p, c, name, x, offsets):
    """LN_c(v + r_2 FFN(v)) with v = LN_b(u + r_1 attention(u)) and u = LN_a(x).

    The residuals start behind the norms; attention has no output map.
    """

    def norm(part, x):
        return apply_norm(p, f"{name}.{part}", x, c["norm_epsilon"])

    u = norm("input_norm", x)
    attention = causal_attention(apply_linear(p, f"{name}.qkv", u), offsets, c["heads"])
    v = norm("feed_forward_norm", u + p[f"{name}.attention_weight"] * attention)
    inner = relu(apply_linear(p, f"{name}.expand", v))
    outer = apply_linear(p, f"{name}.contract", inner)
    return norm("output_norm", v + p[f"{name}.feed_forward_weight"] * outer)


def encode(p, c, histories):
    """The state after every token; embeddings are neither scaled nor normalised."""
    x = p["item_embedding"][np.concatenate(histories)]
    x = x + p["position_embedding"][positions(histories)]
    for b in range(c["blocks"]):
        x = block(p, c, f"blocks.{b}", x, cumulative(map(len, histories)))
    return apply_norm(p, "final_norm", x, c["norm_epsilon"]) if c["final_norm"] else x


def sasrec_plus_case(name, c):
    """Compute the case of one configuration."""
    c = CONFIGURATION | c

    def draw(rng):
        histories = random_histories(rng, c["items"], c["max_length"])
        parameters = random_parameters(rng, sasrec_plus_shapes(c))
        for key in parameters:
            if key.endswith(("attention_weight", "forward_weight")):
                parameters[key] = normal(rng, 1, std=0.2, mean=0.7)
        return parameters, histories

    def run(parameters, histories):
        encode(parameters, c, unpack(position_examples(histories, c["max_length"])))

    parameters, histories = far_from_kinks(f"sasrec_plus {name}", draw, run)
    check_causal(lambda rows: encode(parameters, c, rows))
    return model_case(
        name,
        c,
        parameters,
        position_examples(histories, c["max_length"]),
        histories,
        states=lambda p, histories, rows: encode(p, c, histories)[rows],
        scores=lambda p, states: states @ p["output_embedding"].T + p["output_bias"],
    )


def sasrec_plus_cases():
    """Return all cases of SASRec+."""
    return [sasrec_plus_case(name, c) for name, c in SASREC_PLUS.items()]


FILES = {"sasrec_plus": sasrec_plus_cases}
