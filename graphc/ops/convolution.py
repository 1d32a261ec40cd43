"""Convolution: the three ops that make one family, and the public functions.

With x an image, w the weights and y the result, the sum over all windows and taps of x * w * y is linear in each of
the three. Each op is its derivative by one of them, so their gradients are one another:

    conv(x, w)            by y    (batch, *windows, out)
    conv_transpose(y, w)  by x    (batch, *space, in)        the gradient of conv by its image
    conv_weights(x, y)    by w    (out, in/groups, *window)  the gradient of conv by its weights

As everywhere in nets, the window is not flipped: this is what signal processing calls correlation.

Invariant: images have their channels last, whatever layout the user has; what lies in the padding takes no part in
a sum (so an infinite weight on it makes no NaN). Floats only.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, ShapeError
from graphc.ir import dims
from graphc.ir.build import TensorLike, apply, promote
from graphc.ir.dims import Size
from graphc.ir.location import here
from graphc.ir.opdef import OPS, define
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType
from graphc.ir.verify import require_equal
from graphc.ops.arguments import as_integer
from graphc.ops.windows import (
    Sizes,
    Windows,
    channels_last,
    check_operands,
    in_layout,
    known_counts,
    per_axis,
    read_padding,
    read_windows,
    require_at_least,
    span,
    taps,
    window_counts,
)

# type rules -----------------------------------------------------------------------------------------------


def _check(first: TensorType, second: TensorType, groups: int) -> None:
    check_operands(first, second)
    if groups < 1:
        raise ArgumentError("groups must be at least 1")


def _share(channels: Size, groups: int, which: str) -> Size:
    """The channels of one group."""
    rule = f"the {which} channels do not divide into {groups} groups"
    require_equal(dims.floordiv(channels, groups) * groups, channels, rule)
    return dims.floordiv(channels, groups)


def _conv_type(
    x: TensorType, w: TensorType, *, strides: Any, before: Sizes, after: Sizes, dilation: Any, groups: int
) -> TensorType:
    _check(x, w, groups)
    require_equal(x.shape[-1], w.shape[1] * groups, "the channels of x are not those that w takes, times groups")
    _share(w.shape[0], groups, "output")
    counts = window_counts(x.shape[1:-1], w.shape[2:], strides, before, after, dilation)
    return x.with_shape((x.shape[0], *counts, w.shape[0]))


def _conv_transpose_type(
    y: TensorType, w: TensorType, *, size: Sizes, strides: Any, before: Sizes, after: Sizes, dilation: Any, groups: int
) -> TensorType:
    _check(y, w, groups)
    require_equal(y.shape[-1], w.shape[0], "the channels of x are not those that w takes")
    _share(w.shape[0], groups, "input")
    counts = window_counts(size, w.shape[2:], strides, before, after, dilation)
    for count, extent in zip(counts, y.shape[1:-1]):
        require_equal(count, extent, "the size of the result does not fit")
    return y.with_shape((y.shape[0], *size, w.shape[1] * groups))


def _conv_weights_type(
    x: TensorType, y: TensorType, *, window: Sizes, strides: Any, before: Sizes, after: Sizes, dilation: Any,
    groups: int,
) -> TensorType:  # fmt: skip
    _check(x, y, groups)
    require_equal(x.shape[0], y.shape[0], "the batches differ")
    _share(y.shape[-1], groups, "output")
    counts = window_counts(x.shape[1:-1], window, strides, before, after, dilation)
    for count, extent in zip(counts, y.shape[1:-1]):
        require_equal(count, extent, "the number of windows differs")
    return x.with_shape((y.shape[-1], _share(x.shape[-1], groups, "input"), *window))


# evaluation: tap by tap, each a matrix product of the elements that the tap meets ---------------------------

_Geometry = tuple[int, ...]


def _grouped(image: np.ndarray, groups: int) -> np.ndarray:
    return image.reshape(*image.shape[:-1], groups, image.shape[-1] // groups)


def _conv_eval(
    x: np.ndarray, w: np.ndarray, *, strides: _Geometry, before: _Geometry, after: _Geometry, dilation: _Geometry,
    groups: int,
) -> np.ndarray:  # fmt: skip
    extents, window = x.shape[1:-1], w.shape[2:]
    counts = known_counts(extents, window, strides, before, after, dilation)
    result = np.zeros((x.shape[0], *counts, w.shape[0]), x.dtype)
    for tap, inside, outside in taps(extents, counts, window, strides, before, dilation):
        weights = _of_tap(w, tap)
        if groups == 1:
            result[outside] += x[inside] @ weights.T
        else:
            part = np.einsum("...gi,goi->...go", _grouped(x[inside], groups), _of_groups(weights, groups))
            result[outside] += part.reshape(result[outside].shape)
    return result


def _conv_transpose_eval(
    y: np.ndarray, w: np.ndarray, *, size: _Geometry, strides: _Geometry, before: _Geometry, after: _Geometry,
    dilation: _Geometry, groups: int,
) -> np.ndarray:  # fmt: skip
    result = np.zeros((y.shape[0], *size, w.shape[1] * groups), y.dtype)
    for tap, inside, outside in taps(size, y.shape[1:-1], w.shape[2:], strides, before, dilation):
        weights = _of_tap(w, tap)
        if groups == 1:
            result[inside] += y[outside] @ weights
        else:
            part = np.einsum("...go,goi->...gi", _grouped(y[outside], groups), _of_groups(weights, groups))
            result[inside] += part.reshape(result[inside].shape)
    return result


def _conv_weights_eval(
    x: np.ndarray, y: np.ndarray, *, window: _Geometry, strides: _Geometry, before: _Geometry, after: _Geometry,
    dilation: _Geometry, groups: int,
) -> np.ndarray:  # fmt: skip
    result = np.zeros((y.shape[-1], x.shape[-1] // groups, *window), x.dtype)
    for tap, inside, outside in taps(x.shape[1:-1], y.shape[1:-1], window, strides, before, dilation):
        place = _of_tap(result, tap)
        if groups == 1:
            axes = tuple(range(x.ndim - 1))
            place[...] = np.tensordot(y[outside], x[inside], (axes, axes))
        else:
            part = np.einsum("pgo,pgi->goi", _pixels(y[outside], groups), _pixels(x[inside], groups))
            place[...] = part.reshape(place.shape)
    return result


def _of_tap(weights: np.ndarray, tap: tuple[int, ...]) -> np.ndarray:
    """The weights (out, in) of one tap, as a view."""
    index: tuple[Any, ...] = (slice(None), slice(None), *tap)
    found: np.ndarray = weights[index]
    return found


def _pixels(image: np.ndarray, groups: int) -> np.ndarray:
    return image.reshape(math.prod(image.shape[:-1]), groups, image.shape[-1] // groups)


def _of_groups(weights: np.ndarray, groups: int) -> np.ndarray:
    return weights.reshape(groups, weights.shape[0] // groups, weights.shape[1])


# gradients ------------------------------------------------------------------------------------------------


def _conv_gradient(g: Tensor, y: Tensor, x: Tensor, w: Tensor, **attrs: Any) -> tuple[Tensor, Tensor]:
    return (
        apply(OPS["conv_transpose"], g, w, size=x.shape[1:-1], **attrs),
        apply(OPS["conv_weights"], x, g, window=w.shape[2:], **attrs),
    )


def _conv_transpose_gradient(
    g: Tensor, x: Tensor, y: Tensor, w: Tensor, *, size: Sizes, **attrs: Any
) -> tuple[Tensor, Tensor]:
    return apply(OPS["conv"], g, w, **attrs), apply(OPS["conv_weights"], g, y, window=w.shape[2:], **attrs)


def _conv_weights_gradient(
    g: Tensor, w: Tensor, x: Tensor, y: Tensor, *, window: Sizes, **attrs: Any
) -> tuple[Tensor, Tensor]:
    return apply(OPS["conv_transpose"], y, g, size=x.shape[1:-1], **attrs), apply(OPS["conv"], x, g, **attrs)


_ATTRS = ("strides", "before", "after", "dilation", "groups")

CONV = define(
    "conv",
    operands=("x", "w"),
    attrs=_ATTRS,
    infer=_conv_type,
    eval=_conv_eval,
    vjp=_conv_gradient,
    doc="the sums of products of weights with the windows of an image that has its channels last",
)

CONV_TRANSPOSE = define(
    "conv_transpose",
    operands=("x", "w"),
    attrs=("size", *_ATTRS),
    infer=_conv_transpose_type,
    eval=_conv_transpose_eval,
    vjp=_conv_transpose_gradient,
    doc="the transpose of conv by its image: each element, times the weights, added to its window of the result",
)

CONV_WEIGHTS = define(
    "conv_weights",
    operands=("x", "y"),
    attrs=("window", *_ATTRS),
    infer=_conv_weights_type,
    eval=_conv_weights_eval,
    vjp=_conv_weights_gradient,
    doc="the transpose of conv by its weights: the products of an image with a result of conv, summed for each weight",
)


# public functions -----------------------------------------------------------------------------------------


def conv(
    x: TensorLike,
    w: TensorLike,
    strides: Any = 1,
    padding: Any = "VALID",
    dilation: Any = 1,
    groups: int = 1,
    layout: str = "NCHW",
) -> Tensor:
    """Convolution (in the sense of nets: the window is not flipped) over one, two or three spatial axes.

    Args:
        x: images `(batch, channels, *space)`, or as `layout` says; float32 or float64. Batch and space may have
            symbolic sizes.
        w: weights `(out, channels/groups, *window)` in every layout, as in ONNX and PyTorch.
        strides: the distance between windows: one for all axes, or one for each.
        padding: "VALID", none; "SAME", as much as makes `ceil(extent / stride)` windows, the odd one behind; a number
            for all ends; or for each axis a number or a pair `(before, after)`.
        dilation: the distance between the taps of a window: one for all axes, or one for each.
        groups: the channels in and out fall into so many groups, and each group out sees only its group in; as many
            groups as channels make a depthwise convolution.
        layout: "NCHW" or "NHWC", for any number of spatial axes; or "NCL", "NCW", "NLC", "NWC" for one, "NCDHW",
            "NDHWC" for three.

    Returns:
        Images `(batch, out, *windows)`, or as `layout` says.

    Raises:
        ShapeError: channels that differ or do not divide into groups, a window larger than the padded image, ranks
            that do not fit.
        DTypeError: no floats.
        ArgumentError: an unknown layout or padding, or a stride or dilation below 1.

    >>> import graphc as gc
    >>> gc.conv(gc.placeholder(("batch", 3, 32, 32)), gc.placeholder((16, 3, 3, 3)), padding="SAME").type
    f32[batch,16,32,32]
    """
    image, weights = promote(x, w)
    image = channels_last("conv", image, layout)
    _check_weights("conv", image, weights)
    geometry = read_windows("conv", image.shape[1:-1], weights.shape[2:], strides, padding, dilation)
    count = as_integer("conv", "groups", groups, least=1)
    return in_layout("conv", apply(CONV, image, weights, **geometry.attrs, groups=count), layout)


def conv_transpose(
    x: TensorLike,
    w: TensorLike,
    strides: Any = 1,
    padding: Any = "VALID",
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    layout: str = "NCHW",
) -> Tensor:
    """Transposed convolution: the gradient of `conv` by its image, as a function of its own (PyTorch's semantics).

    Each element of `x`, times the weights, is added to its window of the result; so with strides the result is that
    much larger.

    Args:
        x: images `(batch, channels, *space)`, or as `layout` says; float32 or float64.
        w: weights `(channels, out/groups, *window)` in every layout.
        strides: the distance between windows of the result.
        padding: what is cut off the result's ends: "VALID", nothing; "SAME", as much as leaves `extent * stride`; or
            numbers or pairs as for `conv`.
        output_padding: how much longer the result is at its end; less than the stride, as `conv` with strides gives
            one extent for several.
        dilation, groups, layout: as for `conv`.

    Returns:
        Images `(batch, out, *size)`, with `(extent-1)*stride - before - after + (window-1)*dilation + 1 +
        output_padding` for each size.

    Raises:
        ShapeError, DTypeError, ArgumentError: as for `conv`; and an output padding that is not below the stride.

    >>> import graphc as gc
    >>> gc.conv_transpose(gc.placeholder((8, 16, 7, 7)), gc.placeholder((16, 4, 3, 3)), strides=2, padding="SAME").type
    f32[8,4,14,14]
    """
    image, weights = promote(x, w)
    image = channels_last("conv_transpose", image, layout)
    _check_weights("conv_transpose", image, weights)
    rank = image.ndim - 2
    extra = per_axis("conv_transpose", "output_padding", output_padding, rank)
    geometry, size = _transposed_geometry(image.shape[1:-1], weights.shape[2:], strides, padding, extra, dilation)
    count = as_integer("conv_transpose", "groups", groups, least=1)
    return in_layout(
        "conv_transpose", apply(CONV_TRANSPOSE, image, weights, size=size, **geometry.attrs, groups=count), layout
    )


def _check_weights(function: str, image: Tensor, weights: Tensor) -> None:
    if weights.ndim != image.ndim:
        raise ShapeError(
            f"{function}: x has {image.ndim - 2} spatial axes, so w must have rank {image.ndim}: w is {weights.type!r}",
            location=here(),
        )


def _transposed_geometry(
    extents: Sizes, window: Sizes, strides: Any, padding: Any, extra: Sizes, dilation: Any
) -> tuple[Windows, Sizes]:
    """The convolution that is transposed, and the spatial shape of its image."""
    plain = read_windows("conv_transpose", extents, window, strides, "VALID", dilation)
    ends = read_padding("conv_transpose", padding, len(extents))
    before: list[Size] = []
    after: list[Size] = []
    sizes: list[Size] = []
    for axis, (n, k, s, d) in enumerate(zip(extents, plain.window, plain.strides, plain.dilation)):
        if ends is None:  # extent * stride remain
            total = dims.maximum(span(k, d) - s, 0)
            b, a, size = dims.floordiv(total, 2), total - dims.floordiv(total, 2), n * s
        else:
            (b, a), size = ends[axis], (n - 1) * s + span(k, d) + extra[axis]
            size = size - b - a
            longer = extra[axis]
            if isinstance(longer, int) and longer >= s:
                raise ArgumentError(
                    f"conv_transpose: output_padding {longer} must be less than the stride, {s}", location=here()
                )
        require_at_least_here("conv_transpose", size)
        before.append(b)
        after.append(a)
        sizes.append(size)
    return Windows(plain.window, plain.strides, tuple(before), tuple(after), plain.dilation), tuple(sizes)


def require_at_least_here(function: str, size: Size) -> None:
    """Refuse a result of a negative extent.

    Raises:
        ShapeError: it is a negative number.
    """
    try:
        require_at_least(size, 0, f"{function}: more is cut off than there is: the size would be {size}")
    except ShapeError as error:
        raise ShapeError(error.message, location=here()) from None
