"""Convolutions and transposed ones as layers: Conv1D, Conv2D, Conv3D and Conv1DTranspose, ...

Invariant: the weight is (out, in/groups, *window), or (in, out/groups, *window) for the transposed ones, in every
layout of the images.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import graphc as gc
from graphc.nn import activations, initializers
from graphc.nn.activations import Activation
from graphc.nn.checking import flag, integers, one_of, per_axis, positive_integer, read_padding
from graphc.nn.initializers import Initializer
from graphc.nn.layer import Layer


class _Convolution(Layer):
    """What the layers of all ranks share; `Conv2D` lists the arguments."""

    rank: ClassVar[int]

    def __init__(
        self,
        filters: int,
        window: Any,
        strides: Any = 1,
        padding: Any = "VALID",
        activation: str | Activation | None = None,
        *,
        dilation: Any = 1,
        groups: int = 1,
        layout: str = "NCHW",
        use_bias: bool = True,
        weight_init: str | Initializer | dict[str, Any] = "glorot_uniform",
        bias_init: str | Initializer | dict[str, Any] = "zeros",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.filters = positive_integer(self.name, "filters", filters)
        self.window = per_axis(self.name, "window", window, self.rank)
        self.strides = per_axis(self.name, "strides", strides, self.rank)
        self.padding = read_padding(padding)
        self.activation = activations.get(activation)
        self.dilation = per_axis(self.name, "dilation", dilation, self.rank)
        self.groups = positive_integer(self.name, "groups", groups)
        self.layout = one_of(self.name, "layout", layout, ("NCHW", "NHWC"))
        self.use_bias = flag(self.name, "use_bias", use_bias)
        self.weight_init = initializers.get(weight_init)
        self.bias_init = initializers.get(bias_init)
        if self.filters % self.groups:
            self.refuse(gc.ArgumentError, f"{self.filters} filters do not make {self.groups} groups")

    def build(self, x: gc.Tensor) -> None:
        """Make weight and bias."""
        self._check(x)
        channels = self.extent(x, self.channel_axis, "the number of channels")
        if channels % self.groups:
            self.refuse(gc.ShapeError, f"{channels} channels do not make {self.groups} groups: {x.type!r}")
        shape, fans = self.weight_shape(channels)
        self.weight = self.parameter("weight", shape, self.weight_init, fans=fans)
        self.bias = self.parameter("bias", (self.filters,), self.bias_init) if self.use_bias else None

    def call(self, x: gc.Tensor) -> gc.Tensor:
        """activation(conv(x, weight) + bias)."""
        self._check(x)
        y = self.convolved(self.operand(x))
        if self.bias is not None:
            last = self.layout == "NHWC"
            y = y + (self.bias if last else gc.reshape(self.bias, (self.filters, *(1,) * self.rank)))
        return self.activation(y)

    @property
    def channel_axis(self) -> int:
        """Where the channels are."""
        return 1 if self.layout == "NCHW" else -1

    def weight_shape(self, channels: int) -> tuple[tuple[int, ...], tuple[int, int]]:
        """The shape of the weight, with fan in and fan out."""
        taps = math.prod(self.window)
        inner = channels // self.groups
        return (self.filters, inner, *self.window), (inner * taps, self.filters // self.groups * taps)

    def convolved(self, x: gc.Tensor) -> gc.Tensor:
        """The convolution itself."""
        return gc.conv(
            x,
            self.weight,
            strides=self.strides,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            layout=self.layout,
        )

    def _check(self, x: gc.Tensor) -> None:
        extents = ("extent", "height, width", "depth, height, width")[self.rank - 1]
        axes = f"(batch, channels, {extents})" if self.layout == "NCHW" else f"(batch, {extents}, channels)"
        self.expect_rank(x, self.rank + 2, axes)


class _Transposed(_Convolution):
    """What the transposed layers of all ranks share; `Conv2DTranspose` lists the arguments."""

    def __init__(self, filters: int, window: Any, *arguments: Any, output_padding: Any = 0, **options: Any) -> None:
        super().__init__(filters, window, *arguments, **options)
        entries = output_padding if isinstance(output_padding, (list, tuple)) else [output_padding] * self.rank
        self.output_padding = integers(self.name, "output_padding", entries)

    def weight_shape(self, channels: int) -> tuple[tuple[int, ...], tuple[int, int]]:
        """The shape of the weight, with fan in and fan out."""
        taps = math.prod(self.window)
        inner = self.filters // self.groups
        return (channels, inner, *self.window), (channels // self.groups * taps, inner * taps)

    def convolved(self, x: gc.Tensor) -> gc.Tensor:
        """The transposed convolution itself."""
        return gc.conv_transpose(
            x,
            self.weight,
            strides=self.strides,
            padding=self.padding,
            output_padding=self.output_padding,
            dilation=self.dilation,
            groups=self.groups,
            layout=self.layout,
        )


class Conv1D(_Convolution):
    """Convolution over one axis: (batch, channels, extent) -> (batch, filters, windows); arguments as for `Conv2D`.

    >>> import graphc as gc
    >>> gc.nn.Conv1D(8, 3)(gc.nn.Input((4, 10))).type
    f32[batch,8,8]
    """

    rank = 1


class Conv2D(_Convolution):
    """Convolution over two axes: (batch, channels, height, width) -> (batch, filters, *windows).

    Args:
        filters: the number of channels of the result.
        window: its size: one number for all axes, or one for each.
        strides: the distance between windows: one for all axes, or one for each.
        padding: "VALID", "SAME", a number, or for each axis a number or a pair (before, after); see `gc.conv`.
        activation: what follows, by name or as a function.
        dilation: the distance between the taps of a window.
        groups: how many groups the channels fall into; as many as channels make a depthwise convolution.
        layout: "NCHW" where the channels are axis 1, "NHWC" where they are last, for any number of extents.
        use_bias: whether a bias is added to each channel.
        weight_init, bias_init: initialisers, by name, config or as objects.

    Raises:
        ArgumentError: an argument is not what it should be.
        ShapeError: at the call: another rank, channels that are not known, have changed or do not divide into
            groups, or a window larger than the padded image.

    >>> import graphc as gc
    >>> conv = gc.nn.Conv2D(32, 3, activation="relu", name="conv")
    >>> conv(gc.nn.Input((1, 32, 32))).type, conv.weight.shape
    (f32[batch,32,30,30], (32, 1, 3, 3))
    """

    rank = 2


class Conv3D(_Convolution):
    """Convolution over three axes: (batch, channels, depth, height, width) -> (batch, filters, *windows).

    Arguments as for `Conv2D`.

    >>> import graphc as gc
    >>> gc.nn.Conv3D(8, 3, padding="SAME")(gc.nn.Input((4, 5, 6, 7))).type
    f32[batch,8,5,6,7]
    """

    rank = 3


class Conv1DTranspose(_Transposed):
    """Transposed convolution over one axis: (batch, channels, extent) -> (batch, filters, longer extent).

    Arguments as for `Conv2DTranspose`.

    >>> import graphc as gc
    >>> gc.nn.Conv1DTranspose(8, 3, strides=2)(gc.nn.Input((4, 10))).type
    f32[batch,8,21]
    """

    rank = 1


class Conv2DTranspose(_Transposed):
    """Transposed convolution over two axes: each element, times the weight, is added to its window of the result.

    Args:
        filters: the number of channels of the result.
        output_padding: how much longer the result is at its ends, where strides leave a choice.
        others: as for `Conv2D`; padding is what is cut off the result, see `gc.conv_transpose`.

    Raises:
        ArgumentError, ShapeError: as for `Conv2D`.

    >>> import graphc as gc
    >>> up = gc.nn.Conv2DTranspose(8, 3, strides=2, padding="SAME", name="up")
    >>> up(gc.nn.Input((16, 7, 7))).type, up.weight.shape
    (f32[batch,8,14,14], (16, 8, 3, 3))
    """

    rank = 2


class Conv3DTranspose(_Transposed):
    """Transposed convolution over three axes; arguments as for `Conv2DTranspose`.

    >>> import graphc as gc
    >>> gc.nn.Conv3DTranspose(8, 2, strides=2)(gc.nn.Input((4, 3, 3, 3))).type
    f32[batch,8,6,6,6]
    """

    rank = 3
