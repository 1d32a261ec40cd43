"""Lines of a matrix that lies otherwise than C-contiguous: reversed, spaced, cut out of longer ones, repeated.

Invariant: only elements of the matrix are read; what lies between and beyond them may be no memory at all.
"""

from __future__ import annotations

from typing import NamedTuple

from graphc.backends.llvm.emitter import Builder, Value, element_type, lanes_of
from graphc.backends.llvm.kernels.packing import load_some
from graphc.ir.tensor import Tensor


class Lines(NamedTuple):
    """How the lines of a matrix lie in its base, whose rows are `pitch` elements long.

    Attributes:
        step: how many rows of the base it is from line to line; 0 where all are one.
        inner: how many elements it is from one to the next of a line.
    """

    step: int = 1
    inner: int = 1

    def first(self, b: Builder, base: Value, element: str, lines: Value, length: Value, pitch: Value) -> Value:
        """The address of the first line's first element, for so many lines of this length."""
        row = b.mul(b.sub(lines, 1), -self.step) if self.step < 0 else b.i64(0)
        column = b.mul(b.sub(length, 1), -self.inner) if self.inner < 0 else b.i64(0)
        return b.gep(base, b.add(b.mul(row, pitch), column), element)

    def load(self, b: Builder, type_: str, line: Value, index: Value, mask: Value | None = None) -> Value:
        """A vector of a line from this index on; zeros in the lanes that are not of the mask."""
        element, lanes, inner = element_type(type_), lanes_of(type_), self.inner
        place = b.gep(line, b.mul(index, inner), element)
        if inner == 1 or lanes == 1:
            return load_some(b, type_, place, mask)
        if inner == 0:
            value = b.splat(b.load(element, place), lanes)
            return value if mask is None else b.select(mask, value, b.const(type_, 0))
        if mask is not None or abs(inner) > 2:
            return b.gather(element, b.gep(place, b.mul(b.iota("i64", lanes), inner), element), mask)
        low = b.gep(place, min(0, inner * (lanes - 1)), element)
        value = b.load(type_, low)
        if abs(inner) == 2:  # the second vector ends with the last element
            second = b.load(type_, b.gep(low, lanes - 1, element))
            value = b.shuffle(value, second, [i if i < lanes else i + 1 for i in range(0, 2 * lanes, 2)])
        return b.reverse(value) if inner < 0 else value


def lines_of(view: Tensor) -> Lines | None:
    """How a matrix lies that `analysis.layouts.Layout.view_of` made of a base; None if not in lines of it."""
    repeated = [False, False]
    if view.op.name == "broadcast_to" and view.inputs[0].ndim == 2:
        repeated = [before == 1 and after != 1 for before, after in zip(view.inputs[0].shape, view.shape)]
        view = view.inputs[0]
    rank = 2
    if view.op.name == "reshape" and repeated[1]:  # of a base of longer rows, of which one element is taken
        view, rank = view.inputs[0], 3
    step, inner = 1, 1
    if view.op.name == "slice":
        (step, inner, *_), view = view.attrs["step"], view.inputs[0]
    if view.op.name != "placeholder" or view.ndim != rank:
        return None
    return Lines(0 if repeated[0] else step, 0 if repeated[1] else inner)


__all__ = ["Lines", "lines_of"]
