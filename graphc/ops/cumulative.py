"""Running sums and products along one axis.

Invariant: as for reductions, the op keeps its operand's dtype, and the public function casts as NumPy does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir.build import TensorLike, apply, as_tensor, cast
from graphc.ir.opdef import FUNCTIONS, OPS, define, public
from graphc.ir.tensor import Tensor
from graphc.ir.types import BOOL, DTYPES, TensorType
from graphc.ops.arguments import as_axis
from graphc.ops.reductions import accumulator


def _cumulative_type(x: TensorType, *, axis: int) -> TensorType:
    if x.dtype == BOOL:
        raise DTypeError("takes integers or floats, not booleans")
    if not 0 <= axis < x.rank:
        raise ShapeError(f"axis {axis} is out of bounds for an array of rank {x.rank}")
    return x


def _sums_from(x: Tensor, axis: int) -> Tensor:
    """In each place, the sum of the elements from there to the end: the transpose of cumsum."""
    flip = FUNCTIONS["flip"]
    return flip(apply(OPS["cumsum"], flip(x, axis=axis), axis=axis), axis=axis)


def _cumprod_gradient(g: Tensor, y: Tensor, x: Tensor, *, axis: int) -> tuple[Tensor]:
    """dy[i]/dx[j] = y[i]/x[j] for i >= j, in linear time.

    That is 0/0 from the first zero on. There it is the running product without that zero; later elements
    only ever multiply the zero, so theirs is 0.
    """
    where = FUNCTIONS["where"]
    zero = FUNCTIONS["equal"](x, 0)
    zeros_so_far = apply(OPS["cumsum"], cast(zero, DTYPES["i64"]), axis=axis)
    first_zero = zero & FUNCTIONS["equal"](zeros_so_far, 1)
    without = apply(OPS["cumprod"], where(first_zero, 1, x), axis=axis)
    before_any = _sums_from(g * y, axis) / where(zero, 1, x)
    at_first = _sums_from(g * without, axis)
    return (where(first_zero, at_first, where(zero, 0, before_any)),)


define("cumsum", operands=("x",), attrs=("axis",), infer=_cumulative_type,
       eval=lambda x, *, axis: np.cumsum(x, axis=axis, dtype=x.dtype),
       vjp=lambda g, y, x, *, axis: (_sums_from(g, axis),), doc="the running sum")
define("cumprod", operands=("x",), attrs=("axis",), infer=_cumulative_type,
       eval=lambda x, *, axis: np.cumprod(x, axis=axis, dtype=x.dtype),
       vjp=_cumprod_gradient, doc="the running product")


def _accumulate(name: str, x: TensorLike, axis: int | None, dtype: Any) -> Tensor:
    tensor = accumulator(name, as_tensor(x), dtype)
    if axis is None:
        return apply(OPS[name], apply(OPS["reshape"], tensor, shape=(tensor.size,)), axis=0)
    return apply(OPS[name], tensor, axis=as_axis(name, axis, tensor.ndim))


@public
def cumsum(x: TensorLike, axis: int | None = None, *, dtype: Any = None) -> Tensor:
    """The running sum along an axis: element i is the sum of the elements up to and including i.

    Args:
        x: any tensor; booleans count as 0 and 1.
        axis: the axis, or None for all elements in row-major order, as one axis.
        dtype: as for `gc.sum`.

    Raises:
        ShapeError: `x` has no such axis.
        DTypeError: `dtype` is not supported.

    >>> import graphc as gc
    >>> gc.cumsum(gc.placeholder(("n", 3), "int8"), axis=0).type
    i64[n,3]
    """
    return _accumulate("cumsum", x, axis, dtype)


@public
def cumprod(x: TensorLike, axis: int | None = None, *, dtype: Any = None) -> Tensor:
    """The running product along an axis; arguments as for `gc.cumsum`.

    Raises:
        ShapeError: `x` has no such axis.
        DTypeError: `dtype` is not supported.

    >>> import graphc as gc
    >>> gc.cumprod(gc.placeholder(("n", 3), "float32"), axis=1).type
    f32[n,3]
    """
    return _accumulate("cumprod", x, axis, dtype)
