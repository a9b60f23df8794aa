"""Convolutional models: NextItNet and Caser, and their convolutions."""

import jax.numpy as jnp
import numpy as np

from .common import (
    apply_linear,
    apply_norm,
    cumulative,
    far_from_kinks,
    last_rows,
    linear,
    linear_shapes,
    model_case,
    newest,
    norm_shapes,
    note_kink,
    position_examples,
    random_histories,
    random_parameters,
    relu,
    uniform,
)


def windows(x, offsets, steps):
    """Return, for each token, the rows that lie ``steps`` tokens back, side by side.

    [tokens, len(steps), width]; what would lie before the token's history is zero.
    """
    starts = np.repeat(offsets[:-1], np.diff(offsets))[:, None]
    source = np.arange(len(x))[:, None] - np.array(steps)
    return jnp.where((source >= starts)[:, :, None], x[np.maximum(source, 0)], 0.0)


def causal_convolution(x, weight, bias, offsets, kernel, dilation):
    """Dilated convolution over each history that looks back only, from zeros before its start.

    y_t = b + sum over j of W_j x_{t - (kernel - 1 - j) dilation}; the columns of ``weight`` are
    W_0 (the oldest), W_1 and so on (van den Oord et al., "WaveNet", 2016).
    """
    steps = [(kernel - 1 - j) * dilation for j in range(kernel)]
    return linear(windows(x, offsets, steps).reshape(len(x), -1), weight, bias)


def nextitnet_parameters(rng, c):
    """Draw the parameters of NextItNet."""
    dim, kernel, items = c["dim"], c["kernel"], c["items"]
    shapes = {"item_embedding": (items, dim)}
    for b in range(len(c["dilations"])):
        name = f"blocks.{b}"
        if c["block"] == "full":
            for layer in ("a", "b"):
                shapes |= linear_shapes(f"{name}.convolution_{layer}", kernel * dim, dim)
                shapes |= norm_shapes(f"{name}.norm_{layer}", dim)
        else:
            half = dim // 2
            for layer, width in {"a": dim, "b": half, "c": half}.items():
                shapes |= norm_shapes(f"{name}.norm_{layer}", width)
            shapes |= linear_shapes(f"{name}.reduce", dim, half)
            shapes |= linear_shapes(f"{name}.convolution", kernel * half, half)
            shapes |= linear_shapes(f"{name}.expand", half, dim)
        if c["residual_weights"]:
            shapes[f"{name}.residual_weight"] = (1,)
    if not c["tied"]:
        shapes["output_embedding"] = (items, dim)
    parameters = random_parameters(rng, shapes | {"output_bias": (items,)})
    for name in shapes:
        if name.endswith("residual_weight"):
            parameters[name] = uniform(rng, 1, low=0.5)
    return parameters


def nextitnet_branch(p, c, name, dilation, x, offsets):
    """What a residual block adds: block (b) of figure 3 is ``full``, (a) is ``bottleneck``."""

    def convolution(layer, x, dilation):
        weight, bias = p[f"{name}.{layer}.weight"], p[f"{name}.{layer}.bias"]
        return causal_convolution(x, weight, bias, offsets, c["kernel"], dilation)

    def norm_relu(layer, x):
        return relu(apply_norm(p, f"{name}.{layer}", x, c["norm_epsilon"]))

    if c["block"] == "full":
        x = norm_relu("norm_a", convolution("convolution_a", x, dilation))
        return norm_relu("norm_b", convolution("convolution_b", x, 2 * dilation))
    x = apply_linear(p, f"{name}.reduce", norm_relu("norm_a", x))
    x = convolution("convolution", norm_relu("norm_b", x), dilation)
    return apply_linear(p, f"{name}.expand", norm_relu("norm_c", x))


