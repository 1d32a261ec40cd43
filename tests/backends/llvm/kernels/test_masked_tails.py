"""Rows that are no whole vectors, and elements that lie apart: the bits of the plain way, and nothing else touched."""

import numpy as np
import pytest
from harness import assert_same_bits
from nests import Nests, body, small

import graphc as gc
from graphc.backends.llvm.kernels.loop_shape import LoopShape
from graphc.backends.llvm.target import host_target

WIDTHS = (1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 63, 65, 100)
DTYPES = ("float32", "float64", "int64", "int8", "uint16", "bool")


def bodies_of(width, dtype):
    """Bodies of one operand (n, width), or of that and a row."""
    x, row = gc.placeholder(["n", width], dtype), gc.placeholder([width], dtype)
    still = gc.placeholder([6, width], dtype)
    if dtype == "bool":
        return [body(x & row), body(gc.all(x, axis=1), gc.any(x, axis=1)), body(gc.any(x, axis=0), gc.all(x, axis=0))]
    found = [
        body(x * row + 1),
        body(x + row, x > row),
        body(gc.sum(x, axis=1), gc.max(x, axis=1)),
        body(gc.sum(x, axis=0), gc.max(x, axis=0), gc.prod(x, axis=0)),
        body(gc.sum(still, axis=0), still * 2),
        body(x - gc.sum(x, axis=1, keepdims=True)),
        body(x - gc.min(x, axis=0, keepdims=True)),
        body(gc.sum(x * row, axis=0) + row),
    ]
    if dtype.startswith("float"):
        found += [body(softmax(x, 1)), body(softmax(x, 0)), body(softmax(still, 0))]
    return found


def softmax(x, axis):
    powers = gc.exp(x - gc.max(x, axis=axis, keepdims=True))
    return powers / gc.sum(powers, axis=axis, keepdims=True)


def arrays_for(graph, count, dtype, make):
    rng = np.random.default_rng(count)
    return [make(rng, [size if isinstance(size, int) else count for size in t.shape], dtype) for t in graph.inputs]


def rough(rng, shape, dtype):
    return (9 * rng.standard_normal(shape)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_masks_change_no_bit(dtype, monkeypatch):
    bodies = [graph for width in WIDTHS for graph in bodies_of(width, dtype)]
    masked = Nests(bodies)
    if host_target().vector_bits >= 512:
        assert any(LoopShape(graph, host_target()).masks_tails for graph in bodies)
    monkeypatch.setattr(LoopShape, "_masks_tails", lambda shape, target: False)
    plain = Nests(bodies)
    for number, graph in enumerate(bodies):
        for count in (1, 2, 5, 40):
            arrays = arrays_for(graph, count, dtype, rough)
            for parts in (1, 3):
                for one, two in zip(plain.run(number, arrays), masked.run(number, arrays, parts=parts)):
                    assert_same_bits(two, one)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("step", [2, 3, 4, 5, -1, -2, -3, -4, -5])
def test_elements_that_lie_apart(dtype, step):
    x = gc.placeholder(["n", "m"], dtype)
    still = gc.placeholder(["n", 67], dtype)
    bodies = [body(gc.where(part > 0, part, part)) for part in (x[:, ::step], still[:, ::step], x[::step, 1::2])]
    bodies += [body(gc.max(part, axis=1)) for part in (x[:, ::step], still[:, ::step])] if dtype != "bool" else []
    if dtype == "bool":
        bodies = [body(x[:, ::step] & x[:, ::step]), body(gc.any(still[:, ::step], axis=1))]
    nests = Nests(bodies)
    for number, graph in enumerate(bodies):
        for count, columns in ((1, 1), (2, 2), (3, 7), (5, 33), (2, 64), (3, 65), (2, 129), (2, 300)):
            (operand,) = graph.inputs
            shape = [count, columns if operand.shape[1] != 67 else 67]
            nests.check(number, [small(np.random.default_rng(columns), shape, dtype)], parts=1 + count % 3)
