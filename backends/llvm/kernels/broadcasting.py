"""Loops over several arrays that broadcast together: the stacks of a matmul, the indices of a scatter.

Invariant: neighbouring axes along which the same arrays advance are one loop, so most kernels have one such
loop or none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from graphc.backends.llvm.emitter import Builder, Value
from graphc.ir.dims import Size

Shape = tuple[Size, ...]


class BroadcastAxis(NamedTuple):
    """One loop: how many steps, and which of the arrays advance with it."""

    extent: Size
    advances: tuple[bool, ...]


def broadcast_axes(result: Shape, shapes: Sequence[Shape]) -> tuple[BroadcastAxis, ...]:
    """The loops over arrays of these shapes, which broadcast to `result`.

    >>> broadcast_axes((5, 2, 3), [(5, 2, 3), (3,)])
    (BroadcastAxis(extent=10, advances=(True, False)), BroadcastAxis(extent=3, advances=(True, True)))
    """
    axes: list[BroadcastAxis] = []
    for place, extent in enumerate(result, -len(result)):
        if extent == 1:
            continue
        advances = tuple(-place <= len(shape) and shape[place] != 1 for shape in shapes)
        if axes and axes[-1].advances == advances:
            axes[-1] = BroadcastAxis(axes[-1].extent * extent, advances)
        else:
            axes.append(BroadcastAxis(extent, advances))
    return tuple(axes)


@contextmanager
def broadcast_loops(
    b: Builder, axes: Sequence[BroadcastAxis], extents: Sequence[Value], arrays: int
) -> Iterator[list[Value]]:
    """Inside, the number of the element in each of the arrays, and in the result."""
    with ExitStack() as loops:
        numbers = [b.i64(0)] * (arrays + 1)
        for axis, extent in zip(axes, extents):
            index = loops.enter_context(b.loop(0, extent)).index
            for i, advances in enumerate((*axis.advances, True)):
                if advances:
                    numbers[i] = b.add(b.mul(numbers[i], extent), index)
        yield numbers


def broadcast_numbers(
    b: Builder, axes: Sequence[BroadcastAxis], extents: Sequence[Value], number: Value, arrays: int
) -> list[Value]:
    """As `broadcast_loops` for one turn of all the loops: its number's digits are the loops' indices."""
    numbers, strides = [b.i64(0)] * arrays, [b.i64(1)] * arrays
    rest = number
    for place in reversed(range(len(axes))):
        index = rest
        if place > 0:
            quotient = b.udiv(rest, extents[place])
            index, rest = b.sub(rest, b.mul(quotient, extents[place])), quotient
        for i, advances in enumerate(axes[place].advances):
            if advances:
                numbers[i] = b.add(numbers[i], b.mul(index, strides[i]))
                strides[i] = b.mul(strides[i], extents[place])
    return [*numbers, number]
