"""Operations whose matrix products round both of their factors to bfloat16."""

import jax
import jax.numpy as jnp
import numpy as np

from .common import ACTIVATIONS, cross_entropy
from .convolutional import windows
from .nested import Widths, masked_matrix

BITS = 8

TIES = []


def note_ties(x):
    """Remember how near numbers come to the middle between two of bfloat16, beside their size.

    Another implementation that finds such a number a little differently may round it the other
    way. What float32 represents is an input, or a zero: it is the same number everywhere.
    """
    x = np.abs(x[x != x.astype(np.float32)])
    places = np.ldexp(x, BITS - np.frexp(x)[1])
    TIES.extend(np.abs(places - np.floor(places) - 0.5) / places)


def round_bfloat16(x):
    """The nearest number of 8 significant bits, of two the even one (IEEE 754, section 4.3.1).

    Exponents have no bounds. One step: by way of float32 a number may be rounded to a tie first.
    """
    mantissa, exponent = jnp.frexp(x)
    return jnp.ldexp(jnp.round(jnp.ldexp(mantissa, BITS)), exponent - BITS)


def rounded(x):
    """The same, remembering ties."""
    jax.debug.callback(note_ties, x)
    return round_bfloat16(x)


@jax.custom_vjp
def product(a, b):
    """a b^T of rounded factors; backwards, the gradient of the product is rounded as well."""
    return rounded(a) @ rounded(b).T


def forward(a, b):
    """The product, and what its gradients are made of."""
    return product(a, b), (a, b)


def backward(factors, gradient):
    """Products of the rounded gradient with either rounded factor."""
    a, b = map(rounded, factors)
    gradient = rounded(gradient)
    return gradient @ b, gradient.T @ a


product.defvjp(forward, backward)


def with_cotangent_last(loss, variables):
    """``loss(variables)``, whose gradients are rounded before they meet its scalar cotangent."""
    function = jax.custom_vjp(loss)
    function.defvjp(jax.value_and_grad(loss), lambda g, cotangent: (scaled(g, cotangent),))
    return function(variables)


def scaled(gradients, factor):
    """All gradients times a factor."""
    return jax.tree.map(lambda g: factor * g, gradients)


def linear_bfloat16(x, weight, bias=0.0):
    """Linear map x W^T + b."""
    return product(x, weight) + bias


def linear_activation_bfloat16(x, weight, bias, activation):
    """The activation of a linear map."""
    return ACTIVATIONS[activation](product(x, weight) + bias)


def nested_linear_bfloat16(x, sizes, k_in, k_out, planes_in, planes_out, **levels):
    """A nested linear map; its zeros are rounded to zeros, so that levels have their own."""
    weights, biases = (
        [levels[f"{part}{j}"] for j in range(len(sizes))] for part in ("weight", "bias")
    )
    widths = Widths(k_in, k_out, planes_in, planes_out)
    matrix, bias = masked_matrix(weights, biases, sizes, widths)
    return product(x, matrix) + bias


def mix_positions_bfloat16(x, weight, bias):
    """W x + b over positions (Tolstikhin et al., "MLP-Mixer", 2021).

    The rows of one position stand together, those of all histories in the same order.
    """
    columns = x.reshape(weight.shape[1], -1).T
    return (product(weight, columns) + bias[:, None]).reshape(-1, x.shape[1])


def causal_convolution_bfloat16(x, weight, bias, offsets, kernel, dilation):
    """Dilated convolution over each history that looks back only."""
    steps = [(kernel - 1 - j) * dilation for j in range(kernel)]
    return product(windows(x, offsets, steps).reshape(len(x), -1), weight) + bias


def softmax_cross_entropy_bfloat16(hidden, table, targets, label_smoothing):
    """Mean over rows of the cross-entropy over all items; the mean is taken before rounding."""

    def loss(variables):
        return cross_entropy(product(*variables), targets, label_smoothing)

    return with_cotangent_last(loss, (hidden, table))


def nested_softmax_cross_entropy_bfloat16(hidden, table, targets, sizes, weights, bias=None):
    """The sum over sizes of weight times mean cross-entropy of the scores of that size.

    Scores of a size are sums of one product for each chunk of columns, so the gradient that a
    chunk's product rounds is the sum of those of all sizes that it has a part in.
    """
    bias = jnp.zeros(len(table)) if bias is None else bias

    def loss(variables):
        hidden, table, logits = variables
        total = 0.0
        for start, end, weight in zip([0, *sizes[:-1]], sizes, weights, strict=True):
            logits = logits + product(hidden[:, start:end], table[:, start:end])
            total = total + weight * cross_entropy(logits, targets)
        return total

    return with_cotangent_last(loss, (hidden, table, bias))


def sampled_softmax_bfloat16(hidden, table, targets, negatives, target_log_q, negative_log_q):
    """Mean cross-entropy among the target and the shared negatives, each score less its log q.

    Scores of targets are sums of a row's own, not a product of matrices.
    """
    positive = jnp.sum(hidden * table[targets], axis=1) - target_log_q
    negative = product(hidden, table[negatives]) - negative_log_q
    negative = jnp.where(targets[:, None] == negatives, -jnp.inf, negative)
    scores = jnp.concatenate([positive[:, None], negative], axis=1)
    return -jnp.mean(jax.nn.log_softmax(scores, axis=1)[:, 0])


def gru_bfloat16(x, weight, offsets, form):
    """States of a gated recurrent unit whose maps of states round."""
    width = weight.shape[1]
    starts = np.isin(np.arange(len(x)), offsets)

    def recall(weight, h):
        return product(h[None], weight)[0]

    def step(h, inputs):
        x, start = inputs
        h = jnp.where(start, 0.0, h)
        r, z = jax.nn.sigmoid(x[: 2 * width] + recall(weight[: 2 * width], h)).reshape(2, width)
        u = weight[2 * width :]
        recalled = r * recall(u, h) if form == "recbole" else recall(u, r * h)
        h = (1 - z) * jnp.tanh(x[2 * width :] + recalled) + z * h
        return h, h

    return jax.lax.scan(step, jnp.zeros(width), (x, starts))[1]


def check_rounding():
    """Compare with numbers worked out by hand, and with JAX's own rounding of float32 numbers."""
    place = 2.0**-7
    for x, expected in [
        (1 + 0.5 * place, 1.0),
        (1 + 1.5 * place, 1 + 2 * place),
        (-1 - 1.5 * place, -1 - 2 * place),
        (1 + (0.5 + 2**-30) * place, 1 + place),
        (1 + (0.5 - 2**-30) * place, 1.0),
        (2 - 0.25 * place, 2.0),
        (3 * 2.0**-40, 3 * 2.0**-40),
        (0.0, 0.0),
    ]:
        assert round_bfloat16(x) == expected, x
    rng = np.random.default_rng(0)
    x = (rng.standard_normal(10_000) * np.exp(rng.normal(0, 5, 10_000))).astype(np.float32)
    expected = jnp.asarray(x).astype(jnp.bfloat16).astype(np.float64)
    np.testing.assert_array_equal(round_bfloat16(x.astype(np.float64)), expected)
