"""The rows of a convolution's product: where each lies, and copies of what it reads, its sliver.

    image  . . . . . .        sliver of one row: units, each the channels of one tap, or of a run
           . a b c . .   ->   a b c d e f g h i       of taps that lie together in memory
           . d e f . .
           . g h i . .

A turn of the product has a few rows. A table holds their places; from it the slivers of one block of units after the
other are gathered.

Invariant: only elements inside the image are read; what lies in the padding is zeros in a sliver.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from graphc.backends.llvm.emitter import Builder, Value
from graphc.backends.llvm.kernels.correlation import AXES, AxisPhase, Correlation
from graphc.backends.llvm.kernels.microkernel import Blocking
from graphc.backends.llvm.kernels.packing import load_some, mask_below, store_some

#: What the row table holds of each row: its place in the source and in the result, whether it is at the border, and
#: which taps along the second axis meet the source.
ENTRY = ("source", "result", "border", *(f"place{axis}" for axis in range(AXES)), "low", "high")
#: Copies of up to so many vectors are written out.
_UNROLLED = 8


class Block(NamedTuple):
    """A block of columns: units `first` to `first + units` of channels `channel` to `channel + width`."""

    first: Value
    units: Value
    channel: Value
    width: Value
    """Elements of one unit in the block."""
    lines: Value
    """Elements of one sliver."""
    fresh: Value
    """Whether it is the first block, so that there are no sums to add to."""


class Rows:
    """The rows of one turn; `axes`, `source`, `result` and `rows` are those of the turn."""

    axes: tuple[AxisPhase, ...]
    source: Value
    result: Value
    rows: Value

    def __init__(self, b: Builder, work: Correlation, shape: Blocking) -> None:
        self.b, self.work, self.shape = b, work, shape
        self.runs = self._unites_taps()
        with b.at(b.entry):
            self.depth, self.width = b.param("depth"), b.param("width")
            self.pixel = b.mul(self.depth, work.groups * shape.bytes)  # bytes from place to place of the source
            self.step = b.mul(self.width, work.groups * shape.bytes)  # ... and of the result
            self.slivers = b.param("scratch")
            self.table = b.offset(self.slivers, shape.height * shape.row_step)

    @property
    def scattered(self) -> bool:
        """Whether neighbouring rows are not neighbours in the result."""
        return self.work.phase_count > 1

    def _unites_taps(self) -> bool:
        """Whether the taps along the last axis lie together, and few enough, to be copied as one."""
        work = self.work
        near = work.groups == 1 and work.tap_steps[-1] == 1
        length = work.window[-1] * work.depth
        return near and isinstance(length, int) and length <= self.shape.depth

    # ---- the row table -----------------------------------------------------------------------------------

    def _entry(self, row: Value, name: str) -> Value:
        b = self.b
        return b.gep(self.table, b.add(b.mul(row, len(ENTRY)), ENTRY.index(name)), "i64")

    def _row(self, row: Value, name: str, *, pointer: bool = False) -> Value:
        return self.b.load("ptr" if pointer else "i64", self._entry(row, name))

    def _fill_table(self, first: Value, image_rows: Value) -> Value:
        """Where each row of the turn lies; gives 1 if any is at the border, else 0."""
        b, axes = self.b, self.axes
        image, place = b.udiv(first, image_rows), b.urem(first, image_rows)
        rest = b.udiv(place, axes[2].rows)
        where = [b.udiv(rest, axes[1].rows), b.urem(rest, axes[1].rows), b.urem(place, axes[2].rows)]
        with b.loop(0, self.rows, carried=[image, *where, b.i64(0)]) as loop:
            image, *where, borders = loop.carried
            places = [
                b.add(b.mul(j, step), axis.first) for j, step, axis in zip(where, self.work.row_steps, axes)
            ]
            outside = Value("i1", "false")
            for number, (axis, at) in enumerate(zip(axes, places)):
                last = b.add(at, b.mul(b.sub(axis.taps, 1), self.work.tap_steps[number]))
                beyond = b.icmp("sge", last, b.param(f"source{number}"))
                outside = b.or_(outside, b.or_(b.icmp("slt", at, 0), beyond))
            border = b.zext(outside, "i64")
            targets = [
                b.add(b.mul(j, phases), axis.place) for j, phases, axis in zip(where, self.work.phases, axes)
            ]
            source, result = self._flat(image, places, "source"), self._flat(image, targets, "result")
            values = {
                "source": b.offset(self.source, b.mul(source, self.pixel)),
                "result": b.offset(self.result, b.mul(result, self.step)),
                "border": border, **{f"place{i}": at for i, at in enumerate(places)},
            } | dict(zip(("low", "high"), self._taps_inside(places[1])))  # fmt: skip
            for name, value in values.items():
                b.store(value, self._entry(loop.index, name))
            loop.next(*self._following(image, where), b.or_(borders, border))
        return loop.results[-1]

    def _taps_inside(self, at: Value) -> tuple[Value, Value]:
        """Which taps along the second axis meet the source, of a row at this place: low <= tap < high."""
        b, step = self.b, self.work.tap_steps[1]
        low = b.sdiv(b.add(b.intrinsic("smax", b.sub(b.i64(0), at), 0), step - 1), step)
        room = b.sub(b.sub(b.param("source1"), 1), at)
        high = b.select(b.icmp("slt", room, 0), b.i64(0), b.add(b.sdiv(room, step), 1))
        return low, b.intrinsic("smin", high, self.axes[1].taps)

    def _flat(self, image: Value, places: list[Value], space: str) -> Value:
        flat = image
        for number, place in enumerate(places):
            flat = self.b.add(self.b.mul(flat, self.b.param(f"{space}{number}")), place)
        return flat

    def _following(self, image: Value, where: list[Value]) -> list[Value]:
        """The next row in row-major order."""
        b, carry, found = self.b, self.b.i64(1), []
        for axis, place in zip(reversed(self.axes), reversed(where)):
            place = b.add(place, carry)
            over = b.icmp("eq", place, axis.rows)
            carry = b.zext(over, "i64")
            found.append(b.select(over, b.i64(0), place))
        return [b.add(image, carry), *reversed(found)]

    # ---- slivers -----------------------------------------------------------------------------------------

    def _gather(self, block: Block, border: Value) -> None:
        """Copy the slivers of all rows: unit by unit, or row by row if some are at the border."""
        b = self.b
        with b.if_else(b.icmp("eq", border, 0), likely=True) as choice:
            with choice.then:
                self._gather_units(block)
            with choice.otherwise:
                self._gather_rows(block)

    def _gather_units(self, block: Block) -> None:
        b, shape = self.b, self.shape
        channel, step = b.mul(block.channel, shape.bytes), len(ENTRY) * 8
        first = self._entry(b.i64(0), "source")
        with self._units(block) as (_, offset, number):
            begin, place = b.add(offset, channel), b.mul(number, b.mul(block.width, shape.bytes))
            with b.loop(0, self.rows, carried=[first, b.offset(self.slivers, place)]) as row:
                entry, sliver = row.carried
                self._copy(b.offset(b.load("ptr", entry), begin), sliver, block.width)
                row.next(b.offset(entry, step), b.offset(sliver, shape.row_step))

    def _gather_rows(self, block: Block) -> None:
        b, shape = self.b, self.shape
        with b.loop(0, self.rows) as row:
            source = b.offset(self._row(row.index, "source", pointer=True), b.mul(block.channel, shape.bytes))
            sliver = b.offset(self.slivers, b.mul(row.index, shape.row_step))
            with b.if_else(b.icmp("eq", self._row(row.index, "border"), 0), likely=True) as side:
                with side.then, self._units(block) as (_, offset, number):
                    place = b.offset(sliver, b.mul(number, b.mul(block.width, shape.bytes)))
                    self._copy(b.offset(source, offset), place, block.width)
                with side.otherwise:
                    self._gather_inside(block, row.index, source, sliver)

    def _gather_inside(self, block: Block, row: Value, source: Value, sliver: Value) -> None:
        """Copy a sliver of a row at the border: zeros, and what lies inside."""
        b, shape = self.b, self.shape
        b.memset(sliver, 0, b.mul(block.lines, shape.bytes))
        with self._units(block) as (entries, offset, number):
            place = b.offset(sliver, b.mul(number, b.mul(block.width, shape.bytes)))
            low, high = self._inside(row, entries)
            with b.if_(b.icmp("slt", low, high)):
                length = b.mul(b.sub(high, low), self.depth) if self.runs else block.width
                skipped = b.mul(low, b.mul(self.depth, shape.bytes)) if self.runs else b.i64(0)
                start = b.offset(b.offset(source, offset), skipped)
                self._copy_exactly(start, b.offset(place, skipped), length)

    def _inside(self, row: Value, entries: tuple[Value, ...]) -> tuple[Value, Value]:
        """Which taps of a unit's run meet the source: low <= tap < high. A unit of one tap is a run of one."""
        b, work = self.b, self.work
        inside = Value("i1", "true")
        for number, entry in enumerate(entries):
            at = b.add(self._row(row, f"place{number}"), b.mul(entry, work.tap_steps[number]))
            # Negative places are large ones without sign.
            inside = b.and_(inside, b.icmp("ult", at, b.param(f"source{number}")))
        if not self.runs:
            return b.i64(0), b.zext(inside, "i64")
        at, taps = self._row(row, "place2"), self.axes[2].taps
        low = b.intrinsic("smax", b.sub(b.i64(0), at), 0)
        high = b.intrinsic("smin", b.sub(b.param("source2"), at), taps)
        return low, b.select(inside, high, b.i64(0))

    @contextmanager
    def _units(self, block: Block) -> Iterator[tuple[tuple[Value, ...], Value, Value]]:
        """A loop over a block's units: the taps of each along the axes, its offset in the source, its number."""
        b, work = self.b, self.work
        axes: tuple[AxisPhase, ...] = self.axes[:2] if self.runs else self.axes
        entries: list[Value] = []
        rest = block.first
        for axis in reversed(axes[1:]):
            entries.insert(0, b.urem(rest, axis.taps))
            rest = b.udiv(rest, axis.taps)
        entries.insert(0, rest)
        with b.loop(0, block.units, carried=entries) as loop:
            offset, taken = b.i64(0), loop.carried
            for number in range(AXES):
                entry = taken[number] if number < len(taken) else b.i64(0)
                offset = b.mul(offset, b.param(f"source{number}"))
                offset = b.add(offset, b.mul(entry, work.tap_steps[number]))
            yield tuple(taken), b.mul(offset, self.pixel), loop.index
            following: list[Value] = []
            carry = b.i64(1)
            for axis, entry in zip(reversed(axes[1:]), reversed(taken[1:])):
                entry = b.add(entry, carry)
                over = b.icmp("eq", entry, axis.taps)
                carry = b.zext(over, "i64")
                following.insert(0, b.select(over, b.i64(0), entry))
            loop.next(b.add(taken[0], carry), *following)

    def _known_width(self) -> int | None:
        """The elements of a unit, where they are known."""
        work = self.work
        if self.scattered and self.runs:
            return None  # phases have different numbers of taps
        width = work.window[-1] * work.depth if self.runs else work.depth
        return width if isinstance(width, int) and 0 < width <= self.shape.depth else None

    def _copy(self, source: Value, place: Value, width: Value) -> None:
        """Copy a unit in whole vectors: what follows it in the sliver is written later, or is room."""
        b, shape = self.b, self.shape
        known, size = self._known_width(), shape.lanes * shape.bytes
        if known is None or known > _UNROLLED * shape.lanes:
            self._copy_exactly(source, place, width, spills=True)
            return
        for number in range(-(-known // shape.lanes)):
            left = known - number * shape.lanes
            mask = None if left >= shape.lanes else mask_below(b, b.i64(known), number, shape.lanes)
            value = load_some(b, shape.vector, b.offset(source, number * size), mask)
            b.store(value, b.offset(place, number * size))

    def _copy_exactly(self, source: Value, place: Value, width: Value, *, spills: bool = False) -> None:
        """Copy elements; unless it `spills`, nothing behind them is written."""
        b, shape = self.b, self.shape
        even = b.sub(width, b.urem(width, shape.lanes))
        with b.loop(0, even, shape.lanes) as loop:
            value = b.load(shape.vector, b.gep(source, loop.index, shape.element))
            b.store(value, b.gep(place, loop.index, shape.element))
        with b.if_(b.icmp("slt", even, width)):
            mask = mask_below(b, b.sub(width, even), 0, shape.lanes)
            value = load_some(b, shape.vector, b.gep(source, even, shape.element), mask)
            if spills:
                b.store(value, b.gep(place, even, shape.element))
            else:
                store_some(b, value, b.gep(place, even, shape.element), mask)