def nextitnet_encode(p, c, histories):
    """States after every item of NextItNet; with weights on the residual branches, NextItNet+.

    Yuan et al., "A Simple Convolutional Generative Network for Next Item Recommendation", WSDM
    2019; Chen et al., "A User-Adaptive Layer Selection Framework for Very Deep Sequential
    Recommender Models" (SkipRec), AAAI 2021.
    """
    offsets = cumulative(map(len, histories))
    x = p["item_embedding"][np.concatenate(histories)]
    for b, dilation in enumerate(c["dilations"]):
        branch = nextitnet_branch(p, c, f"blocks.{b}", dilation, x, offsets)
        x = x + p.get(f"blocks.{b}.residual_weight", 1.0) * branch
    return relu(x) if c["output_activation"] == "relu" else x


NEXTITNET_CONFIGURATION = {
    "model": "nextitnet",
    "seed": 0,
    "kernel": 3,
    "block": "full",
    "residual_weights": False,
    "tied": False,
    "output_activation": "relu",
    "norm_epsilon": 1e-8,
    "dropout": 0.0,
    "initial_std": 0.02,
}

NEXTITNET = {
    "full": {"items": 13, "dim": 4, "dilations": [1, 4, 1], "max_length": 19},
    "full-weights": {"items": 14, "dim": 6, "dilations": [2, 1], "residual_weights": True}
    | {"max_length": 8},
    "full-weights-tied-linear": {"items": 11, "dim": 5, "kernel": 2, "dilations": [1, 2]}
    | {"residual_weights": True, "tied": True, "output_activation": "none", "max_length": 6},
    "bottleneck-tied": {"items": 17, "dim": 8, "dilations": [1, 4, 1], "block": "bottleneck"}
    | {"tied": True, "max_length": 10},
    "bottleneck-weights-linear": {"items": 12, "dim": 6, "kernel": 2, "dilations": [2, 1]}
    | {"block": "bottleneck", "residual_weights": True, "output_activation": "none"}
    | {"max_length": 7},
}


def nextitnet_case(name, c):
    """Build a case of NextItNet."""
    c = NEXTITNET_CONFIGURATION | c

    def states(p, rows, tokens):
        return nextitnet_encode(p, c, rows)[tokens]

    def scores(p, h):
        table = p["item_embedding" if c["tied"] else "output_embedding"]
        return h @ table.T + p["output_bias"]

    def run(parameters, histories):
        for length in (c["max_length"], c["max_length"] + 1):
            nextitnet_encode(parameters, c, newest(histories, length))

    def draw(rng):
        return nextitnet_parameters(rng, c), random_histories(rng, c["items"], c["max_length"])

    parameters, histories = far_from_kinks(f"nextitnet {name}", draw, run)
    examples = position_examples(histories, c["max_length"])
    return model_case(name, c, parameters, examples, histories, states=states, scores=scores)


def nextitnet_cases():
    """Return the cases of NextItNet."""
    return [nextitnet_case(name, c) for name, c in NEXTITNET.items()]


def heights(c):
    """Heights of Caser's horizontal filters."""
    return range(1, c["window"] + 1) if c["form"] == "original" else (2, 3, 4)


def caser_parameters(rng, c):
    """Draw the parameters of Caser."""
    dim, items, filters = c["dim"], c["items"], c["horizontal_filters"]
    shapes = {"item_embedding": (items, dim)}
    if c["users"]:
        shapes["user_embedding"] = (c["users"], dim)
    for k, height in enumerate(heights(c)):
        shapes |= linear_shapes(f"horizontal.{k}", height * dim, filters)
    shapes |= linear_shapes("vertical", c["window"], c["vertical_filters"])
    width = c["vertical_filters"] * dim + len(heights(c)) * filters
    if c["form"] == "original":
        shapes |= linear_shapes("map", width, dim)
        width = 2 * dim if c["users"] else dim
    shapes |= {"output_embedding": (items, width), "output_bias": (items,)}
    return random_parameters(rng, shapes)


def relu_of_maximum(x):
    """Largest over axis 1 of max(x, 0).

    Which of several equal numbers is taken does not matter: they come from equal windows.
    """
    largest = x.max(axis=1)
    behind = largest[:, None] - x
    behind = jnp.where((behind > 1e-12) & (largest > 0)[:, None], behind, jnp.inf)
    note_kink(jnp.minimum(jnp.abs(largest), behind.min(axis=1)))
    return jnp.maximum(largest, 0)


