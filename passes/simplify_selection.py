"""Identities of `where`, comparisons, truth values, bits and extrema.

Invariant: exact; a comparison is turned round only where NaN cannot come in.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir.tensor import Tensor
from graphc.ir.types import BOOL, is_float
from graphc.passes.patterns import filled, is_op, is_uniform, make, of_shape, uniform, with_uniform
from graphc.passes.rewrite import simplify

# where


@simplify("where")
def where_known(t: Tensor) -> Tensor | None:
    """where(true, x, y) -> x; where(false, x, y) -> y

    %x: f32[n], %y: f32[n]
    %0 = const {value=true} : bool[]
    %1 = where %0, %x, %y : f32[n]
    """
    condition, x, y = t.inputs
    known = uniform(condition)
    return None if known is None else of_shape(x if known else y, t.tensor_type)


@simplify("where")
def where_same(t: Tensor) -> Tensor | None:
    """where(c, x, x) -> x

    %c: bool[n], %x: f32[n]
    %0 = where %c, %x, %x : f32[n]
    """
    _, x, y = t.inputs
    return of_shape(x, t.tensor_type) if x is y else None


@simplify("where")
def where_not(t: Tensor) -> Tensor | None:
    """where(not c, x, y) -> where(c, y, x)

    %c: bool[n], %x: f32[n], %y: f32[n]
    %0 = logical_not %c : bool[n]
    %1 = where %0, %x, %y : f32[n]
    """
    condition, x, y = t.inputs
    return make("where", condition.inputs[0], y, x) if is_op(condition, "logical_not") else None


@simplify("where")
def where_of_where(t: Tensor) -> Tensor | None:
    """where(c, where(c, x, y), z) -> where(c, x, z); where(c, x, where(c, y, z)) -> where(c, x, z)

    %c: bool[n], %x: f32[n], %y: f32[n], %z: f32[n]
    %0 = where %c, %x, %y : f32[n]
    %1 = where %c, %0, %z : f32[n]
    """
    condition, x, y = t.inputs
    if is_op(x, "where") and x.inputs[0] is condition:
        x = x.inputs[1]
    if is_op(y, "where") and y.inputs[0] is condition:
        y = y.inputs[2]
    if (x, y) == t.inputs[1:]:
        return None
    return of_shape(make("where", condition, x, y), t.tensor_type)


@simplify("where")
def where_of_booleans(t: Tensor) -> Tensor | None:
    """where(c, true, false) -> c; where(c, false, true) -> not c

    %c: bool[n]
    %0 = const {value=true} : bool[]
    %1 = const {value=false} : bool[]
    %2 = where %c, %0, %1 : bool[n]
    """
    condition, x, y = t.inputs
    if t.dtype != BOOL or condition.type != t.type:
        return None
    if is_uniform(x, True) and is_uniform(y, False):
        return condition
    return make("logical_not", condition) if is_uniform(x, False) and is_uniform(y, True) else None


# Comparisons

_OPPOSITE = {
    "equal": "not_equal", "not_equal": "equal", "less": "greater_equal", "greater_equal": "less",
    "greater": "less_equal", "less_equal": "greater",
}  # fmt: skip


@simplify("logical_not")
def not_of_comparison(t: Tensor) -> Tensor | None:
    """not (x == y) -> x != y; not (x < y) -> x >= y of integers (floats may be NaN)

    %x: f32[n], %y: f32[n]
    %0 = equal %x, %y : bool[n]
    %1 = logical_not %0 : bool[n]
    """
    (c,) = t.inputs
    opposite = _OPPOSITE.get(c.op.name)
    if opposite is None or (is_float(c.inputs[0].dtype) and c.op.name not in ("equal", "not_equal")):
        return None
    return make(opposite, *c.inputs)


@simplify(*_OPPOSITE)
def compare_with_itself(t: Tensor) -> Tensor | None:
    """x < x -> false; x == x -> true and x != x -> false, but x != x -> isnan(x) of floats

    %x: f32[n]
    %0 = not_equal %x, %x : bool[n]
    """
    x, y = t.inputs
    if x is not y:
        return None
    if not is_float(x.dtype):
        return filled(t.op.name in ("equal", "less_equal", "greater_equal"), t.tensor_type)
    if is_op(t, "less", "greater"):
        return filled(False, t.tensor_type)
    return make("isnan", x) if is_op(t, "not_equal") else None


@simplify("equal", "not_equal")
def compare_with_truth(t: Tensor) -> Tensor | None:
    """x == true -> x; x == false -> not x, of booleans

    %x: bool[n]
    %0 = const {value=true} : bool[]
    %1 = equal %x, %0 : bool[n]
    """
    found = with_uniform(t)
    if not found or found[0].dtype != BOOL or found[0].type != t.type:
        return None
    return found[0] if bool(found[1]) == is_op(t, "equal") else make("logical_not", found[0])


@simplify("isnan", "isinf", "isfinite")
def kind_of_integer(t: Tensor) -> Tensor | None:
    """isnan(x) -> false, isfinite(x) -> true where x is cast from integers

    %x: i32[n]
    %0 = cast %x {dtype=f32} : f32[n]
    %1 = isnan %0 : bool[n]
    """
    (x,) = t.inputs
    if not is_op(x, "cast") or x.inputs[0].dtype.kind not in "iub":
        return None
    return filled(is_op(t, "isfinite"), t.tensor_type)


# Truth values and bits


def _all_bits(dtype: np.dtype[Any]) -> Any:
    return True if dtype == BOOL else np.bitwise_invert(np.zeros((), dtype))[()]


@simplify("bitwise_and", "bitwise_or", "maximum", "minimum")
def with_itself(t: Tensor) -> Tensor | None:
    """x & x -> x; likewise |, maximum, minimum

    %x: bool[n]
    %0 = bitwise_and %x, %x : bool[n]
    """
    x, y = t.inputs
    return x if x is y else None


@simplify("bitwise_and")
def and_with_all(t: Tensor) -> Tensor | None:
    """x & true -> x; x & ~0 -> x

    %x: bool[n]
    %0 = const {value=true} : bool[]
    %1 = bitwise_and %x, %0 : bool[n]
    """
    found = with_uniform(t)
    return found[0] if found and found[1] == _all_bits(t.dtype) and found[0].type == t.type else None


@simplify("bitwise_or")
def or_with_all(t: Tensor) -> Tensor | None:
    """x | true -> true; x | ~0 -> ~0

    %x: bool[n]
    %0 = const {value=true} : bool[]
    %1 = bitwise_or %x, %0 : bool[n]
    """
    found = with_uniform(t)
    return filled(found[1], t.tensor_type) if found and found[1] == _all_bits(t.dtype) else None


@simplify("bitwise_or", "bitwise_xor")
def or_with_nothing(t: Tensor) -> Tensor | None:
    """x | false -> x; x ^ 0 -> x

    %x: bool[n]
    %0 = const {value=false} : bool[]
    %1 = bitwise_or %x, %0 : bool[n]
    """
    found = with_uniform(t)
    return found[0] if found and found[1] == 0 and found[0].type == t.type else None


@simplify("bitwise_xor")
def xor_with_all(t: Tensor) -> Tensor | None:
    """x ^ true -> not x; x ^ ~0 -> ~x

    %x: bool[n]
    %0 = const {value=true} : bool[]
    %1 = bitwise_xor %x, %0 : bool[n]
    """
    found = with_uniform(t)
    if not found or found[1] != _all_bits(t.dtype) or found[0].type != t.type:
        return None
    return make("logical_not" if t.dtype == BOOL else "bitwise_invert", found[0])


@simplify("bitwise_left_shift", "bitwise_right_shift")
def shift_by_nothing(t: Tensor) -> Tensor | None:
    """x << 0 -> x; x >> 0 -> x

    %x: i32[n]
    %0 = const {value=0} : i32[]
    %1 = bitwise_left_shift %x, %0 : i32[n]
    """
    x, y = t.inputs
    return x if is_uniform(y, 0) and x.type == t.type else None


# Extrema and assertions


def _neutral(t: Tensor) -> Any:
    """What never is the larger (of maximum) or the smaller (of minimum)."""
    if is_float(t.dtype):
        return -np.inf if is_op(t, "maximum") else np.inf
    limits = np.iinfo(t.dtype)
    return limits.min if is_op(t, "maximum") else limits.max


@simplify("maximum", "minimum")
def extremum_with_end(t: Tensor) -> Tensor | None:
    """maximum(x, -inf) -> x; minimum(x, inf) -> x; of integers, with the ends of their range

    %x: f32[n]
    %0 = const {value=-inf} : f32[]
    %1 = maximum %x, %0 : f32[n]
    """
    found = with_uniform(t)
    return found[0] if found and found[1] == _neutral(t) and found[0].type == t.type else None


@simplify("assert")
def assertion_holds(t: Tensor) -> Tensor | None:
    """assert(x, true) -> x

    %x: f32[n]
    %0 = const {value=true} : bool[]
    %1 = assert %x, %0 {message="always"} : f32[n]
    """
    x, condition = t.inputs
    return x if is_uniform(condition, True) else None
