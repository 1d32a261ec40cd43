"""The interpreter's loop: sizes, borrowed values, errors with their line, and what it frees."""

import weakref

import numpy as np
import pytest

import graphc as gc
from graphc.errors import IndexOutOfBoundsError, ShapeError
from graphc.ir.close import close
from graphc.ir.evaluate import bind_symbols, check_value, evaluate
from graphc.ir.graph import topological_order
from graphc.ir.types import TensorType


def test_sizes_are_read_off_the_arrays():
    x, y = gc.placeholder(("n", "2*m")), gc.placeholder(("m", "n", 3))
    assert bind_symbols([x, y], [np.zeros((4, 6)), np.zeros((3, 4, 3))]) == {"n": 4, "m": 3}


def test_attributes_and_sizes_are_numbers_by_then():
    x = gc.placeholder(("n", "m"), "float64", name="x")
    n, m = x.shape
    outputs = [gc.arange(n * m), gc.zeros((m, n // 2)), x[: n - 1], gc.constant(1) * (2 * n + m), gc.reshape(x, (m, n))]
    values = evaluate(close("f", [x], outputs), [np.arange(12.0).reshape(4, 3)])
    assert [v.shape for v in values] == [(12,), (3, 2), (3, 3), (), (3, 4)] and values[3] == 11


def test_an_input_that_is_computed_is_not_computed_again():
    x = gc.placeholder((2,), "float64", name="x")
    graph = close("f", [x], [x + 1.0])
    seen = []
    evaluate(graph, [np.zeros(2)], watch=lambda t, v: seen.append((t, v)))
    assert [t for t, _ in seen] == list(graph.tensors) and seen[-1][1].tolist() == [1, 1]


def test_values_of_variables_can_be_given():
    w = gc.variable([1.0, 2.0], name="w")
    graph = close("f", [], [w * 2.0, w])
    assert evaluate(graph, [])[0].tolist() == [2, 4]
    assert evaluate(graph, [], {w: np.array([5.0, 6.0])})[0].tolist() == [10, 12]
    assert w.value.tolist() == [1, 2]


def test_errors_name_the_op_the_tensor_and_the_line():
    x = gc.placeholder(("n",), "float64", name="x")
    i = gc.placeholder((), "int64", name="i")
    graph = close("f", [x, i], [gc.take(x, i, axis=0) * 2.0])
    with pytest.raises(IndexOutOfBoundsError, match=r"^take: index 7 is out of bounds for axis 0") as caught:
        evaluate(graph, [np.zeros(3), np.array(7)])
    assert caught.value.location.file == __file__


def test_values_that_nothing_needs_any_more_are_freed():
    x = gc.placeholder((8,), "float64", name="x")
    y = x
    for _ in range(40):
        y = gc.exp(gc.negative(y))
    alive, most = [], 0

    def watch(tensor, value):
        nonlocal most
        if tensor is not x:
            alive.append(weakref.ref(value))
        most = max(most, sum(ref() is not None for ref in alive))

    evaluate(close("f", [x], [y]), [np.zeros(8)], watch=watch)
    assert most <= 3


def test_values_are_checked_against_their_type():
    x = gc.placeholder(("n",), "float32", name="x")
    check_value(x, np.zeros(3, "f4"), {"n": 3})
    for wrong in (np.zeros(2, "f4"), np.zeros(3, "f8"), np.zeros((3, 1), "f4"), np.float64(1)):
        with pytest.raises(ShapeError, match=r"'x': declared f32\[n\] = \(3,\), evaluated to"):
            check_value(x, wrong, {"n": 3})
    with pytest.raises(ShapeError):
        check_value(gc.linalg.qr(gc.constant(np.eye(2)))[0].inputs[0], (np.eye(2), np.eye(3)), {})
    assert isinstance(x.type, TensorType) and list(topological_order([x])) == [x]
