"""softmax, log_softmax and logsumexp: exponentials normalised along an axis, without overflow.

All three subtract the row's largest element before they exponentiate. Where that is an infinity, infinity
minus itself counts as 0, so that each function is its own limit there: softmax of [inf, 0] is [1, 0], and of
n equal infinities 1/n each. Values and gradients are finite wherever the limit is.

Invariant: `eval` and `expand` of an op are the same formula, in NumPy and in ops; the gradient rules use the
ops' own results, so they are as stable as those.
"""

from __future__ import annotations

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir import dims
from graphc.ir.build import TensorLike, apply, constant
from graphc.ir.dims import Size
from graphc.ir.opdef import FUNCTIONS, OPS, Trait, define, public
from graphc.ir.tensor import Tensor
from graphc.ir.types import FLOATS, TensorType
from graphc.ops.arguments import as_axes, as_axis
from graphc.ops.elementwise import as_floats
from graphc.ops.reduce import Axes, reduced_shape, spread
from graphc.ops.reductions import AxisArgument
from graphc.ops.transcendental import exp, log


def _along_axis_type(x: TensorType, *, axis: int) -> TensorType:
    if x.dtype not in FLOATS:
        raise DTypeError("takes float32 or float64")
    if not 0 <= axis < x.rank:
        raise ShapeError(f"axis {axis} is out of bounds for an array of rank {x.rank}")
    return x


def _logsumexp_type(x: TensorType, *, axis: Axes, keepdims: bool) -> TensorType:
    if x.dtype not in FLOATS:
        raise DTypeError("takes float32 or float64")
    return x.with_shape(reduced_shape(x.shape, axis, keepdims))


# The value, in NumPy ----------------------------------------------------------------------------------------


def _shifted(x: np.ndarray, axis: Axes) -> tuple[np.ndarray, np.ndarray]:
    """`x` less its largest element along `axis`, and that element. What is not below 0 is 0, NaN too."""
    largest = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    difference = x - largest
    return np.where(difference < 0, difference, x.dtype.type(0)), largest


def _total(powers: np.ndarray, largest: np.ndarray, axis: Axes) -> np.ndarray:
    """The sum of a row; NaN if the row has a NaN, which its largest element then is."""
    return np.where(np.isnan(largest), largest, np.sum(powers, axis=axis, keepdims=True))


def _softmax_value(x: np.ndarray, *, axis: int) -> np.ndarray:
    shifted, largest = _shifted(x, (axis,))
    powers = np.exp(shifted)
    return powers * (1 / _total(powers, largest, (axis,)))


def _log_softmax_value(x: np.ndarray, *, axis: int) -> np.ndarray:
    shifted, largest = _shifted(x, (axis,))
    return shifted - np.log(_total(np.exp(shifted), largest, (axis,)))


def _logsumexp_value(x: np.ndarray, *, axis: Axes, keepdims: bool) -> np.ndarray:
    shifted, largest = _shifted(x, axis)
    result = largest + np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
    return np.asarray(result if keepdims else np.squeeze(result, axis))


# The same in ops --------------------------------------------------------------------------------------------


def _shifted_tensor(x: Tensor, axis: Axes) -> tuple[Tensor, Tensor]:
    largest = apply(OPS["max"], x, axis=axis, keepdims=True)
    difference = x - largest
    return FUNCTIONS["where"](difference < 0, difference, 0), largest


def _sum(x: Tensor, axis: Axes, keepdims: bool = True) -> Tensor:
    return apply(OPS["sum"], x, axis=axis, keepdims=keepdims)


def _total_tensor(powers: Tensor, largest: Tensor, axis: Axes) -> Tensor:
    return FUNCTIONS["where"](FUNCTIONS["isnan"](largest), largest, _sum(powers, axis))


def _softmax_expansion(x: Tensor, *, axis: int) -> Tensor:
    if x.shape[axis] == 0:
        return x  # there is nothing to normalise, and no largest element
    shifted, largest = _shifted_tensor(x, (axis,))
    powers = exp(shifted)
    return powers * (1 / _total_tensor(powers, largest, (axis,)))


def _log_softmax_expansion(x: Tensor, *, axis: int) -> Tensor:
    if x.shape[axis] == 0:
        return x
    shifted, largest = _shifted_tensor(x, (axis,))
    return shifted - log(_total_tensor(exp(shifted), largest, (axis,)))


def _logsumexp_expansion(x: Tensor, *, axis: Axes, keepdims: bool) -> Tensor:
    shape = reduced_shape(x.shape, axis, keepdims)
    if any(x.shape[a] == 0 for a in axis):
        return apply(OPS["broadcast_to"], constant(-np.inf, x.dtype), shape=shape)
    shifted, largest = _shifted_tensor(x, axis)
    result = largest + log(_sum(exp(shifted), axis))
    return result if keepdims else apply(OPS["reshape"], result, shape=shape)


