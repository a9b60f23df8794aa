"""Nested models: maps whose prefixes are maps, losses over sizes, and the frame of their cases.

A nested model of sizes s_1 < ... < s_J holds the models of all of them: what the first s_j channels
are depends on the first s_j channels alone (Wang et al., "Train Once, Deploy Anywhere: Matryoshka
Representation Learning for Multimodal Recommendation", EMNLP Findings 2024).
"""

import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .common import (
    check_causal,
    cross_entropy,
    last_rows,
    model_case,
    newest,
    unpack,
)


class Widths(NamedTuple):
    """Inputs and outputs for each channel of a nested map, and in how many planes they stand."""

    k_in: int = 1
    k_out: int = 1
    planes_in: int = 1
    planes_out: int = 1


def level_of(index, sizes, k):
    """The smallest level j, from 0, with ``index`` < k s_j."""
    return np.argmax(np.asarray(index)[..., None] < k * np.array(sizes), axis=-1)


def level_shapes(sizes, widths):
    """Shapes of the weight of each level; a bias has as many numbers as its weight has rows."""
    chunks = np.diff(sizes, prepend=0).tolist()
    outputs, inputs = widths.planes_out * widths.k_out, widths.planes_in * widths.k_in
    return [(outputs * c, inputs * s) for c, s in zip(chunks, sizes, strict=True)]


def masked_matrix(weights, biases, sizes, widths):
    """A nested map as one matrix [outputs, inputs] and a bias.

    An output of level j reads the inputs of level j and below; all else is zero. The weight of
    level j has the rows of its outputs and the columns of all inputs that it reads, both plane by
    plane.
    """
    ends, starts = np.array(sizes), np.array([0, *sizes[:-1]])
    k_in, k_out, planes_in, planes_out = widths
    plane_out, row, plane_in, column = np.ogrid[
        :planes_out, : k_out * sizes[-1], :planes_in, : k_in * sizes[-1]
    ]
    level = level_of(row, sizes, k_out)
    own = level_of(column, sizes, k_in) <= level
    row_of_level = plane_out * k_out * (ends - starts)[level] + row - k_out * starts[level]
    columns = planes_in * k_in * ends[level]
    first = np.cumsum([0, *(np.prod(w.shape) for w in weights)])
    place = row_of_level * columns + plane_in * k_in * ends[level] + column + first[level]
    shape = (planes_out * k_out * sizes[-1], planes_in * k_in * sizes[-1])
    own = np.broadcast_to(own, place.shape)
    assert (np.sort(place[own]) == np.arange(first[-1])).all()
    flat = jnp.concatenate([jnp.ravel(w) for w in weights])
    matrix = jnp.where(own, flat[np.where(own, place, 0)], 0.0).reshape(shape)
    place = (planes_out * k_out * starts[level] + row_of_level).ravel()
    assert (np.sort(place) == np.arange(shape[0])).all()
    return matrix, jnp.concatenate(biases)[place]


def nested_linear(x, sizes, k_in, k_out, planes_in, planes_out, **levels):
    """A nested linear map; ``weight0``, ``bias0``, ``weight1``, ... are those of its levels."""
    weights, biases = (
        [levels[f"{part}{j}"] for j in range(len(sizes))] for part in ("weight", "bias")
    )
    widths = Widths(k_in, k_out, planes_in, planes_out)
    matrix, bias = masked_matrix(weights, biases, sizes, widths)
    return x @ matrix.T + bias


def prefix_logits(hidden, table, size, bias=0.0):
    """Scores of one size: products of the first ``size`` columns of states and items."""
    return hidden[:, :size] @ table[:, :size].T + bias


def nested_softmax_cross_entropy(hidden, table, targets, sizes, weights, bias=0.0):
    """The sum over sizes of weight times mean cross-entropy of the scores of that size.

    One term a size, as in Kusupati et al., "Matryoshka Representation Learning", NeurIPS 2022.
    """
    logits = [prefix_logits(hidden, table, size, bias) for size in sizes]
    return sum(w * cross_entropy(z, targets) for w, z in zip(weights, logits, strict=True))


# Models


def nested_shapes(shapes, sizes, maps):
    """Shapes of a model whose linear maps of these names are nested."""
    nested = {}
    for name, shape in shapes.items():
        owner, _, part = name.rpartition(".")
        if owner not in maps:
            nested[name] = shape
        elif part == "weight":
            widths = maps[owner]
            inputs, outputs = widths.planes_in * widths.k_in, widths.planes_out * widths.k_out
            assert shape == (outputs * sizes[-1], inputs * sizes[-1]), name
            for j, level in enumerate(level_shapes(sizes, widths)):
                nested[f"{owner}.levels.{j}.weight"] = level
                nested[f"{owner}.levels.{j}.bias"] = level[:1]
    return nested


def masked_parameters(p, sizes, maps):
    """Parameters with one masked matrix and one bias for each nested map."""
    masked = {name: value for name, value in p.items() if ".levels." not in name}
    for name, widths in maps.items():
        weights, biases = (
            [p[f"{name}.levels.{j}.{part}"] for j in range(len(sizes))]
            for part in ("weight", "bias")
        )
        pair = masked_matrix(weights, biases, sizes, widths)
        masked[f"{name}.weight"], masked[f"{name}.bias"] = pair
    return masked


