"""Attention inside packed histories, in all its forms.

Heads own adjacent columns of queries, keys and values.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np


def heads_of(x, heads):
    """[tokens, dim] as [tokens, heads, width]."""
    return x.reshape(len(x), heads, -1)


def softmax_attention(query, key, value, offsets, heads, visible):
    """Scaled dot-product attention (Vaswani et al., 2017) over the visible keys of the history.

    ``visible`` [tokens, tokens] is applied besides the rule that histories do not see each other.
    """
    q, k, v = (heads_of(x, heads) for x in (query, key, value))
    history = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    visible = visible & (history[:, None] == history)
    scores = jnp.einsum("ihc,jhc->hij", q, k) / np.sqrt(q.shape[2])
    weights = jax.nn.softmax(jnp.where(visible, scores, -jnp.inf), axis=-1)
    return jnp.einsum("hij,jhc->ihc", weights, v).reshape(value.shape)


def full_attention(query, key, value, offsets, heads):
    """Softmax attention of every token to all of its history (BERT4Rec, Sun et al., 2019)."""
    everything = np.ones((len(query), len(query)), dtype=bool)
    return softmax_attention(query, key, value, offsets, heads, everything)


def causal_attention(qkv, offsets, heads):
    """Softmax attention of every token to itself and the tokens before it.

    Columns of ``qkv``: all queries, all keys, all values.
    """
    past = np.tril(np.ones((len(qkv), len(qkv)), dtype=bool))
    return softmax_attention(*jnp.split(qkv, 3, axis=1), offsets, heads, past)


def elu(x):
    """x for positive x, else exp(x) - 1."""
    return jnp.where(x > 0, x, jnp.expm1(jnp.where(x > 0, 0, x)))


def unit_rows(x, epsilon):
    """x / sqrt(x . x + epsilon) along the last axis."""
    return x / jnp.sqrt((x * x).sum(axis=-1, keepdims=True) + epsilon)


def linear_attention(query, key, value, offsets, heads, mode, epsilon, decay_log=None):
    """Linear attention of LinRec (Liu et al., SIGIR 2023): o_t = q_t^T S_t / sqrt(width).

    q_t and k_t are the rows of elu(query) and elu(key) at unit length. S_t sums k_j v_j^T over all
    j of the history (``masked``: padding would add nothing), or over j <= t (``causal``). With
    ``decay_log`` [heads] it is the retention of Sun et al. (2023) without its
    rotation: the sum over j <= t of exp(-rate (t - j)) (q_t . k_j) v_j.
    """
    q, k, v = (heads_of(x, heads) for x in (query, key, value))
    q, k = unit_rows(elu(q), epsilon), unit_rows(elu(k), epsilon)
    if decay_log is not None:
        assert mode == "causal", "only causal attention decays"
        token = np.arange(len(q))
        history = np.searchsorted(offsets, token, side="right")
        visible = (history[:, None] == history) & (token[:, None] >= token)
        ages = np.where(visible, token[:, None] - token, 0)
        decay = jnp.exp(-jnp.exp(decay_log)[:, None, None] * ages) * visible
        weights = jnp.einsum("thc,jhc->htj", q, k) * decay / np.sqrt(q.shape[2])
        return jnp.einsum("htj,jhc->thc", weights, v).reshape(value.shape)
    products = jnp.split(k[:, :, :, None] * v[:, :, None, :], offsets[1:-1])
    if mode == "causal":
        states = [jnp.cumsum(one, axis=0) for one in products]
    else:
        states = [jnp.broadcast_to(one.sum(axis=0), one.shape) for one in products]
    mixed = jnp.einsum("thc,thcd->thd", q, jnp.concatenate(states))
    return mixed.reshape(value.shape) / np.sqrt(q.shape[2])


def linear_self_attention(qkv, offsets, heads, mode, decay_log=None):
    """Linear attention whose queries, keys and values are the columns of one array."""
    parts = jnp.split(qkv, 3, axis=1)
    return linear_attention(*parts, offsets, heads, mode, epsilon=1e-12, decay_log=decay_log)


SELF_ATTENTION = {
    "softmax": causal_attention,
    "full": lambda qkv, offsets, heads: full_attention(*jnp.split(qkv, 3, axis=1), offsets, heads),
    "linear": partial(linear_self_attention, mode="masked"),
    "linear_causal": partial(linear_self_attention, mode="causal"),
    "linear_decayed": partial(linear_self_attention, mode="causal"),
    "linear_official": partial(linear_self_attention, mode="masked"),
}


def check_linear_attention():
    """Compare with published values, and check the properties that define the two modes."""
    query = np.array([[1, -1], [0.5, 2], [-0.5, 0.25]])
    key = np.array([[0.2, -0.4], [1, 1], [-2, 0.5]])
    value = np.array([[1.0, 0], [0, 1], [2, -1]])
    everything = [[-0.78007565, 0.86203832], [-0.10768064, 0.41140100], [0.77921299, -0.86037041]]
    causal = [[0.63303907, 0], [-0.49755677, 0.60633906], [0.77921299, -0.86037041]]
    third_padded = [[0.63303907, 0.15548096], [-0.49755677, 0.60633906]]

    def close(actual, expected, atol=1e-14):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)

    def attend(q, k, v, mode, epsilon=0.0):
        return linear_attention(q, k, v, np.array([0, len(q)]), 1, mode, epsilon)

    slope = jax.vmap(jax.grad(elu))(np.array([-1.0, 0.0, 2.0]))
    close(slope, [np.exp(-1), 1, 1])
    close(attend(query, key, value, "masked"), everything, atol=5e-9)
    close(attend(query, key, value, "causal"), causal, atol=5e-9)
    close(attend(query[:2], key[:2], value[:2], "masked"), third_padded, atol=5e-9)

    rng = np.random.default_rng(0)
    q, k, v = rng.standard_normal((3, 7, 4))
    weights = unit_rows(elu(q), 1e-12) @ unit_rows(elu(k), 1e-12).T / 2
    close(attend(q, k, v, "masked", 1e-12), weights @ v)
    close(attend(q, k, v, "causal", 1e-12), np.tril(weights) @ v)
    # Padding: further tokens whose keys are masked after they got their unit length.
    mask = np.arange(7) < 5
    close(attend(q[:5], k[:5], v[:5], "masked", 1e-12), ((weights * mask) @ v)[:5])
    # Decay: the sums of each head forget a share of themselves at every step.
    decay_log = np.log([0.3, 2.0])
    slow = linear_attention(q, k, v, np.array([0, 7]), 2, "causal", 1e-12, decay_log)
    for head, rate in enumerate([0.3, 2.0]):
        own = np.s_[:, 2 * head : 2 * head + 2]
        qs, ks = unit_rows(elu(q[own]), 1e-12), unit_rows(elu(k[own]), 1e-12)
        state = np.zeros((2, 2))
        for t in range(7):
            state = np.exp(-rate) * state + np.outer(ks[t], v[own][t])
            close(slow[own][t], qs[t] @ state / np.sqrt(2))
    never = linear_attention(q, k, v, np.array([0, 3, 7]), 2, "causal", 1e-12, np.full(2, -np.inf))
    close(never, linear_attention(q, k, v, np.array([0, 3, 7]), 2, "causal", 1e-12))
    # Packing: a history's neighbours do not matter.
    for mode in ("masked", "causal"):
        packed = linear_attention(q, k, v, np.array([0, 3, 4, 7]), 2, mode, 1e-12)
        alone = linear_attention(q[4:], k[4:], v[4:], np.array([0, 3]), 2, mode, 1e-12)
        close(packed[4:], alone)
    # Causality: what comes later changes nothing in ``causal``, and something in ``masked``.
    later = v + (np.arange(7) > 3)[:, None]
    close(attend(q, k, later, "causal")[:4], attend(q, k, v, "causal")[:4], atol=0)
    assert np.abs(attend(q, k, later, "masked") - attend(q, k, v, "masked"))[:4].min() > 1e-3