# Gradients --------------------------------------------------------------------------------------------------


def _softmax_gradient(g: Tensor, y: Tensor, x: Tensor, *, axis: int) -> tuple[Tensor]:
    return (y * (g - _sum(g * y, (axis,))),)


def _log_softmax_gradient(g: Tensor, y: Tensor, x: Tensor, *, axis: int) -> tuple[Tensor]:
    return (g - exp(y) * _sum(g, (axis,)),)


def _logsumexp_gradient(g: Tensor, y: Tensor, x: Tensor, *, axis: Axes, keepdims: bool) -> tuple[Tensor]:
    return (spread(g, x, axis, keepdims) * _softmax_along(x, axis),)


def _softmax_along(x: Tensor, axes: Axes) -> Tensor:
    """softmax along several axes, taken as one."""
    if len(axes) == 1:
        return apply(OPS["softmax"], x, axis=axes[0])
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    order = (*kept, *axes)
    moved = apply(OPS["permute_dims"], x, axes=order)
    shape: tuple[Size, ...] = (*(x.shape[i] for i in kept), dims.product([x.shape[a] for a in axes]))
    flat = apply(OPS["softmax"], apply(OPS["reshape"], moved, shape=shape), axis=len(kept))
    back = tuple(order.index(i) for i in range(x.ndim))
    return apply(OPS["permute_dims"], apply(OPS["reshape"], flat, shape=moved.shape), axes=back)


# The ops and their public functions -------------------------------------------------------------------------

define("softmax", operands=("x",), attrs=("axis",), infer=_along_axis_type, eval=_softmax_value,
       vjp=_softmax_gradient, expand=_softmax_expansion, doc="exp(x) / sum(exp(x)) along an axis")
define("log_softmax", operands=("x",), attrs=("axis",), infer=_along_axis_type, eval=_log_softmax_value,
       vjp=_log_softmax_gradient, expand=_log_softmax_expansion, doc="log(softmax(x)) along an axis")
define("logsumexp", operands=("x",), attrs=("axis", "keepdims"), infer=_logsumexp_type, eval=_logsumexp_value,
       vjp=_logsumexp_gradient, expand=_logsumexp_expansion, traits={Trait.REDUCTION},
       doc="log(sum(exp(x))) along some axes; -inf of nothing")


@public
def softmax(x: TensorLike, axis: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along an axis: non-negative numbers that add up to 1. No overflow.

    Args:
        x: floats; integers are cast as by `gc.exp`.
        axis: the axis along which the results add up to 1.

    Raises:
        ShapeError: `x` has no such axis.
        DTypeError: `x` holds booleans or 8-bit integers.

    >>> import graphc as gc
    >>> gc.softmax(gc.placeholder(("batch", 10), "float32")).type
    f32[batch,10]
    """
    (tensor,) = as_floats("softmax", x)
    return apply(OPS["softmax"], tensor, axis=as_axis("softmax", axis, tensor.ndim))


@public
def log_softmax(x: TensorLike, axis: int = -1) -> Tensor:
    """log(softmax(x)) along an axis, exact where softmax(x) rounds to 0 or 1; arguments as for `gc.softmax`.

    Raises:
        ShapeError: `x` has no such axis.
        DTypeError: `x` holds booleans or 8-bit integers.

    >>> import graphc as gc
    >>> gc.log_softmax(gc.placeholder(("batch", 10), "float32")).type
    f32[batch,10]
    """
    (tensor,) = as_floats("log_softmax", x)
    return apply(OPS["log_softmax"], tensor, axis=as_axis("log_softmax", axis, tensor.ndim))


@public
def logsumexp(x: TensorLike, axis: AxisArgument = None, *, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) along some axes, without overflow; -inf of nothing.

    Args:
        x: floats; integers are cast as by `gc.exp`.
        axis: an axis, several, or None for all.
        keepdims: whether the axes stay, with size 1.

    Raises:
        ShapeError: `x` has no such axis, or one is named twice.
        DTypeError: `x` holds booleans or 8-bit integers.

    >>> import graphc as gc
    >>> gc.logsumexp(gc.placeholder(("batch", 10), "float32"), axis=1).type
    f32[batch]
    """
    (tensor,) = as_floats("logsumexp", x)
    axes = tuple(sorted(as_axes("logsumexp", axis, tensor.ndim)))
    return apply(OPS["logsumexp"], tensor, axis=axes, keepdims=bool(keepdims))
