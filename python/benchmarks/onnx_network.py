"""Writes a trained FMRLRec as an ONNX graph that recommends to one history of a fixed length.

The graph does what a patient exporter would: constants are worked out, the last block computes its
last place alone, whose state is one weighted sum. What is quickest depends on the width, so the
recurrence and the nested maps come in several forms, with the same results.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Any

import common
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Weights = Mapping[str, NDArray[Any]]
Maps = list[tuple[NDArray[Any], NDArray[Any]]]  # weight and bias of each level

OPSET, IR_VERSION = 18, 9
WIDEST_DENSE = 128  # above it, the matrices of "matrix" take more memory than all else


@dataclass(frozen=True)
class Form:
    """How a graph does the work; the mathematics is the same.

    Attributes
    ----------
    recurrence : {"scan", "halves", "matrix"}
        One step after another; in a logarithm of steps over ever longer parts; or, for each
        channel, as a product with the matrix that has its powers below the diagonal.
    levels : bool
        Whether nested maps are a product for each level, or one with zeros in its matrix.
    """

    recurrence: str
    levels: bool

    def __str__(self) -> str:
        return f"{self.recurrence}, {'a product a level' if self.levels else 'whole products'}"


def forms(sizes: Sequence[int]) -> Iterator[Form]:
    """Yield the forms worth trying for a model of these sizes."""
    for recurrence in ("scan", "halves", "matrix"):
        if recurrence != "matrix" or sizes[-1] <= WIDEST_DENSE:
            yield Form(recurrence, levels=False)
            if len(sizes) > 1:
                yield Form(recurrence, levels=True)


def network(weights: Weights, length: int, form: Form, epsilon: float = 1e-5) -> bytes:
    """Return a model that maps ``items``, [length], to ``scores`` and ``ids`` of the ten best."""
    return Graph(weights, length, form, epsilon).finish()


class Graph:
    """An ONNX graph that grows by a node a call; values go by their names."""

    def __init__(self, weights: Weights, length: int, form: Form, epsilon: float) -> None:
        self.weights, self.length, self.form, self.epsilon = weights, length, form, epsilon
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.names = (f"v{number}" for number in count())
        self.sizes = sizes_of(weights)
        self.dim = self.sizes[-1]
        self.blocks = sum(name.endswith("recurrence.nu_log") for name in weights)
        self.channels = len(weights["blocks.0.recurrence.nu_log"])

    def finish(self) -> bytes:
        """Return the whole model."""
        table = self.weights["item_embedding"]
        x = self.op("Gather", self.constant(table), "items")
        for block in range(self.blocks):
            x = self.block(f"blocks.{block}", x, last=block == self.blocks - 1)
        # As an input with a default it stays as it is: one row times a packed matrix is slower.
        columns = self.constant(table[:-1].T)
        scores = self.op("MatMul", x, columns)
        found = ["scores", "ids"]
        self.nodes.append(helper.make_node("TopK", [scores, self.integers(common.TOP)], found))
        graph = helper.make_graph(
            self.nodes,
            "fmrlrec",
            [tensor("items", self.length, kind="INT64"), tensor(columns, *table[:-1].T.shape)],
            [tensor("scores", 1, common.TOP), tensor("ids", 1, common.TOP, kind="INT64")],
            self.constants,
        )
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        return model.SerializeToString()

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output and return it."""
        return self.ops(kind, 1, *inputs, **attributes)[0]

    def ops(self, kind: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """Add a node and return its outputs."""
        names = [next(self.names) for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names

    def constant(self, values: NDArray[Any]) -> str:
        """Add numbers."""
        name = next(self.names)
        exact = np.ascontiguousarray(values, values.dtype if values.dtype.kind == "i" else "f4")
        self.constants.append(numpy_helper.from_array(exact, name))
        return name

    def integers(self, *values: int) -> str:
        """Add whole numbers, such as a shape."""
        return self.constant(np.array(values, dtype=np.int64))

    def reshape(self, x: str, *shape: int) -> str:
        """Return ``x`` in another shape."""
        return self.op("Reshape", x, self.integers(*shape))

    def slice(self, x: str, begin: int, end: int, axis: int) -> str:
        """Return a part of ``x``."""
        return self.op("Slice", x, self.integers(begin), self.integers(end), self.integers(axis))

    def split(self, x: str, widths: Sequence[int], axis: int) -> list[str]:
        """Return all parts of ``x``."""
        return self.ops("Split", len(widths), x, self.integers(*widths), axis=axis)

    def block(self, name: str, x: str, last: bool) -> str:
        """Return the outputs of a block, of the last one those at the last place alone."""
        driven = self.input(name, self.norm(f"{name}.recurrence_norm", x))
        factor = self.factor(name)
        if last:
            h = self.last_state(driven, factor)
            x = self.slice(x, self.length - 1, self.length, 0)
        else:
            h = getattr(self, self.form.recurrence)(driven, factor)
        x = self.op("Add", x, self.map(self.levels(f"{name}.recurrence.output"), h, planes_in=2))
        w = self.norm(f"{name}.feed_forward_norm", x)
        both = self.beside(*(self.levels(f"{name}.feed_forward.{p}") for p in ("gate", "value")))
        gate, value = self.split(self.map(both, w, planes_out=2), [self.dim, self.dim], 1)
        inner = self.op("Mul", self.op("Mul", gate, self.op("Sigmoid", gate)), value)
        return self.op("Add", x, self.map(self.levels(f"{name}.feed_forward.output"), inner))

    def norm(self, name: str, x: str) -> str:
        """Return the norms of the channels of each level."""
        widths = np.diff([0, *self.sizes]).tolist()
        parts = self.split(x, widths, 1) if len(widths) > 1 else [x]
        cuts = self.sizes[:-1]
        gains, shifts = (np.split(self.weights[f"{name}.{p}"], cuts) for p in ("weight", "bias"))
        norms = [
            self.op("LayerNormalization", part, *map(self.constant, pair), epsilon=self.epsilon)
            for part, *pair in zip(parts, gains, shifts, strict=True)
        ]
        return self.op("Concat", *norms, axis=1) if len(norms) > 1 else norms[0]

    def levels(self, name: str) -> Maps:
        """Return weight, [outputs, inputs], and bias of each level of a nested map."""
        return [
            tuple(self.weights[f"{name}.levels.{level}.{part}"] for part in ("weight", "bias"))
            for level in range(len(self.sizes))
        ]

    @staticmethod
    def beside(*maps: Maps) -> Maps:
        """Return one nested map of the same input whose output has a plane for each of some."""
        return [
            tuple(np.concatenate(parts) for parts in zip(*level, strict=True))
            for level in zip(*maps, strict=True)
        ]

    def input(self, name: str, x: str) -> str:
        """Return what drives the recurrence: its map, with gamma in the weights."""
        gamma = np.exp(self.weights[f"{name}.recurrence.gamma_log"].astype(np.float64))
        cuts = [self.channels // self.dim * size for size in self.sizes[:-1]]
        maps = [
            (weight * np.tile(part, 2)[:, None], bias * np.tile(part, 2))
            for (weight, bias), part in zip(
                self.levels(f"{name}.recurrence.input"), np.split(gamma, cuts), strict=True
            )
        ]
        return self.map(maps, x, planes_out=2)

    def map(self, maps: Maps, x: str, planes_in: int = 1, planes_out: int = 1) -> str:
        """Return a nested map of the rows of ``x``, which have some planes side by side."""
        if not self.form.levels or len(maps) == 1:
            weight, bias = whole(maps, planes_in, planes_out)
            return self.op("Gemm", x, self.constant(weight.T), self.constant(bias))
        planes = self.reshape(x, 0, planes_in, -1) if planes_in > 1 else x
        parts = []
        for weight, bias in maps:
            read = x
            if weight is not maps[-1][0]:
                read = self.slice(planes, 0, weight.shape[1] // planes_in, -1)
                read = self.op("Flatten", read) if planes_in > 1 else read
            part = self.op("Gemm", read, self.constant(weight.T), self.constant(bias))
            parts.append(self.reshape(part, 0, planes_out, -1) if planes_out > 1 else part)
        joined = self.op("Concat", *parts, axis=-1)
        return self.op("Flatten", joined) if planes_out > 1 else joined

    def factor(self, name: str) -> NDArray[Any]:
        """Return lambda of each channel."""
        nu, theta = (
            np.exp(self.weights[f"{name}.recurrence.{part}_log"].astype(np.float64))
            for part in ("nu", "theta")
        )
        return np.exp(-nu + 1j * theta)

    def last_state(self, driven: str, factor: NDArray[Any]) -> str:
        """Return the state after the last place: a weighted sum over all of them."""
        powers = factor ** np.arange(self.length)[::-1, None]
        weights = np.stack([powers.real, -powers.imag, powers.imag, powers.real], axis=1)
        weights = weights.reshape(self.length, 2, 2, -1)  # place, plane to, plane from, channel
        planes = self.reshape(driven, self.length, 1, 2, -1)
        terms = self.op("Mul", planes, self.constant(weights))
        return self.reshape(self.op("ReduceSum", terms, self.integers(0, 2)), 1, -1)

    def scan(self, driven: str, factor: NDArray[Any]) -> str:
        """Return the states after all places, by a loop over them."""
        n = self.channels
        straight, crossed = (
            self.constant(np.concatenate(pair)[None])
            for pair in ((factor.real, factor.real), (-factor.imag, factor.imag))
        )
        body = helper.make_graph(
            [
                helper.make_node("Split", ["h", self.integers(n, n)], ["re", "im"], axis=1),
                helper.make_node("Concat", ["im", "re"], ["swapped"], axis=1),
                helper.make_node("Mul", ["h", straight], ["first"]),
                helper.make_node("Mul", ["swapped", crossed], ["second"]),
                helper.make_node("Add", ["first", "second"], ["kept"]),
                helper.make_node("Add", ["kept", "x"], ["next"]),
                helper.make_node("Identity", ["next"], ["y"]),
            ],
            "step",
            [tensor("h", 1, 2 * n), tensor("x", 1, 2 * n)],
            [tensor("next", 1, 2 * n), tensor("y", 1, 2 * n)],
        )
        rows = self.reshape(driven, self.length, 1, 2 * n)
        start = self.constant(np.zeros((1, 2 * n)))
        states = self.ops("Scan", 2, start, rows, body=body, num_scan_inputs=1)[1]
        return self.reshape(states, self.length, 2 * n)

    def halves(self, driven: str, factor: NDArray[Any]) -> str:
        """Return the states after all places, in a logarithm of steps."""
        steps = (self.length - 1).bit_length()
        x = self.op("Pad", driven, self.integers(0, 0, 2**steps - self.length, 0))
        for step in range(steps):
            width = 2**step
            powers = factor ** np.arange(1, width + 1)[:, None]
            straight = np.stack([powers.real, powers.real], axis=1)
            crossed = np.stack([-powers.imag, powers.imag], axis=1)
            parts = self.reshape(x, -1, 2, width, 2, self.channels)
            first, second = self.split(parts, [1, 1], 1)
            last = self.slice(first, width - 1, width, 2) if step else first
            swapped = self.op("Concat", *reversed(self.split(last, [1, 1], 3)), axis=3)
            kept = self.op("Mul", last, self.constant(straight))
            turned = self.op("Mul", swapped, self.constant(crossed))
            second = self.op("Add", second, self.op("Add", kept, turned))
            x = self.op("Concat", first, second, axis=1)
        return self.slice(self.reshape(x, 2**steps, -1), 0, self.length, 0)

    def matrix(self, driven: str, factor: NDArray[Any]) -> str:
        """Return the states after all places, as a product for each channel."""
        n, length = self.channels, self.length
        ago = np.subtract.outer(np.arange(length), np.arange(length))
        powers = np.where(ago < 0, 0, factor[:, None, None] ** np.maximum(ago, 0))
        blocks = np.block([[powers.real, -powers.imag], [powers.imag, powers.real]])
        x = self.op("Transpose", self.reshape(driven, length, 2, n), perm=[2, 1, 0])
        y = self.op("MatMul", self.constant(blocks), self.reshape(x, n, 2 * length, 1))
        y = self.op("Transpose", self.reshape(y, n, 2, length), perm=[2, 1, 0])
        return self.reshape(y, length, 2 * n)


def tensor(name: str, *shape: int, kind: str = "FLOAT") -> Any:
    """Return what a graph tells of an input or an output."""
    return helper.make_tensor_value_info(name, getattr(TensorProto, kind), shape)


def sizes_of(weights: Weights) -> list[int]:
    """Return the sizes of a model."""
    found: list[int] = []
    while (name := f"blocks.0.feed_forward.gate.levels.{len(found)}.weight") in weights:
        found.append(weights[name].shape[1])
    return found


def whole(maps: Maps, planes_in: int, planes_out: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return a nested map as one matrix, [outputs, inputs], with zeros, and one bias."""
    ends = np.cumsum([len(bias) // planes_out for _, bias in maps])
    width = maps[-1][0].shape[1] // planes_in
    matrix = np.zeros((planes_out, ends[-1], planes_in, width))
    for (weight, _), (begin, end) in zip(maps, pairwise([0, *ends]), strict=True):
        planes = weight.reshape(planes_out, end - begin, planes_in, -1)
        matrix[:, begin:end, :, : planes.shape[-1]] = planes
    biases = [bias.reshape(planes_out, -1) for _, bias in maps]
    joined = np.concatenate(biases, axis=1).reshape(-1)
    return matrix.reshape(len(joined), -1), joined
