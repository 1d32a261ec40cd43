"""The layers of `normalizing.py`, with weights, biases and running moments.

Invariant: only `BatchNorm` has state, and only a `training()` block changes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import graphc as gc
from graphc.nn.checking import flag, fraction, integer, integers, positive_integer, positive_number
from graphc.nn.layer import Layer
from graphc.nn.normalizing import batch_norm, group_norm, instance_norm, layer_norm, moments


class _Normalization(Layer):
    """What the layers share: epsilon, and whether there are weight and bias.

    Args:
        epsilon: what is added to the variance.
        scale: whether there is a weight, at first 1.
        center: whether there is a bias, at first 0.
    """

    weight: gc.Variable | None
    bias: gc.Variable | None

    def __init__(self, *, epsilon: float = 1e-5, scale: bool = True, center: bool = True, **options: Any) -> None:
        super().__init__(**options)
        self.epsilon = positive_number(self.name, "epsilon", epsilon)
        self.scale = flag(self.name, "scale", scale)
        self.center = flag(self.name, "center", center)

    def affine(self, shape: tuple[int, ...]) -> None:
        """Make weight and bias, as far as they are wanted."""
        self.weight = self.parameter("weight", shape, "ones") if self.scale else None
        self.bias = self.parameter("bias", shape, "zeros") if self.center else None

    def channels(self, x: gc.Tensor, axis: int) -> int:
        """The number of channels along `axis`."""
        self.expect_axes(x, axis + 1 if axis >= 0 else -axis, "a batch with channels")
        return self.extent(x, axis, "the number of channels")


class BatchNorm(_Normalization):
    """Each channel normalised by the moments of the batch in training, by running ones in inference.

    The running moments are `momentum * old + (1 - momentum) * batch`; the variance among them is the unbiased
    one, as in the paper: S. Ioffe, C. Szegedy: Batch Normalization, 2015. A frozen layer (`trainable = False`)
    uses and keeps its running moments in training, too.

    Args:
        axis: where the channels are: 1, or -1 for the last.
        momentum: what the running moments keep at each step (Keras counts likewise; PyTorch's is 1 less this).
        epsilon: what is added to the variance.
        scale, center: whether there is a weight, and a bias.

    Raises:
        ArgumentError: an argument is not what it should be.
        ShapeError: at the call: the input has no such axis, or its extent is not known.

    >>> import graphc as gc
    >>> norm, x = gc.nn.BatchNorm(name="norm"), gc.nn.Input((3, 8, 8))
    >>> with gc.nn.training() as updates:
    ...     y = norm(x)
    >>> y.type, list(norm.parameters), [variable.name for variable in updates]
    (f32[batch,3,8,8], ['norm.weight', 'norm.bias'], ['norm.mean', 'norm.variance'])
    """

    def __init__(self, axis: int = 1, *, momentum: float = 0.9, **options: Any) -> None:
        super().__init__(**options)
        self.axis = integer(self.name, "axis", axis)
        self.momentum = fraction(self.name, "momentum", momentum)

    def build(self, x: gc.Tensor) -> None:
        """Make weight, bias and running moments."""
        channels = self.channels(x, self.axis)
        self.affine((channels,))
        self.mean = self.state_variable("mean", np.zeros(channels, self.compute_dtype))
        self.variance = self.state_variable("variance", np.ones(channels, self.compute_dtype))

    def call(self, x: gc.Tensor) -> gc.Tensor:
        """See `gc.nn.batch_norm`."""
        x = self.operand(x)
        self.channels(x, self.axis)
        mean, variance = self._moments(x) if self.in_training and self.trainable else (self.mean, self.variance)
        return batch_norm(x, mean, variance, self.weight, self.bias, axis=self.axis, epsilon=self.epsilon)

    def _moments(self, x: gc.Tensor) -> tuple[gc.Tensor, gc.Tensor]:
        """Those of the batch, which the running ones are moved towards."""
        axes = [a for a in range(x.ndim) if a != self.axis % x.ndim]
        mean, variance = moments(x, axes)
        count: Any = 1
        for axis in axes:
            count = count * x.shape[axis]
        number = gc.astype(count, x.dtype)
        self._track(self.mean, mean)
        self._track(self.variance, variance * (number / gc.maximum(number - 1.0, 1.0)))
        return mean, variance

    def _track(self, running: gc.Variable, value: gc.Tensor) -> None:
        old = self.current(running)
        self.update(running, old * self.momentum + gc.stop_gradient(value) * (1.0 - self.momentum))


class LayerNorm(_Normalization):
    """Each example normalised over its last axis, or several last axes.

    J. Ba, J. Kiros, G. Hinton: Layer Normalization, 2016.

    Args:
        axes: one axis or several; all that follow the first of them.
        epsilon: what is added to the variance.
        scale, center: whether there is a weight, and a bias, both of the shape of those axes.

    Raises:
        ArgumentError: an argument is not what it should be.
        ShapeError: at the call: the input has no such axes, they are not the last, or not known.

    >>> import graphc as gc
    >>> gc.nn.LayerNorm()(gc.nn.Input((10, 64))).type
    f32[batch,10,64]
    """

    def __init__(self, axes: int | Sequence[int] = -1, **options: Any) -> None:
        super().__init__(**options)
        self.axes = integers(self.name, "axes", axes)
        if not self.axes:
            self.refuse(gc.ArgumentError, "axes must name at least one axis")

    def build(self, x: gc.Tensor) -> None:
        """Make weight and bias."""
        self.affine(tuple(self.extent(x, axis, "the extent to normalise over") for axis in self._last(x)))

    def call(self, x: gc.Tensor) -> gc.Tensor:
        """See `gc.nn.layer_norm`."""
        x = self.operand(x)
        return layer_norm(x, self.weight, self.bias, axes=self._last(x), epsilon=self.epsilon)

    def _last(self, x: gc.Tensor) -> list[int]:
        self.expect_axes(x, max(-min(self.axes), max(self.axes) + 1), f"an input with axes {self.axes}")
        axes = sorted(axis % x.ndim for axis in self.axes)
        if axes != list(range(x.ndim - len(axes), x.ndim)):
            self.refuse(gc.ShapeError, f"axes {self.axes} are not the last of {x.type!r}")
        return axes


class GroupNorm(_Normalization):
    """Each group of channels of each example normalised.

    Y. Wu, K. He: Group Normalization, 2018.

    Args:
        groups: their number, which divides that of the channels.
        axis: where the channels are: 1, or -1 for the last.
        epsilon: what is added to the variance.
        scale, center: whether there is a weight, and a bias, one number per channel.

    Raises:
        ArgumentError: an argument is not what it should be.
        ShapeError: at the call: the number of channels is not known, or no multiple of `groups`.

    >>> import graphc as gc
    >>> gc.nn.GroupNorm(2)(gc.nn.Input((6, 8, 8))).type
    f32[batch,6,8,8]
    """

    def __init__(self, groups: int, *, axis: int = 1, **options: Any) -> None:
        super().__init__(**options)
        self.groups = positive_integer(self.name, "groups", groups)
        self.axis = integer(self.name, "axis", axis)

    def build(self, x: gc.Tensor) -> None:
        """Make weight and bias."""
        channels = self.channels(x, self.axis)
        if channels % self.groups:
            self.refuse(gc.ShapeError, f"{channels} channels do not make {self.groups} groups: {x.type!r}")
        self.affine((channels,))

    def call(self, x: gc.Tensor) -> gc.Tensor:
        """See `gc.nn.group_norm`."""
        x = self.operand(x)
        return group_norm(x, self.groups, self.weight, self.bias, axis=self.axis, epsilon=self.epsilon)


class InstanceNorm(_Normalization):
    """Each channel of each example normalised over its extents.

    D. Ulyanov, A. Vedaldi, V. Lempitsky: Instance Normalization, 2016.

    Args:
        axis: where the channels are: 1, or -1 for the last.
        epsilon: what is added to the variance.
        scale, center: whether there is a weight, and a bias, one number per channel.

    Raises:
        ArgumentError: an argument is not what it should be.
        ShapeError: at the call: the input has no extents, or the number of channels is not known.

    >>> import graphc as gc
    >>> gc.nn.InstanceNorm()(gc.nn.Input((6, 8, 8))).type
    f32[batch,6,8,8]
    """

    def __init__(self, axis: int = 1, **options: Any) -> None:
        super().__init__(**options)
        self.axis = integer(self.name, "axis", axis)

    def build(self, x: gc.Tensor) -> None:
        """Make weight and bias."""
        self.expect_axes(x, 3, "(batch, channels, *extents)")
        self.affine((self.channels(x, self.axis),))

    def call(self, x: gc.Tensor) -> gc.Tensor:
        """See `gc.nn.instance_norm`."""
        return instance_norm(self.operand(x), self.weight, self.bias, axis=self.axis, epsilon=self.epsilon)
