"""Pooling: the largest or the average element of each window, over images with their channels last.

The maximum keeps no indices: its gradient looks for the places again, so it needs nothing but the operand.

    max_pool(x)              the largest element of each window
    max_pool_spread(g, x)    the transpose of max_pool's derivative: g added to the place of each maximum
    max_pool_pick(h, x)      the derivative: h at the place of each maximum
    sum_pool(x)              the sum of each window
    sum_pool_spread(g)       its transpose: to each element, the g of the windows that it lies in

Invariant: where several elements of a window are the largest, the first in row-major order is its place, as in
PyTorch (also where they are zeros of both signs); NaN counts as the largest, as in NumPy. What lies in the padding
takes no part; a window of nothing but padding has the maximum -inf (or the smallest integer), and no place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir import dims
from graphc.ir.build import TensorLike, apply, as_tensor, constant
from graphc.ir.opdef import OPS, define
from graphc.ir.tensor import Tensor
from graphc.ir.types import FLOATS, NUMERIC, TensorType
from graphc.ir.verify import require_equal
from graphc.ops.arithmetic import divide
from graphc.ops.windows import (
    Sizes,
    Slices,
    channels_last,
    check_rank,
    in_layout,
    known_counts,
    read_windows,
    span,
    taps,
    window_counts,
)

_Geometry = tuple[int, ...]
_ATTRS = ("window", "strides", "before", "after", "dilation")


# type rules -----------------------------------------------------------------------------------------------


def _pooled(
    x: TensorType, window: Sizes, strides: _Geometry, before: Sizes, after: Sizes, dilation: _Geometry
) -> TensorType:
    check_rank(x.rank)
    counts = window_counts(x.shape[1:-1], window, strides, before, after, dilation)
    for ends in (before, after):
        for padding, k, d in zip(ends, window, dilation):
            reach = span(k, d)
            if isinstance(padding, int) and isinstance(reach, int) and padding >= reach:
                raise ShapeError("the padding is not smaller than the window")
    return x.with_shape((x.shape[0], *counts, x.shape[-1]))


def _max_pool_type(x: TensorType, **geometry: Any) -> TensorType:
    if x.dtype not in NUMERIC:
        raise DTypeError("takes integers or floats, not booleans")
    return _pooled(x, **geometry)


def _at_maxima_type(values: TensorType, x: TensorType, spreads: bool, **geometry: Any) -> TensorType:
    """The type of what is taken from the maxima of x, or spread to them."""
    pooled = _max_pool_type(x, **geometry)
    given, wanted = (pooled, x) if spreads else (x, pooled)
    if values.dtype != x.dtype:
        raise DTypeError("the operands have different dtypes")
    if values.rank != x.rank:
        raise ShapeError("the operands differ in rank")
    for size, expected in zip(values.shape, given.shape):
        require_equal(size, expected, "the operands do not belong to one pooling")
    return wanted


def _sum_pool_type(x: TensorType, **geometry: Any) -> TensorType:
    if x.dtype not in FLOATS:
        raise DTypeError("takes float32 or float64")
    return _pooled(x, **geometry)


def _sum_pool_spread_type(g: TensorType, *, size: Sizes, **geometry: Any) -> TensorType:
    if len(size) != g.rank - 2:
        raise ShapeError("the size of the result has another rank")
    result = g.with_shape((g.shape[0], *size, g.shape[-1]))
    for found, extent in zip(_sum_pool_type(result, **geometry).shape, g.shape):
        require_equal(found, extent, "the size of the result does not fit")
    return result


# evaluation -----------------------------------------------------------------------------------------------


def _meetings(
    extents: _Geometry, counts: _Geometry, window: _Geometry, strides: _Geometry, before: _Geometry,
    after: _Geometry, dilation: _Geometry,
) -> Iterator[tuple[Slices, Slices]]:  # fmt: skip
    for _, inside, outside in taps(extents, counts, window, strides, before, dilation):
        yield inside, outside


def _counts(x: np.ndarray, geometry: dict[str, Any]) -> _Geometry:
    return known_counts(x.shape[1:-1], *(geometry[name] for name in _ATTRS))


def _least(dtype: np.dtype[Any]) -> Any:
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def _max_pool_eval(x: np.ndarray, **geometry: Any) -> np.ndarray:
    counts = _counts(x, geometry)
    result = np.full((x.shape[0], *counts, x.shape[-1]), _least(x.dtype), x.dtype)
    for inside, outside in _meetings(x.shape[1:-1], counts, **geometry):
        element, largest = x[inside], result[outside]
        np.copyto(largest, element, where=(element > largest) | (element != element))
    return result


def _maxima(x: np.ndarray, geometry: dict[str, Any]) -> Iterator[tuple[Slices, Slices, np.ndarray]]:
    """For each tap, where it meets what, and for which of those windows it is the place of the maximum."""
    y = _max_pool_eval(x, **geometry)
    found = np.zeros(y.shape, bool)
    for inside, outside in _meetings(x.shape[1:-1], y.shape[1:-1], **geometry):
        here_, largest = x[inside], y[outside]
        equal = (here_ == largest) | ((here_ != here_) & (largest != largest))
        first = equal & ~found[outside]
        found[outside] |= equal
        yield inside, outside, first


def _max_pool_spread_eval(g: np.ndarray, x: np.ndarray, **geometry: Any) -> np.ndarray:
    result = np.zeros(x.shape, x.dtype)
    for inside, outside, first in _maxima(x, geometry):
        result[inside] += np.where(first, g[outside], np.zeros((), g.dtype))
    return result


def _max_pool_pick_eval(h: np.ndarray, x: np.ndarray, **geometry: Any) -> np.ndarray:
    result = np.zeros((x.shape[0], *_counts(x, geometry), x.shape[-1]), x.dtype)
    for inside, outside, first in _maxima(x, geometry):
        result[outside] = np.where(first, h[inside], result[outside])
    return result


def _sum_pool_eval(x: np.ndarray, **geometry: Any) -> np.ndarray:
    counts = _counts(x, geometry)
    result = np.zeros((x.shape[0], *counts, x.shape[-1]), x.dtype)
    for inside, outside in _meetings(x.shape[1:-1], counts, **geometry):
        result[outside] += x[inside]
    return result


def _sum_pool_spread_eval(g: np.ndarray, *, size: _Geometry, **geometry: Any) -> np.ndarray:
    result = np.zeros((g.shape[0], *size, g.shape[-1]), g.dtype)
    for inside, outside in _meetings(size, g.shape[1:-1], **geometry):
        result[inside] += g[outside]
    return result


MAX_POOL = define(
    "max_pool",
    operands=("x",),
    attrs=_ATTRS,
    infer=_max_pool_type,
    eval=_max_pool_eval,
    vjp=lambda g, y, x, **geometry: (apply(OPS["max_pool_spread"], g, x, **geometry),),
    doc="the largest element of each window of an image that has its channels last",
)

MAX_POOL_SPREAD = define(
    "max_pool_spread",
    operands=("g", "x"),
    attrs=_ATTRS,
    infer=lambda g, x, **geometry: _at_maxima_type(g, x, True, **geometry),
    eval=_max_pool_spread_eval,
    vjp=lambda h, r, g, x, **geometry: (apply(OPS["max_pool_pick"], h, x, **geometry), None),
    doc="to the place of the maximum of each window of x, the g of the window added",
)

MAX_POOL_PICK = define(
    "max_pool_pick",
    operands=("h", "x"),
    attrs=_ATTRS,
    infer=lambda h, x, **geometry: _at_maxima_type(h, x, False, **geometry),
    eval=_max_pool_pick_eval,
    vjp=lambda g, r, h, x, **geometry: (apply(OPS["max_pool_spread"], g, x, **geometry), None),
    doc="h at the place of the maximum of each window of x",
)

SUM_POOL = define(
    "sum_pool",
    operands=("x",),
    attrs=_ATTRS,
    infer=_sum_pool_type,
    eval=_sum_pool_eval,
    vjp=lambda g, y, x, **geometry: (apply(OPS["sum_pool_spread"], g, size=x.shape[1:-1], **geometry),),
    doc="the sum of each window of an image that has its channels last",
)

SUM_POOL_SPREAD = define(
    "sum_pool_spread",
    operands=("g",),
    attrs=("size", *_ATTRS),
    infer=_sum_pool_spread_type,
    eval=_sum_pool_spread_eval,
    vjp=lambda h, x, g, size, **geometry: (apply(OPS["sum_pool"], h, **geometry),),
    doc="the transpose of sum_pool: to each element, the sum of the g of the windows that it lies in",
)


# public functions -----------------------------------------------------------------------------------------


def max_pool(
    x: TensorLike,
    window: Any,
    strides: Any = None,
    padding: Any = "VALID",
    layout: str = "NCHW",
    dilation: Any = 1,
) -> Tensor:
    """The largest element of each window, in each channel, over one, two or three spatial axes.

    Args:
        x: images `(batch, channels, *space)`, or as `layout` says; integers or floats.
        window: its size: one number for all axes, or one for each.
        strides: the distance between windows; by default the window's size.
        padding: "VALID", "SAME", numbers or pairs, as for `conv`; smaller than the window. What lies there takes no
            part.
        layout: as for `conv`.
        dilation: the distance between the elements of a window.

    Returns:
        Images `(batch, channels, *windows)`, or as `layout` says. A window with a NaN has NaN.

    Gradient:
        Where several elements are the largest, the first of them in row-major order gets it, as in PyTorch.

    Raises:
        ShapeError: a window larger than the padded image, padding not smaller than the window, wrong ranks.
        DTypeError: booleans.
        ArgumentError: an unknown layout or padding, or a stride or dilation below 1.

    >>> import graphc as gc
    >>> gc.max_pool(gc.placeholder(("batch", 3, 28, 28)), 2).type
    f32[batch,3,14,14]
    """
    image = channels_last("max_pool", as_tensor(x), layout)
    geometry = read_windows("max_pool", image.shape[1:-1], window, strides, padding, dilation)
    return in_layout("max_pool", apply(MAX_POOL, image, window=geometry.window, **geometry.attrs), layout)


def avg_pool(
    x: TensorLike,
    window: Any,
    strides: Any = None,
    padding: Any = "VALID",
    layout: str = "NCHW",
    count_include_pad: bool = False,
) -> Tensor:
    """The average of each window, in each channel, over one, two or three spatial axes.

    Args:
        x: images `(batch, channels, *space)`, or as `layout` says; floats.
        window, strides, padding, layout: as for `max_pool`.
        count_include_pad: whether the zeros of the padding count as elements: then each sum is divided by the size
            of the window, else by the number of its elements inside the image (as in TensorFlow and by default in
            ONNX; PyTorch's default is True).

    Raises:
        ShapeError, ArgumentError: as for `max_pool`.
        DTypeError: no floats.

    >>> import graphc as gc
    >>> gc.avg_pool(gc.placeholder(("batch", 3, 28, 28)), 3, strides=2, padding="SAME").type
    f32[batch,3,14,14]
    """
    image = channels_last("avg_pool", as_tensor(x), layout)
    geometry = read_windows("avg_pool", image.shape[1:-1], window, strides, padding, 1)
    sums = apply(SUM_POOL, image, window=geometry.window, **geometry.attrs)
    if count_include_pad or all(p == 0 for p in (*geometry.before, *geometry.after)):
        count: TensorLike = dims.product(geometry.window)
    else:
        ones = apply(OPS["broadcast_to"], constant(1, image.dtype), shape=(1, *image.shape[1:-1], 1))
        count = apply(SUM_POOL, ones, window=geometry.window, **geometry.attrs)
        count = in_layout("avg_pool", count, layout)
    return divide(in_layout("avg_pool", sums, layout), count)
