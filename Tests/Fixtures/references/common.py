"""What the references share: random numbers, layers, the frame of a model's case."""

import re
import zlib
from itertools import count

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erfc

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_enable_x64", True)

# Random numbers


def generator(name):
    """Return the random generator of a case: its name is the seed, so cases stay as they are."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def normal(rng, *shape, std=1.0, mean=0.0):
    """Return normal numbers that float32 represents, held in float64."""
    return (mean + std * rng.standard_normal(shape)).astype(np.float32).astype(np.float64)


def uniform(rng, *shape, low=0.0, high=1.0):
    """Return uniform numbers that float32 represents, held in float64."""
    return rng.uniform(low, high, shape).astype(np.float32).astype(np.float64)


# Packed rows


def cumulative(lengths):
    """Return the offsets of packed rows."""
    return np.concatenate([[0], np.cumsum(list(lengths))])


def pack(rows):
    """Return rows of item numbers as JSON packs them."""
    return {"items": np.concatenate(rows).tolist(), "offsets": cumulative(map(len, rows)).tolist()}


def unpack(packed):
    """Return the rows of what ``pack`` made."""
    return np.split(np.array(packed["items"]), packed["offsets"][1:-1])


def last_rows(rows):
    """Return the number of the last token of each packed row."""
    return cumulative(map(len, rows))[1:] - 1


def newest(rows, count):
    """Return the newest ``count`` items of each row."""
    return [row[-count:] for row in rows]


def positions(rows):
    """Return the place of every packed token in its row, from the oldest."""
    return np.concatenate([np.arange(len(row)) for row in rows])


# Layers


def gelu(x):
    """Exact GELU, x Phi(x) (Hendrycks and Gimpel, 2016); erfc keeps the left tail accurate."""
    return 0.5 * x * erfc(-x / np.sqrt(2))


def silu(x):
    """SiLU, x sigmoid(x) (Elfwing et al., 2018)."""
    return x * jax.nn.sigmoid(x)


def relu(x):
    """max(x, 0)."""
    note_kink(x)
    return jnp.maximum(x, 0)


ACTIVATIONS = {"gelu": gelu, "relu": relu, "silu": silu}

KINKS = []
SMALLEST_KINK = 1e-3


def note_kink(distance):
    """Remember how near values come to where a formula has no derivative."""
    if not isinstance(distance, jax.core.Tracer):
        KINKS.append(float(jnp.abs(distance).min()))


def linear(x, weight, bias=0.0):
    """Linear map x W^T + b, weights stored as PyTorch stores them."""
    return x @ weight.T + bias


def layer_norm(x, weight, bias, epsilon):
    """Layer normalisation over the last axis, population variance (Ba et al., 2016)."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    return weight * centred / jnp.sqrt(variance + epsilon) + bias


def chunk_layer_norm(x, weight, bias, sizes, epsilon):
    """Layer normalisation of each chunk of columns by itself; a chunk ends at each of ``sizes``."""
    chunks = [jnp.split(value, sizes[:-1], axis=-1) for value in (x, weight, bias)]
    return jnp.concatenate([layer_norm(*c, epsilon) for c in zip(*chunks, strict=True)], axis=-1)


def cross_entropy(scores, targets, label_smoothing=0.0):
    """Mean over rows of the cross-entropy over all items.

    Smoothing s makes the target (1 - s) one-hot + s / items (Szegedy et al., 2016, section 7).
    """
    log_p = jax.nn.log_softmax(scores, axis=1)
    hit = log_p[np.arange(len(targets)), targets]
    return -jnp.mean((1 - label_smoothing) * hit + label_smoothing * log_p.mean(axis=1))


def seen_mask(seen, targets, items):
    """Ones at the items that each row has seen, its target and what is no item apart."""
    mask = np.zeros((len(targets), items))
    for row, (own, target) in enumerate(zip(seen, targets, strict=True)):
        mask[row, [i for i in own if i < items and i != target]] = 1
    return mask


# Cases of models

NORM_WEIGHT = re.compile(r"norm\w*(\.\d+)?\.weight$")
UNTRAINED = re.compile(r"(mean|variance)$")


def norm_shapes(name, width):
    """Name and shape of the parameters of a layer norm."""
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def linear_shapes(name, inputs, outputs):
    """Name and shape of the parameters of a linear map."""
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def apply_norm(p, name, x, epsilon, sizes=None):
    """Return the layer norm whose parameters have this name; of chunks where there are sizes."""
    affine = p[f"{name}.weight"], p[f"{name}.bias"]
    if sizes is None:
        return layer_norm(x, *affine, epsilon)
    return chunk_layer_norm(x, *affine, sizes, epsilon)


def apply_linear(p, name, x):
    """Return the linear map whose parameters have this name."""
    return linear(x, p[f"{name}.weight"], p[f"{name}.bias"])


