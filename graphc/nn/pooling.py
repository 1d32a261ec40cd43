"""Pooling and upsampling as layers, over one to three axes.

Invariant: none has parameters; batch and channels stay.
"""

from __future__ import annotations

from typing import Any, ClassVar

import graphc as gc
from graphc.nn.checking import flag, one_of, per_axis, read_padding
from graphc.nn.layer import Layer


class _Pool(Layer):
    """What the pooling layers of all ranks share; `MaxPool2D` lists the arguments."""

    rank: ClassVar[int]

    def __init__(
        self, window: Any = 2, strides: Any = None, padding: Any = "VALID", *, layout: str = "NCHW", **options: Any
    ) -> None:
        super().__init__(**options)
        self.window = per_axis(self.name, "window", window, self.rank)
        self.strides = self.window if strides is None else per_axis(self.name, "strides", strides, self.rank)
        self.padding = read_padding(padding)
        self.layout = one_of(self.name, "layout", layout, ("NCHW", "NHWC"))

    def call(self, x: gc.Tensor) -> gc.Tensor:
        """One number for each window and channel."""
        self.expect_rank(x, self.rank + 2, "(batch, channels, *extents)")
        return self.pooled(x)

    def pooled(self, x: gc.Tensor) -> gc.Tensor:
        """What a subclass does."""
        raise NotImplementedError


class _MaxPool(_Pool):
    def pooled(self, x: gc.Tensor) -> gc.Tensor:
        return gc.max_pool(x, self.window, strides=self.strides, padding=self.padding, layout=self.layout)


class _AvgPool(_Pool):
    def __init__(self, window: Any = 2, *arguments: Any, count_include_pad: bool = False, **options: Any) -> None:
        super().__init__(window, *arguments, **options)
        self.count_include_pad = flag(self.name, "count_include_pad", count_include_pad)

    def pooled(self, x: gc.Tensor) -> gc.Tensor:
        return gc.avg_pool(
            self.operand(x),
            self.window,
            strides=self.strides,
            padding=self.padding,
            layout=self.layout,
            count_include_pad=self.count_include_pad,
        )


class MaxPool1D(_MaxPool):
    """The greatest element of each window, over one axis; arguments as for `MaxPool2D`.

    >>> import graphc as gc
    >>> gc.nn.MaxPool1D(2)(gc.nn.Input((8, 10))).type
    f32[batch,8,5]
    """

    rank = 1


class MaxPool2D(_MaxPool):
    """The greatest element of each window, over two axes: (batch, channels, height, width) -> fewer of these.

    Args:
        window: its size: one number for all axes, or one for each.
        strides: the distance between windows; by default that of the window, so that they do not overlap.
        padding: "VALID", "SAME", a number, or for each axis a number or a pair (before, after).
        layout: "NCHW" where the channels are axis 1, "NHWC" where they are last, for any number of extents.

    Raises:
        ArgumentError: an argument is not what it should be.
        ShapeError: at the call: another rank, or a window larger than the padded image.

    >>> import graphc as gc
    >>> gc.nn.MaxPool2D(2)(gc.nn.Input((32, 30, 30))).type
    f32[batch,32,15,15]
    """

    rank = 2


class MaxPool3D(_MaxPool):
    """The greatest element of each window, over three axes; arguments as for `MaxPool2D`.

    >>> import graphc as gc
    >>> gc.nn.MaxPool3D(2)(gc.nn.Input((8, 4, 4, 4))).type
    f32[batch,8,2,2,2]
    """

    rank = 3


class AvgPool1D(_AvgPool):
    """The mean of each window, over one axis; arguments as for `AvgPool2D`.

    >>> import graphc as gc
    >>> gc.nn.AvgPool1D(2)(gc.nn.Input((8, 10))).type
    f32[batch,8,5]
    """

    rank = 1


class AvgPool2D(_AvgPool):
    """The mean of each window, over two axes.

    Args:
        window, strides, padding, layout: as for `MaxPool2D`.
        count_include_pad: whether the zeros of the padding count as elements; see `gc.avg_pool`.

    Raises:
        ArgumentError, ShapeError: as for `MaxPool2D`.

    >>> import graphc as gc
    >>> gc.nn.AvgPool2D(2, padding="SAME")(gc.nn.Input((8, 5, 5))).type
    f32[batch,8,3,3]
    """

    rank = 2


class AvgPool3D(_AvgPool):
    """The mean of each window, over three axes; arguments as for `AvgPool2D`.

    >>> import graphc as gc
    >>> gc.nn.AvgPool3D(2)(gc.nn.Input((8, 4, 4, 4))).type
    f32[batch,8,2,2,2]
    """

    rank = 3


