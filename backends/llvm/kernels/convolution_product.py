"""The product of a convolution: rows of the source's windows, gathered as they are needed, times packed weights.

A convolution is a matrix product whose left operand, one row for each element of the result's space and one column
for each tap and channel, is never stored. A turn is a few tiles of rows. For each block of columns that the first-
and second-level caches hold, it copies the rows' *slivers* out of the image (`convolution_rows.py`), and the
micro-kernel of matrix products multiplies them with each panel of weights:

    slivers   [a b c d e f g h i]                   [panel]  [panel]     one line of weights for each element of
              [b c . e f . h i .]      times                             a sliver, as many columns as a tile has
              [c . . f . . i . .]

The copies cost little, as each is used for all channels of the result; in exchange any stride, dilation, padding
and number of axes, and both directions, are one loop, which reads its operand in order.

What lies in the padding is zeros in a sliver. As zero times infinity is NaN, but padding takes no part, rows at the
border are multiplied tap by tap where a panel has a weight that is not finite.

Invariant: an element is the sum over blocks of units, and inside a block over k, in ascending order, wherever it
lies; so neither tiles nor threads change a bit.
"""

from __future__ import annotations

from dataclasses import replace

from graphc.backends.llvm.emitter import Builder, Value
from graphc.backends.llvm.kernel import Kernel, Split
from graphc.backends.llvm.kernels.convolution_packing import panel_lines, panels
from graphc.backends.llvm.kernels.convolution_rows import ENTRY, Block, Rows
from graphc.backends.llvm.kernels.correlation import NAMES, Correlation
from graphc.backends.llvm.kernels.microkernel import Blocking, blocking, tile, tiles
from graphc.backends.llvm.kernels.packing import add_lines
from graphc.backends.llvm.target import Target
from graphc.ir import dims
from graphc.ir.dims import Size

#: Tiles of one turn: the weights pass by the second-level cache once for so many.
_TILES = 4


def product_blocking(work: Correlation, target: Target) -> Blocking:
    """The tile and block sizes of a convolution."""
    shape = blocking(work.dtype, target, dims.symbol("rows"), work.width, by_column=False)
    return replace(shape, height=_TILES * shape.rows)


