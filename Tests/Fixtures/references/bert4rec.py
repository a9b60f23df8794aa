"""BERT4Rec (Sun et al., CIKM 2019), as in RecBole: ``bert4rec.json``."""

import numpy as np

from .common import (
    apply_linear,
    apply_norm,
    cumulative,
    gelu,
    generator,
    last_rows,
    linear_shapes,
    model_case,
    newest,
    norm_shapes,
    pack,
    positions,
    random_histories,
    random_parameters,
)
from .transformer import block, block_shapes

CONFIGURATION = {
    "model": "bert4rec",
    "seed": 0,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "norm_epsilon": 1e-12,
}

BERT4REC = {
    "gelu-two-blocks": (
        {"items": 13, "dim": 8, "inner_dim": 12, "blocks": 2, "heads": 2, "max_length": 6}
        | {"activation": "gelu"}
    ),
    "silu-three-heads": (
        {"items": 17, "dim": 6, "inner_dim": 9, "blocks": 1, "heads": 3, "max_length": 5}
        | {"activation": "silu"}
    ),
    "one-head-long": (
        {"items": 11, "dim": 5, "inner_dim": 7, "blocks": 2, "heads": 1, "max_length": 9}
        | {"activation": "gelu"}
    ),
    "positions-from-the-newest": (
        {"items": 12, "dim": 6, "inner_dim": 8, "blocks": 2, "heads": 2, "max_length": 6}
        | {"activation": "gelu", "positions": "newest"}
    ),
}


def bert4rec_shapes(c):
    """Name and shape of every parameter; the last item is the mask."""
    dim = c["dim"]
    shapes = {"item_embedding": (c["items"] + 1, dim)}
    shapes |= {"position_embedding": (c["max_length"] + 1, dim)}
    shapes |= norm_shapes("embedding_norm", dim)
    for b in range(c["blocks"]):
        shapes |= block_shapes(f"blocks.{b}", c)
    shapes |= linear_shapes("head", dim, dim) | norm_shapes("head_norm", dim)
    return shapes | {"output_bias": (c["items"],)}


def encode(p, c, histories):
    """g_t = LN(GELU(W Y_t + b)) at every token; Y_t sees all of its history.

    The head's GELU does not depend on ``activation``, which is that of the blocks.
    """

    def norm(name, x):
        return apply_norm(p, name, x, c["norm_epsilon"])

    items, offsets = np.concatenate(histories), cumulative(map(len, histories))
    places = positions(histories)
    if c.get("positions") == "newest":  # the last token, the mask of a recommendation, is at 0
        places = np.concatenate([np.arange(len(row))[::-1] for row in histories])
    x = p["item_embedding"][items] + p["position_embedding"][places]
    x = norm("embedding_norm", x)
    for b in range(c["blocks"]):
        x = block(p, c | {"attention": "full"}, f"blocks.{b}", x, offsets)
    return norm("head_norm", gelu(apply_linear(p, "head", x)))


def scores(p, c, states):
    """Scores of all items, without the mask: g . E[i] + bias_i."""
    return states @ p["item_embedding"][: c["items"]].T + p["output_bias"]


def cloze_examples(rng, histories, c):
    """Histories with hidden items, which are the targets.

    Some hide only their newest item; the last has a place more than ``max_length``, as histories
    have at inference; one hides all it has.
    """
    mask, length = c["items"], c["max_length"]
    rows = [np.copy(row) for row in newest(histories, length)] + [histories[2][-length - 1 :]]
    hidden = [rng.random(len(row)) < 0.4 for row in rows]
    hidden[1][:] = True
    hidden[2][0] = hidden[2][-1] = True
    for h in (hidden[3], hidden[-1]):
        h[:] = np.arange(len(h)) == len(h) - 1
    flags = np.concatenate(hidden)
    masked = [np.where(h, mask, row) for h, row in zip(hidden, rows, strict=True)]
    targets = np.concatenate(rows)[flags].tolist()
    return pack(masked) | {"rows": np.flatnonzero(flags).tolist(), "targets": targets}


def bert4rec_case(name, c):
    """Compute the case of one configuration."""
    c = CONFIGURATION | c
    rng = generator(f"bert4rec {name}")
    histories = random_histories(rng, c["items"], c["max_length"])
    parameters = random_parameters(rng, bert4rec_shapes(c))

    def recommend(p, histories):
        rows = [np.append(row, c["items"]) for row in newest(histories, c["max_length"])]
        return scores(p, c, encode(p, c, rows)[last_rows(rows)])

    return model_case(
        name,
        c,
        parameters,
        cloze_examples(rng, histories, c),
        histories,
        states=lambda p, histories, rows: encode(p, c, histories)[rows],
        scores=lambda p, states: scores(p, c, states),
        recommend=recommend,
    )


def bert4rec_cases():
    """Return all cases of BERT4Rec."""
    return [bert4rec_case(name, c) for name, c in BERT4REC.items()]


FILES = {"bert4rec": bert4rec_cases}
