"""Dropout: zeroing elements at random in training.

Invariant: in inference it is the identity. In training each call of a layer draws fresh numbers: they follow from
the layer's `seed` variable, which every call raises by one, and from the layer's name.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

import graphc as gc
from graphc.nn.checking import fraction, integers, one_of, tensor
from graphc.nn.layer import Layer


def dropout(x: gc.Tensor, rate: float, *, seed: Any, stream: int = 0, shared_axes: Sequence[int] = ()) -> gc.Tensor:
    """Each element is 0 with probability `rate`, else divided by 1 - rate, so that the mean stays.

    N. Srivastava and others: Dropout: A Simple Way to Prevent Neural Networks from Overfitting, 2014.

    Args:
        x: floats of any shape.
        rate: the probability, at least 0 and below 1.
        seed, stream: as for `gc.random.uniform`.
        shared_axes: axes along which all elements share one draw.

    Raises:
        ArgumentError: `rate` is not in 0 <= rate < 1.
        ShapeError: `x` has no such axis.

    >>> import graphc as gc
    >>> gc.nn.dropout(gc.placeholder(("n", 3)), 0.5, seed=1).type
    f32[n,3]
    """
    x, rate = tensor("dropout", "x", x), fraction("dropout", "rate", rate)
    shared = {_axis(x, axis) for axis in integers("dropout", "shared_axes", shared_axes)}
    shape = tuple(1 if axis in shared else size for axis, size in enumerate(x.shape))
    keep = gc.random.uniform(shape, dtype=x.dtype, seed=seed, stream=stream) >= rate
    return gc.where(keep, x * (1.0 / (1.0 - rate)), 0.0)


def _axis(x: gc.Tensor, axis: int) -> int:
    if -x.ndim <= axis < x.ndim:
        return axis % x.ndim
    raise gc.ShapeError(f"dropout: axis {axis} is out of bounds for {x.type!r}", location=gc.location.here())


class Dropout(Layer):
    """Zeroes elements with probability `rate` in training, and scales the others by 1 / (1 - rate).

    Each call in a program draws anew at each run; called within the step of a `gc.scan`, it is called once, and all
    steps drop the same elements (Y. Gal, Z. Ghahramani: A Theoretically Grounded Application of Dropout in Recurrent
    Neural Networks, 2016).

    Args:
        rate: the probability, at least 0 and below 1.
        shared_axes: axes along which all elements share one draw.

    Raises:
        ArgumentError: `rate` is not in 0 <= rate < 1.

    >>> import graphc as gc
    >>> drop, x = gc.nn.Dropout(0.5, name="drop"), gc.nn.Input((3,))
    >>> with gc.nn.training() as updates:
    ...     y = drop(x)
    >>> y.type, list(drop.state), list(updates.values())[0].type
    (f32[batch,3], ['drop.seed'], i64[])
    """

    def __init__(self, rate: float, *, shared_axes: Sequence[int] = (), **options: Any) -> None:
        super().__init__(**options)
        self.rate = fraction(self.name, "rate", rate)
        self.shared_axes = integers(self.name, "shared_axes", shared_axes)

    def build(self, x: gc.Tensor) -> None:
        """Make the seed."""
        self._seed = self.state_variable("seed", np.int64(self.first_seed))

    def _redraw(self) -> None:
        self._seed.assign(np.int64(self.first_seed))

    def call(self, x: gc.Tensor) -> gc.Tensor:
        """See `dropout`; x itself in inference."""
        x = self.operand(x)
        if not self.in_training or self.rate == 0:
            return x
        seed = self.current(self._seed)
        self.update(self._seed, seed + 1)
        # Name or place select the stream: layers whose seeds are neighbours do not draw each other's numbers.
        stream = zlib.crc32(self.name.encode()) if self._place_seed is None else self._place_seed
        return dropout(x, self.rate, seed=seed, stream=stream, shared_axes=self.dropped_together(x))

    def dropped_together(self, x: gc.Tensor) -> Sequence[int]:
        """The axes along which all elements share one draw."""
        return self.shared_axes


class SpatialDropout(Dropout):
    """Dropout of whole channels of a (batch, channels, *extents) tensor, or (batch, *extents, channels).

    J. Tompson and others: Efficient Object Localization Using Convolutional Networks, 2015.

    Args:
        rate: the probability, at least 0 and below 1.
        layout: "NCHW" where the channels are axis 1, "NHWC" where they are last, for any number of extents.

    Raises:
        ArgumentError: an argument is not what it should be.

    >>> import graphc as gc
    >>> gc.nn.SpatialDropout(0.2)(gc.nn.Input((3, 8, 8))).type
    f32[batch,3,8,8]
    """

    def __init__(self, rate: float, *, layout: str = "NCHW", **options: Any) -> None:
        super().__init__(rate, **options)
        self.layout = one_of(self.name, "layout", layout, ("NCHW", "NHWC"))

    def dropped_together(self, x: gc.Tensor) -> Sequence[int]:
        """The axes of the extents."""
        self.expect_axes(x, 3, "(batch, channels, *extents)")
        return tuple(range(2, x.ndim) if self.layout == "NCHW" else range(1, x.ndim - 1))