LEVEL = re.compile(r"\.levels\.(\d+)\.")


def small_parameters(p, sizes, size):
    """Return what the parameters hold of the model of one of the sizes."""
    small = {}
    for name, value in p.items():
        if level := LEVEL.search(name):
            if sizes[int(level[1])] <= size:
                small[name] = value
        elif name == "output_bias":
            small[name] = value
        elif name.endswith("embedding"):
            small[name] = value[:, :size]
        else:
            small[name] = value[: len(value) * size // sizes[-1]]
    return small


def small_configuration(c, size):
    """Return the configuration of the model of one of the sizes."""
    key = "sizes" if "sizes" in c else "nested_sizes"
    widths = {k: c[k] * size // c[key][-1] for k in WIDTHS if k in c}
    return c | widths | {key: [s for s in c[key] if s <= size]}


WIDTHS = ("dim", "state_dim", "inner_dim", "heads")


def nested_case(
    name, c, parameters, examples, histories, *, encode, output, size_weights=None, features=None
):
    """Compute a case of a nested model: its loss is over all sizes, its scores by size.

    ``encode(p, c, histories)`` gives the states, ``output(p, c)`` the table of all classes of the
    loss and their bias. The first classes are the items.
    """

    def compiled(p, c, histories):
        return jax.jit(lambda p: encode(p, c, histories))(p)

    sizes = c["sizes"] if "sizes" in c else c["nested_sizes"]
    weights = [1 / len(sizes)] * len(sizes) if size_weights is None else size_weights

    def loss(p, hidden, targets):
        table, bias = output(p, c)
        return nested_softmax_cross_entropy(hidden, table, targets, sizes, weights, bias)

    def scores(p, hidden, size, c):
        table, bias = output(p, c)
        return prefix_logits(hidden, table, size, bias)[:, : c["items"]]

    check_causal(lambda rows: compiled(parameters, c, rows))
    case = model_case(
        name,
        c,
        parameters,
        examples,
        histories,
        states=lambda p, rows, tokens: compiled(p, c, rows)[tokens],
        scores=lambda p, hidden: scores(p, hidden, sizes[-1], c),
        loss=loss,
        features=features,
    )
    recent = newest(unpack(case["histories"]), c["max_length"])
    rows = last_rows(recent)
    hidden = compiled(parameters, c, recent)[rows]
    by_size = {size: scores(parameters, hidden, size, c) for size in sizes}
    np.testing.assert_allclose(by_size[sizes[-1]], case["scores"], rtol=0, atol=1e-12)
    for size, expected in by_size.items():
        own, small = small_configuration(c, size), small_parameters(parameters, sizes, size)
        found = scores(small, compiled(small, own, recent)[rows], size, own)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    if size_weights is not None:
        case["size_weights"] = size_weights
    return case | {"size_scores": {str(size): value for size, value in by_size.items()}}


def check_nested_linear():
    """Compare the masked matrix with the map level by level, and with a mask written out."""
    rng = np.random.default_rng(0)
    sizes = (3, 7, 20)
    for widths in (Widths(), Widths(2, 4), Widths(4, 1, 2, 1), Widths(1, 2, 1, 3)):
        shapes = level_shapes(sizes, widths)
        weights = [rng.standard_normal(shape) for shape in shapes]
        biases = [rng.standard_normal(shape[0]) for shape in shapes]
        x = rng.standard_normal((5, widths.planes_in, widths.k_in * sizes[-1]))
        chunks = []
        for size, weight, bias in zip(sizes, weights, biases, strict=True):
            y = x[:, :, : widths.k_in * size].reshape(5, -1) @ weight.T + bias
            chunks.append(y.reshape(5, widths.planes_out, -1))
        expected = np.concatenate(chunks, axis=2).reshape(5, -1)
        matrix, bias = masked_matrix(weights, biases, sizes, widths)
        np.testing.assert_allclose(x.reshape(5, -1) @ matrix.T + bias, expected, atol=1e-12)
    free = [[1, 1, 0, 0, 0, 0, 0, 0]] * 2 + [[1, 1, 1, 1, 0, 0, 0, 0]] * 2 + [[1] * 8] * 4
    ones = [np.ones(shape) for shape in level_shapes((2, 4, 8), Widths())]
    biases = [np.zeros(len(weight)) for weight in ones]
    np.testing.assert_array_equal(masked_matrix(ones, biases, (2, 4, 8), Widths())[0], free)
    for sizes, count in GOLDEN_COUNTS.items():
        assert sum(outputs * inputs for outputs, inputs in level_shapes(sizes, Widths())) == count


# How many weights a nested map of 1 : 1 has.
GOLDEN_COUNTS = {
    (2, 4, 8): 44,
    (3, 7, 20): 297,
    (8, 16, 32, 64): 2752,
    (8, 16, 32, 64, 128, 256, 512, 1024): 699_072,
}
