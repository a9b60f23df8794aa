"""SASRecF and FDSA, which read features of items: ``sasrecf.json`` and ``fdsa.json``."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

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
    note_kink,
    position_examples,
    positions,
    prefix_examples,
    random_histories,
    random_parameters,
    relu,
    unpack,
)
from .transformer import block, block_shapes

CONFIGURATION = {
    "seed": 0,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "inner_dropout": 0.0,
    "activation": "gelu",
    "norm_epsilon": 1e-12,
}


def categories(values):
    """The configuration of a feature of which an item has some of ``values`` values, or none."""
    return {"kind": "categories", "values": values}


def vectors(width):
    """The configuration of a feature that is a vector."""
    return {"kind": "vectors", "width": width}


SASRECF = {
    "softmax-sum": (
        {"items": 13, "dim": 8, "inner_dim": 10, "blocks": 2, "heads": 2, "max_length": 6}
        | {"attention": "softmax", "pooling": "sum", "features": [categories(7), vectors(3)]}
    ),
    "softmax-max-silu": (
        {"items": 12, "dim": 4, "inner_dim": 9, "blocks": 1, "heads": 1, "max_length": 7}
        | {"attention": "softmax", "pooling": "max", "activation": "silu"}
        | {"features": [categories(5)]}
    ),
    "linear-mean": (
        {"items": 11, "dim": 6, "inner_dim": 7, "blocks": 1, "heads": 3, "max_length": 5}
        | {"attention": "linear", "pooling": "mean", "features": [categories(5), categories(4)]}
    ),
    "linear-causal-vectors": (
        {"items": 14, "dim": 6, "inner_dim": 8, "blocks": 2, "heads": 2, "max_length": 5}
        | {"attention": "linear_causal", "pooling": "sum", "features": [vectors(2)]}
    ),
}

FDSA = {
    "softmax-mean": (
        {"items": 13, "dim": 6, "inner_dim": 8, "blocks": 2, "heads": 2, "max_length": 6}
        | {"attention": "softmax", "pooling": "mean", "features": [categories(7), vectors(3)]}
    ),
    "softmax-one-feature": (
        {"items": 15, "dim": 4, "inner_dim": 6, "blocks": 1, "heads": 1, "max_length": 7}
        | {"attention": "softmax", "pooling": "mean", "features": [categories(6)]}
    ),
    "linear-sum": (
        {"items": 11, "dim": 6, "inner_dim": 7, "blocks": 1, "heads": 3, "max_length": 5}
        | {"attention": "linear", "pooling": "sum", "features": [categories(5), vectors(4)]}
    ),
    "linear-decayed-mean": (
        {"items": 10, "dim": 8, "inner_dim": 6, "blocks": 2, "heads": 2, "max_length": 6}
        | {"attention": "linear_decayed", "pooling": "mean"}
        | {"features": [categories(5), vectors(3)]}
    ),
    "linear-causal-max": (
        {"items": 12, "dim": 8, "inner_dim": 6, "blocks": 1, "heads": 4, "max_length": 5}
        | {"attention": "linear_causal", "pooling": "max"}
        | {"features": [categories(6), vectors(2), categories(3)]}
    ),
}

# Features of items


def random_features(rng, c):
    """Values and vectors of every item; the first, the last and some more have none."""
    features = []
    for feature in c["features"]:
        bare = rng.random(c["items"]) < 0.2
        bare[0] = bare[-1] = True
        if feature["kind"] == "vectors":
            table = normal(rng, c["items"], feature["width"])
            features.append({"vectors": np.where(bare[:, None], 0.0, table)})
        else:
            counts = np.where(bare, 0, rng.integers(1, min(4, feature["values"] + 1), c["items"]))
            rows = [rng.permutation(feature["values"])[:count] for count in counts]
            offsets = cumulative(counts)
            features.append({"values": np.concatenate(rows).tolist(), "offsets": offsets.tolist()})
    return features


def pool(table, values, offsets, pooling):
    """The pooled embeddings of each item's values; zeros where an item has none."""
    rows = []
    for start, end in itertools.pairwise(offsets):
        own = table[np.array(values[start:end], dtype=int)]
        if start == end:
            rows.append(jnp.zeros(table.shape[1]))
        elif pooling == "max":
            if end - start > 1:
                ordered = jnp.sort(own, axis=0)
                note_kink(ordered[-1] - ordered[-2])
            rows.append(own.max(axis=0))
        elif pooling == "mean":
            rows.append(own.sum(axis=0) / (end - start + 1e-8))
        else:
            rows.append(own.sum(axis=0))
    return jnp.stack(rows)


def embed_features(p, c, features, items):
    """Embeddings of the features of the given items, one array [tokens, dim] a feature."""
    tables = []
    for k, feature in enumerate(features):
        if "vectors" in feature:
            tables.append(apply_linear(p, f"features.{k}.map", feature["vectors"]))
        else:
            table = p[f"features.{k}.embedding"]
            tables.append(pool(table, feature["values"], feature["offsets"], c["pooling"]))
    return [table[items] for table in tables]