def caser_encode(p, c, histories, users=None):
    """States of Caser after every item: a window of items as an image, filtered both ways.

    Tang and Wang, "Personalized Top-N Sequential Recommendation via Convolutional Sequence
    Embedding", WSDM 2018; ``text`` is the baseline of NextItNet's authors. ``users`` has the
    number of each history's person; -1, somebody unknown, is a zero vector.
    """
    offsets, length = cumulative(map(len, histories)), c["window"]
    x = p["item_embedding"][np.concatenate(histories)]
    image = windows(x, offsets, range(length - 1, -1, -1))
    vertical = jnp.einsum("tld,fl->tfd", image, p["vertical.weight"])
    vertical = (vertical + p["vertical.bias"][:, None]).reshape(len(x), -1)
    parts = [vertical if c["form"] == "original" else relu(vertical)]
    for k, height in enumerate(heights(c)):
        strips = [image[:, i : i + height].reshape(len(x), -1) for i in range(length - height + 1)]
        strips = jnp.stack(strips, axis=1)
        parts.append(relu_of_maximum(apply_linear(p, f"horizontal.{k}", strips)))
    state = jnp.concatenate(parts, axis=1)
    if c["form"] == "original":
        state = relu(apply_linear(p, "map", state))
    if c["users"]:
        person = np.repeat(users, np.diff(offsets))[:, None]
        vectors = jnp.where(person >= 0, p["user_embedding"][person[:, 0]], 0.0)
        state = jnp.concatenate([state, vectors], axis=1)
    return state


CASER_CONFIGURATION = {
    "model": "caser",
    "seed": 0,
    "dropout": 0.0,
    "users": 0,
    "initial_std": 0.02,
}

CASER = {
    "original": {"items": 13, "form": "original", "dim": 4, "window": 5}
    | {"horizontal_filters": 3, "vertical_filters": 2, "max_length": 5},
    "original-users": {"items": 11, "form": "original", "dim": 5, "window": 3, "users": 6}
    | {"horizontal_filters": 2, "vertical_filters": 3, "max_length": 7},
    "text": {"items": 12, "form": "text", "dim": 6, "window": 5}
    | {"horizontal_filters": 4, "vertical_filters": 1, "max_length": 5},
    "text-long": {"items": 17, "form": "text", "dim": 4, "window": 8}
    | {"horizontal_filters": 3, "vertical_filters": 1, "max_length": 8},
}


def caser_case(name, c):
    """Build a case of Caser."""
    c, longest = CASER_CONFIGURATION | c, c["max_length"]

    def draw(rng):
        histories = random_histories(rng, c["items"], longest)
        users = None
        if c["users"]:
            users = rng.integers(0, c["users"], len(histories))
            users[2], users[4] = -1, users[0]
        return caser_parameters(rng, c), histories, users

    def run(parameters, histories, users):
        for length in (longest, longest + 1):
            caser_encode(parameters, c, newest(histories, length), users)

    parameters, histories, users = far_from_kinks(f"caser {name}", draw, run)
    examples = position_examples(histories, longest)
    taught = None if users is None else users[[len(h) > 1 for h in histories]]

    def scores(p, h):
        return h @ p["output_embedding"].T + p["output_bias"]

    def recommend(p, histories):
        recent = newest(histories, longest)
        return scores(p, caser_encode(p, c, recent, users)[last_rows(recent)])

    case = model_case(
        name,
        c,
        parameters,
        examples,
        histories,
        states=lambda p, rows, tokens: caser_encode(p, c, rows, taught)[tokens],
        scores=scores,
        recommend=recommend,
    )
    if users is not None:
        case["examples"]["users"] = taught.tolist()
        case["histories"]["users"] = users.tolist()
    return case


def caser_cases():
    """Return the cases of Caser."""
    return [caser_case(name, c) for name, c in CASER.items()]


FILES = {"nextitnet": nextitnet_cases, "caser": caser_cases}