class _GlobalPool(Layer):
    """What the global layers share; `GlobalAvgPool` lists the arguments."""

    def __init__(self, *, layout: str = "NCHW", keepdims: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.layout = one_of(self.name, "layout", layout, ("NCHW", "NHWC"))
        self.keepdims = flag(self.name, "keepdims", keepdims)


class GlobalMaxPool(_GlobalPool):
    """The greatest element of each channel: (batch, channels, *extents) -> (batch, channels).

    Arguments as for `GlobalAvgPool`.

    >>> import graphc as gc
    >>> gc.nn.GlobalMaxPool()(gc.nn.Input((8, 5, 5))).type
    f32[batch,8]
    """

    def call(self, x: gc.Tensor) -> gc.Tensor:
        """See `gc.global_max_pool`."""
        return gc.global_max_pool(x, layout=self.layout, keepdims=self.keepdims)


class GlobalAvgPool(_GlobalPool):
    """The mean of each channel, over one to three axes: (batch, channels, *extents) -> (batch, channels).

    Args:
        layout: "NCHW" where the channels are axis 1, "NHWC" where they are last, for any number of extents.
        keepdims: whether the axes stay, with extent 1.

    Raises:
        ArgumentError: an argument is not what it should be.
        ShapeError: at the call: another rank.

    >>> import graphc as gc
    >>> gc.nn.GlobalAvgPool()(gc.nn.Input((8, 5, 5))).type
    f32[batch,8]
    """

    def call(self, x: gc.Tensor) -> gc.Tensor:
        """See `gc.global_avg_pool`."""
        return gc.global_avg_pool(self.operand(x), layout=self.layout, keepdims=self.keepdims)


class _AdaptivePool(Layer):
    """What the adaptive layers share; `AdaptiveAvgPool` lists the arguments."""

    def __init__(self, size: Any, *, layout: str = "NCHW", **options: Any) -> None:
        super().__init__(**options)
        self.size = per_axis(self.name, "size", size, len(size) if isinstance(size, (list, tuple)) else 1)
        self.layout = one_of(self.name, "layout", layout, ("NCHW", "NHWC"))

    def sizes(self, x: gc.Tensor) -> tuple[int, ...]:
        """One size for each axis of x between batch and channels."""
        self.expect_axes(x, 3, "(batch, channels, *extents)")
        return self.size * (x.ndim - 2) if len(self.size) == 1 else self.size


class AdaptiveMaxPool(_AdaptivePool):
    """The greatest element of each of `size` parts of each axis; arguments as for `AdaptiveAvgPool`.

    >>> import graphc as gc
    >>> gc.nn.AdaptiveMaxPool((2, 3))(gc.nn.Input((8, "h", "w"))).type
    f32[batch,8,2,3]
    """

    def call(self, x: gc.Tensor) -> gc.Tensor:
        """See `gc.adaptive_max_pool`."""
        return gc.adaptive_max_pool(x, self.sizes(x), layout=self.layout)


class AdaptiveAvgPool(_AdaptivePool):
    """The mean of each of `size` nearly equal parts of each axis, whatever its extent, over one to three axes.

    Args:
        size: how many parts: one number for all axes, or one for each.
        layout: as for `MaxPool2D`.

    Raises:
        ArgumentError: an argument is not what it should be.
        ShapeError: at the call: another rank.

    >>> import graphc as gc
    >>> gc.nn.AdaptiveAvgPool(6)(gc.nn.Input((8, 32, 20))).type
    f32[batch,8,6,6]
    """

    def call(self, x: gc.Tensor) -> gc.Tensor:
        """See `gc.adaptive_avg_pool`."""
        return gc.adaptive_avg_pool(self.operand(x), self.sizes(x), layout=self.layout)


class Upsample(Layer):
    """Images whose extents are `scale` times as large, over one to three axes.

    Args:
        scale: a whole number for all axes, or one for each.
        mode: "nearest", each element repeated; or "linear", interpolated between the centres of elements.
        layout: as for `MaxPool2D`.

    Raises:
        ArgumentError: an argument is not what it should be.
        ShapeError: at the call: another rank.

    >>> import graphc as gc
    >>> gc.nn.Upsample(2)(gc.nn.Input((8, 5, 5))).type
    f32[batch,8,10,10]
    """

    def __init__(self, scale: Any = 2, mode: str = "nearest", *, layout: str = "NCHW", **options: Any) -> None:
        super().__init__(**options)
        self.scale = per_axis(self.name, "scale", scale, len(scale) if isinstance(scale, (list, tuple)) else 1)
        self.mode = one_of(self.name, "mode", mode, ("nearest", "linear"))
        self.layout = one_of(self.name, "layout", layout, ("NCHW", "NHWC"))

    def call(self, x: gc.Tensor) -> gc.Tensor:
        """See `gc.upsample`."""
        self.expect_axes(x, 3, "(batch, channels, *extents)")
        scale = self.scale * (x.ndim - 2) if len(self.scale) == 1 else self.scale
        return gc.upsample(x, scale, mode=self.mode, layout=self.layout)