def feature_shapes(c):
    """Name and shape of the parameters of items, positions and features."""
    dim = c["dim"]
    shapes = {"item_embedding": (c["items"], dim), "position_embedding": (c["max_length"], dim)}
    for k, feature in enumerate(c["features"]):
        if feature["kind"] == "vectors":
            shapes |= linear_shapes(f"features.{k}.map", feature["width"], dim)
        else:
            shapes |= {f"features.{k}.embedding": (feature["values"], dim)}
    return shapes


def stack(p, c, name, x, histories):
    """A stack of post-norm blocks."""
    for b in range(c["blocks"]):
        x = block(p, c, f"{name}.{b}", x, cumulative(map(len, histories)))
    return x


# Models


def sasrecf_shapes(c):
    """Name and shape of every parameter of SASRecF."""
    dim = c["dim"]
    shapes = feature_shapes(c)
    shapes |= linear_shapes("fusion", (1 + len(c["features"])) * dim, dim)
    shapes |= norm_shapes("embedding_norm", dim)
    for b in range(c["blocks"]):
        shapes |= block_shapes(f"blocks.{b}", c)
    return shapes


def sasrecf(p, c, features, histories):
    """SASRec on items and features: LN(W [E; e_1; ...; e_F] + b + P), then blocks.

    RecBole's ``SASRecF``. Positions are added behind the fusion; scores use item embeddings alone.
    """
    items = np.concatenate(histories)
    parts = [p["item_embedding"][items], *embed_features(p, c, features, items)]
    x = apply_linear(p, "fusion", jnp.concatenate(parts, axis=1))
    x = x + p["position_embedding"][positions(histories)]
    return stack(p, c, "blocks", apply_norm(p, "embedding_norm", x, c["norm_epsilon"]), histories)


def fdsa_shapes(c):
    """Name and shape of every parameter of FDSA."""
    dim = c["dim"]
    shapes = feature_shapes(c)
    shapes |= linear_shapes("field_attention.expand", dim, dim)
    shapes |= linear_shapes("field_attention.score", dim, 1)
    shapes |= norm_shapes("embedding_norm", dim)
    for name in ("item_blocks", "feature_blocks"):
        for b in range(c["blocks"]):
            shapes |= block_shapes(f"{name}.{b}", c)
    return shapes | linear_shapes("output", 2 * dim, dim)


def fdsa(p, c, features, histories):
    """FDSA (Zhang et al., IJCAI 2019) as in RecBole: one stack on items, one on features.

    A token's features are weighted by the softmax over features of w_2 ReLU(W_1 e_j + b_1) + b_2.
    One norm serves both inputs and the output.
    """

    def norm(x):
        return apply_norm(p, "embedding_norm", x, c["norm_epsilon"])

    items, places = np.concatenate(histories), p["position_embedding"][positions(histories)]
    e = jnp.stack(embed_features(p, c, features, items), axis=1)
    inner = relu(apply_linear(p, "field_attention.expand", e))
    weights = jax.nn.softmax(apply_linear(p, "field_attention.score", inner), axis=1)
    fields = (weights * e).sum(axis=1)
    by_item = stack(p, c, "item_blocks", norm(p["item_embedding"][items] + places), histories)
    by_feature = stack(p, c, "feature_blocks", norm(fields + places), histories)
    return norm(apply_linear(p, "output", jnp.concatenate([by_item, by_feature], axis=1)))


def featured_case(model, shapes, encode, name, c):
    """Compute the case of one configuration; linear attention looks both ways."""
    c = {"model": model} | CONFIGURATION | c
    causal = c["attention"] != "linear"
    make_examples = position_examples if causal else prefix_examples

    def draw(rng):
        histories = random_histories(rng, c["items"], c["max_length"])
        histories[0][:2] = 0, c["items"] - 1
        return random_parameters(rng, shapes(c)), random_features(rng, c), histories

    def run(parameters, features, histories):
        encode(parameters, c, features, unpack(make_examples(histories, c["max_length"])))

    parameters, features, histories = far_from_kinks(f"{model} {name}", draw, run)
    if causal:
        check_causal(lambda rows: encode(parameters, c, features, rows))
    return model_case(
        name,
        c,
        parameters,
        make_examples(histories, c["max_length"]),
        histories,
        states=lambda p, histories, rows: encode(p, c, features, histories)[rows],
        scores=lambda p, states: states @ p["item_embedding"].T,
        features=features,
    )


def sasrecf_cases():
    """Return all cases of SASRecF."""
    cases = SASRECF.items()
    return [featured_case("sasrecf", sasrecf_shapes, sasrecf, *case) for case in cases]


def fdsa_cases():
    """Return all cases of FDSA."""
    return [featured_case("fdsa", fdsa_shapes, fdsa, *case) for case in FDSA.items()]


FILES = {"sasrecf": sasrecf_cases, "fdsa": fdsa_cases}
