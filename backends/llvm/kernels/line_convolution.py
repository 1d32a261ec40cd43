"""The product of a convolution whose lines are known: tiles of neighbouring pixels, which read the image where it lies.

A tile is a stretch of one line of the result, and a panel of its channels. Along a line, a tap meets one pixel of the
source after the other, a known distance apart; so the micro-kernel needs no slivers (`convolution_product.py`):

    source   . a b c d e f .          for each line of the window that lies inside the image,
    tile       0 1 2 3 4 5              for each *part* of it, taps that the same rows of the tile meet,
                                          for each channel: rows `low` to `high` += element * line of weights
    taps     0: rows 1-5    1: rows 0-5    2: rows 0-4      (a window of three, padding of one)

As extents and padding are known, it is known which rows of a tile a tap of the border meets: others take no part, so
there is no padding to store or to multiply, and what is not finite needs no care.

Invariant: an element is the sum over blocks of taps and channels, and inside a block over its taps inside the image,
channel after channel, in ascending order; neither tiles nor threads change a bit.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

from graphc.backends.llvm.emitter import Builder, Value
from graphc.backends.llvm.kernel import Kernel, Split, named_by_content, remembered
from graphc.backends.llvm.kernels.convolution_packing import panel_lines, panels
from graphc.backends.llvm.kernels.correlation import NAMES, Correlation
from graphc.backends.llvm.kernels.microkernel import Blocking
from graphc.backends.llvm.kernels.packing import add_lines
from graphc.backends.llvm.target import Target
from graphc.ir import dims

#: A turn is about so many rows: the weights pass by the second-level cache once for them.
_TURN = 48
#: A tile has up to so many parts: each is a loop of its own.
_PARTS = 8
#: Products that fill the pipeline: tiles of fewer rows wait for their own sums, and for weights.
_LEAST = 10
#: Addresses so far apart share one set of the first-level cache, which holds so many lines beside the weights.
_ALIAS_BYTES, _WAYS = 4096, 7


class Part(NamedTuple):
    """Taps `tap` to `tap + taps` of a line of the window, which rows `low` to `high` of a tile meet."""

    tap: int
    taps: int
    low: int
    high: int


class LineTile(NamedTuple):
    """A stretch of a line of the result, by its first pixel."""

    first: int
    rows: int
    parts: tuple[Part, ...]


class Known(NamedTuple):
    """What is known of a convolution whose lines are.

    Attributes:
        tiles: the tiles of a line of the result.
        depth: channels of a group of the source.
        pixel: bytes from pixel to pixel of the source.
        row_step, tap_step: pixels of the source from row to row, and from tap to tap.
        taps: of a line of the window.
        chunk: channels of one block.
        at_once: lines of the window in one block.
        united: whether taps that lie side by side are one stretch of memory, channels and all.
    """

    tiles: tuple[LineTile, ...]
    depth: int
    pixel: int
    row_step: int
    tap_step: int
    taps: int
    chunk: int
    at_once: int
    united: bool


def known_lines(work: Correlation, shape: Blocking, target: Target) -> Known | None:
    """The tiles and blocks of a convolution; None if its lines are not known, or make no good tiles."""
    length, source, taps, before, depth = (
        work.result[-1], work.source[-1], work.window[-1], work.before[-1], work.depth
    )  # fmt: skip
    if work.phase_count > 1 or not all(isinstance(k, int) and k > 0 for k in (*work.window, length, depth)):
        return None
    if not isinstance(source, int) or not isinstance(before, int):
        return None
    assert isinstance(length, int) and isinstance(taps, int) and isinstance(depth, int)
    row_step, tap_step = work.row_steps[-1], work.tap_steps[-1]
    first = before - (taps - 1) * tap_step if work.transposed else -before
    most = max(1, (target.vector_registers - 4) // shape.vectors)
    least = min(_LEAST, most * shape.vectors // 2)
    pixel = depth * work.groups * shape.bytes
    tiles = []
    for start, rows in _stretches(length, most):
        place = start * row_step + first
        parts = _parts(place, rows, source, taps, row_step, tap_step)
        crowded = rows * math.gcd(row_step * pixel, _ALIAS_BYTES) > _WAYS * _ALIAS_BYTES
        if rows * shape.vectors < least or len(parts) > _PARTS or crowded:
            return None
        tiles.append(LineTile(start, rows, parts))
    blocks = max(1, taps * depth // shape.depth)  # of the channels, where a line of the window is too much for one
    return Known(
        tuple(tiles), depth, pixel, row_step, tap_step, taps,
        -(-depth // blocks), max(1, shape.depth // (taps * depth)), tap_step == 1 and work.groups == 1 and blocks == 1,
    )  # fmt: skip


def _stretches(length: int, most: int) -> Iterator[tuple[int, int]]:
    """First pixels and lengths of as few stretches as can be, as even as can be."""
    count = -(-length // most)
    sizes = [length // count + (number < length % count) for number in range(count)]
    return zip(itertools.accumulate(sizes, initial=0), sizes)


def _parts(place: int, rows: int, source: int, taps: int, row_step: int, tap_step: int) -> tuple[Part, ...]:
    """The parts of a tile whose first row meets tap 0 at this place of the source."""
    found: list[Part] = []
    for tap in range(taps):
        at = place + tap * tap_step  # row r meets it at `at + r * row_step`
        low, high = max(0, -(at // row_step)), min(rows, (source - 1 - at) // row_step + 1)
        if low >= high:
            continue
        if found and (found[-1].low, found[-1].high) == (low, high):
            found[-1] = found[-1]._replace(taps=found[-1].taps + 1)
        else:
            found.append(Part(tap, 1, low, high))
    return tuple(found)


def line_kernel(work: Correlation, shape: Blocking, known: Known, target: Target) -> Kernel:
    """The kernel `(source, packed, result, sizes...)`; a turn is one panel of some lines of one group."""
    b = Builder(
        "convolve_lines",
        [("source", "ptr"), ("packed", "ptr"), ("result", "ptr"),
         *((name, "i64") for name in (*NAMES, "panels", "low", "high"))],
        target=target,
    )  # fmt: skip
    length = sum(tile.rows for tile in known.tiles)
    lines = -(-_TURN // length)
    body = _Body(b, work, shape, known, target)
    count = dims.product([work.batch, *work.result[:-1]])
    with b.loop(b.param("low"), b.param("high")) as turn:
        body.turn(turn.index, lines)
    across = panels(work, shape)
    weight = lines * length * (shape.columns + 6) * (panel_lines(work) + 1) * 5 // (2 * shape.lanes)
    split = Split((work.groups, dims.floordiv(count + lines - 1, lines), across), 1, weight)
    return Kernel(b, (*work.sizes, across), helpers=body.helpers, split=split, is_product=True)


class _Body:
    """The loops of one turn, outermost first."""

    def __init__(self, b: Builder, work: Correlation, shape: Blocking, known: Known, target: Target) -> None:
        self.b, self.work, self.shape, self.known = b, work, shape, known
        self.tiles = [_line_tile(shape, known, tile.rows, tile.parts, target) for tile in known.tiles]
        self.add_lines = add_lines(shape, target)
        self.is_whole = isinstance(work.width, int) and work.width % shape.columns == 0
        functions = (*self.tiles, *(() if self.is_whole else (self.add_lines,)))
        self.helpers = tuple({function.name: function for function in functions}.values())
        with b.at(b.entry):
            self.axes = work.phase(b, None)
            self.edge = b.alloca(shape.vector, max(tile.rows for tile in known.tiles) * shape.vectors)
            self.zeros = b.table(shape.element, [0.0] * shape.columns)
            self.width = b.param("width")
            self.step = b.mul(self.width, work.groups * shape.bytes)  # bytes from pixel to pixel of the result
            self.tap_line = known.taps * known.depth * shape.panel_step  # bytes of weights for a line of the window
            window = b.mul(self.axes[0].taps, self.axes[1].taps)
            self.panel_bytes = b.add(b.mul(window, self.tap_line), shape.panel_step)
            self.lines = b.mul(b.mul(b.param("batch"), b.param("result0")), b.param("result1"))

    def turn(self, number: Value, lines: int) -> None:
        """One panel of some lines of one group: each block of taps and channels."""
        b, shape, known = self.b, self.shape, self.known
        turns = b.udiv(b.add(self.lines, lines - 1), lines)
        panel, rest = b.urem(number, b.param("panels")), b.udiv(number, b.param("panels"))
        group, first = b.udiv(rest, turns), b.mul(b.urem(rest, turns), lines)
        last = b.intrinsic("smin", b.add(first, lines), self.lines)
        column = b.mul(panel, shape.columns)
        self.left = b.sub(self.width, column)
        self.source = b.offset(b.param("source"), b.mul(group, known.depth * shape.bytes))
        self.result = b.offset(b.param("result"), b.mul(b.add(b.mul(group, self.width), column), shape.bytes))
        number = b.add(b.mul(group, b.param("panels")), panel)
        self.panel = b.offset(b.param("packed"), b.mul(number, self.panel_bytes))
        with (
            b.loop(0, self.axes[0].taps) as slab,
            b.loop(0, self.axes[1].taps, known.at_once) as tap,
            b.loop(0, b.i64(known.depth), known.chunk) as channel,
            b.loop(first, last) as line,
        ):
            fresh = b.icmp("eq", b.or_(b.or_(slab.index, tap.index), channel.index), 0)
            self._line(line.index, (slab.index, tap.index), channel.index, fresh)

    def _line(self, line: Value, taps: tuple[Value, Value], channel: Value, fresh: Value) -> None:
        """What a block adds to a line."""
        b, shape, known = self.b, self.shape, self.known
        slab, row = b.udiv(line, b.param("result1")), b.urem(line, b.param("result1"))
        image, depth = b.udiv(slab, b.param("result0")), b.urem(slab, b.param("result0"))
        places = [
            b.add(b.mul(number, self.work.row_steps[axis]), self.axes[axis].first)
            for axis, number in enumerate((depth, row))
        ]
        place = b.add(places[0], b.mul(taps[0], self.work.tap_steps[0]))
        low, high = self._taps_inside(places[1], taps[1])
        high = b.select(b.icmp("ult", place, b.param("source0")), high, low)
        at = b.add(b.mul(image, b.param("source0")), place)
        at = b.add(b.mul(at, b.param("source1")), b.add(places[1], b.mul(low, self.work.tap_steps[1])))
        at = b.mul(b.add(b.mul(at, b.param("source2")), self.axes[2].first), known.pixel)
        source = b.offset(self.source, b.add(at, b.mul(channel, shape.bytes)))
        lines = b.mul(b.add(b.mul(taps[0], self.axes[1].taps), low), self.tap_line)
        weights = b.offset(self.panel, b.add(lines, b.mul(channel, shape.panel_step)))
        target = b.offset(self.result, b.mul(b.mul(line, b.param("result2")), self.step))
        channels = b.intrinsic("smin", b.sub(b.i64(known.depth), channel), known.chunk)
        block = (
            weights, b.sub(high, low), b.mul(b.param("source2"), known.pixel * self.work.tap_steps[1]), channels
        )  # fmt: skip
        for function, tiles in itertools.groupby(zip(self.tiles, known.tiles), key=lambda pair: pair[0].name):
            alike = [tile for _, tile in tiles]
            with b.loop(0, len(alike)) as loop:
                first = b.add(b.mul(loop.index, alike[0].rows), alike[0].first)
                begin = b.offset(source, b.mul(first, known.row_step * known.pixel))
                place = b.offset(target, b.mul(first, self.step))
                self._tile(function, begin, block, place, alike[0].rows, fresh)

    def _taps_inside(self, place: Value, first: Value) -> tuple[Value, Value]:
        """Which of a block's lines of the window lie inside the image, line 0 being at `place`: low <= line < high."""
        b, step = self.b, self.work.tap_steps[1]
        low = b.sdiv(b.add(b.intrinsic("smax", b.sub(b.i64(0), place), 0), step - 1), step)
        room = b.sub(b.sub(b.param("source1"), 1), place)
        high = b.select(b.icmp("slt", room, 0), b.i64(0), b.add(b.sdiv(room, step), 1))
        high = b.intrinsic("smin", b.intrinsic("smin", high, self.axes[1].taps), b.add(first, self.known.at_once))
        low = b.intrinsic("smax", low, first)
        return low, b.intrinsic("smax", low, high)

    def _tile(
        self, function: str, source: Value, block: tuple[Value, ...], place: Value, rows: int, fresh: Value
    ) -> None:
        """One tile; where the channels end inside it, by way of a whole one beside."""
        b, shape = self.b, self.shape
        zeros = (self.zeros, b.i64(0))
        base = tuple(b.select(fresh, x, y) for x, y in zip(zeros, (place, self.step)))
        if self.is_whole:
            b.call("void", function, source, *block, place, self.step, *base)
            return
        ragged = b.icmp("slt", self.left, shape.columns)
        beside = (self.edge, b.i64(shape.panel_step))
        tile = tuple(b.select(ragged, x, y) for x, y in zip(beside, (place, self.step)))
        tile_base = tuple(b.select(ragged, x, y) for x, y in zip(zeros, base))
        b.call("void", function, source, *block, *tile, *tile_base)
        with b.if_(ragged, likely=False):
            b.call("void", self.add_lines.name, self.edge, place, self.step, *base, b.i64(rows), self.left)


