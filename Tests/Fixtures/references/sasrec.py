"""SASRec: ``sasrec.json``, and with linear attention ``sasrec_linear.json``."""

import jax
import jax.numpy as jnp
import numpy as np

from .common import (
    apply_norm,
    check_gradients,
    cross_entropy,
    cumulative,
    generator,
    last_rows,
    model_case,
    newest,
    norm_shapes,
    pack,
    position_examples,
    positions,
    prefix_examples,
    random_histories,
    random_parameters,
    seen_mask,
)
from .operations import adam_step, clip_global_norm
from .transformer import block, block_shapes


def sasrec_shapes(c):
    """Name and shape of every parameter, in the order in which a model lists them."""
    dim = c["dim"]
    rows = c["items"] + (c.get("attention") == "linear_official")
    shapes = {"item_embedding": (rows, dim), "position_embedding": (c["max_length"], dim)}
    if c["norm"] == "post":
        shapes |= norm_shapes("embedding_norm", dim)
    for b in range(c["blocks"]):
        shapes |= block_shapes(f"blocks.{b}", c)
    if c["norm"] != "post":
        shapes |= norm_shapes("final_norm", dim)
    if not c["tied"]:
        shapes["output_embedding"] = (c["items"], dim)
    return shapes


def encode(p, c, histories):
    """The state after every item of the packed histories; positions count from the oldest item.

    Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018; the defaults are those
    of RecBole's ``SASRec``.
    """
    items = np.concatenate(histories)
    offsets = cumulative(map(len, histories))
    factor = np.sqrt(c["dim"]) if c["scale_embedding"] else 1.0
    x = factor * p["item_embedding"][items] + p["position_embedding"][positions(histories)]
    norm = {"epsilon": c["norm_epsilon"], "sizes": c.get("nested_sizes")}
    if c["norm"] == "post":
        x = apply_norm(p, "embedding_norm", x, **norm)
    for b in range(c["blocks"]):
        x = block(p, c, f"blocks.{b}", x, offsets)
    return x if c["norm"] == "post" else apply_norm(p, "final_norm", x, **norm)


def output_table(p, c):
    """The item table that scores are taken against."""
    return p["item_embedding" if c["tied"] else "output_embedding"][: c["items"]]


def training_windows(c, histories):
    """Inputs and targets of the histories that have a target: the newest max_length of each."""
    windows = newest([h for h in histories if len(h) > 1], c["max_length"] + 1)
    return [w[:-1] for w in windows], np.concatenate([w[1:] for w in windows])


def sasrec_loss(p, c, o, histories):
    """Mean cross-entropy of the next item over every position of every history.

    ``seen_margin`` is added to the scores of the items up to each position, but for its target.
    """
    inputs, targets = training_windows(c, histories)
    scores = encode(p, c, inputs) @ output_table(p, c).T
    seen = [row[: t + 1] for row in inputs for t in range(len(row))]
    scores += o["seen_margin"] * seen_mask(seen, targets, scores.shape[1])
    return cross_entropy(scores, targets, o["label_smoothing"])


def sasrec_scores(p, c, histories):
    """Scores of all items after the newest max_length items of each history."""
    recent = newest(histories, c["max_length"])
    return encode(p, c, recent)[last_rows(recent)] @ output_table(p, c).T


def train(p, c, o, histories, steps):
    """Return the losses before each step, the first gradients (unclipped) and all parameters."""
    value_and_grad = jax.jit(jax.value_and_grad(lambda p: sasrec_loss(p, c, o, histories)))
    settings = {key: o[key] for key in ("weight_decay", "learning_rate", "beta1", "beta2")}
    settings |= {"form": o["adam_form"], "decoupled": o["optimizer"] == "adamw"}
    moments = dict.fromkeys(p, (0.0, 0.0))
    losses, all_gradients, all_parameters = [], [], []
    for step in range(1, steps + 1):
        loss, gradients = value_and_grad(p)
        losses.append(float(loss))
        all_gradients.append(gradients)
        if o["gradient_clip"] > 0:
            gradients = clip_global_norm(o["gradient_clip"], **gradients)
        stepped = {
            name: adam_step(p[name], g, moments[name], step, epsilon=o["epsilon"], **settings)
            for name, g in gradients.items()
        }
        p = {name: pair[0] for name, pair in stepped.items()}
        moments = {name: pair[1] for name, pair in stepped.items()}
        all_parameters.append(p)
    return losses, all_gradients[0], all_parameters


