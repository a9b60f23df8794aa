"""The formulas of the operations in ``ops.json``."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np

from .attention import causal_attention, full_attention, linear_attention
from .common import ACTIVATIONS, chunk_layer_norm, cross_entropy, layer_norm, linear, seen_mask
from .convolutional import causal_convolution
from .nested import nested_linear, nested_softmax_cross_entropy
from .recurrent import gru, linear_recurrence
from .rounded import (
    causal_convolution_bfloat16,
    gru_bfloat16,
    linear_activation_bfloat16,
    linear_bfloat16,
    mix_positions_bfloat16,
    nested_linear_bfloat16,
    nested_softmax_cross_entropy_bfloat16,
    sampled_softmax_bfloat16,
    softmax_cross_entropy_bfloat16,
)


def linear_activation(x, weight, bias, activation):
    """The activation of a linear map."""
    return ACTIVATIONS[activation](linear(x, weight, bias))


def apply_activation(x, activation):
    """The activation alone."""
    return ACTIVATIONS[activation](x)


def residual_layer_norm(x, r, weight, bias, epsilon):
    """LN(x + r), the post-norm residual of Vaswani et al. (2017)."""
    return layer_norm(x + r, weight, bias, epsilon)


def gather(table, rows):
    """Rows of a table, repeats allowed: the embedding look-up."""
    return table[rows]


def gather_rows(x, rows):
    """Some distinct rows of ``x``, in the order asked for."""
    return x[rows]


def scatter_rows(x, rows, count):
    """``count`` rows of zeros with the rows of ``x`` written at ``rows``."""
    return jnp.zeros((count, x.shape[1])).at[rows].set(x)


def add(a, b):
    """Sum, element by element."""
    return a + b


def multiply(a, b):
    """Product, element by element."""
    return a * b


def scale(x, factor):
    """Product with a constant."""
    return x * factor


def softmax_cross_entropy(hidden, table, targets, label_smoothing):
    """Mean over rows of the cross-entropy over all items; scores are hidden table^T."""
    return cross_entropy(hidden @ table.T, targets, label_smoothing)


def seen_softmax_cross_entropy(hidden, table, targets, seen, offsets, margin, label_smoothing):
    """The same with ``margin`` added to the scores of what each row has seen but for its target.

    Row r has seen the items ``seen[offsets[r]:offsets[r + 1]]`` (Wang et al., "Additive Margin
    Softmax for Face Verification", 2018, with the margin on some of the others).
    """
    rows = np.split(seen, offsets[1:-1])
    raised = margin * seen_mask(rows, targets, len(table))
    return cross_entropy(hidden @ table.T + raised, targets, label_smoothing)


def sampled_softmax(hidden, table, targets, negatives, target_log_q, negative_log_q):
    """Mean cross-entropy among the target and the shared negatives, each score less its log q.

    A negative equal to the row's target is removed (Jean et al., 2015; TensorFlow's
    ``sampled_softmax_loss`` with ``remove_accidental_hits``).
    """
    positive = jnp.sum(hidden * table[targets], axis=1) - target_log_q
    negative = hidden @ table[negatives].T - negative_log_q
    negative = jnp.where(targets[:, None] == negatives, -jnp.inf, negative)
    scores = jnp.concatenate([positive[:, None], negative], axis=1)
    return -jnp.mean(jax.nn.log_softmax(scores, axis=1)[:, 0])


def binary_cross_entropy(hidden, table, targets, negatives, beta):
    """Mean over rows of -(beta log sigmoid(r+) + sum over negatives of log(1 - sigmoid(r-))).

    Kang and McAuley (2018) with beta = 1; gBCE (Petrov and Macdonald, 2023) with ``gbce_beta``.
    """
    positive = jnp.sum(hidden * table[targets], axis=1)
    negative = jnp.einsum("md,mnd->mn", hidden, table[negatives])
    rows = beta * jax.nn.softplus(-positive) + jax.nn.softplus(negative).sum(axis=1)
    return rows.mean()


def gbce_beta(negatives, items, t):
    """Exponent of gBCE (Petrov and Macdonald, 2023); alpha is the sampling rate."""
    alpha = negatives / (items - 1)
    return alpha * (t * (1 - 1 / alpha) + 1 / alpha)


def adam_step(
    parameter,
    gradient,
    moments,
    step,
    *,
    form,
    decoupled,
    weight_decay,
    learning_rate,
    beta1,
    beta2,
    epsilon,
):
    """One step of Adam (Kingma and Ba, 2015); returns the parameter and the two moments.

    ``torch`` (algorithm 1, ``torch.optim.Adam``) adds epsilon to the corrected root;
    ``tensorflow`` (the remark after algorithm 1, ``tf.train.AdamOptimizer``) to the uncorrected.
    Decoupled decay shrinks the parameter by learning_rate * weight_decay before the step
    (``torch.optim.AdamW``); otherwise weight_decay * parameter is added to the gradient.
    """
    if decoupled:
        parameter = parameter - learning_rate * weight_decay * parameter
    else:
        gradient = gradient + weight_decay * parameter
    first = beta1 * moments[0] + (1 - beta1) * gradient
    second = beta2 * moments[1] + (1 - beta2) * gradient**2
    correction1, correction2 = 1 - beta1**step, 1 - beta2**step
    if form == "torch":
        change = first / correction1 / (np.sqrt(second / correction2) + epsilon)
    else:
        change = np.sqrt(correction2) / correction1 * first / (np.sqrt(second) + epsilon)
    return parameter - learning_rate * change, (first, second)


def adam(parameter, gradients, **options):
    """The parameter after each of several steps, one gradient a step."""
    moments, rows = (0.0, 0.0), []
    for step, gradient in enumerate(gradients, start=1):
        parameter, moments = adam_step(parameter, gradient, moments, step, **options)
        rows.append(parameter)
    return {"parameter_after": np.stack(rows)}


def clip_global_norm(max_norm, **gradients):
    """All gradients times min(1, max_norm / their common norm) (Pascanu et al., 2013)."""
    norm = np.sqrt(sum(np.sum(np.square(g)) for g in gradients.values()))
    factor = max_norm / norm if norm > max_norm else 1.0
    return {name: factor * g for name, g in gradients.items()}


def metrics(ranks, offsets, k):
    """Means over people of ranking metrics; ``ranks`` are those of the relevant items, from 1.

    NDCG as Jarvelin and Kekalainen (2002) with binary gains; average precision divides by the
    smaller of k and the number of relevant items.
    """
    rows = []
    for start, end in pairwise(offsets):
        hits = np.sort(ranks[start:end][ranks[start:end] <= k])
        best = min(end - start, k)
        gain = np.sum(1 / np.log2(hits + 1)) / np.sum(1 / np.log2(np.arange(best) + 2))
        precision = np.sum((np.arange(len(hits)) + 1) / hits) / best
        reciprocal = 1 / hits[0] if len(hits) else 0.0
        rows.append([len(hits) / (end - start), len(hits) > 0, reciprocal, gain, precision])
    means = np.mean(np.array(rows, dtype=float), axis=0)
    return dict(zip(["recall", "hit_rate", "mrr", "ndcg", "map"], means, strict=True))


OPERATIONS = {
    "linear": linear,
    "linear_activation": linear_activation,
    "nested_linear": nested_linear,
    "activation": apply_activation,
    "layer_norm": layer_norm,
    "residual_layer_norm": residual_layer_norm,
    "chunk_layer_norm": chunk_layer_norm,
    "causal_attention": causal_attention,
    "full_attention": full_attention,
    "linear_attention": linear_attention,
    "linear_recurrence": linear_recurrence,
    "gru": gru,
    "causal_convolution": causal_convolution,
    "gather": gather,
    "gather_rows": gather_rows,
    "scatter_rows": scatter_rows,
    "add": add,
    "multiply": multiply,
    "scale": scale,
    "softmax_cross_entropy": softmax_cross_entropy,
    "seen_softmax_cross_entropy": seen_softmax_cross_entropy,
    "nested_softmax_cross_entropy": nested_softmax_cross_entropy,
    "sampled_softmax": sampled_softmax,
    "binary_cross_entropy": binary_cross_entropy,
    "adam": adam,
    "clip_global_norm": clip_global_norm,
    "metrics": metrics,
    "linear_bfloat16": linear_bfloat16,
    "linear_activation_bfloat16": linear_activation_bfloat16,
    "nested_linear_bfloat16": nested_linear_bfloat16,
    "mix_positions_bfloat16": mix_positions_bfloat16,
    "causal_convolution_bfloat16": causal_convolution_bfloat16,
    "softmax_cross_entropy_bfloat16": softmax_cross_entropy_bfloat16,
    "nested_softmax_cross_entropy_bfloat16": nested_softmax_cross_entropy_bfloat16,
    "sampled_softmax_bfloat16": sampled_softmax_bfloat16,
    "gru_bfloat16": gru_bfloat16,
}


WITHOUT_GRADIENT = ("adam", "clip_global_norm", "metrics")
