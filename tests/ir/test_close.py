"""Closing: what a graph lacks is an error that says so; which sizes must be equal is recorded."""

import dataclasses

import numpy as np
import pytest

import graphc as gc
from graphc.errors import GraphError, VerifyError
from graphc.ir.close import close
from graphc.ir.graph import Graph
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType, as_dtype
from graphc.ir.verify import verify


def named(name, *shape):
    return gc.placeholder(shape, "float32", name=name)


def test_a_missing_placeholder():
    x, y = named("x", "n"), named("y", "n")
    with pytest.raises(GraphError, match=r"placeholder 'y' \(f32\[n\]\) is needed but is not among") as caught:
        close("f", [x], [x + y])
    assert caught.value.location == y.location and caught.value.hint == "add y to the inputs, or feed it"
    with pytest.raises(GraphError, match="'y'"):
        close("f", [x], [], [(gc.variable(np.zeros(2, "f4")), y)])


def test_an_input_twice():
    x = named("x", 2)
    with pytest.raises(GraphError, match="input 'x' is listed twice"):
        close("f", [x, x], [x])


def test_two_inputs_of_one_name():
    with pytest.raises(GraphError, match="two inputs are named 'x'"):
        close("f", [named("x", 2), named("x", 3)], [])
    a, b = gc.placeholder((2,)), gc.placeholder((2,))
    assert close("f", [a, b], [a + b]).inputs == (a, b)


def test_a_size_that_no_input_brings():
    x = gc.placeholder(("2*n",), "float32")
    with pytest.raises(GraphError, match="the size 'n' in f32") as caught:
        close("f", [x], [x])
    assert "needs 'n' as one of its extents" in caught.value.hint
    assert close("f", [x, gc.placeholder(("n",))], [x]).symbols == ("n",)
    k = gc.placeholder(("k",)).shape[0]
    for loose in (gc.zeros((k,)), gc.arange(k), gc.constant(1) * k):
        with pytest.raises(GraphError, match="'k'"):
            close("f", [], [loose])


def test_equalities_are_recorded_once_with_their_line():
    x, y, z = named("x", "n"), named("y", "m"), named("z", 3)
    graph = close("f", [x, y, z], [x + y, x * y, y + z])
    assert [(str(c), c.reason) for c in graph.constraints] == [("n == m", "add"), ("m == 3", "add")]
    assert all(c.location.file == __file__ for c in graph.constraints)
    assert not close("f", [x], [x + x]).constraints


def test_the_equal_sizes_of_bodies_and_matmul():
    a, b = named("a", "p", "q"), named("b", "r", "s")
    assert [str(c) for c in close("f", [a, b], [a @ b]).constraints] == ["q == r"]


def good():
    x = named("x", "n")
    return x, gc.exp(x)


def test_the_verifier_accepts_what_was_built():
    x, y = good()
    verify(close("f", [x], [y]))


def broken(y, **changes):
    parts = {"op": y.op, "inputs": y.inputs, "attrs": y.attrs, "type": y.type, "location": y.location} | changes
    return Tensor(**parts)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda y: {"type": TensorType(as_dtype("f32"), (3,))}, r"exp is written as f32\[3\] but infers f32\[n\]"),
        (lambda y: {"type": TensorType(as_dtype("f64"), y.shape)}, "written as f64"),
        (lambda y: {"attrs": {"axis": 1}}, "attributes are"),
        (lambda y: {"op": OPS["sum"]}, r"attributes are \[\], the op has \['axis', 'keepdims'\]"),
        (lambda y: {"inputs": (gc.constant(1),)}, "exp: "),
        (lambda y: {"inputs": (named("loose", "n"),)}, "a placeholder that is no input"),
        (lambda y: {"op": dataclasses.replace(y.op)}, "not in the registry"),
    ],
)
def test_the_verifier_refuses(change, words):
    x, y = good()
    with pytest.raises(VerifyError, match=words) as caught:
        verify(Graph("f", (x,), (broken(y, **change(y)),)))
    assert caught.value.message.startswith("in graph f, tensor ")


def test_the_verifier_checks_updates():
    x, _ = good()
    w = gc.variable(np.zeros(3, "f4"), name="w")
    for target in (w, x):
        with pytest.raises(VerifyError, match="update of "):
            verify(Graph("f", (x,), (), ((target, gc.constant(np.zeros(2, "f4"))),)))
