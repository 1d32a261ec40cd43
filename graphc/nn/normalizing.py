"""Normalisation as functions of tensors: batch, layer, group and instance norm.

Invariant: all of them are (x - mean) / sqrt(variance + epsilon) * weight + bias, with the population variance;
they differ in the axes that mean and variance are taken over.
"""

from __future__ import annotations

from collections.abc import Sequence

import graphc as gc
from graphc.nn.checking import integers, positive_integer, tensor

Axes = int | Sequence[int]


def batch_norm(
    x: gc.Tensor,
    mean: gc.Tensor,
    variance: gc.Tensor,
    weight: gc.Tensor | None = None,
    bias: gc.Tensor | None = None,
    *,
    axis: int = 1,
    epsilon: float = 1e-5,
) -> gc.Tensor:
    """Each channel shifted and scaled by moments that are given, one each per channel.

    S. Ioffe, C. Szegedy: Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate
    Shift, 2015. The moments of a batch are those of `gc.nn.moments` over all axes but `axis`.

    Args:
        x: floats, with channels along `axis`.
        mean, variance, weight, bias: of shape (channels,); without weight and bias: 1 and 0.
        axis: where the channels are.
        epsilon: what is added to the variance.

    Raises:
        ShapeError: `x` has no such axis, or the shapes do not fit.

    >>> import graphc as gc
    >>> x = gc.placeholder(("n", 3, 8, 8))
    >>> gc.nn.batch_norm(x, gc.zeros(3, "float32"), gc.ones(3, "float32")).type
    f32[n,3,8,8]
    """
    x = tensor("batch_norm", "x", x)
    shape = along(x, axis)
    scale = gc.rsqrt(variance + epsilon)  # with the weight, one number per channel and one product per element
    scale = scale if weight is None else scale * weight
    return _affine((x - gc.reshape(mean, shape)) * gc.reshape(scale, shape), None, bias, shape)


def layer_norm(
    x: gc.Tensor,
    weight: gc.Tensor | None = None,
    bias: gc.Tensor | None = None,
    *,
    axes: Axes = -1,
    epsilon: float = 1e-5,
) -> gc.Tensor:
    """Each example normalised over `axes`, which come last.

    J. Ba, J. Kiros, G. Hinton: Layer Normalization, 2016.

    Args:
        x: floats.
        weight, bias: of the shape of those axes; without them: 1 and 0.
        axes: which axes.
        epsilon: what is added to the variance.

    Raises:
        ShapeError: `x` has no such axes, or the shapes do not fit.

    >>> import graphc as gc
    >>> gc.nn.layer_norm(gc.placeholder(("n", 3, 8))).type
    f32[n,3,8]
    """
    x = tensor("layer_norm", "x", x)
    return _affine(standardized(x, _axes(x, axes), epsilon), weight, bias, None)


