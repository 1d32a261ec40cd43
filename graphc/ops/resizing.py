"""Images of another size: nearest neighbours and linear interpolation, one spatial axis after the other.

Functions of indexing and arithmetic. Element `i` of the result stands for the middle of its stretch of the image, so
its place there is `(i + 1/2) * extent / size - 1/2` ("half-pixel" coordinates; PyTorch's and TensorFlow's default).

Invariant: places outside the image are those of its border elements; size 0 gives size 0.
"""

from __future__ import annotations

from typing import Any

from graphc.errors import ArgumentError, DTypeError, nearest
from graphc.ir import dims
from graphc.ir.build import TensorLike, apply, as_tensor, cast, constant
from graphc.ir.dims import Size
from graphc.ir.location import here
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor
from graphc.ir.types import DTYPES, is_float
from graphc.ops.arguments import as_integer
from graphc.ops.arithmetic import floor_divide, multiply, subtract
from graphc.ops.creation import arange
from graphc.ops.extrema import clip, minimum
from graphc.ops.gathering import take
from graphc.ops.movement import reshape
from graphc.ops.rounding import floor
from graphc.ops.sources import size_value
from graphc.ops.windows import Sizes, channels_last, in_layout, per_axis

_MODES = ("nearest", "linear")


def resize(
    x: TensorLike, size: Any, mode: str = "nearest", layout: str = "NCHW", align_corners: bool = False
) -> Tensor:
    """Images with other spatial extents.

    Args:
        x: images `(batch, channels, *space)`, or as `layout` says; floats for linear interpolation.
        size: the spatial shape of the result: one size for all axes, or one for each; may be symbolic.
        mode: "nearest", element `floor(i * extent / size)`; or "linear" (bilinear, trilinear): the weighted mean of
            the two nearest elements along each axis.
        layout: as for `conv`.
        align_corners: for linear interpolation, whether first and last elements fall on first and last elements; else
            coordinates are half-pixel ones.

    Raises:
        ShapeError: `x` is no image, or `size` has another number of entries.
        DTypeError: linear interpolation of integers.
        ArgumentError: an unknown mode or layout.

    >>> import graphc as gc
    >>> gc.resize(gc.placeholder((8, 3, "h", "w")), (32, 32), mode="linear").type
    f32[8,3,32,32]
    """
    image = channels_last("resize", as_tensor(x), layout)
    _check_mode("resize", mode, image)
    sizes = per_axis("resize", "size", size, image.ndim - 2)
    return in_layout("resize", _resized(image, sizes, mode, align_corners), layout)


def upsample(x: TensorLike, scale: Any = 2, mode: str = "nearest", layout: str = "NCHW") -> Tensor:
    """Images whose spatial extents are `scale` times as large.

    Args:
        x: images `(batch, channels, *space)`, or as `layout` says.
        scale: a whole number for all axes, or one for each.
        mode, layout: as for `resize`.

    Raises:
        ShapeError, DTypeError, ArgumentError: as for `resize`; a scale below 1.

    >>> import graphc as gc
    >>> gc.upsample(gc.placeholder((8, 3, "h", "w"))).type
    f32[8,3,2*h,2*w]
    """
    image = channels_last("upsample", as_tensor(x), layout)
    _check_mode("upsample", mode, image)
    scales = per_axis("upsample", "scale", scale, image.ndim - 2)
    factors = [as_integer("upsample", "scale", s, least=1) for s in scales]
    if mode == "nearest":
        for axis, factor in enumerate(factors, 1):
            image = _repeated(image, axis, factor)
    else:
        image = _resized(image, tuple(n * f for n, f in zip(image.shape[1:-1], factors)), mode, False)
    return in_layout("upsample", image, layout)


def _check_mode(function: str, mode: Any, x: Tensor) -> None:
    if mode not in _MODES:
        raise ArgumentError(
            f"{function}: mode {mode!r} is neither nearest nor linear", location=here(), hint=nearest(str(mode), _MODES)
        )
    if mode == "linear" and not is_float(x.dtype):
        raise DTypeError(f"{function}: linear interpolation takes floats, x is {x.type!r}", location=here())


def _repeated(x: Tensor, axis: int, count: int) -> Tensor:
    """Each element `count` times: a new axis behind, broadcast, and merged."""
    if count == 1:
        return x
    before, after = x.shape[: axis + 1], x.shape[axis + 1 :]
    wide = apply(OPS["broadcast_to"], reshape(x, (*before, 1, *after)), shape=(*before, count, *after))
    return reshape(wide, (*before[:-1], before[-1] * count, *after))


def _resized(x: Tensor, sizes: Sizes, mode: str, align_corners: bool) -> Tensor:
    for axis, size in enumerate(sizes, 1):
        if size != x.shape[axis]:
            x = _nearest(x, axis, size) if mode == "nearest" else _linear(x, axis, size, align_corners)
    return x


def _nearest(x: Tensor, axis: int, size: Size) -> Tensor:
    extent = x.shape[axis]
    return take(x, floor_divide(arange(size, dtype="int64") * size_value(extent), size_value(size)), axis=axis)


def _linear(x: Tensor, axis: int, size: Size, align_corners: bool) -> Tensor:
    """(1 - t) * left + t * right, with `t` how far the place lies from the left of its two neighbours."""
    extent, float64 = x.shape[axis], DTYPES["f64"]
    number, last = arange(size, dtype="float64"), cast(size_value(extent - 1), float64)
    if align_corners:
        place = number * last / cast(size_value(dims.maximum(size - 1, 1)), float64)
    else:
        ratio = cast(size_value(extent), float64) / cast(size_value(dims.maximum(size, 1)), float64)
        place = clip((number + 0.5) * ratio - 0.5, constant(0.0), last)
    left = floor(place)
    shape = tuple(size if i == axis else 1 for i in range(x.ndim))
    t = reshape(cast(subtract(place, left), x.dtype), shape)
    index = cast(left, DTYPES["i64"])
    right = minimum(index + 1, size_value(extent - 1))
    return multiply(1 - t, take(x, index, axis=axis)) + multiply(t, take(x, right, axis=axis))