def product_kernel(work: Correlation, shape: Blocking, target: Target) -> Kernel:
    """The kernel `(source, packed, result, scratch, sizes...)`."""
    b = Builder(
        "convolve",
        [("source", "ptr"), ("packed", "ptr"), ("result", "ptr"), ("scratch", "ptr"),
         *((name, "i64") for name in (*NAMES, "panels", "blocks", "low", "high"))],
        target=target,
    )  # fmt: skip
    body = _Body(b, work, shape, target)
    with b.loop(b.param("low"), b.param("high")) as turn:
        body.turn(turn.index)
    count = panels(work, shape)
    blocks = dims.floordiv(work.rows + shape.height - 1, shape.height)
    scratch: Size = shape.height * (shape.row_step + len(ENTRY) * 8)
    if work.phase_count > 1:
        scratch = scratch + count * (shape.height * shape.panel_step)
    weight = shape.height * (work.width + 6) * (panel_lines(work) // work.phase_count + 1) * 5 // (2 * shape.lanes)
    split = Split((work.groups, work.phase_count, blocks), 1, weight)
    return Kernel(b, (*work.sizes, count, blocks), scratch, helpers=body.helpers, split=split, is_product=True)


class _Body(Rows):
    """The loops of one turn, outermost first."""

    def __init__(self, b: Builder, work: Correlation, shape: Blocking, target: Target) -> None:
        super().__init__(b, work, shape)
        self.tiles = tiles(shape, dims.symbol("rows"), target)
        self.row_tile, self.add_lines = tile(shape, 1, target), add_lines(shape, target)
        functions = (*self.tiles.values(), self.row_tile, self.add_lines)
        self.helpers = tuple({function.name: function for function in functions}.values())
        with b.at(b.entry):
            self.sums = b.offset(self.table, shape.height * len(ENTRY) * 8)
            self.edge = b.alloca(shape.vector, shape.rows * shape.vectors)
            self.zeros = b.table(shape.element, [0.0] * shape.columns)
            taps = b.mul(b.mul(b.param("window0"), b.param("window1")), b.param("window2"))
            self.panel_bytes = b.mul(b.add(b.mul(taps, self.depth), 1), shape.panel_step)
            # Where rows of the result do not follow one another, sums are made in scratch memory.
            self.sum_step = b.mul(b.param("panels"), shape.panel_step) if self.scattered else self.step

    # ---- a turn ------------------------------------------------------------------------------------------

    def turn(self, number: Value) -> None:
        """Some rows of one phase of one group."""
        b, shape = self.b, self.shape
        blocks = b.param("blocks")
        first = b.mul(b.urem(number, blocks), shape.height)
        before = b.udiv(number, blocks)
        phase = b.urem(before, self.work.phase_count) if self.scattered else None
        self.group = b.udiv(before, self.work.phase_count) if self.scattered else before
        self.axes = self.work.phase(b, phase)
        image_rows = _product(b, [axis.rows for axis in self.axes])
        rows = b.sub(b.mul(b.param("batch"), image_rows), first)
        self.rows = b.intrinsic("smin", rows, shape.height)
        with b.if_(b.icmp("sgt", self.rows, 0)):
            self.source = b.offset(b.param("source"), b.mul(self.group, b.mul(self.depth, shape.bytes)))
            self.result = b.offset(b.param("result"), b.mul(self.group, b.mul(self.width, shape.bytes)))
            self.panel = b.offset(
                b.param("packed"), b.mul(b.mul(self.group, b.param("panels")), self.panel_bytes)
            )
            self.start = self._phase_start(phase)
            border = self._fill_table(first, image_rows)
            self.target = self.sums if self.scattered else self._row(b.i64(0), "result", pointer=True)
            self._blocks(border)
            if self.scattered:
                self._scatter()

    def _phase_start(self, phase: Value | None) -> Value:
        """The bytes of panel that the phases before take."""
        b = self.b
        if phase is None:
            return b.i64(0)
        with b.loop(0, phase, carried=[b.i64(0)]) as loop:
            taps = _product(b, [axis.taps for axis in self.work.phase(b, loop.index)])
            loop.next(b.add(loop.carried[0], taps))
        return b.mul(b.mul(loop.results[0], self.depth), self.shape.panel_step)

    # ---- blocks of columns -------------------------------------------------------------------------------

    def _blocks(self, border: Value) -> None:
        """Each block of columns: gather the slivers, and multiply."""
        b, depth = self.b, self.shape.depth
        units = _product(b, [axis.taps for axis in (self.axes[:2] if self.runs else self.axes)])
        channels = b.mul(self.depth, self.axes[2].taps) if self.runs else self.depth
        self._clear_if_empty(b.mul(units, channels))
        chunk = b.intrinsic("smin", channels, depth)
        whole = b.icmp("sle", channels, depth)
        at_once = b.select(whole, b.udiv(b.i64(depth), b.intrinsic("smax", channels, 1)), b.i64(1))
        start = b.offset(self.panel, self.start)
        with b.loop(0, units, at_once, carried=[start]) as unit:
            count = b.intrinsic("smin", b.sub(units, unit.index), at_once)
            with b.loop(0, channels, chunk, carried=list(unit.carried)) as channel:
                width = b.intrinsic("smin", b.sub(channels, channel.index), chunk)
                fresh = b.and_(b.icmp("eq", unit.index, 0), b.icmp("eq", channel.index, 0))
                lines = b.mul(count, width)
                block = Block(unit.index, count, channel.index, width, lines, fresh)
                self._gather(block, border)
                self._multiply(block, channel.carried[0], border)
                channel.next(b.offset(channel.carried[0], b.mul(lines, self.shape.panel_step)))
            unit.next(channel.results[0])

    def _clear_if_empty(self, columns: Value) -> None:
        """Zeros, if there is nothing to sum up."""
        b = self.b
        with b.if_(b.icmp("eq", columns, 0), likely=False), b.loop(0, self.rows) as row:
            place = b.offset(self.target, b.mul(row.index, self.sum_step))
            b.memset(place, 0, b.mul(self.width, self.shape.bytes))

    # ---- products ----------------------------------------------------------------------------------------

    def _multiply(self, block: Block, lines: Value, border: Value) -> None:
        """The slivers times each panel, of which the block's lines begin at `lines` in the first one."""
        b, shape = self.b, self.shape
        with b.loop(0, b.param("panels"), carried=[lines]) as panel:
            (weights,) = panel.carried
            column = b.mul(panel.index, shape.columns)
            target = b.offset(self.target, b.mul(column, shape.bytes))
            left = b.i64(shape.columns) if self.scattered else b.sub(self.width, column)
            with b.if_else(self._is_careful(panel.index, border), likely=False) as choice:
                with choice.then:
                    self._multiply_taps(block, weights, target, left)
                with choice.otherwise:
                    self._multiply_rows(block, weights, target, left, border)
            panel.next(b.offset(weights, self.panel_bytes))

    def _is_careful(self, panel: Value, border: Value) -> Value:
        """Whether rows are at the border, and a weight of the panel is not finite."""
        b, shape = self.b, self.shape
        end = b.offset(self.panel, b.sub(b.mul(b.add(panel, 1), self.panel_bytes), shape.panel_step))
        bad = b.icmp("ne", border, 0)
        checks = [
            b.any(b.fcmp("uno", value, value))
            for j in range(shape.vectors)
            for value in [b.load(shape.vector, b.offset(end, j * shape.lanes * shape.bytes))]
        ]
        found = checks[0]
        for other in checks[1:]:
            found = b.or_(found, other)
        return b.and_(bad, found)

    def _units_met(self, block: Block, row: Value, rows: Value, border: Value) -> tuple[Value, Value]:
        """The first of a block's units that one of some rows meets, and how many from there to the last.

        The others are nothing but padding for all of them. Units are in the order of the second axis if the first
        has one tap.
        """
        b, whole = self.b, (self.b.i64(0), block.units)
        if self.work.window[0] != 1:
            return whole
        inner = b.i64(1) if self.runs else self.axes[2].taps
        with b.if_(b.icmp("ne", border, 0), whole) as arm:
            with b.loop(row, b.add(row, rows), carried=[self.axes[1].taps, b.i64(0)]) as loop:
                low, high = loop.carried
                loop.next(
                    b.intrinsic("smin", low, self._row(loop.index, "low")),
                    b.intrinsic("smax", high, self._row(loop.index, "high")),
                )
            low, high = (b.sub(b.mul(tap, inner), block.first) for tap in loop.results)
            low = b.intrinsic("smax", b.intrinsic("smin", low, block.units), 0)
            high = b.intrinsic("smin", high, block.units)
            arm.give(low, b.intrinsic("smax", b.sub(high, low), 0))
        return arm.results[0], arm.results[1]

    def _multiply_rows(self, block: Block, weights: Value, target: Value, left: Value, border: Value) -> None:
        """All rows, in tiles of as many as there are functions for."""
        b, shape = self.b, self.shape
        with b.forever([b.i64(0)]) as loop:
            (row,) = loop.carried
            rest = b.sub(self.rows, row)
            loop.exit_if(b.icmp("sle", rest, 0))
            options = [(b.i64(rows), Value("ptr", f"@{f.name}")) for rows, f in self.tiles.items()]
            rows, function = options[-1]
            for more, other in reversed(options[:-1]):
                enough = b.icmp("sge", rest, more)
                rows, function = b.select(enough, more, rows), b.select(enough, other, function)
            first, units = self._units_met(block, row, rows, border)
            skipped = b.mul(first, block.width)
            sliver = b.offset(self.slivers, b.add(b.mul(row, shape.row_step), b.mul(skipped, shape.bytes)))
            lines = b.offset(weights, b.mul(skipped, shape.panel_step))
            place = b.offset(target, b.mul(row, self.sum_step))
            self._tile(function, sliver, lines, place, rows, b.mul(units, block.width), left, block.fresh)
            loop.next(b.add(row, rows))

    def _multiply_taps(self, block: Block, weights: Value, target: Value, left: Value) -> None:
        """Row by row, the taps that meet the source only."""
        b, shape = self.b, self.shape
        function = Value("ptr", f"@{self.row_tile.name}")
        with b.loop(0, self.rows) as row:
            sliver = b.offset(self.slivers, b.mul(row.index, shape.row_step))
            place = b.offset(target, b.mul(row.index, self.sum_step))
            nothing = b.i64(0)
            self._tile(function, sliver, weights, place, b.i64(1), nothing, left, block.fresh)
            with self._units(block) as (entries, _, number):
                low, high = self._inside(row.index, entries)
                with b.if_(b.icmp("slt", low, high)):
                    skipped = b.mul(low, self.depth) if self.runs else b.i64(0)
                    length = b.mul(b.sub(high, low), self.depth) if self.runs else block.width
                    line = b.add(b.mul(number, block.width), skipped)
                    self._tile(
                        function, b.offset(sliver, b.mul(line, shape.bytes)),
                        b.offset(weights, b.mul(line, shape.panel_step)), place, b.i64(1), length, left,
                        Value("i1", "false"),
                    )  # fmt: skip

    def _tile(
        self, function: Value, sliver: Value, weights: Value, place: Value, rows: Value, lines: Value, left: Value,
        fresh: Value,
    ) -> None:  # fmt: skip
        """One tile; where the channels end inside it, by way of a whole one beside."""
        b, shape = self.b, self.shape
        step = b.i64(shape.panel_step)
        zeros = (self.zeros, b.i64(0))
        base = tuple(b.select(fresh, x, y) for x, y in zip(zeros, (place, self.sum_step)))
        if self.scattered:
            b.call_pointer("void", function, sliver, weights, step, place, self.sum_step, *base, lines)
            return
        ragged = b.icmp("slt", left, shape.columns)
        tile_ = tuple(b.select(ragged, x, y) for x, y in zip((self.edge, step), (place, self.sum_step)))
        tile_base = tuple(b.select(ragged, x, y) for x, y in zip(zeros, base))
        b.call_pointer("void", function, sliver, weights, step, *tile_, *tile_base, lines)
        with b.if_(ragged, likely=False):
            b.call("void", self.add_lines.name, self.edge, place, self.sum_step, *base, rows, left)

    def _scatter(self) -> None:
        """Bring the sums to their places in the result."""
        b = self.b
        with b.loop(0, self.rows) as row:
            sums = b.offset(self.sums, b.mul(row.index, self.sum_step))
            self._copy_exactly(sums, self._row(row.index, "result", pointer=True), self.width)


def _product(b: Builder, values: list[Value]) -> Value:
    result = values[0]
    for value in values[1:]:
        result = b.mul(result, value)
    return result
