"""Vectors for whole numbers (`Embedding`) and for places in a sequence (`PositionalEmbedding`).

Invariant: an index outside the table is an `IndexOutOfBoundsError` when the function runs, never another's row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gc
from graphc.nn import initializers
from graphc.nn.checking import one_of, positive_integer
from graphc.nn.initializers import Initializer
from graphc.nn.layer import Layer


class Embedding(Layer):
    """A row of a table for each index: integers of any shape (...) -> (..., units).

    Args:
        count: how many rows: indices are 0 .. count-1.
        units: the length of a row.
        weight_init: an initialiser, by name, config or as object.

    Raises:
        ArgumentError: an argument is not what it should be.
        DTypeError: at the call: the input is not of integers.

    >>> import graphc as gc
    >>> words = gc.nn.Embedding(1000, 16, name="words")
    >>> words(gc.nn.Input((10,), "int32")).type, words.weight.type
    (f32[batch,10,16], f32[1000,16])
    """

    def __init__(
        self, count: int, units: int, *, weight_init: str | Initializer | dict[str, Any] = "uniform", **options: Any
    ) -> None:
        super().__init__(**options)
        self.count = positive_integer(self.name, "count", count)
        self.units = positive_integer(self.name, "units", units)
        self.weight_init = initializers.get(weight_init)

    def build(self, indices: gc.Tensor) -> None:
        """Make the table."""
        self.weight = self.parameter("weight", (self.count, self.units), self.weight_init)

    def call(self, indices: gc.Tensor) -> gc.Tensor:
        """weight[indices]."""
        self.expect_axes(indices, 0, "integers")
        if indices.dtype.kind not in "iu":
            self.refuse(gc.DTypeError, f"takes integers, not {indices.type!r}")
        return gc.take(self.weight, indices, axis=0)


class PositionalEmbedding(Layer):
    """Adds to each place of a sequence a vector of its own: (batch, time, units) -> the same shape.

    Args:
        kind: "sinusoidal", which has no parameters: sin and cos of position / 10000**(2i / units), the sines in
            the first half of the units and the cosines in the second; or "learned".
        length: for "learned", the length of the longest sequence.
        weight_init: for "learned", an initialiser, by name, config or as object.

    The formula: A. Vaswani and others: Attention Is All You Need, 2017, section 3.5, which has sines and cosines
    by turns; the order makes no difference to a net.

    Raises:
        ArgumentError: an argument is not what it should be.
        ShapeError: at the call: the input is not of rank 3, its last extent not known, or it is too long.

    >>> import graphc as gc
    >>> gc.nn.PositionalEmbedding()(gc.nn.Input(("time", 16))).type
    f32[batch,time,16]
    """

    weight: gc.Variable | None

    def __init__(
        self,
        kind: str = "sinusoidal",
        *,
        length: int | None = None,
        weight_init: str | Initializer | dict[str, Any] = "uniform",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.kind = one_of(self.name, "kind", kind, ("sinusoidal", "learned"))
        self.length = None if length is None else positive_integer(self.name, "length", length)
        self.weight_init = initializers.get(weight_init)
        if self.kind == "learned" and length is None:
            self.refuse(gc.ArgumentError, "a learned table needs the length of the longest sequence")

    def build(self, x: gc.Tensor) -> None:
        """Make the table, where it is learned."""
        self.expect_rank(x, 3, "(batch, time, units)")
        units = self.extent(x, 2, "the number of units")
        learned = self.kind == "learned"
        self.weight = self.parameter("weight", (self.length or 0, units), self.weight_init) if learned else None

    def call(self, x: gc.Tensor) -> gc.Tensor:
        """x plus the vectors of its places."""
        self.expect_rank(x, 3, "(batch, time, units)")
        x = self.operand(x)
        time, units = x.shape[1], self.extent(x, 2, "the number of units")
        if self.weight is None:
            return x + sinusoids(time, units, x.dtype)
        if isinstance(time, int):
            if time > self.weight.storage.shape[0]:
                self.refuse(gc.ShapeError, f"the longest sequence has length {self.length}, not {time}")
            return x + self.weight[:time]
        return x + gc.take(self.weight, gc.arange(time), axis=0)


def sinusoids(length: Any, units: int, dtype: Any = "float32") -> gc.Tensor:
    """The table (length, units) of A. Vaswani and others, 2017; see `PositionalEmbedding`.

    Args:
        length: a number or a symbolic size.
        units: the length of a row; where it is odd, there is one sine more.
        dtype: float32 or float64; it is computed in float64.

    >>> import graphc as gc
    >>> gc.nn.sinusoids(10, 16).type
    f32[10,16]
    """
    sines = (units + 1) // 2
    rates = 10000.0 ** (-2.0 * np.arange(sines) / units)
    angles = gc.expand_dims(gc.astype(gc.arange(length), "float64"), 1) * gc.constant(rates)
    table = gc.concat([gc.sin(angles), gc.cos(angles[:, : units - sines])], axis=1)
    return gc.astype(table, dtype)