CONFIGURATION = {
    "model": "sasrec",
    "seed": 0,
    "blocks": 2,
    "heads": 2,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "inner_dropout": 0.0,
    "norm": "post",
    "activation": "gelu",
    "norm_epsilon": 1e-12,
    "scale_embedding": False,
    "tied": True,
    "initial_std": 0.02,
}


# Epsilon is larger than usual. A constant added to all keys changes nothing, so the gradient of the
# key bias is zero but for rounding, and Adam with 1e-8 would turn that rounding into full steps.
OPTIONS = {
    "loss": "softmax",
    "negatives": 4,
    "gbce_t": 0.75,
    "sampler": "uniform",
    "batch_size": 128,
    "crop": "last",
    "optimizer": "adam",
    "adam_form": "torch",
    "learning_rate": 0.005,
    "beta1": 0.9,
    "beta2": 0.999,
    "epsilon": 1e-4,
    "weight_decay": 0.0,
    "gradient_clip": 0.0,
    "schedule": "constant",
    "warmup_steps": 0,
    "total_epochs": 3,
    "label_smoothing": 0.0,
    "seen_margin": 0.0,
    "seed": 0,
    "first_epoch": 0,
}


SASREC = {
    "post-gelu-tied": (
        {"items": 13, "dim": 8, "inner_dim": 16, "max_length": 6},
        {},
    ),
    "pre-gelu": (
        {"items": 11, "dim": 6, "inner_dim": 7, "blocks": 1, "heads": 3, "max_length": 5}
        | {"norm": "pre", "norm_epsilon": 1e-5},
        {},
    ),
    "pre-relu-scaled-untied": (
        {"items": 17, "dim": 4, "inner_dim": 9, "max_length": 7, "norm": "pre"}
        | {"activation": "relu", "scale_embedding": True, "tied": False, "norm_epsilon": 1e-5},
        {},
    ),
    "query-relu-scaled-tied": (
        {"items": 19, "dim": 6, "inner_dim": 11, "heads": 3, "max_length": 6, "norm": "query"}
        | {"activation": "relu", "scale_embedding": True, "norm_epsilon": 1e-8},
        {"beta2": 0.98},
    ),
    "post-silu-adamw-tensorflow": (
        {"items": 23, "dim": 5, "inner_dim": 13, "blocks": 1, "heads": 1, "max_length": 8}
        | {"activation": "silu"},
        {"optimizer": "adamw", "adam_form": "tensorflow", "weight_decay": 0.01},
    ),
    "post-gelu-smoothing-clip": (
        {"items": 12, "dim": 8, "inner_dim": 10, "blocks": 1, "heads": 4, "max_length": 5},
        {"label_smoothing": 0.1, "gradient_clip": 0.5},
    ),
    "pre-gelu-seen-margin": (
        {"items": 9, "dim": 6, "inner_dim": 8, "blocks": 1, "heads": 2, "max_length": 6}
        | {"norm": "pre"},
        {"label_smoothing": 0.05, "seen_margin": 1.5},
    ),
}


