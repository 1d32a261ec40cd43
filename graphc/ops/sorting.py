"""Ops that order elements: sort, argsort; and topk and searchsorted made of them.

The order is NumPy's: stable; -0.0 equals 0.0; NaN counts as larger than everything, so it comes last, and
first where the order is descending. Descending is stable too: equal elements keep the order they had.

Invariant: `sort(x)` is `take_along_axis(x, argsort(x))`, bit for bit; so it has the gradient of that.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import ArgumentError, ShapeError
from graphc.ir.build import TensorLike, apply, as_tensor, cast, promote
from graphc.ir.location import here
from graphc.ir.opdef import FUNCTIONS, NOT_DIFFERENTIABLE, OPS, define, public
from graphc.ir.tensor import Tensor
from graphc.ir.types import DTYPES, TensorType
from graphc.ops.arguments import as_axis, as_size
from graphc.ops.movement import expand_dims
from graphc.ops.slicing import narrowed

_INT64 = DTYPES["i64"]


def _sort_type(x: TensorType, *, axis: int, descending: bool) -> TensorType:
    if not 0 <= axis < x.rank:
        raise ShapeError(f"axis {axis} is out of bounds for an array of rank {x.rank}")
    return x


def _argsort_eval(x: np.ndarray, *, axis: int, descending: bool) -> np.ndarray:
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    # Backwards through the ascending order of the reversed elements: so equal ones come in their own order.
    order = np.flip(np.argsort(np.flip(x, axis), axis=axis, kind="stable"), axis)
    return x.shape[axis] - 1 - order


def _sort_eval(x: np.ndarray, *, axis: int, descending: bool) -> np.ndarray:
    return np.take_along_axis(x, _argsort_eval(x, axis=axis, descending=descending), axis)


def _sort_gradient(g: Tensor, y: Tensor, x: Tensor, *, axis: int, descending: bool) -> tuple[Tensor]:
    """Each cotangent goes back to where its element came from: a gather by the inverse permutation."""
    order = apply(OPS["argsort"], x, axis=axis, descending=descending)
    inverse = apply(OPS["argsort"], order, axis=axis, descending=False)
    return (apply(OPS["take_along_axis"], g, inverse, axis=axis),)


define(
    "sort",
    operands=("x",),
    attrs=("axis", "descending"),
    infer=_sort_type,
    eval=_sort_eval,
    vjp=_sort_gradient,
    doc="the elements along an axis in order",
)
define(
    "argsort",
    operands=("x",),
    attrs=("axis", "descending"),
    infer=lambda x, **attrs: _sort_type(x, **attrs).with_dtype(_INT64),
    eval=_argsort_eval,
    vjp=NOT_DIFFERENTIABLE,
    doc="the positions that put the elements along an axis in order",
)


@public
def sort(x: TensorLike, axis: int | None = -1, descending: bool = False) -> Tensor:
    """The elements of `x` along `axis` in order.

    Args:
        x: any tensor.
        axis: which one; None sorts the flattened tensor.
        descending: the largest first, and NaN before it.

    Raises:
        ShapeError: there is no such axis.

    >>> import graphc as gc
    >>> gc.sort(gc.placeholder(("n", 3)), axis=0).type
    f32[n,3]
    """
    tensor, place = _along("sort", x, axis)
    return apply(OPS["sort"], tensor, axis=place, descending=bool(descending))


@public
def argsort(x: TensorLike, axis: int | None = -1, descending: bool = False) -> Tensor:
    """The positions, int64, that put the elements of `x` along `axis` in order; stable.

    Args, errors: as of `sort`.

    >>> import graphc as gc
    >>> gc.argsort(gc.placeholder(("n", 3))).type
    i64[n,3]
    """
    tensor, place = _along("argsort", x, axis)
    return apply(OPS["argsort"], tensor, axis=place, descending=bool(descending))


def _along(function: str, x: TensorLike, axis: int | None) -> tuple[Tensor, int]:
    tensor = as_tensor(x)
    if axis is None:
        return FUNCTIONS["reshape"](tensor, (-1,)), 0
    return tensor, as_axis(function, axis, tensor.ndim)


@public
def topk(x: TensorLike, k: Any, axis: int = -1) -> tuple[Tensor, Tensor]:
    """The `k` largest elements along `axis`, largest first, and where they were.

    Args:
        x: any tensor. NaN counts as the largest; of equal elements the first ones are taken.
        k: how many; a number or a symbolic size.
        axis: which one.

    Returns:
        `(values, indices)`, both with size `k` on `axis`; indices are int64.

    Raises:
        ShapeError: the axis has fewer than `k` elements, or there is no such axis.

    >>> import graphc as gc
    >>> [t.type for t in gc.topk(gc.placeholder(("batch", 10)), 3)]
    [f32[batch,3], i64[batch,3]]
    """
    tensor = as_tensor(x)
    place = as_axis("topk", axis, tensor.ndim)
    count, extent = as_size("topk", "k", k), tensor.shape[place]
    if isinstance(count, int) and isinstance(extent, int) and count > extent:
        raise ShapeError(f"topk: k is {count}, axis {place} has only {extent} elements", location=here())
    indices = narrowed(apply(OPS["argsort"], tensor, axis=place, descending=True), place, 0, count)
    return apply(OPS["take_along_axis"], tensor, indices, axis=place), indices


@public
def searchsorted(sorted_values: TensorLike, values: TensorLike, side: str = "left") -> Tensor:
    """Where `values` would go in a vector to keep it in ascending order: int64, of the shape of `values`.

    Compares each value with each element, so that the work is the product of the sizes.

    Args:
        sorted_values: a vector in ascending order.
        values: what to place.
        side: "left", before equal elements; or "right", after them.

    Raises:
        ShapeError: `sorted_values` is not a vector.
        ArgumentError: another side.

    >>> import graphc as gc
    >>> gc.searchsorted(gc.constant([1.0, 2.0, 3.0]), gc.placeholder(("n",), "float64")).type
    i64[n]
    """
    if side not in ("left", "right"):
        raise ArgumentError(f"searchsorted: side {side!r} is neither 'left' nor 'right'", location=here())
    row, wanted = promote(sorted_values, values)
    if row.ndim != 1:
        raise ShapeError(f"searchsorted: {row.type!r} is not a vector", location=here())
    column = expand_dims(wanted, -1)
    if side == "left":
        before = _ordered_before(row, column)
    else:
        before = apply(OPS["logical_not"], _ordered_before(column, row))
    return apply(OPS["sum"], cast(before, _INT64), axis=(wanted.ndim,), keepdims=False)


def _ordered_before(x: Tensor, y: Tensor) -> Tensor:
    """`x < y` in the order of `sort`: NaN is larger than everything else."""
    if x.dtype.kind != "f":
        return apply(OPS["less"], x, y)
    nan_last = apply(OPS["bitwise_and"], apply(OPS["isnan"], y), apply(OPS["logical_not"], apply(OPS["isnan"], x)))
    return apply(OPS["bitwise_or"], apply(OPS["less"], x, y), nan_last)
