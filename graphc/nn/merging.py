"""Layers that make one tensor of several: Concatenate, Add, Subtract, Multiply, Average, Maximum, Minimum.

They are called with tensors, or with one list of tensors.

Invariant: none has parameters, and the dtype is what NumPy promotes the inputs to.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import graphc as gc
from graphc.nn.checking import integer, tensor
from graphc.nn.layer import Layer


class _Merge(Layer):
    """What the layers share: reading their inputs."""

    def call(self, *inputs: Any) -> gc.Tensor:
        """One tensor of them all."""
        tensors = list(inputs[0]) if len(inputs) == 1 and isinstance(inputs[0], (list, tuple)) else list(inputs)
        if not tensors:
            self.refuse(gc.ArgumentError, "takes at least one tensor")
        return self.merged([tensor(self.name, "each input", x) for x in tensors])

    def merged(self, tensors: list[gc.Tensor]) -> gc.Tensor:
        """What a subclass does."""
        raise NotImplementedError


class Concatenate(_Merge):
    """The inputs one after another along an axis; by default the last.

    Args:
        axis: which.

    Raises:
        ShapeError: at the call: they differ in rank, or in another extent.

    >>> import graphc as gc
    >>> gc.nn.Concatenate()(gc.nn.Input((3,)), gc.nn.Input((4,))).type
    f32[batch,7]
    """

    def __init__(self, axis: int = -1, **options: Any) -> None:
        super().__init__(**options)
        self.axis = integer(self.name, "axis", axis)

    def merged(self, tensors: list[gc.Tensor]) -> gc.Tensor:
        """See the class."""
        return gc.concat(tensors, axis=self.axis)


class _Elementwise(_Merge):
    """One function of two tensors, from the first to the last."""

    combine: ClassVar[Callable[[Any, Any], gc.Tensor]]

    def merged(self, tensors: list[gc.Tensor]) -> gc.Tensor:
        """See the class."""
        return functools.reduce(type(self).combine, tensors)


class Add(_Elementwise):
    """The sum of the inputs, which broadcast.

    Raises:
        ShapeError: at the call: they do not.

    >>> import graphc as gc
    >>> gc.nn.Add()([gc.nn.Input((3,)), gc.nn.Input((3,))]).type
    f32[batch,3]
    """

    combine = staticmethod(gc.add)


class Subtract(_Elementwise):
    """The first input less the others, which broadcast.

    Raises:
        ShapeError: at the call: they do not.

    >>> import graphc as gc
    >>> gc.nn.Subtract()(gc.nn.Input((3,)), gc.nn.Input((3,))).type
    f32[batch,3]
    """

    combine = staticmethod(gc.subtract)


class Multiply(_Elementwise):
    """The product of the inputs, which broadcast.

    Raises:
        ShapeError: at the call: they do not.

    >>> import graphc as gc
    >>> gc.nn.Multiply()(gc.nn.Input((3,)), gc.nn.Input((3,))).type
    f32[batch,3]
    """

    combine = staticmethod(gc.multiply)


class Maximum(_Elementwise):
    """The greatest of the inputs, elementwise; they broadcast.

    Raises:
        ShapeError: at the call: they do not.

    >>> import graphc as gc
    >>> gc.nn.Maximum()(gc.nn.Input((3,)), gc.nn.Input((3,))).type
    f32[batch,3]
    """

    combine = staticmethod(gc.maximum)


class Minimum(_Elementwise):
    """The least of the inputs, elementwise; they broadcast.

    Raises:
        ShapeError: at the call: they do not.

    >>> import graphc as gc
    >>> gc.nn.Minimum()(gc.nn.Input((3,)), gc.nn.Input((3,))).type
    f32[batch,3]
    """

    combine = staticmethod(gc.minimum)


class Average(Add):
    """The mean of the inputs, which broadcast.

    Raises:
        ShapeError: at the call: they do not.

    >>> import graphc as gc
    >>> gc.nn.Average()(gc.nn.Input((3,)), gc.nn.Input((3,))).type
    f32[batch,3]
    """

    def merged(self, tensors: list[gc.Tensor]) -> gc.Tensor:
        """See the class."""
        return super().merged(tensors) / float(len(tensors))