def sasrec_case(name, c, o):
    """Build a model and histories; compute states, scores, loss, gradients and three steps."""
    c, o = CONFIGURATION | c, OPTIONS | o
    rng = generator(f"sasrec {name}")
    histories = random_histories(rng, c["items"], c["max_length"])
    parameters = random_parameters(rng, sasrec_shapes(c))
    p = {name: jnp.asarray(value) for name, value in parameters.items()}
    losses, gradients, trace = train(p, c, o, histories, steps=3)
    check_gradients(name, lambda p: sasrec_loss(p, c, o, histories), p, gradients)
    if o["gradient_clip"] > 0:
        norm = np.sqrt(sum(np.sum(np.square(g)) for g in gradients.values()))
        assert norm > 1.1 * o["gradient_clip"], "the clip must bite"
    return {
        "name": name,
        "configuration": c,
        "options": o,
        "parameters": parameters,
        "histories": pack(histories),
        "hidden": encode(p, c, training_windows(c, histories)[0]),
        "scores": sasrec_scores(p, c, histories),
        "loss": losses[0],
        "gradients": gradients,
        "after_one_step": trace[0],
        "trace": {"losses": losses, "parameters": trace[-1]},
    }


def sasrec_cases():
    """Return all cases of SASRec."""
    return [sasrec_case(name, *pair) for name, pair in SASREC.items()]


LINEAR = {
    "linear-post": (
        {"attention": "linear", "items": 13, "dim": 8, "inner_dim": 12, "max_length": 6}
    ),
    "linear-pre-untied": (
        {"attention": "linear", "items": 11, "dim": 6, "inner_dim": 7, "max_length": 5}
        | {"heads": 3, "norm": "pre", "norm_epsilon": 1e-5, "tied": False}
    ),
    "linear-causal-post-silu": (
        {"attention": "linear_causal", "items": 15, "dim": 8, "inner_dim": 10, "max_length": 7}
        | {"heads": 4, "activation": "silu"}
    ),
    "linear-causal-query-scaled": (
        {"attention": "linear_causal", "items": 12, "dim": 4, "inner_dim": 9, "max_length": 5}
        | {"norm": "query", "norm_epsilon": 1e-8, "scale_embedding": True}
    ),
    "linear-decayed-post": (
        {"attention": "linear_decayed", "items": 11, "dim": 8, "inner_dim": 6, "max_length": 6}
    ),
    "linear-decayed-pre-heads": (
        {"attention": "linear_decayed", "items": 9, "dim": 8, "inner_dim": 7, "max_length": 7}
        | {"heads": 4, "norm": "pre", "norm_epsilon": 1e-6}
    ),
    "linear-official-post": (
        {"attention": "linear_official", "items": 14, "dim": 6, "inner_dim": 8, "max_length": 6}
    ),
}


def linear_states(p, c, histories, rows):
    """States at some of the packed tokens, for all modes of linear attention.

    In ``linear_official`` every history is filled up with the padding item, the last row of the
    item table, which takes part like any other.
    """
    if c["attention"] != "linear_official":
        return encode(p, c, histories)[rows]
    padding, length = c["items"], c["max_length"]
    offsets = cumulative(map(len, histories))
    history = np.searchsorted(offsets, rows, side="right") - 1
    padded = [np.pad(h, (0, length - len(h)), constant_values=padding) for h in histories]
    return encode(p, c, padded)[history * length + rows - offsets[history]]


def linear_case(name, c):
    """Compute a case of linear attention; only its causal form trains at all positions."""
    c = CONFIGURATION | c
    rng = generator(f"sasrec {name}")
    histories = random_histories(rng, c["items"], c["max_length"])
    causal = c["attention"] in ("linear_causal", "linear_decayed")
    examples = (position_examples if causal else prefix_examples)(histories, c["max_length"])
    parameters = random_parameters(rng, sasrec_shapes(c))
    frozen = parameters["item_embedding"][c["items"] :]

    def states(p, histories, rows):
        table = jnp.concatenate([p["item_embedding"][: c["items"]], frozen])
        return linear_states(p | {"item_embedding": table}, c, histories, rows)

    return model_case(
        name,
        c,
        parameters,
        examples,
        histories,
        states=states,
        scores=lambda p, states: states @ output_table(p, c).T,
    )


def linear_cases():
    """Return all cases of SASRec with linear attention."""
    return [linear_case(name, c) for name, c in LINEAR.items()]


FILES = {"sasrec": sasrec_cases, "sasrec_linear": linear_cases}
