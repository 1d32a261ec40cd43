"""Layers that only move elements: Flatten, Reshape, Permute.

Invariant: the first axis, the batch, stays where it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import graphc as gc
from graphc.nn.checking import integers
from graphc.nn.layer import Layer


class Flatten(Layer):
    """All axes but the first as one: (batch, ...) -> (batch, features).

    Raises:
        ShapeError: at the call: the input is a scalar.

    >>> import graphc as gc
    >>> gc.nn.Flatten()(gc.nn.Input((64, 6, 6))).type
    f32[batch,2304]
    """

    def call(self, x: gc.Tensor) -> gc.Tensor:
        """x in row-major order."""
        self.expect_axes(x, 1, "(batch, ...)")
        features: Any = 1
        for size in x.shape[1:]:
            features = features * size
        return gc.reshape(x, (x.shape[0], features))


class Reshape(Layer):
    """Each example in another shape: (batch, ...) -> (batch, *shape).

    Args:
        shape: the new extents; one may be -1, which becomes what is left.

    Raises:
        ShapeError: at the call: the numbers of elements differ.

    >>> import graphc as gc
    >>> gc.nn.Reshape((8, -1))(gc.nn.Input((64,))).type
    f32[batch,8,8]
    """

    def __init__(self, shape: Sequence[int] | int, **options: Any) -> None:
        super().__init__(**options)
        self.shape = tuple(shape) if isinstance(shape, (list, tuple)) else (shape,)

    def call(self, x: gc.Tensor) -> gc.Tensor:
        """x in row-major order."""
        self.expect_axes(x, 1, "(batch, ...)")
        shape, sizes = self.shape, x.shape[1:]
        numbers = [size for size in sizes if isinstance(size, int)]
        if len(numbers) == len(sizes) and all(isinstance(size, int) for size in shape):
            # By one example alone: of a symbolic batch it is not known to be more than 0.
            count, known = math.prod(numbers), math.prod(size for size in shape if size != -1)
            if (-1 in shape and (known == 0 or count % known)) or (-1 not in shape and count != known):
                self.refuse(
                    gc.ShapeError, f"cannot reshape the {count} elements of each example to {shape}: {x.type!r}"
                )
            shape = tuple(count // known if size == -1 else size for size in shape)
        return gc.reshape(x, (x.shape[0], *shape))


class Permute(Layer):
    """The axes of each example in another order.

    Args:
        axes: the axes 1, 2, ... of the input, in the order that they are to have.

    Raises:
        ShapeError: at the call: these are not its axes.

    >>> import graphc as gc
    >>> gc.nn.Permute((2, 3, 1))(gc.nn.Input((3, 28, 30))).type
    f32[batch,28,30,3]
    """

    def __init__(self, axes: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        self.axes = integers(self.name, "axes", axes)

    def call(self, x: gc.Tensor) -> gc.Tensor:
        """x with its axes permuted."""
        return gc.permute_dims(x, (0, *self.axes))