def random_parameters(rng, shapes):
    """Normal parameters of spread 0.3, norm weights around one: nothing is degenerate."""
    return {
        name: normal(rng, *shape, std=0.3, mean=1.0 if NORM_WEIGHT.search(name) else 0.0)
        for name, shape in shapes.items()
    }


def random_histories(rng, items, max_length):
    """Histories of one item, two, about ``max_length`` and more; repeats, also in succession."""
    lengths = [3, 1, max_length + 4, 2, max_length + 1, max_length - 1]
    histories = [rng.integers(0, items, length) for length in lengths]
    histories[2][-2] = histories[2][-4]
    histories[4][1] = histories[4][0]
    return histories


def position_examples(histories, max_length):
    """Examples whose every token predicts the next: the newest ``max_length`` of each history."""
    windows = newest([h for h in histories if len(h) > 1], max_length + 1)
    inputs, targets = [w[:-1] for w in windows], np.concatenate([w[1:] for w in windows])
    return pack(inputs) | {"rows": list(range(len(targets))), "targets": targets.tolist()}


def prefix_examples(histories, max_length):
    """One example for each prefix that has a next item; the last token predicts it."""
    ends = [(h, end) for h in histories for end in range(1, len(h))]
    inputs = [h[max(0, end - max_length) : end] for h, end in ends]
    targets = [int(h[end]) for h, end in ends]
    return pack(inputs) | {"rows": last_rows(inputs).tolist(), "targets": targets}


def far_from_kinks(name, draw, run):
    """Return the first ``draw(rng)`` with which ``run`` comes near no kink."""

    def is_far(drawn):
        KINKS.clear()
        run(*drawn)
        return min(KINKS, default=1.0) > SMALLEST_KINK

    drawn = (draw(generator(f"{name} {attempt}")) for attempt in count())
    return next(filter(is_far, drawn))


def model_case(
    name,
    c,
    parameters,
    examples,
    histories,
    *,
    states,
    scores,
    recommend=None,
    features=None,
    loss=None,
):
    """Compute states, loss and gradients of ``examples``, and the scores for ``histories``.

    ``states(p, rows of items, token numbers)`` gives the states at these tokens, ``scores(p,
    states)`` the scores of all items, ``recommend(p, histories)`` the scores at inference; without
    it, ``scores`` after the newest ``max_length`` items. ``loss(p, states, targets)`` is the
    cross-entropy of ``scores`` where it is not given. Parameters whose name ends in ``mean`` or
    ``variance`` are not trained.
    """
    p = {key: jnp.asarray(value) for key, value in parameters.items()}
    inputs, rows = unpack(examples), np.array(examples["rows"])
    targets = np.array(examples["targets"])
    fixed = {key: value for key, value in p.items() if UNTRAINED.search(key)}
    trained = {key: value for key, value in p.items() if key not in fixed}

    @jax.jit
    def loss_of(trained):
        p = trained | fixed
        found = states(p, inputs, rows)
        if loss is None:
            return cross_entropy(scores(p, found), targets)
        return loss(p, found, targets)

    KINKS.clear()
    hidden = states(p, inputs, rows)
    assert min(KINKS, default=1.0) > SMALLEST_KINK, f"{name}: a kink is near"
    value, gradients = jax.value_and_grad(loss_of)(trained)
    check_gradients(name, loss_of, trained, gradients)
    if recommend is None:
        recent = newest(histories, c["max_length"])
        final = scores(p, states(p, recent, last_rows(recent)))
    else:
        final = recommend(p, histories)
    return {
        "name": name,
        "configuration": c,
        "parameters": parameters,
        **({} if features is None else {"features": features}),
        "examples": examples,
        "hidden": hidden,
        "loss": float(value),
        "gradients": gradients,
        "histories": pack(histories),
        "scores": final,
    }


def check_causal(encode):
    """Check that the states of a history's prefix are those of the whole history."""
    whole, prefix = np.array([3, 0, 5, 5]), np.array([3, 0, 5])
    state, alone = encode([whole, prefix]), encode([prefix])
    np.testing.assert_allclose(state[:3], alone, rtol=0, atol=1e-12)
    np.testing.assert_allclose(state[4:], alone, rtol=0, atol=1e-12)
    assert np.abs(state[3] - state[2]).max() > 1e-3


def check_gradients(name, loss_of, parameters, gradients):
    """Compare the gradient along a random direction with a central difference of the loss."""
    rng = generator(f"direction {name}")
    direction = {key: rng.standard_normal(value.shape) for key, value in parameters.items()}

    def loss_at(step):
        moved = {key: value + step * direction[key] for key, value in parameters.items()}
        return float(loss_of({key: jnp.asarray(value) for key, value in moved.items()}))

    terms = np.concatenate([np.ravel(gradients[key] * direction[key]) for key in direction])
    slope = (loss_at(3e-6) - loss_at(-3e-6)) / 6e-6
    np.testing.assert_allclose(slope, terms.sum(), rtol=0, atol=1e-6 * np.linalg.norm(terms))