def group_norm(
    x: gc.Tensor,
    groups: int,
    weight: gc.Tensor | None = None,
    bias: gc.Tensor | None = None,
    *,
    axis: int = 1,
    epsilon: float = 1e-5,
) -> gc.Tensor:
    """Each group of channels of each example normalised, over its channels and all other axes.

    Y. Wu, K. He: Group Normalization, 2018.

    Args:
        x: floats, of shape (batch, ...), with channels along `axis`.
        groups: their number, which divides that of the channels.
        weight, bias: of shape (channels,); without them: 1 and 0.
        axis: where the channels are.
        epsilon: what is added to the variance.

    Raises:
        ShapeError: `x` has no such axis, or its extent is not known or not a multiple of `groups`.

    >>> import graphc as gc
    >>> gc.nn.group_norm(gc.placeholder(("n", 6, "h", "w")), 2).type
    f32[n,6,h,w]
    """
    x, groups = tensor("group_norm", "x", x), positive_integer("group_norm", "groups", groups)
    (channel_axis,) = _axes(x, axis)
    channels = x.shape[channel_axis]
    if not isinstance(channels, int) or channels % groups:
        raise gc.ShapeError(f"group_norm: {channels} channels do not make {groups} groups", location=gc.location.here())
    shape = (*x.shape[:channel_axis], groups, channels // groups, *x.shape[channel_axis + 1 :])
    grouped = gc.reshape(x, shape)
    inner = [a for a in range(1, len(shape)) if a != channel_axis]
    normal = gc.reshape(standardized(grouped, inner, epsilon), x.shape)
    return _affine(normal, weight, bias, along(x, channel_axis))


def instance_norm(
    x: gc.Tensor,
    weight: gc.Tensor | None = None,
    bias: gc.Tensor | None = None,
    *,
    axis: int = 1,
    epsilon: float = 1e-5,
) -> gc.Tensor:
    """Each channel of each example normalised, over all axes but the first and `axis`.

    D. Ulyanov, A. Vedaldi, V. Lempitsky: Instance Normalization: The Missing Ingredient for Fast Stylization, 2016.

    Args:
        x: floats, of shape (batch, ...), with channels along `axis`.
        weight, bias: of shape (channels,); without them: 1 and 0.
        axis: where the channels are.
        epsilon: what is added to the variance.

    Raises:
        ShapeError: `x` has no such axis, or no others to normalise over.

    >>> import graphc as gc
    >>> gc.nn.instance_norm(gc.placeholder(("n", 6, "h", "w"))).type
    f32[n,6,h,w]
    """
    x = tensor("instance_norm", "x", x)
    (channel_axis,) = _axes(x, axis)
    inner = [a for a in range(1, x.ndim) if a != channel_axis]
    if not inner:
        raise gc.ShapeError(
            f"instance_norm: takes (batch, channels, *extents), of rank 3 or more, not {x.type!r}",
            location=gc.location.here(),
        )
    return _affine(standardized(x, inner, epsilon), weight, bias, along(x, channel_axis))


def moments(x: gc.Tensor, axes: Axes) -> tuple[gc.Tensor, gc.Tensor]:
    """Mean and population variance over `axes`, which go.

    Raises:
        ShapeError: `x` has no such axes.

    >>> import graphc as gc
    >>> mean, variance = gc.nn.moments(gc.placeholder(("n", 3)), 0)
    >>> mean.type, variance.type
    (f32[3], f32[3])
    """
    x = tensor("moments", "x", x)
    over = tuple(_axes(x, axes))
    return gc.mean(x, axis=over), gc.var(x, axis=over)


def standardized(x: gc.Tensor, axes: Sequence[int], epsilon: float) -> gc.Tensor:
    """x shifted and scaled to mean 0 and variance 1 over `axes`."""
    over = tuple(axes)
    centred = x - gc.mean(x, axis=over, keepdims=True)
    return centred * gc.rsqrt(gc.mean(centred * centred, axis=over, keepdims=True) + epsilon)


def along(x: gc.Tensor, axis: int) -> tuple[int, ...]:
    """The shape by which a vector of one number per channel broadcasts along `axis` of x."""
    (channel_axis,) = _axes(x, axis)
    return (-1, *(1 for _ in range(channel_axis + 1, x.ndim)))


def _axes(x: gc.Tensor, axes: Axes) -> list[int]:
    entries = integers("normalisation", "axis", axes)
    for axis in entries:
        if not -x.ndim <= axis < x.ndim:
            message = f"normalisation: axis {axis} is out of bounds for {x.type!r}"
            raise gc.ShapeError(message, location=gc.location.here())
    return sorted(axis % x.ndim for axis in entries)


def _affine(x: gc.Tensor, weight: gc.Tensor | None, bias: gc.Tensor | None, shape: tuple[int, ...] | None) -> gc.Tensor:
    if weight is not None:
        x = x * (weight if shape is None else gc.reshape(weight, shape))
    if bias is not None:
        x = x + (bias if shape is None else gc.reshape(bias, shape))
    return x


__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "moments"]
