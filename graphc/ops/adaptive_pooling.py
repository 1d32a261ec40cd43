"""Pooling into a given number of parts, whatever the extent: one part (global) or several (adaptive).

Functions of reductions and slices. Boxes are products of intervals, so one axis is reduced after the other.

Invariant: the parts of an axis are PyTorch's: they cover it, and neighbours overlap by at most one element.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.errors import ArgumentError, ShapeError
from graphc.ir import dims
from graphc.ir.build import TensorLike, as_tensor
from graphc.ir.location import here
from graphc.ir.tensor import Tensor
from graphc.ops.arguments import is_integer
from graphc.ops.joining import concat
from graphc.ops.movement import reshape
from graphc.ops.reductions import max
from graphc.ops.slicing import narrowed
from graphc.ops.statistics import mean
from graphc.ops.windows import channels_last

Reduction = Callable[..., Tensor]


def global_max_pool(x: TensorLike, layout: str = "NCHW", keepdims: bool = False) -> Tensor:
    """The largest element of each channel of each image.

    Args:
        x: images `(batch, channels, *space)`, or as `layout` says.
        layout: as for `conv`.
        keepdims: whether the spatial axes stay, with extent 1.

    Returns:
        `(batch, channels)`. Where several elements are the largest, the gradient is that of `max`.

    Raises:
        ShapeError: `x` is no image, or known to have no elements.
        ArgumentError: an unknown layout.

    >>> import graphc as gc
    >>> gc.global_max_pool(gc.placeholder(("batch", 3, 28, 28))).type
    f32[batch,3]
    """
    tensor = as_tensor(x)
    return max(tensor, axis=_spatial_axes("global_max_pool", tensor, layout), keepdims=keepdims)


def global_avg_pool(x: TensorLike, layout: str = "NCHW", keepdims: bool = False) -> Tensor:
    """The average of each channel of each image.

    Args:
        x: images `(batch, channels, *space)`, or as `layout` says.
        layout: as for `conv`.
        keepdims: whether the spatial axes stay, with extent 1.

    Returns:
        `(batch, channels)`.

    Raises:
        ShapeError: `x` is no image.
        ArgumentError: an unknown layout.

    >>> import graphc as gc
    >>> gc.global_avg_pool(gc.placeholder(("batch", 3, 28, 28))).type
    f32[batch,3]
    """
    tensor = as_tensor(x)
    return mean(tensor, axis=_spatial_axes("global_avg_pool", tensor, layout), keepdims=keepdims)


def _spatial_axes(function: str, x: Tensor, layout: str) -> tuple[int, ...]:
    last = channels_last(function, x, layout) is x
    return tuple(range(1, x.ndim - 1) if last else range(2, x.ndim))


def adaptive_avg_pool(x: TensorLike, size: Any, layout: str = "NCHW") -> Tensor:
    """The averages of `size` nearly equal parts of each spatial axis (PyTorch's rule).

    Part `i` of `size` goes from `floor(i*extent/size)` to `ceil((i+1)*extent/size)`; parts may overlap by one element.

    Args:
        x: images `(batch, channels, *space)`, or as `layout` says; floats.
        size: the spatial shape of the result: one number for all axes, or one for each.
        layout: as for `conv`.

    Raises:
        ShapeError: `x` is no image, or `size` has another number of entries.
        ArgumentError: an unknown layout, or a size that is not a number above 0.

    >>> import graphc as gc
    >>> gc.adaptive_avg_pool(gc.placeholder((8, 3, "h", "w")), (2, 3)).type
    f32[8,3,2,3]
    """
    return _adaptive("adaptive_avg_pool", mean, as_tensor(x), size, layout)


def adaptive_max_pool(x: TensorLike, size: Any, layout: str = "NCHW") -> Tensor:
    """The maxima of `size` nearly equal parts of each spatial axis; the parts are those of `adaptive_avg_pool`.

    Raises:
        ShapeError: `x` is no image, or `size` has another number of entries.
        ArgumentError: an unknown layout, or a size that is not a number above 0.

    >>> import graphc as gc
    >>> gc.adaptive_max_pool(gc.placeholder((8, 3, 10, 10)), 4).type
    f32[8,3,4,4]
    """
    return _adaptive("adaptive_max_pool", max, as_tensor(x), size, layout)


def _adaptive(function: str, reduction: Reduction, x: Tensor, size: Any, layout: str) -> Tensor:
    axes = _spatial_axes(function, x, layout)
    entries = tuple(size) if isinstance(size, (tuple, list)) else (size,) * len(axes)
    if len(entries) != len(axes):
        raise ShapeError(f"{function}: size {size!r} has not {len(axes)} entries", location=here())
    result = x
    for axis, parts in zip(axes, entries):
        if not is_integer(parts) or parts < 1:
            raise ArgumentError(f"{function}: size {parts!r} is not a number above 0", location=here())
        result = _in_parts(reduction, result, axis, int(parts))
    return result


def _in_parts(reduction: Reduction, x: Tensor, axis: int, parts: int) -> Tensor:
    extent = x.shape[axis]
    if parts == 1:
        return reduction(x, axis=axis, keepdims=True)
    if isinstance(extent, int) and extent % parts == 0:
        split = (*x.shape[:axis], parts, extent // parts, *x.shape[axis + 1 :])
        return reduction(reshape(x, split), axis=axis + 1)
    pieces = []
    for i in range(parts):
        start, stop = dims.floordiv(extent * i, parts), dims.floordiv(extent * (i + 1) + parts - 1, parts)
        pieces.append(reduction(narrowed(x, axis, start, stop - start), axis=axis, keepdims=True))
    return concat(pieces, axis=axis)
