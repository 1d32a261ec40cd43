"""Rules that hold for real numbers but not for floats: only for those who ask, by `fast_math=True`.

Each says what it gets wrong: NaN, infinities, the sign of zero, or rounding.

Invariant: every rule here is registered with `fast_math=True`.
"""

from __future__ import annotations

import numpy as np

from graphc.ir.tensor import Tensor
from graphc.ir.types import is_float
from graphc.passes.patterns import filled, is_op, is_uniform, make, scalar, uniform, with_uniform
from graphc.passes.rewrite import simplify
from graphc.passes.simplify_reductions import one_reduction


@simplify("add", fast_math=True)
def add_positive_zero(t: Tensor) -> Tensor | None:
    """x + 0.0 -> x; wrong for -0.0

    %x: f32[n]
    %0 = const {value=0.0} : f32[]
    %1 = add %x, %0 : f32[n]
    """
    found = with_uniform(t)
    return found[0] if found and found[1] == 0 and found[0].type == t.type else None


@simplify("subtract", fast_math=True)
def zero_minus(t: Tensor) -> Tensor | None:
    """0.0 - x -> -x; wrong for 0.0

    %x: f32[n]
    %0 = const {value=0.0} : f32[]
    %1 = subtract %0, %x : f32[n]
    """
    zero, x = t.inputs
    return make("negative", x) if is_uniform(zero, 0) and x.type == t.type else None


@simplify("multiply", fast_math=True)
def multiply_zero(t: Tensor) -> Tensor | None:
    """x * 0.0 -> 0.0; wrong for NaN, infinities and negative x

    %x: f32[n]
    %0 = const {value=0.0} : f32[]
    %1 = multiply %x, %0 : f32[n]
    """
    found = with_uniform(t)
    return filled(0, t.tensor_type) if found and found[1] == 0 else None


@simplify("subtract", fast_math=True)
def minus_itself(t: Tensor) -> Tensor | None:
    """x - x -> 0.0; wrong for NaN and infinities

    %x: f32[n]
    %0 = subtract %x, %x : f32[n]
    """
    return filled(0, t.tensor_type) if t.inputs[0] is t.inputs[1] else None


@simplify("divide", fast_math=True)
def divided_by_itself(t: Tensor) -> Tensor | None:
    """x / x -> 1.0; wrong for NaN, infinities and zero

    %x: f32[n]
    %0 = divide %x, %x : f32[n]
    """
    return filled(1, t.tensor_type) if t.inputs[0] is t.inputs[1] else None


@simplify("add", "multiply", fast_math=True)
def constants_together(t: Tensor) -> Tensor | None:
    """(x + a) + b -> x + (a + b); likewise *; rounds differently

    %x: f32[n]
    %0 = const {value=3.0} : f32[]
    %1 = add %x, %0 : f32[n]
    %2 = const {value=4.0} : f32[]
    %3 = add %1, %2 : f32[n]
    """
    outer = with_uniform(t) if is_float(t.dtype) else None
    inner = with_uniform(outer[0]) if outer and is_op(outer[0], t.op.name) else None
    if outer is None or inner is None or inner[0].type != t.type:
        return None
    with np.errstate(all="ignore"):
        together = inner[1] + outer[1] if is_op(t, "add") else inner[1] * outer[1]
    return make(t.op.name, inner[0], scalar(together, t.dtype))


@simplify("divide", fast_math=True)
def divide_by_constant(t: Tensor) -> Tensor | None:
    """x / c -> x * (1/c); rounds differently

    %x: f32[n]
    %0 = const {value=3.0} : f32[]
    %1 = divide %x, %0 : f32[n]
    """
    x, y = t.inputs
    c = uniform(y)
    if c is None or c == 0 or not np.isfinite(c):
        return None
    return make("multiply", x, scalar(1 / c, t.dtype))


@simplify("exp", "log", fast_math=True)
def inverse_functions(t: Tensor) -> Tensor | None:
    """exp(log(x)) -> x; log(exp(x)) -> x; wrong for negative x, and where exp overflows

    %x: f32[n]
    %0 = log %x : f32[n]
    %1 = exp %0 : f32[n]
    """
    (y,) = t.inputs
    return y.inputs[0] if is_op(y, {"exp": "log", "log": "exp"}[t.op.name]) else None


@simplify("sqrt", fast_math=True)
def sqrt_of_square(t: Tensor) -> Tensor | None:
    """sqrt(x * x) -> abs(x); wrong where the square overflows

    %x: f32[n]
    %0 = multiply %x, %x : f32[n]
    %1 = sqrt %0 : f32[n]
    """
    (y,) = t.inputs
    return make("abs", y.inputs[0]) if is_op(y, "multiply") and y.inputs[0] is y.inputs[1] else None


@simplify("multiply", fast_math=True)
def square_of_sqrt(t: Tensor) -> Tensor | None:
    """sqrt(x) * sqrt(x) -> x; wrong for negative x

    %x: f32[n]
    %0 = sqrt %x : f32[n]
    %1 = multiply %0, %0 : f32[n]
    """
    x, y = t.inputs
    return x.inputs[0] if x is y and is_op(x, "sqrt") else None


@simplify("pow", fast_math=True)
def cube(t: Tensor) -> Tensor | None:
    """x ** 3 -> x * x * x; rounds twice

    %x: f32[n]
    %0 = const {value=3.0} : f32[]
    %1 = pow %x, %0 : f32[n]
    """
    x, y = t.inputs
    if not is_float(t.dtype) or not is_uniform(y, 3) or x.type != t.type:
        return None
    return make("multiply", make("multiply", x, x), x)


@simplify("sum", "prod", "max", "min", fast_math=True)
def float_reduce_of_reduce(t: Tensor) -> Tensor | None:
    """sum(sum(x, a), b) -> sum(x, a and b); rounds differently, and picks either zero

    %x: f32[n,3,4]
    %0 = sum %x {axis=(1,), keepdims=false} : f32[n,4]
    %1 = sum %0 {axis=(1,), keepdims=false} : f32[n]
    """
    return one_reduction(t) if is_float(t.dtype) else None
