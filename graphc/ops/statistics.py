"""Mean, variance and standard deviation: functions of sums, in NumPy's own order of operations.

Invariant: integers and booleans are averaged in float64, floats in their own dtype.
"""

from __future__ import annotations

import numpy as np

from graphc.ir import dims
from graphc.ir.build import TensorLike, as_tensor, cast, constant
from graphc.ir.dims import Size
from graphc.ir.opdef import public
from graphc.ir.tensor import Tensor
from graphc.ir.types import DTYPES, is_float
from graphc.ops.arguments import as_axes
from graphc.ops.extrema import maximum
from graphc.ops.reductions import AxisArgument, sum
from graphc.ops.sources import size_value
from graphc.ops.transcendental import sqrt


def _averaged(function: str, x: TensorLike, axis: AxisArgument) -> tuple[Tensor, tuple[int, ...], Tensor]:
    """`x` as floats, the axes to average over, and how many elements that are, in x's dtype."""
    tensor = as_tensor(x)
    if not is_float(tensor.dtype):
        tensor = cast(tensor, DTYPES["f64"])
    axes = tuple(sorted(as_axes(function, axis, tensor.ndim)))
    count = dims.product([tensor.shape[a] for a in axes])
    return tensor, axes, _in_dtype(count, tensor)


def _in_dtype(count: Size, x: Tensor) -> Tensor:
    return constant(count, x.dtype) if isinstance(count, int) else cast(size_value(count), x.dtype)


@public
def mean(x: TensorLike, axis: AxisArgument = None, *, keepdims: bool = False) -> Tensor:
    """The arithmetic mean along some axes; NaN of nothing.

    Args:
        x: any tensor.
        axis: an axis, several, or None for all.
        keepdims: whether the axes stay, with size 1.

    Returns:
        A tensor of x's dtype if that is a float one, else of float64.

    Raises:
        ShapeError: `x` has no such axis, or one is named twice.

    >>> import graphc as gc
    >>> gc.mean(gc.placeholder(("n", 3), "float32"), axis=0).type
    f32[3]
    """
    tensor, axes, count = _averaged("mean", x, axis)
    return sum(tensor, axes, keepdims=keepdims) / count


@public
def var(x: TensorLike, axis: AxisArgument = None, *, keepdims: bool = False, correction: float = 0) -> Tensor:
    """The variance along some axes: the mean of squared differences from the mean.

    Args:
        x: any tensor.
        axis: an axis, several, or None for all.
        keepdims: whether the axes stay, with size 1.
        correction: what is taken off the number of elements in the divisor: 1 for the unbiased estimate
            (NumPy's older name for it is ddof). A divisor below 0 counts as 0.

    Returns:
        A tensor of x's dtype if that is a float one, else of float64.

    Raises:
        ShapeError: `x` has no such axis, or one is named twice.

    >>> import graphc as gc
    >>> gc.var(gc.placeholder(("n", 3), "float32"), axis=0, correction=1).type
    f32[3]
    """
    return _variance("var", x, axis, keepdims, correction)


@public
def std(x: TensorLike, axis: AxisArgument = None, *, keepdims: bool = False, correction: float = 0) -> Tensor:
    """The standard deviation along some axes: the square root of `gc.var`, which see.

    Its derivative is not finite where the variance is 0.

    Raises:
        ShapeError: `x` has no such axis, or one is named twice.

    >>> import graphc as gc
    >>> gc.std(gc.placeholder(("n", 3), "float32"), axis=0).type
    f32[3]
    """
    return sqrt(_variance("std", x, axis, keepdims, correction))


def _variance(function: str, x: TensorLike, axis: AxisArgument, keepdims: bool, correction: float) -> Tensor:
    tensor, axes, count = _averaged(function, x, axis)
    difference = tensor - sum(tensor, axes, keepdims=True) / count
    return sum(difference * difference, axes, keepdims=keepdims) / _divisor(count, correction)


def _divisor(count: Tensor, correction: float) -> Tensor:
    if count.op.name == "const":
        return constant(np.maximum(count.attrs["value"] - count.dtype.type(correction), 0), count.dtype)
    return maximum(count - correction, 0) if correction else count

