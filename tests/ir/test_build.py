"""`apply` and the coercions: what becomes a tensor, and what an error of a type rule says."""

import numpy as np
import pytest

import graphc as gc
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir import build
from graphc.ir.location import inherit
from graphc.ir.opdef import OPS, define, op_named
from graphc.ir.types import DTYPES


def test_an_error_of_a_rule_names_op_types_origins_and_line():
    x = gc.placeholder(("batch", 784), name="x")
    w = gc.variable(np.zeros((10, 784), "f4"), name="w")
    with pytest.raises(ShapeError) as caught:
        x @ w
    error = caught.value
    assert error.message.startswith("matmul: ") and "x is f32[batch,784], w is f32[10,784]" in error.message
    assert error.location.file == __file__ and "x @ w" in str(error)
    assert list(error.origins) == ["x", "w"] and error.origins["x"].startswith("placeholder, ")
    assert error.__suppress_context__


def test_unnamed_operands_go_by_the_names_of_the_op():
    with pytest.raises(ShapeError) as caught:
        gc.add(gc.constant([1.0, 2.0]), gc.constant([1.0, 2.0, 3.0]))
    assert "x is f64[2], y is f64[3]" in caught.value.message and list(caught.value.origins) == ["x", "y"]


def test_operands_of_one_name_are_told_apart():
    y, other = gc.placeholder((2,), "float64", name="y"), gc.placeholder((3,), "float64", name="y")
    for make in (lambda: y + gc.constant([1.0, 2.0, 3.0]), lambda: y + other):
        with pytest.raises(ShapeError) as caught:
            make()
        assert "x is f64[2], y is f64[3]" in caught.value.message and list(caught.value.origins) == ["x", "y"]


def test_as_tensor():
    x = gc.placeholder(("n",), name="x")
    assert build.as_tensor(x) is x
    assert build.as_tensor(x.shape[0]).op.name == "dim"
    assert build.as_tensor([1, 2], "float32").dtype == np.float32


def test_casts_are_made_only_where_they_change_something():
    x = gc.placeholder((2,), "float32")
    assert build.cast(x, DTYPES["f32"]) is x and build.cast(x, DTYPES["f64"]).op.name == "cast"
    a, b = build.promote(x, np.float32(1))
    assert a is x and b.op.name == "const"


def test_what_stands_in_for_a_tensor():
    f32 = DTYPES["f32"]
    x = gc.placeholder(("n",), name="x")
    assert build.stored_value("w", x, f32) is x and build.stored_value("w", x.shape[0], f32).dtype == f32
    assert build.stored_value("w", np.float64(2.5), f32).dtype == f32
    for wrong, words in [(np.zeros(2, complex), "complex128"), ([1, [2]], "not an array"), ("a", "without losing")]:
        with pytest.raises(DTypeError, match=f"^w: .*{words}"):
            build.stored_value("w", wrong, f32)


def test_tensors_are_asked_for_by_name():
    with pytest.raises(ArgumentError, match="grad: loss must be a tensor, not float"):
        gc.grad(1.0, [])


def test_ops_are_defined_once():
    with pytest.raises(ArgumentError, match="already defined"):
        define("add", infer=None, eval=None, vjp="")
    with pytest.raises(ArgumentError, match="no op named 'matmull'") as caught:
        op_named("matmull")
    assert caught.value.hint == "did you mean 'matmul'?"
    assert OPS["concat"].operand_name(2) == "xs[2]" and OPS["add"].operand_name(1) == "y"
    assert OPS["add"].operand_name(5) == "operand 5"


def test_an_error_inside_inherited_code_names_the_users_line():
    x = gc.placeholder((2,), name="x")
    with pytest.raises(ShapeError) as caught, inherit(x.location, "a rule"):
        gc.add(x, gc.constant([1.0, 2.0, 3.0]))
    assert caught.value.location.line == x.location.line and caught.value.location.via == ("a rule",)
