"""Identities of sums, products and signs.

Invariant: exact for every input, by the rules at the top of `rewrite.py`; in particular x + 0.0 is not x (for
x = -0.0), and 0.0 * x is not 0.0 (for infinities).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir.tensor import Tensor
from graphc.ir.types import is_float
from graphc.passes.patterns import (
    filled,
    is_op,
    is_uniform,
    make,
    scalar,
    uniform,
    with_uniform,
)
from graphc.passes.rewrite import simplify


def _is_integer(t: Tensor) -> bool:
    return t.dtype.kind in "iu"


# Neutral elements


@simplify("multiply")
def multiply_one(t: Tensor) -> Tensor | None:
    """x * 1 -> x

    %x: f32[n]
    %0 = const {value=1.0} : f32[]
    %1 = multiply %x, %0 : f32[n]
    """
    found = with_uniform(t)
    return found[0] if found and found[1] == 1 and found[0].type == t.type else None


@simplify("add")
def add_zero(t: Tensor) -> Tensor | None:
    """x + -0.0 -> x; of integers, x + 0 -> x

    %x: f32[n]
    %0 = const {value=-0.0} : f32[]
    %1 = add %x, %0 : f32[n]
    """
    zero = -0.0 if is_float(t.dtype) else 0
    for x, y in (t.inputs, reversed(t.inputs)):
        if is_uniform(y, zero) and x.type == t.type:
            return x
    return None


@simplify("subtract")
def subtract_zero(t: Tensor) -> Tensor | None:
    """x - 0 -> x, and not x - -0.0

    %x: f32[n]
    %0 = const {value=0.0} : f32[]
    %1 = subtract %x, %0 : f32[n]
    """
    x, y = t.inputs
    return x if is_uniform(y, 0) and x.type == t.type else None


@simplify("divide", "floor_divide", "pow")
def divide_by_one(t: Tensor) -> Tensor | None:
    """x / 1 -> x; of integers, x // 1 -> x; x ** 1 -> x

    %x: f32[n]
    %0 = const {value=1.0} : f32[]
    %1 = divide %x, %0 : f32[n]
    """
    x, y = t.inputs
    if is_op(t, "floor_divide") and not _is_integer(t):
        return None
    return x if is_uniform(y, 1) and x.type == t.type else None


# Integers wrap, so they form a ring


@simplify("multiply", "bitwise_and")
def integer_times_zero(t: Tensor) -> Tensor | None:
    """x * 0 -> 0 of integers; x & 0 -> 0

    %x: i32[n]
    %0 = const {value=0} : i32[]
    %1 = multiply %x, %0 : i32[n]
    """
    found = with_uniform(t)
    return filled(0, t.tensor_type) if found and not is_float(t.dtype) and found[1] == 0 else None


@simplify("subtract", "bitwise_xor")
def integer_minus_itself(t: Tensor) -> Tensor | None:
    """x - x -> 0 of integers; x ^ x -> 0

    %x: i32[n]
    %0 = subtract %x, %x : i32[n]
    """
    x, y = t.inputs
    return filled(0, t.tensor_type) if x is y and not is_float(t.dtype) else None


@simplify("remainder", "fmod")
def integer_modulo_one(t: Tensor) -> Tensor | None:
    """x % 1 -> 0 of integers

    %x: i32[n]
    %0 = const {value=1} : i32[]
    %1 = remainder %x, %0 : i32[n]
    """
    return filled(0, t.tensor_type) if _is_integer(t) and is_uniform(t.inputs[1], 1) else None


@simplify("add", "multiply", "bitwise_and", "bitwise_or", "bitwise_xor")
def integer_constants_together(t: Tensor) -> Tensor | None:
    """(x + a) + b -> x + (a + b) of integer constants; likewise *, &, |, ^

    %x: i32[n]
    %0 = const {value=3} : i32[]
    %1 = add %x, %0 : i32[n]
    %2 = const {value=4} : i32[]
    %3 = add %1, %2 : i32[n]
    """
    outer = None if is_float(t.dtype) else with_uniform(t)
    if outer is None or not is_op(outer[0], t.op.name):
        return None
    inner = with_uniform(outer[0])
    if inner is None or inner[0].type != t.type:
        return None
    with np.errstate(all="ignore"):
        together = t.op.eval(np.asarray(inner[1]), np.asarray(outer[1]))
    return make(t.op.name, inner[0], scalar(together, t.dtype))


@simplify("subtract")
def integer_zero_minus(t: Tensor) -> Tensor | None:
    """0 - x -> -x of integers

    %x: i32[n]
    %0 = const {value=0} : i32[]
    %1 = subtract %0, %x : i32[n]
    """
    zero, x = t.inputs
    return make("negative", x) if _is_integer(t) and is_uniform(zero, 0) and x.type == t.type else None


# Signs


@simplify("negative", "bitwise_invert", "logical_not")
def twice_is_nothing(t: Tensor) -> Tensor | None:
    """--x -> x; likewise ~ and not

    %x: f32[n]
    %0 = negative %x : f32[n]
    %1 = negative %0 : f32[n]
    """
    (x,) = t.inputs
    return x.inputs[0] if is_op(x, t.op.name) else None


@simplify("add")
def add_negative(t: Tensor) -> Tensor | None:
    """x + -y -> x - y

    %x: f32[n], %y: f32[n]
    %0 = negative %y : f32[n]
    %1 = add %x, %0 : f32[n]
    """
    x, y = t.inputs
    if is_op(y, "negative"):
        return make("subtract", x, y.inputs[0])
    return make("subtract", y, x.inputs[0]) if is_op(x, "negative") else None


@simplify("subtract")
def subtract_negative(t: Tensor) -> Tensor | None:
    """x - -y -> x + y

    %x: f32[n], %y: f32[n]
    %0 = negative %y : f32[n]
    %1 = subtract %x, %0 : f32[n]
    """
    x, y = t.inputs
    return make("add", x, y.inputs[0]) if is_op(y, "negative") else None


@simplify("negative")
def negative_of_integer_difference(t: Tensor) -> Tensor | None:
    """-(x - y) -> y - x of integers (floats give -0.0 where x = y)

    %x: i32[n], %y: i32[n]
    %0 = subtract %x, %y : i32[n]
    %1 = negative %0 : i32[n]
    """
    (d,) = t.inputs
    return make("subtract", d.inputs[1], d.inputs[0]) if _is_integer(t) and is_op(d, "subtract") else None


@simplify("multiply", "divide")
def signs_cancel(t: Tensor) -> Tensor | None:
    """-x * -y -> x * y; likewise /

    %x: f32[n], %y: f32[n]
    %0 = negative %x : f32[n]
    %1 = negative %y : f32[n]
    %2 = multiply %0, %1 : f32[n]
    """
    if not all(is_op(operand, "negative") for operand in t.inputs):
        return None
    x, y = (operand.inputs[0] for operand in t.inputs)
    return make(t.op.name, x, y)


@simplify("multiply")
def sign_into_constant(t: Tensor) -> Tensor | None:
    """-x * c -> x * -c

    %x: f32[n]
    %0 = negative %x : f32[n]
    %1 = const {value=3.0} : f32[]
    %2 = multiply %0, %1 : f32[n]
    """
    found = with_uniform(t)
    if not found or not is_op(found[0], "negative") or found[0].type != t.type:
        return None
    return make("multiply", found[0].inputs[0], _negated(found[1], t.dtype))


@simplify("negative")
def negative_of_multiple(t: Tensor) -> Tensor | None:
    """-(x * c) -> x * -c; likewise /

    %x: f32[n]
    %0 = const {value=3.0} : f32[]
    %1 = multiply %x, %0 : f32[n]
    %2 = negative %1 : f32[n]
    """
    (product,) = t.inputs
    if is_op(product, "multiply"):
        found = with_uniform(product)
        if found and found[0].type == t.type:
            return make("multiply", found[0], _negated(found[1], t.dtype))
    if is_op(product, "divide") and product.inputs[0].type == t.type:
        divisor = uniform(product.inputs[1])
        if divisor is not None:
            return make("divide", product.inputs[0], _negated(divisor, t.dtype))
    return None


def _negated(value: Any, dtype: np.dtype[Any]) -> Tensor:
    with np.errstate(all="ignore"):
        return scalar(np.negative(value), dtype)


@simplify("abs")
def abs_of_no_negative(t: Tensor) -> Tensor | None:
    """abs(abs(x)) -> abs(x); abs(x) -> x of unsigned integers

    %x: f32[n]
    %0 = abs %x : f32[n]
    %1 = abs %0 : f32[n]
    """
    (x,) = t.inputs
    return x if is_op(x, "abs") or x.dtype.kind == "u" else None


@simplify("abs")
def abs_of_negative(t: Tensor) -> Tensor | None:
    """abs(-x) -> abs(x)

    %x: f32[n]
    %0 = negative %x : f32[n]
    %1 = abs %0 : f32[n]
    """
    (x,) = t.inputs
    return make("abs", x.inputs[0]) if is_op(x, "negative") and x.dtype.kind != "u" else None


@simplify("multiply")
def square_of_abs(t: Tensor) -> Tensor | None:
    """abs(x) * abs(x) -> x * x

    %x: f32[n]
    %0 = abs %x : f32[n]
    %1 = multiply %0, %0 : f32[n]
    """
    x, y = t.inputs
    return make("multiply", x.inputs[0], x.inputs[0]) if x is y and is_op(x, "abs") else None
