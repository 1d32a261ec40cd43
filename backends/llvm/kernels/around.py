"""What the kernels that work along one axis share: an array seen as `outer` blocks of `extent` rows.

    x[o, e, i] stands at (o * extent + e) * inner + i. Along the last axis `inner` is the number 1.

Invariant: any C-contiguous array and axis is such a structure, so these kernels know three extents only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphc.backends.llvm.emitter import Builder, Value, memory_type, register_type, vector
from graphc.backends.llvm.target import Target
from graphc.ir import dims
from graphc.ir.dims import Size
from graphc.ir.types import TensorType

#: Lanes of a loop over `inner` at most: more would only help narrow integers, on long rows.
MOST_LANES = 16


@dataclass(frozen=True)
class Around:
    """The extents before, along and after an axis."""

    outer: Size
    extent: Size
    inner: Size

    @classmethod
    def axis(cls, type_: TensorType, axis: int) -> Around:
        """The block structure of an array around one of its axes."""
        shape = type_.shape
        return cls(dims.product(shape[:axis]), shape[axis], dims.product(shape[axis + 1 :]))

    @property
    def is_last(self) -> bool:
        """Whether neighbours along the axis are neighbours in memory, whatever the extents turn out to be."""
        return self.inner == 1

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The kernel's run-time arguments."""
        return (self.outer, self.extent, self.inner)

    def builder(self, name: str, target: Target, *, scratch: bool = False) -> Builder:
        """A function from x to y with the extents as arguments."""
        pointers = ["x", "y"] + ["scratch"] * scratch
        extents = ["outer", "extent", "inner"]
        return Builder(name, [(p, "ptr") for p in pointers] + [(e, "i64") for e in extents], target=target)


class Column:
    """`lanes` neighbouring columns of one block of an array: rows are loaded and stored by their number."""

    def __init__(self, b: Builder, base: Value, row_step: Value, dtype: np.dtype, lanes: int = 1) -> None:
        self.b, self.base, self.row_step, self.dtype, self.lanes = b, base, row_step, dtype, lanes
        self.element = memory_type(dtype)
        self.type = vector(register_type(dtype), lanes)

    def load(self, row: Value) -> Value:
        """The elements in this row."""
        return self.b.load_dtype(self.dtype, self._place(row), self.lanes)

    def store(self, value: Value, row: Value) -> None:
        """Write the elements in this row."""
        self.b.store_dtype(value, self._place(row), self.dtype)

    def _place(self, row: Value) -> Value:
        return self.b.gep(self.base, self.b.mul(row, self.row_step), self.element)


def start_of(
    b: Builder, base: Value, block: Value, rows: Value, inner: Value, column: Value, dtype: np.dtype
) -> Value:
    """The address of row 0 of a column in a block of an array with `rows` rows to a block."""
    index = b.add(b.mul(block, b.mul(rows, inner)), column)
    return b.gep(base, index, memory_type(dtype))


def lanes_for(dtype: np.dtype, target: Target) -> int:
    """Lanes of a loop over `inner`."""
    return min(MOST_LANES, target.native_lanes(dtype))
