"""The loops over the stacks of matrices that a matmul broadcasts together.

Invariant: neighbouring axes along which the same operands advance are one loop, so most products have one
batch loop or none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from graphc.backends.llvm.emitter import Builder, Value

from graphc.ir.dims import Size

Shape = tuple[Size, ...]


class BatchAxis(NamedTuple):
    """A loop over matrices: how many, and which operands have one of their own for each."""

    extent: Size
    in_x: bool
    in_y: bool


def batch_axes(x: Shape, y: Shape, result: Shape) -> tuple[BatchAxis, ...]:
    """The loops for batch shapes that broadcast to `result`.

    >>> batch_axes((5, 2, 3), (3,), (5, 2, 3))
    (BatchAxis(extent=10, in_x=True, in_y=False), BatchAxis(extent=3, in_x=True, in_y=True))
    """
    axes: list[BatchAxis] = []
    for place, extent in enumerate(result):
        if extent == 1:
            continue
        in_x, in_y = (_advances(shape, place - len(result)) for shape in (x, y))
        if axes and axes[-1][1:] == (in_x, in_y):
            axes[-1] = BatchAxis(axes[-1].extent * extent, in_x, in_y)
        else:
            axes.append(BatchAxis(extent, in_x, in_y))
    return tuple(axes)


def _advances(shape: Shape, place: int) -> bool:
    return -place <= len(shape) and shape[place] != 1


@contextmanager
def batch_loops(b: Builder, axes: Sequence[BatchAxis], extents: Sequence[Value]) -> Iterator[tuple[Value, ...]]:
    """Inside, the numbers of the matrix of x, of y and of the result that are to be multiplied."""
    with ExitStack() as loops:
        numbers = [b.i64(0)] * 3
        for axis, extent in zip(axes, extents):
            loop = loops.enter_context(b.loop(0, extent))
            for i, advances in enumerate((axis.in_x, axis.in_y, True)):
                if advances:
                    numbers[i] = b.add(b.mul(numbers[i], extent), loop.index)
        yield tuple(numbers)
