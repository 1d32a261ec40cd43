"""Ops that give the same elements another shape: broadcast, reshape, permute; and the axis functions on them.

Invariant: nothing here reads or computes an element. A symbolic size never broadcasts as if it were 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import ShapeError
from graphc.ir import dims
from graphc.ir.build import TensorLike, apply, as_tensor, constant
from graphc.ir.dims import Size
from graphc.ir.location import here
from graphc.ir.opdef import OPS, Trait, define, public
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType
from graphc.ir.verify import require_equal
from graphc.ops.arguments import as_axes, as_axis, as_shape, is_integer


def require_not_negative(size: Size) -> Size:
    """State in a type rule that a size is at least 0; a symbolic one is checked at each call."""
    rule = f"the extent {size} is negative"
    if isinstance(size, int):
        if size < 0:
            raise ShapeError(rule)
        return size
    require_equal(size, dims.maximum(size, 0), rule)
    return size


# broadcast_to ---------------------------------------------------------------------------------------------


def _broadcast_to_type(x: TensorType, *, shape: tuple[Size, ...]) -> TensorType:
    rule = f"cannot broadcast to ({', '.join(map(str, shape))})"
    if x.rank > len(shape):
        raise ShapeError(f"{rule}: it has fewer axes than the operand")
    for size, target in zip(x.shape, shape[len(shape) - x.rank :]):
        if size != 1:
            require_equal(target, size, rule)
    for target in shape:
        require_not_negative(target)
    return x.with_shape(shape)


def _broadcast_to_gradient(g: Tensor, y: Tensor, x: Tensor, *, shape: tuple[Size, ...]) -> tuple[Tensor]:
    return (sum_to_shape(g, x.shape),)


define(
    "broadcast_to",
    operands=("x",),
    attrs=("shape",),
    infer=_broadcast_to_type,
    eval=lambda x, *, shape: np.broadcast_to(x, shape),
    vjp=_broadcast_to_gradient,
    traits={Trait.MOVEMENT},
    doc="the elements repeated along new axes and axes of size 1",
)


def sum_to_shape(x: Tensor, shape: tuple[Size, ...]) -> Tensor:
    """The transpose of broadcasting from `shape` to `x.shape`: sums over what broadcasting repeated."""
    extra = x.ndim - len(shape)
    repeated = [extra + i for i, size in enumerate(shape) if size == 1 and x.shape[extra + i] != 1]
    axes = (*range(extra), *repeated)
    if not axes:
        return x
    total = apply(OPS["sum"], x, axis=axes, keepdims=bool(repeated))
    return apply(OPS["reshape"], total, shape=total.shape[extra:]) if extra and repeated else total


def zeros_of(shape: tuple[Size, ...], dtype: np.dtype[Any]) -> Tensor:
    """Zeros, for gradient rules."""
    return broadcast_to(constant(0, dtype), shape)


@public
def broadcast_to(x: TensorLike, shape: Any) -> Tensor:
    """`x` repeated to `shape` by NumPy's broadcasting rule.

    Args:
        x: of a shape that broadcasts: its axes are aligned with the last ones, sizes of 1 are repeated.
        shape: the extents of the result; numbers, symbolic sizes or names of such.

    Raises:
        ShapeError: `x` does not broadcast to `shape`.

    >>> import graphc as gc
    >>> gc.broadcast_to(gc.constant([1.0, 2.0]), (3, 2)).type
    f64[3,2]
    """
    tensor, target = as_tensor(x), as_shape("broadcast_to", shape)
    return tensor if tensor.shape == target else apply(OPS["broadcast_to"], tensor, shape=target)


# reshape --------------------------------------------------------------------------------------------------


def _reshape_type(x: TensorType, *, shape: tuple[Size, ...]) -> TensorType:
    for size in shape:
        require_not_negative(size)
    count = dims.product(shape)
    require_equal(x.size, count, f"cannot reshape {x.size} elements to ({', '.join(map(str, shape))})")
    return x.with_shape(shape)


define(
    "reshape",
    operands=("x",),
    attrs=("shape",),
    infer=_reshape_type,
    eval=lambda x, *, shape: np.reshape(x, shape),
    vjp=lambda g, y, x, *, shape: (apply(OPS["reshape"], g, shape=x.shape),),
    traits={Trait.MOVEMENT},
    doc="the elements in row-major order in another shape",
)


@public
def reshape(x: TensorLike, shape: Any) -> Tensor:
    """The elements of `x`, in row-major order, in another shape.

    Args:
        x: any tensor.
        shape: the new extents. One may be -1: it becomes what the number of elements leaves. Symbolic sizes
            may stand anywhere; that the numbers of elements agree is then checked at each call.

    Raises:
        ShapeError: the numbers of elements differ, two extents are -1, or -1 stands beside an extent of 0.

    >>> import graphc as gc
    >>> gc.reshape(gc.placeholder(("n", 2, 3), "float32"), (-1, 6)).type
    f32[n,6]
    """
    tensor = as_tensor(x)
    entries = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    unknown = [i for i, entry in enumerate(entries) if is_integer(entry) and entry == -1]
    if len(unknown) > 1:
        raise ShapeError(f"reshape: only one extent of {entries} can be -1", location=here())
    known = list(as_shape("reshape", [entry for i, entry in enumerate(entries) if i not in unknown]))
    if unknown:
        rest = dims.product(known)
        if rest == 0:
            raise ShapeError(f"reshape: the extent -1 beside 0 in {entries} is not determined", location=here())
        known.insert(unknown[0], dims.floordiv(tensor.size, rest))
    target = tuple(known)
    return tensor if tensor.shape == target else apply(OPS["reshape"], tensor, shape=target)


@public
def expand_dims(x: TensorLike, axis: int | tuple[int, ...] = 0) -> Tensor:
    """`x` with new axes of size 1, which stand at `axis` in the result.

    Raises:
        ShapeError: the result has no such axis, or one is named twice.

    >>> import graphc as gc
    >>> gc.expand_dims(gc.placeholder(("n", 3)), (0, -1)).type
    f32[1,n,3,1]
    """
    tensor = as_tensor(x)
    count = len(axis) if isinstance(axis, (tuple, list)) else 1
    new = as_axes("expand_dims", axis, tensor.ndim + count)
    old = iter(tensor.shape)
    return reshape(tensor, [1 if i in new else next(old) for i in range(tensor.ndim + count)])


@public
def squeeze(x: TensorLike, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """`x` without the axes `axis`, which must have size 1; by default without all that are known to be 1.

    Raises:
        ShapeError: an axis has another size. A symbolic one is checked at each call.

    >>> import graphc as gc
    >>> gc.squeeze(gc.placeholder((1, "n", 1)), -1).type
    f32[1,n]
    """
    tensor = as_tensor(x)
    gone = (
        as_axes("squeeze", axis, tensor.ndim) if axis is not None else [i for i, s in enumerate(tensor.shape) if s == 1]
    )
    for i in gone:
        size = tensor.shape[i]
        if isinstance(size, int) and size != 1:
            raise ShapeError(f"squeeze: axis {i} has size {size}, not 1", location=here())
    return reshape(tensor, [size for i, size in enumerate(tensor.shape) if i not in gone])


# permute_dims ---------------------------------------------------------------------------------------------


def _permute_dims_type(x: TensorType, *, axes: tuple[int, ...]) -> TensorType:
    if sorted(axes) != list(range(x.rank)):
        raise ShapeError(f"axes {axes} are not a permutation of the {x.rank} axes")
    return x.with_shape(tuple(x.shape[axis] for axis in axes))


def inverse_permutation(axes: tuple[int, ...]) -> tuple[int, ...]:
    """The permutation that undoes `axes`.

    >>> inverse_permutation((2, 0, 1))
    (1, 2, 0)
    """
    return tuple(axes.index(i) for i in range(len(axes)))


define(
    "permute_dims",
    operands=("x",),
    attrs=("axes",),
    infer=_permute_dims_type,
    eval=lambda x, *, axes: np.transpose(x, axes),
    vjp=lambda g, y, x, *, axes: (apply(OPS["permute_dims"], g, axes=inverse_permutation(axes)),),
    traits={Trait.MOVEMENT},
    doc="the axes in another order",
)


def permuted(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """`x` with its axes in the order `axes`; itself where that changes nothing."""
    return x if axes == tuple(range(x.ndim)) else apply(OPS["permute_dims"], x, axes=axes)


@public
def permute_dims(x: TensorLike, axes: tuple[int, ...] | None = None) -> Tensor:
    """`x` with its axes in another order: axis `i` of the result is axis `axes[i]` of `x`.

    Args:
        x: any tensor.
        axes: a permutation of its axes; by default they are reversed.

    Raises:
        ShapeError: `axes` is not a permutation of the axes.

    >>> import graphc as gc
    >>> gc.permute_dims(gc.placeholder((2, 3, 4)), (2, 0, 1)).type
    f32[4,2,3]
    """
    tensor = as_tensor(x)
    if axes is None:
        return permuted(tensor, tuple(reversed(range(tensor.ndim))))
    order = as_axes("permute_dims", axes, tensor.ndim, "axes")
    return permuted(tensor, order) if len(order) == tensor.ndim else apply(OPS["permute_dims"], tensor, axes=order)


@public
def matrix_transpose(x: TensorLike) -> Tensor:
    """`x` with its last two axes swapped: a stack of matrices, each transposed.

    Raises:
        ShapeError: `x` has fewer than two axes.

    >>> import graphc as gc
    >>> gc.matrix_transpose(gc.placeholder(("batch", 2, 3))).type
    f32[batch,3,2]
    """
    tensor = as_tensor(x)
    if tensor.ndim < 2:
        raise ShapeError(f"matrix_transpose: {tensor.type!r} has fewer than two axes", location=here())
    return swapaxes(tensor, -1, -2)


@public
def swapaxes(x: TensorLike, axis1: int, axis2: int) -> Tensor:
    """`x` with two axes swapped.

    Raises:
        ShapeError: there is no such axis.

    >>> import graphc as gc
    >>> gc.swapaxes(gc.placeholder((2, 3, 4)), 0, -1).type
    f32[4,3,2]
    """
    tensor = as_tensor(x)
    first, second = (
        as_axis("swapaxes", axis1, tensor.ndim, "axis1"),
        as_axis("swapaxes", axis2, tensor.ndim, "axis2"),
    )
    order = list(range(tensor.ndim))
    order[first], order[second] = second, first
    return permuted(tensor, tuple(order))


@public
def moveaxis(x: TensorLike, source: int | tuple[int, ...], destination: int | tuple[int, ...]) -> Tensor:
    """`x` with the axes `source` moved to `destination`; the others keep their order.

    Raises:
        ShapeError: there is no such axis, or the numbers of axes differ.

    >>> import graphc as gc
    >>> gc.moveaxis(gc.placeholder((2, 3, 4)), 0, -1).type
    f32[3,4,2]
    """
    tensor = as_tensor(x)
    old = as_axes("moveaxis", source, tensor.ndim, "source")
    new = as_axes("moveaxis", destination, tensor.ndim, "destination")
    if len(old) != len(new):
        raise ShapeError(f"moveaxis: {len(old)} source axes, {len(new)} destination axes", location=here())
    order = [axis for axis in range(tensor.ndim) if axis not in old]
    for place, axis in sorted(zip(new, old)):
        order.insert(place, axis)
    return permuted(tensor, tuple(order))