@remembered
def _line_tile(shape: Blocking, known: Known, rows: int, parts: tuple[Part, ...], target: Target) -> Builder:
    """A function for one tile: `c = base + sums`.

    Its arguments: what its first row meets with tap 0 of the first line of the window, and the weights of that; how
    many lines of the window there are, how many bytes apart in the source, and how many channels of the block; the
    tile `c` and the bytes between its rows, and `base` likewise (see `microkernel.tile`).
    """
    b = Builder(
        "line_tile",
        [("source", "ptr"), ("weights", "ptr"), ("lines", "i64"), ("line_step", "i64"), ("channels", "i64"),
         ("c", "ptr"), ("c_step", "i64"), ("base", "ptr"), ("base_step", "i64")],
        target=target,
        linkage="internal",
    )  # fmt: skip
    source, weights, lines, line_step, channels, c, c_step, base, base_step = b.params
    tap_lines = known.depth * shape.panel_step
    zeros = [b.const(shape.vector, 0)] * (rows * shape.vectors)
    with b.loop(0, lines, carried=[source, weights, *zeros]) as line:
        start, panel, *sums = line.carried
        for part in parts:
            place = b.offset(start, (part.low * known.row_step + part.tap * known.tap_step) * known.pixel)
            met = slice(part.low * shape.vectors, part.high * shape.vectors)
            sums[met] = _met(b, shape, known, part, channels, place, b.offset(panel, part.tap * tap_lines), sums[met])
        line.next(b.offset(start, line_step), b.offset(panel, known.taps * tap_lines), *sums)
    for row in range(rows):
        for j, total in enumerate(line.results[2 + row * shape.vectors :][: shape.vectors]):
            across = j * shape.lanes * shape.bytes
            b.store(b.fadd(total, b.load(shape.vector, b.offset(base, across))), b.offset(c, across))
        c, base = b.offset(c, c_step), b.offset(base, base_step)
    return named_by_content(b)


