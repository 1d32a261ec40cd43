"""Depthwise convolutions of channels-first images: vectors of neighbours along the last axis of a plane.

    conv_planes            a tile is a few rows of one vector each; a row of the image is loaded once for each
                           column of the window, and meets all rows of the tile that see it
    conv_planes_weights    a vector of sums for each tap; the rows of an image go by

The extents of planes are known, so it is known, too, which lanes of a vector lie in the padding: masks are constants.
The rows of the border have tiles of their own, without the taps that lie outside. (The pass that makes these ops leaves
symbolic extents alone; if one comes all the same, it has no kernel, and runs as a host step.)

Invariant: an element of the image is a sum over taps in row-major order. A weight is a sum over images in order, of
sums over an image, which go vector by vector along the last axis and row by row in each, each lane apart, and halves
of the lanes onto halves in the end; so no sum depends on threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from graphc.backends.llvm.emitter import EXACT, Builder, Operand, Value, memory_type, vector
from graphc.backends.llvm.kernel import Kernel, Split
from graphc.backends.llvm.kernels.correlation import in_three
from graphc.backends.llvm.target import Target, host_target
from graphc.ir.dims import Size
from graphc.ir.tensor import Tensor

Values = tuple[Value, ...]
Three = tuple[int, ...]

#: The rows of a tile.
_ROWS = 4


@dataclass(frozen=True)
class Planes:
    """The geometry: windows over planes; see `Correlation`."""

    dtype: np.dtype
    batch: Size
    channels: int
    extents: Three
    counts: Three
    window: Three
    before: Three
    dilation: Three

    def inside(self, axis: int) -> tuple[int, int]:
        """The windows whose taps all lie inside the image along an axis: low <= window < high."""
        n, p, k = self.extents[axis], self.counts[axis], self.window[axis]
        low = min(self.before[axis], p)
        return low, max(low, min(p, n + self.before[axis] - (k - 1) * self.dilation[axis]))

    def lies_inside(self, axis: int, window: int, shift: int) -> bool:
        """Whether what a window meets so far from its beginning lies inside the image."""
        return 0 <= window - self.before[axis] + shift < self.extents[axis]


def _planes_of(x: Tensor, counts: Sequence[Size], window: Sequence[Size], tensor: Tensor) -> Planes | None:
    """The geometry, if it is known."""
    attrs, (batch, channels, *extents) = tensor.attrs, x.shape
    if not all(isinstance(size, int) for size in (*extents, *window, *attrs["before"], *attrs["after"])):
        return None
    if not isinstance(channels, int):
        return None

    def three(sizes: Sequence[Any], missing: int) -> Three:
        return in_three(tuple(sizes), missing)

    return Planes(
        x.dtype, batch, channels, three(extents, 1), three(counts, 1), three(window, 1),
        three(attrs["before"], 0), three(attrs["dilation"], 1),
    )  # fmt: skip


def build_conv_planes(tensor: Tensor, target: Target | None = None) -> Kernel | None:
    """The kernel `(x, w, result, low, high)` of a `conv_planes` tensor; a turn is one slab of one plane."""
    x, w = tensor.inputs
    work = _planes_of(x, tensor.shape[2:], w.shape[2:], tensor)
    if work is None:
        return None
    target = target or host_target()
    names = [("x", "ptr"), ("w", "ptr"), ("result", "ptr"), ("low", "i64"), ("high", "i64")]
    b = Builder("conv_planes", names, target=target)
    kernel = _Convolving(b, work, _lanes(work, target, covers=False))
    with b.loop(b.param("low"), b.param("high")) as turn:
        kernel.slab(turn.index)
    weight = math.prod(work.counts[1:]) * (math.prod(work.window) + 2) * work.dtype.itemsize // 8
    return Kernel(b, split=Split((work.batch, work.channels, work.counts[0]), 1, weight))


def build_conv_planes_weights(tensor: Tensor, target: Target | None = None) -> Kernel | None:
    """The kernel `(x, y, result, batch, low, high)` of a `conv_planes_weights` tensor; a turn is one channel."""
    x, y = tensor.inputs
    work = _planes_of(x, y.shape[2:], tensor.attrs["window"], tensor)
    if work is None:
        return None
    target = target or host_target()
    names = [("x", "ptr"), ("y", "ptr"), ("result", "ptr"), ("batch", "i64"), ("low", "i64"), ("high", "i64")]
    b = Builder("conv_planes_weights", names, target=target)
    kernel = _Weighing(b, work, _lanes(work, target, covers=True))
    with b.loop(b.param("low"), b.param("high")) as turn:
        kernel.channel(turn.index)
    weight = work.batch * (math.prod(work.counts) * (math.prod(work.window) + 2) * work.dtype.itemsize // 8)
    return Kernel(b, (work.batch,), split=Split((work.channels,), 1, weight))


def _lanes(work: Planes, target: Target, covers: bool) -> int:
    """The lanes of a vector: no more than a line has windows, or no fewer than that if one vector can cover it."""
    lanes = target.native_lanes(work.dtype)
    while lanes > 1 and (lanes // 2 >= work.counts[2] if covers else lanes > work.counts[2]):
        lanes //= 2
    return lanes


class _PlaneTaps:
    """Where taps lie, and which lanes of a vector of windows meet something there."""

    def __init__(self, b: Builder, work: Planes, lanes: int) -> None:
        self.b, self.work, self.lanes = b, work, lanes
        self.size = work.dtype.itemsize
        self.element = memory_type(work.dtype)
        self.vector = vector(self.element, lanes)

    def place(self, start: Value, shape: Three, plane: Value, at: Sequence[Operand]) -> Value:
        """The address of an element of a plane, in an array of them that begins at `start`."""
        b, flat = self.b, plane
        for extent, number in zip(shape, at):
            flat = b.add(b.mul(flat, extent), number)
        return b.offset(start, b.mul(flat, self.size))

    def corner(self, plane: Value, window: tuple[Value, Operand, Operand]) -> Value:
        """The address of x where a window begins, whose place along the first axis is given in its stead."""
        b, (place, row, column) = self.b, window
        _, down, across = self.work.before
        begins = b.sub(b.as_value(row, "i64"), down), b.sub(b.as_value(column, "i64"), across)
        return self.place(b.param("x"), self.work.extents, plane, (place, *begins))

    def mask(self, column: Operand, shift: int) -> tuple[bool, ...]:
        """Which windows of a vector there are, of those that meet something inside with a tap of this shift."""
        work = self.work
        if not isinstance(column, int):
            return (True,) * self.lanes
        windows = range(column, column + self.lanes)
        return tuple(w < work.counts[2] and work.lies_inside(2, w, shift) for w in windows)

    def load(self, at: Value, mask: Sequence[bool]) -> Value:
        """A vector, zeros where the mask is not set."""
        return self.b.load(self.vector, at) if all(mask) else self.b.masked_load(self.vector, at, _constant(mask))

    def add(self, sums: Value, x: Value, y: Value, mask: Sequence[bool]) -> Value:
        """sums + x*y where the mask is set: what lies outside takes no part, even if 0 times it were NaN."""
        total = self.b.fma(x, y, sums)
        return total if all(mask) else self.b.select(_constant(mask), total, sums)

    def with_depth(
        self, first: Value, tap: int, states: Sequence[Value], body: Callable[[Value, Sequence[Value]], Values]
    ) -> Values:
        """`states = body(place, states)` if this tap of the first axis lies inside; `place` is where."""
        b, work = self.b, self.work
        place = b.add(first, tap * work.dilation[0] - work.before[0])
        if work.inside(0) == (0, work.counts[0]):
            return body(place, states)
        inside = b.and_(b.icmp("sge", place, 0), b.icmp("slt", place, work.extents[0]))
        with b.if_(inside, states) as some:
            some.give(*body(place, states))
        return some.results


def _constant(mask: Sequence[bool]) -> Value:
    entries = ", ".join("i1 true" if entry else "i1 false" for entry in mask)
    return Value(vector("i1", len(mask)), f"<{entries}>")


class _Convolving(_PlaneTaps):
    """The windows of a plane, tile by tile."""

    def slab(self, number: Value) -> None:
        """All windows that have one place along the first axis."""
        b, work = self.b, self.work
        self.plane, self.first = b.udiv(number, work.counts[0]), b.urem(number, work.counts[0])
        taps = list(product(*map(range, work.window)))
        start = b.mul(b.mul(b.urem(self.plane, work.channels), len(taps)), self.size)
        weights = b.offset(b.param("w"), start)
        self.weights = {
            tap: b.splat(b.load(self.element, b.offset(weights, i * self.size)), self.lanes)
            for i, tap in enumerate(taps)
        }
        low, high = work.inside(2)
        for column in range(0, work.counts[2], self.lanes):
            column = min(column, work.counts[2] - self.lanes)
            if column < low or column + self.lanes > high:
                self._column(column)
        starts = [c for c in range(0, work.counts[2] - self.lanes + 1, self.lanes) if low <= c <= high - self.lanes]
        if starts:
            with b.loop(starts[0], starts[-1] + 1, self.lanes) as loop:
                self._column(loop.index)
        last = work.counts[2] - self.lanes
        if work.counts[2] % self.lanes and low <= last <= high - self.lanes:
            self._column(b.i64(last))

    def _column(self, column: Operand) -> None:
        """One vector of each row."""
        b, work = self.b, self.work
        low, high = work.inside(1)
        for start, stop in ((0, low), (high, work.counts[1])):
            for border in range(start, stop, _ROWS):
                self._tile(border, min(_ROWS, stop - border), column)
        rows = min(_ROWS, high - low)
        if rows:
            with b.forever([b.i64(low)]) as loop:  # the last tile ends with the last row
                (row,) = loop.carried
                self._tile(row, rows, column)
                loop.exit_if(b.icmp("eq", row, high - rows))
                loop.next(b.intrinsic("smin", b.add(row, rows), high - rows))

    def _tile(self, row: Operand, rows: int, column: Operand) -> None:
        """A vector of each of a few rows, one below the other."""
        b, work = self.b, self.work
        (_, step, side), (_, high, wide) = work.dilation, work.window

        def depth(tap: int) -> Callable[[Value, Sequence[Value]], Values]:
            def body(place: Value, states: Sequence[Value]) -> Values:
                sums = list(states)
                corner = self.corner(self.plane, (place, row, column))
                for down in range(rows + (high - 1) * step):
                    # The rows of the tile that see this row of the image, and by which row of the window.
                    meets = [(r, (down - r) // step) for r in range(rows) if (down - r) % step == 0]
                    meets = [(r, k) for r, k in meets if 0 <= k < high]
                    if not meets or (isinstance(row, int) and not work.lies_inside(1, row, down)):
                        continue
                    for across in range(wide):
                        mask = self.mask(column, across * side)
                        if not any(mask):
                            continue
                        shift = (down * work.extents[2] + across * side) * self.size
                        value = self.load(b.offset(corner, shift), mask)
                        for r, k in meets:
                            sums[r] = self.add(sums[r], value, self.weights[tap, k, across], mask)
                return tuple(sums)

            return body

        sums: Values = (b.const(self.vector, 0),) * rows
        for tap in range(work.window[0]):
            sums = self.with_depth(self.first, tap, sums, depth(tap))
        place = self.place(b.param("result"), work.counts, self.plane, (self.first, row, column))
        for r, value in enumerate(sums):
            b.store(value, b.offset(place, r * work.counts[2] * self.size))


class _Weighing(_PlaneTaps):
    """A vector of sums for each tap."""

    def channel(self, number: Value) -> None:
        """The weights of one channel."""
        b, work = self.b, self.work
        taps = list(product(*map(range, work.window)))
        zeros = (b.const(self.vector, 0),) * len(taps)
        totals = b.alloca(self.vector, len(taps))
        places = [b.offset(totals, i * self.lanes * self.size) for i in range(len(taps))]
        for place in places:
            b.store(zeros[0], place)
        with b.loop(0, b.param("batch")) as image:
            plane = b.add(b.mul(image.index, work.channels), number)
            with b.loop(0, work.counts[0], carried=zeros) as slab:
                slab.next(*self._slab(plane, slab.index, slab.carried))
            for place, sums in zip(places, slab.results):
                b.store(b.fadd(b.load(self.vector, place), sums, EXACT), place)
        result = b.offset(b.param("result"), b.mul(number, len(taps) * self.size))
        for i, place in enumerate(places):
            total = b.reduce(b.load(self.vector, place), lambda x, y: b.fadd(x, y, EXACT))
            b.store(total, b.offset(result, i * self.size))

    def _slab(self, plane: Value, first: Value, sums: Values) -> Values:
        """The sums, with those of the windows that have one place along the first axis."""
        b, work = self.b, self.work
        low, high = work.inside(2)
        columns = range(0, work.counts[2], self.lanes)
        whole = [c for c in columns if low <= c <= high - self.lanes]
        for column in columns:
            if column not in whole:
                sums = self._column(plane, first, column, sums)
        if whole:
            with b.loop(whole[0], whole[-1] + 1, self.lanes, carried=sums) as loop:
                loop.next(*self._column(plane, first, loop.index, loop.carried))
            sums = loop.results
        return sums

    def _column(self, plane: Value, first: Value, column: Operand, sums: Values) -> Values:
        """The same with one vector of each row."""
        b, work = self.b, self.work
        low, high = work.inside(1)
        for border in (*range(low), *range(high, work.counts[1])):
            sums = self._row(plane, (first, border, column), sums)
        if low < high:
            with b.loop(low, high, carried=sums) as loop:
                loop.next(*self._row(plane, (first, loop.index, column), loop.carried))
            sums = loop.results
        return sums

    def _row(self, plane: Value, windows: tuple[Value, Operand, Operand], sums: Values) -> Values:
        """The same with one vector of windows."""
        b, work = self.b, self.work
        first, row, column = windows
        there = tuple(not isinstance(column, int) or column + i < work.counts[2] for i in range(self.lanes))
        y = self.load(self.place(b.param("y"), work.counts, plane, windows), there)
        of_depth = math.prod(work.window[1:])

        def body(place: Value, states: Sequence[Value]) -> Values:
            found = list(states)
            corner = self.corner(plane, (place, row, column))
            for i, (down, across) in enumerate(product(range(work.window[1]), range(work.window[2]))):
                shifts = down * work.dilation[1], across * work.dilation[2]
                mask = self.mask(column, shifts[1])
                if not any(mask) or (isinstance(row, int) and not work.lies_inside(1, row, shifts[0])):
                    continue
                x = self.load(b.offset(corner, (shifts[0] * work.extents[2] + shifts[1]) * self.size), mask)
                found[i] = self.add(found[i], x, y, mask)
            return tuple(found)

        for tap in range(work.window[0]):
            part = slice(tap * of_depth, (tap + 1) * of_depth)
            sums = (*sums[: part.start], *self.with_depth(first, tap, sums[part], body), *sums[part.stop :])
        return sums
