"""The `fused` op: a body graph runs as one tensor, with sizes that no operand shows."""

import numpy as np
import pytest
from running import run, same

import graphc as gc
from graphc.errors import GradientError, IndexOutOfBoundsError, ShapeError
from graphc.ir.build import apply, unpack
from graphc.ir.close import close
from graphc.ir.graph import Graph
from graphc.ir.opdef import OPS
from graphc.passes.gradient import grad


def body(inputs, outputs):
    """A body graph; unlike a program's, its sizes need not be read off its inputs."""
    return Graph("body", tuple(inputs), tuple(outputs))


def fused(graph, *xs):
    return apply(OPS["fused"], *xs, body=graph)


def test_one_result():
    p, q = gc.placeholder(("n", 3), name="p"), gc.placeholder((3,), name="q")
    x, y = gc.placeholder(("n", 3), name="x"), gc.placeholder((3,), name="y")
    z = fused(body([p, q], [gc.exp(p) * q]), x, y)
    assert z.type == x.type
    for n in (0, 1, 4):
        array = np.linspace(0, 1, 3 * n, dtype="float32").reshape(n, 3)
        same(run(z, {x: array, y: [1, 2, 3]}), np.exp(array) * np.float32([1, 2, 3]))


def test_several_results():
    p = gc.placeholder(("n",), name="p")
    x = gc.placeholder(("n",), name="x")
    doubled, total = unpack(fused(body([p], [p + p, gc.sum(p)]), x))
    found = run([doubled, total], {x: [1, 2, 3]})
    same(found[0], np.float32([2, 4, 6]))
    same(found[1], np.float32(6))


def test_sizes_that_no_operand_shows():
    x = gc.placeholder(("n",), name="x")
    doubled = gc.concat([x, x])  # of size 2*n, from which n cannot be read off
    p = gc.placeholder(doubled.shape, name="p")
    inner = p[1:] + gc.astype(gc.arange(x.shape[0] * 2 - 1), "float32")
    z = fused(body([p], [inner]), doubled)
    same(run(z, {x: [1, 2]}), np.float32([2, 2, 4]))


def test_operands_must_fit_the_body():
    p, x = gc.placeholder((3,), name="p"), gc.placeholder((4,), name="x")
    with pytest.raises(ShapeError, match=r"operand 0 is f32\[4\], the body takes f32\[3\]"):
        fused(body([p], [p + 1]), x)
    with pytest.raises(ShapeError, match="takes 1 operands, not 0"):
        fused(body([p], [p + 1]))


def test_no_gradient_and_errors_from_inside():
    p, x = gc.placeholder((3,), name="p"), gc.placeholder((3,), name="x")
    with pytest.raises(GradientError, match="clusters are made after the gradient"):
        grad(gc.sum(fused(body([p], [p * 2]), x)), [x])
    i, j = gc.placeholder((), "int64", name="i"), gc.placeholder((), "int64", name="j")
    z = fused(body([p, i], [gc.take(p, i, 0)]), x, j)
    with pytest.raises(IndexOutOfBoundsError, match="index 5 is out of bounds for axis 0 with size 3") as caught:
        run(z, {x: np.zeros(3), j: 5})
    assert "gc.take(p, i, 0)" in str(caught.value)
    assert "fused" in str(close("f", [x, j], [z]))