def _met(
    b: Builder, shape: Blocking, known: Known, part: Part, channels: Value, place: Value, panel: Value,
    sums: list[Value],
) -> list[Value]:  # fmt: skip
    """The sums of the rows that a part meets, with its products."""
    pixel, tap_lines = known.row_step * known.pixel, known.depth * shape.panel_step
    taps, count = (1, b.i64(part.taps * known.depth)) if known.united else (part.taps, channels)
    with b.loop(0, taps, carried=[place, panel, *sums]) as tap:
        with b.loop(0, count, carried=list(tap.carried)) as channel:
            element, line, *totals = channel.carried
            right = [b.load(shape.vector, b.offset(line, j * shape.lanes * shape.bytes)) for j in range(shape.vectors)]
            for row in range(part.high - part.low):
                left = b.splat(b.load(shape.element, b.offset(element, row * pixel)), shape.lanes)
                for number, weight in enumerate(right, row * shape.vectors):
                    totals[number] = b.fma(left, weight, totals[number])
            channel.next(b.offset(element, shape.bytes), b.offset(line, shape.panel_step), *totals)
        place, panel, *_ = tap.carried
        tap.next(b.offset(place, known.tap_step * known.pixel), b.offset(panel, tap_lines), *channel.results[2:])
    return list(tap.results[2:])
