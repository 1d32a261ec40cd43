"""Identities of reductions.

Invariant: no floating-point sum or product is done in another order, and of floats +0.0 and -0.0 no other one
is picked. A sum starts from +0.0, so even a sum of one element is that element plus 0.0.
"""

from __future__ import annotations

from graphc.ir.opdef import Trait
from graphc.ir.tensor import Tensor
from graphc.ir.types import is_float
from graphc.passes.patterns import is_op, make, scalar
from graphc.passes.rewrite import simplify

#: Reductions to the operand's own value, if there is one element.
_OF_ONE = ("sum", "prod", "max", "min", "all", "any")


@simplify(*_OF_ONE)
def reduce_one_element(t: Tensor) -> Tensor | None:
    """max(x, axis) -> reshape(x) over no axes, or axes of size 1; sum(x, axis) -> reshape(x + 0.0)

    %x: f32[n,1]
    %0 = sum %x {axis=(1,), keepdims=false} : f32[n]
    """
    (x,) = t.inputs
    if any(x.shape[axis] != 1 for axis in t.attrs["axis"]):
        return None
    if is_op(t, "sum") and is_float(t.dtype):
        x = make("add", x, scalar(0.0, t.dtype))
    return x if x.shape == t.shape else make("reshape", x, shape=t.shape)


@simplify("matmul")
def product_of_depth_one(t: Tensor) -> Tensor | None:
    """x @ y -> x * y + 0.0 where each sum has one term; a column times a row can be part of a loop then

    %x: f32[n,1], %y: f32[1,m]
    %0 = matmul %x, %y : f32[n,m]
    """
    x, y = t.inputs
    if x.shape[-1] != 1 or t.dtype.kind == "b":
        return None
    product = make("multiply", x, y)
    if is_float(t.dtype):
        product = make("add", product, scalar(0.0, t.dtype))
    return product if product.type == t.type else None


@simplify("sum", "prod", "max", "min", "all", "any")
def reduce_of_reduce(t: Tensor) -> Tensor | None:
    """sum(sum(x, a), b) -> sum(x, a and b) of integers and booleans; likewise prod, max, min, all, any

    %x: i64[n,3,4]
    %0 = sum %x {axis=(1,), keepdims=false} : i64[n,4]
    %1 = sum %0 {axis=(1,), keepdims=false} : i64[n]
    """
    return None if is_float(t.dtype) else one_reduction(t)


def one_reduction(t: Tensor) -> Tensor | None:
    """A reduction of the same reduction as one over all their axes."""
    (inner,) = t.inputs
    if not is_op(inner, t.op.name) or not t.op.has(Trait.REDUCTION):
        return None
    if inner.attrs["keepdims"]:
        outer = t.attrs["axis"]
    else:  # the outer op counts only the axes that the inner one left
        left = [axis for axis in range(inner.inputs[0].ndim) if axis not in inner.attrs["axis"]]
        outer = tuple(left[axis] for axis in t.attrs["axis"])
    axes = tuple(sorted({*inner.attrs["axis"], *outer}))
    result = make(t.op.name, inner.inputs[0], axis=axes, keepdims=t.attrs["keepdims"])
    return result if result.shape == t.shape else make("reshape", result, shape=t.shape)
