"""Transpositions: `permute_dims` that exchanges two blocks of axes, such as NCHW to NHWC, in squares.

    source [batch][rows][columns]         result [batch][columns][rows]

Read or written straight, one side of a transposition goes by single elements, a cache line for each. Squares of as
many elements as a vector has are transposed in registers instead, so many side by side and one below the other that
both sides go by cache lines. Strips are some lines wide: where the length of rows is a power of two they compete for
the same few places in the cache, and what was fetched along with a line has left it again soon.

Invariant: only elements of the source are read; edges that are no whole squares go one by one.
"""

from __future__ import annotations

import math

import numpy as np

from graphc.analysis.transposition import SIDE, as_matrices
from graphc.backends.llvm.emitter import Builder, Value, element_bytes, vector
from graphc.backends.llvm.kernel import Kernel, Split
from graphc.backends.llvm.kernels.packing import transposed
from graphc.backends.llvm.target import host_target
from graphc.ir.dims import Size
from graphc.ir.tensor import Tensor

_LINE_BYTES = 64
#: The width of a strip, in cache lines of the source.
_LINES = 4
#: Element size -> what moves. Smaller ones have smaller cache footprints, and gain little.
_ELEMENTS = {4: "float", 8: "double"}
_DTYPES: dict[str, np.dtype] = {"float": np.dtype(np.float32), "double": np.dtype(np.float64)}
#: A transposition of fewer elements fits the first-level cache, where it does not matter how it is done.
_LEAST = 1 << 12


def transposition_kernel(tensor: Tensor) -> Kernel | None:
    """The kernel of a `permute_dims` tensor, or None where its loops are as good."""
    shape = as_matrices(tensor.inputs[0].shape, tensor.attrs["axes"])
    element = _ELEMENTS.get(tensor.dtype.itemsize)
    if shape is None or element is None:
        return None
    sizes = [s for s in shape if isinstance(s, int)]
    if any(isinstance(s, int) and s < SIDE for s in shape[1:]):
        return None
    if len(sizes) == 3 and math.prod(sizes) < _LEAST:
        return None
    return _kernel(element, *shape)


def _kernel(element: str, batch: Size, rows: Size, columns: Size) -> Kernel:
    """The kernel `(source, result, batch, rows, columns, low, high)`; a turn is one strip of columns of one matrix."""
    b = Builder(
        "transpose",
        [("source", "ptr"), ("result", "ptr"),
         *((name, "i64") for name in ("batch", "rows", "columns", "low", "high"))],
        target=host_target(),
    )  # fmt: skip
    width = _LINE_BYTES // element_bytes(element)
    side = min(width, host_target().native_lanes(_DTYPES[element]))
    strip_width = _LINES * width
    rows_, columns_ = b.param("rows"), b.param("columns")
    strips = b.udiv(b.add(columns_, strip_width - 1), strip_width)
    with b.loop(b.param("low"), b.param("high")) as turn:
        matrix, first = b.udiv(turn.index, strips), b.mul(b.urem(turn.index, strips), strip_width)
        corner = b.mul(matrix, b.mul(rows_, columns_))
        source = b.gep(b.param("source"), b.add(corner, first), element)
        result = b.gep(b.param("result"), b.add(corner, b.mul(first, rows_)), element)
        across = b.intrinsic("smin", b.sub(columns_, first), strip_width)
        strip = _Strip(b, element, side, source, result)
        even, whole = b.sub(rows_, b.urem(rows_, width)), b.sub(across, b.urem(across, width))
        with b.loop(0, even, width) as row, b.loop(0, whole, width) as column:
            for right in range(0, width, side):
                for down in range(0, width, side):
                    strip.square(b.add(row.index, down), b.add(column.index, right))
        strip.singles(even, b.i64(0), whole)
        strip.singles(b.i64(0), whole, across)
    turns = (columns + strip_width - 1) // strip_width
    return Kernel(b, (batch, rows, columns), split=Split((batch, turns), 1, rows * strip_width * 2))


class _Strip:
    """A few columns of the source, which are rows of the result."""

    def __init__(self, b: Builder, element: str, side: int, source: Value, result: Value) -> None:
        self.b, self.element, self.side, self.source, self.result = b, element, side, source, result
        self.rows, self.columns = b.param("rows"), b.param("columns")

    def square(self, row: Value, column: Value) -> None:
        """The square whose corner is at this row and column."""
        b, element = self.b, self.element
        place = b.gep(self.source, b.add(b.mul(row, self.columns), column), element)
        lines = []
        for _ in range(self.side):
            lines.append(b.load(vector(element, self.side), place))
            b.prefetch(b.offset(place, _LINES * _LINE_BYTES))  # of the next strip: pieces of rows are no stream
            place = b.gep(place, self.columns, element)
        place = b.gep(self.result, b.add(b.mul(self.rows, column), row), element)
        for line in transposed(b, lines):
            b.store(line, place)
            place = b.gep(place, self.rows, element)

    def singles(self, row: Value, column: Value, end: Value) -> None:
        """The rows from `row` on of the columns from `column` to `end`, element by element."""
        b, element = self.b, self.element
        with b.loop(column, end) as across, b.loop(row, self.rows) as down:
            value = b.load(element, b.gep(self.source, b.add(b.mul(down.index, self.columns), across.index), element))
            b.store(value, b.gep(self.result, b.add(b.mul(across.index, self.rows), down.index), element))
