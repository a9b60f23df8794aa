"""LRURec and SASRec of several sizes: ``lrurec_nested.json`` and ``sasrec_nested.json``."""

from .common import (
    generator,
    position_examples,
    random_histories,
)
from .nested import Widths, check_nested_linear, masked_parameters, nested_case, nested_shapes
from .recurrent import LRUREC_CONFIGURATION, lrurec_encode, lrurec_shapes, recurrent_parameters
from .sasrec import CONFIGURATION as SASREC_CONFIGURATION
from .sasrec import encode as sasrec_encode
from .sasrec import output_table, sasrec_shapes


def lrurec_maps(c):
    """Name and widths of the nested maps of LRURec."""
    k, m, maps = c["state_dim"] // c["dim"], c["inner_dim"] // c["dim"], {}
    for b in range(c["blocks"]):
        name = f"blocks.{b}"
        maps[f"{name}.recurrence.input"] = Widths(k_out=k, planes_out=2)
        maps[f"{name}.recurrence.output"] = Widths(k_in=k, planes_in=2)
        maps[f"{name}.feed_forward.expand"] = Widths(k_out=m)
        maps[f"{name}.feed_forward.contract"] = Widths(k_in=m)
    return maps


def sasrec_maps(c):
    """Name and widths of the nested maps of SASRec; queries, keys and values are planes."""
    m, maps = c["inner_dim"] // c["dim"], {}
    for b in range(c["blocks"]):
        name = f"blocks.{b}"
        maps[f"{name}.attention.qkv"] = Widths(planes_out=3)
        maps[f"{name}.attention.output"] = Widths()
        maps[f"{name}.feed_forward.expand"] = Widths(k_out=m)
        maps[f"{name}.feed_forward.contract"] = Widths(k_in=m)
    return maps


LRUREC_NESTED = {
    "two-blocks": {"items": 13, "dim": 12, "nested_sizes": [4, 8, 12], "max_length": 6}
    | {"state_dim": 24, "inner_dim": 48},
    "one-block-narrow": {"items": 11, "dim": 9, "nested_sizes": [4, 9], "max_length": 5}
    | {"state_dim": 9, "inner_dim": 9, "blocks": 1},
    "irregular-sizes-long": {"items": 17, "dim": 17, "nested_sizes": [5, 9, 17], "max_length": 37}
    | {"state_dim": 17, "inner_dim": 34, "blocks": 1},
    "one-size": {"items": 12, "dim": 8, "nested_sizes": [8], "max_length": 7}
    | {"state_dim": 16, "inner_dim": 16},
    "size-weights": {"items": 14, "dim": 8, "nested_sizes": [4, 8], "max_length": 6}
    | {"state_dim": 16, "inner_dim": 24, "blocks": 1},
}

SASREC_NESTED = {
    "softmax-post": {"items": 13, "dim": 12, "inner_dim": 24, "heads": 6, "max_length": 6}
    | {"attention": "softmax", "nested_sizes": [4, 8, 12]},
    "softmax-pre-untied": {"items": 11, "dim": 12, "inner_dim": 12, "heads": 3, "max_length": 5}
    | {"attention": "softmax", "nested_sizes": [4, 12], "blocks": 1, "norm": "pre"}
    | {"norm_epsilon": 1e-5, "tied": False},
    "linear-causal-post-silu": (
        {"items": 15, "dim": 10, "inner_dim": 20, "heads": 5, "max_length": 7}
        | {"attention": "linear_causal", "nested_sizes": [4, 10], "activation": "silu"}
    ),
    "linear-causal-pre": {"items": 12, "dim": 18, "inner_dim": 18, "heads": 9, "max_length": 6}
    | {"attention": "linear_causal", "nested_sizes": [4, 10, 18], "blocks": 1, "norm": "pre"}
    | {"norm_epsilon": 1e-5},
    "linear-decayed-query": {"items": 11, "dim": 12, "inner_dim": 12, "heads": 3, "max_length": 7}
    | {"attention": "linear_decayed", "nested_sizes": [4, 12], "norm": "query"},
    "softmax-one-size": {"items": 10, "dim": 8, "inner_dim": 8, "heads": 1, "max_length": 6}
    | {"attention": "softmax", "nested_sizes": [8], "blocks": 1},
    "size-weights": {"items": 14, "dim": 16, "inner_dim": 32, "heads": 4, "max_length": 5}
    | {"attention": "softmax", "nested_sizes": [4, 8, 16], "blocks": 1, "norm": "pre"},
}

LRUREC_SIZE_WEIGHTS = {"size-weights": [0.25, 1.5]}
SASREC_SIZE_WEIGHTS = {"size-weights": [0.5, 0.125, 1.0]}


def build_case(model, name, c, *, shapes, maps, encode, output, size_weights):
    """Build a case of a model whose nested maps, as masked matrices, fill its ordinary form."""
    rng = generator(f"{model} nested {name}")
    histories = random_histories(rng, c["items"], c["max_length"])
    parameters = recurrent_parameters(rng, nested_shapes(shapes(c), c["nested_sizes"], maps(c)))

    def states(p, c, rows):
        return encode(masked_parameters(p, c["nested_sizes"], maps(c)), c, rows)

    return nested_case(
        name,
        c,
        parameters,
        position_examples(histories, c["max_length"]),
        histories,
        encode=states,
        output=output,
        size_weights=size_weights,
    )


def lrurec_nested_cases():
    """Return the cases of LRURec of several sizes; one bias of items serves all of them."""
    check_nested_linear()
    return [
        build_case(
            "lrurec",
            name,
            LRUREC_CONFIGURATION | c,
            shapes=lrurec_shapes,
            maps=lrurec_maps,
            encode=lrurec_encode,
            output=lambda p, c: (p["item_embedding"], p["output_bias"]),
            size_weights=LRUREC_SIZE_WEIGHTS.get(name),
        )
        for name, c in LRUREC_NESTED.items()
    ]


def sasrec_nested_cases():
    """Return the cases of SASRec of several sizes; each head lies in one chunk."""
    check_nested_linear()
    return [
        build_case(
            "sasrec",
            name,
            SASREC_CONFIGURATION | c,
            shapes=sasrec_shapes,
            maps=sasrec_maps,
            encode=sasrec_encode,
            output=lambda p, c: (output_table(p, c), 0.0),
            size_weights=SASREC_SIZE_WEIGHTS.get(name),
        )
        for name, c in SASREC_NESTED.items()
    ]


FILES = {"lrurec_nested": lrurec_nested_cases, "sasrec_nested": sasrec_nested_cases}
