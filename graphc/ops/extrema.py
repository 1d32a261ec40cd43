"""The larger and the smaller of two, and clipping.

Invariant: NaN in either operand is NaN in the result; equal operands share the gradient.
"""

from __future__ import annotations

import builtins

import numpy as np

from graphc.ir.build import TensorLike, as_tensor
from graphc.ir.opdef import FUNCTIONS, define, public
from graphc.ir.tensor import Tensor
from graphc.ops.elementwise import ELEMENTWISE, NUMBER_TO_NUMBER, as_array, by_bits

Pair = tuple[Tensor, Tensor]


def _maximum_gradient(g: Tensor, z: Tensor, x: Tensor, y: Tensor) -> Pair:
    """All to the larger operand; half to each where they are equal."""
    where, tied = FUNCTIONS["where"], FUNCTIONS["equal"](x, y)
    half = where(tied, g * 0.5, 0)
    return where(x > y, g, half), where(y > x, g, half)


def _minimum_gradient(g: Tensor, z: Tensor, x: Tensor, y: Tensor) -> Pair:
    return _maximum_gradient(g, z, y, x)  # x is the smaller one where y is the larger one


define("maximum", operands=("x", "y"), infer=NUMBER_TO_NUMBER, eval=as_array(np.maximum), traits=ELEMENTWISE,
       vjp=_maximum_gradient, doc="the larger; NaN if either is NaN; y where they are equal")
define("minimum", operands=("x", "y"), infer=NUMBER_TO_NUMBER, eval=as_array(np.minimum), traits=ELEMENTWISE,
       vjp=_minimum_gradient, doc="the smaller; NaN if either is NaN; y where they are equal")


@public
def maximum(x: TensorLike, y: TensorLike) -> Tensor:
    """The larger of x and y, elementwise with broadcasting; NaN if either is NaN.

    Where they are equal, each gets half of the gradient.

    Raises:
        ShapeError: the shapes do not broadcast.

    >>> import graphc as gc
    >>> gc.maximum(gc.placeholder((2, 3), "float32"), 0).type
    f32[2,3]
    """
    return by_bits("maximum", "bitwise_or", x, y)


@public
def minimum(x: TensorLike, y: TensorLike) -> Tensor:
    """The smaller of x and y, elementwise with broadcasting; NaN if either is NaN.

    Where they are equal, each gets half of the gradient.

    Raises:
        ShapeError: the shapes do not broadcast.

    >>> import graphc as gc
    >>> gc.minimum(gc.placeholder((2, 3), "float32"), 0).type
    f32[2,3]
    """
    return by_bits("minimum", "bitwise_and", x, y)


@public
def clip(x: TensorLike, min: TensorLike | None = None, max: TensorLike | None = None) -> Tensor:
    """`x` with values below `min` raised to it and values above `max` lowered to it; NaN stays.

    Args:
        x: the tensor.
        min: the lower bound, or None. Where it exceeds `max`, `max` wins.
        max: the upper bound, or None.

    Returns:
        A tensor of the common dtype of `x` and the bounds. A Python integer outside the range of x's integer
        dtype is moved to the end of that range, as in NumPy.

    Raises:
        ShapeError: the shapes do not broadcast.

    >>> import graphc as gc
    >>> gc.clip(gc.placeholder((4,), "float32"), 0, 1).type
    f32[4]
    """
    result = as_tensor(x)
    low, high = (_inside_range(bound, result) for bound in (min, max))
    if low is not None:
        result = maximum(result, low)
    return result if high is None else minimum(result, high)


def _inside_range(bound: TensorLike | None, x: Tensor) -> TensorLike | None:
    if type(bound) is int and x.dtype.kind in "iu":
        limits = np.iinfo(x.dtype)
        return builtins.max(limits.min, builtins.min(bound, limits.max))
    return bound
