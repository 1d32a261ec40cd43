"""The gradient of a convolution by its weights: sums over pixels of outer products of two images' channels.

For each tap, the elements of x that it meets times those of y, channel by channel, summed over all pixels:

    for each tap and panel of y's channels:          a pixel's y: `vectors` loads
      for each stretch of lines of pixels           +--------+--------+   sums of a tile stay in registers
        for each tile of x's channels      one x    | acc    | acc    |   while its pixels go by; both images are
          for each line, for each pixel    each row +--------+--------+   read where they lie, pixel after pixel

Of few channels, all taps of a line of the window are one tile, as they lie together in x. Only pixels whose tap lies
inside x are visited, so there is no padding to multiply. The lines of all images fall
into a few blocks of the same size, whose sums are partial results, so that threads can share even a product of few
weights; a second kernel adds the blocks in order and brings the weights into the order of the op.

Invariant: the blocks depend on the extents only, so the order of each sum, and with it each bit, is the same for
any number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from graphc.backends.llvm.emitter import EXACT, Builder, Value
from graphc.backends.llvm.kernel import Kernel, Split, named_by_content, remembered
from graphc.backends.llvm.kernels.correlation import AXES, in_three
from graphc.backends.llvm.kernels.microkernel import Blocking, blocking
from graphc.backends.llvm.kernels.packing import load_some, mask_below
from graphc.backends.llvm.kernels.stages import Stage
from graphc.backends.llvm.target import Target, host_target
from graphc.ir import dims
from graphc.ir.dims import Size
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType

#: Blocks of lines, at most; fewer where their partial results would take more than _PARTIAL_BYTES.
_BLOCKS = 8
_PARTIAL_BYTES = 4 << 20
#: Channels of x that are brought into the order of the op at once: what is written stays in the first-level cache.
_CHANNELS = 8

_NAMES = (
    "batch", *(f"{what}{axis}" for what in ("source", "count", "window", "before") for axis in range(AXES)),
    "depth", "width", "panels", "blocks",
)  # fmt: skip


@dataclass(frozen=True)
class Weighing:
    """What a `conv_weights` kernel computes.

    Attributes:
        dtype: of everything.
        batch: the number of images.
        source: the spatial extents of x.
        counts: the spatial extents of y, the numbers of windows.
        window, before, strides, dilation: the geometry.
        groups: the number of groups.
        depth: channels of x in each group.
        width: channels of y in each group.
        paired: each channel of y goes with its own one of x (a depthwise convolution); `width` counts both then, and
            `groups` and `depth` are 1.
        run: how many taps, along the last axis, are done at once: all of a line of the window, or 1.
    """

    dtype: np.dtype
    batch: Size
    source: tuple[Size, ...]
    counts: tuple[Size, ...]
    window: tuple[Size, ...]
    before: tuple[Size, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    depth: Size
    width: Size
    paired: bool = False
    run: int = 1

    @property
    def taps(self) -> Size:
        """The number of taps of the window."""
        return dims.product(self.window)

    @property
    def lines(self) -> Size:
        """The lines of pixels of all images of y."""
        return dims.product([self.batch, *self.counts[:-1]])

    @property
    def blocks(self) -> Size:
        """Into how many blocks the lines fall."""
        weights = self.taps * self.depth * self.width * (self.groups * self.dtype.itemsize)
        most = _BLOCKS
        if isinstance(weights, int):
            most = max(1, min(_BLOCKS, _PARTIAL_BYTES // max(weights, 1)))
        return dims.minimum(self.lines, most)

    def panels(self, shape: Blocking) -> Size:
        """How many panels each group of y's channels has."""
        return (self.width + shape.columns - 1) // shape.columns

    def sizes(self, shape: Blocking) -> tuple[Size, ...]:
        """The run-time arguments, in the order of `_NAMES`."""
        return (
            self.batch, *self.source, *self.counts, *self.window, *self.before, self.depth, self.width,
            self.panels(shape), self.blocks,
        )  # fmt: skip

    def partial_type(self, shape: Blocking) -> TensorType:
        """The type of the blocks' sums."""
        return TensorType(
            self.dtype,
            (self.blocks, self.groups, self.panels(shape), self.taps, self.depth, shape.columns),
        )


def build_conv_weights(tensor: Tensor, target: Target | None = None) -> tuple[Stage, ...]:
    """The kernels of a `conv_weights` tensor, for this machine or another."""
    x, y = tensor.inputs
    attrs, groups = tensor.attrs, tensor.attrs["groups"]
    work = Weighing(
        dtype=tensor.dtype,
        batch=x.shape[0],
        source=in_three(x.shape[1:-1], 1),
        counts=in_three(y.shape[1:-1], 1),
        window=in_three(attrs["window"], 1),
        before=in_three(attrs["before"], 0),
        strides=in_three(attrs["strides"], 1),
        dilation=in_three(attrs["dilation"], 1),
        groups=groups,
        depth=dims.floordiv(x.shape[-1], groups),
        width=dims.floordiv(y.shape[-1], groups),
    )
    if groups > 1 and work.depth == 1 and work.width == 1:
        work = replace(work, groups=1, width=groups, paired=True)
    target = target or host_target()
    shape = blocking(work.dtype, target, work.depth, work.width, by_column=False)
    run = work.window[-1]
    if isinstance(run, int) and isinstance(work.depth, int) and groups == 1 and work.dilation[-1] == 1:
        united = blocking(work.dtype, target, run * work.depth, work.width, by_column=False)
        if run > 1 and 0 < run * work.depth <= united.rows:
            work, shape = replace(work, run=run), united
    return (
        Stage(_weighing_kernel(work, shape, target), (0, 1), work.partial_type(shape)),
        Stage(_adding_kernel(work, shape, target), (2,), tensor.tensor_type),
    )


# the products ---------------------------------------------------------------------------------------------


def _weighing_kernel(work: Weighing, shape: Blocking, target: Target) -> Kernel:
    """The kernel `(x, y, partial, sizes...)`; a turn is one run of taps and panel of one block of lines."""
    b = Builder(
        "weigh",
        [("x", "ptr"), ("y", "ptr"), ("partial", "ptr"), *((name, "i64") for name in (*_NAMES, "low", "high"))],
        target=target,
    )
    body = _Body(b, work, shape, target)
    with b.loop(b.param("low"), b.param("high")) as turn:
        body.turn(turn.index)
    pixels = dims.floordiv(work.lines, _BLOCKS) * work.counts[-1] + 1
    weight = pixels * (work.run * work.depth + 4) * shape.columns * 5 // (2 * shape.lanes)
    split = Split((work.blocks, work.groups, work.panels(shape), dims.floordiv(work.taps, work.run)), 1, weight)
    return Kernel(b, work.sizes(shape), helpers=body.helpers, split=split, is_product=True)


class _Body:
    """The loops of one turn, outermost first."""

    def __init__(self, b: Builder, work: Weighing, shape: Blocking, target: Target) -> None:
        self.b, self.work, self.shape = b, work, shape
        even = isinstance(work.width, int) and work.width % shape.columns == 0
        groups = sorted({*shape.row_groups(work.run * work.depth), *shape.row_groups(work.depth)}, reverse=True)
        self.whole = {rows: _outer_tile(shape, rows, target, False, work.paired) for rows in groups}
        self.ragged = self.whole
        if not even:
            self.ragged = {rows: _outer_tile(shape, rows, target, True, work.paired) for rows in groups}
        functions = (*self.whole.values(), *self.ragged.values())
        self.helpers = tuple({function.name: function for function in functions}.values())
        with b.at(b.entry):
            self.pixel_y = b.mul(b.param("width"), work.groups * shape.bytes)
            self.pixel_x = self.pixel_y if work.paired else b.mul(b.param("depth"), work.groups * shape.bytes)
            self.runs = b.mul(b.param("window0"), b.param("window1"))
            if work.run == 1:
                self.runs = b.mul(self.runs, b.param("window2"))
            self.line_count = b.mul(b.mul(b.param("batch"), b.param("count0")), b.param("count1"))
            blocks = b.intrinsic("smax", b.param("blocks"), 1)
            self.block_lines = b.udiv(b.add(self.line_count, b.sub(blocks, 1)), blocks)
            self.tile_bytes = b.mul(b.param("depth"), work.run * shape.panel_step)

    def turn(self, number: Value) -> None:
        """One run of taps and panel of one group and block."""
        b, shape = self.b, self.shape
        tap, rest = b.mul(b.urem(number, self.runs), self.work.run), b.udiv(number, self.runs)
        panel, rest = b.urem(rest, b.param("panels")), b.udiv(rest, b.param("panels"))
        group, block = b.urem(rest, self.work.groups), b.udiv(rest, self.work.groups)
        self.sums = b.offset(b.param("partial"), b.mul(number, self.tile_bytes))
        b.memset(self.sums, 0, self.tile_bytes)
        column = b.mul(panel, shape.columns)
        x_first = column if self.work.paired else b.mul(group, b.param("depth"))
        self.x = b.offset(b.param("x"), b.mul(x_first, shape.bytes))
        first = b.add(b.mul(group, b.param("width")), column)
        self.y = b.offset(b.param("y"), b.mul(first, shape.bytes))
        self.across = b.intrinsic("smin", b.sub(b.param("width"), column), shape.columns)
        pair = b.udiv(tap, b.param("window2"))
        entries = (
            b.udiv(pair, b.param("window1")), b.urem(pair, b.param("window1")), b.urem(tap, b.param("window2"))
        )  # fmt: skip
        # Where tap `entries` of window 0 lies, along each axis; the others of the run follow it.
        self.shifts = [
            b.sub(b.mul(entry, d), b.param(f"before{i}"))
            for i, (entry, d) in enumerate(zip(entries, self.work.dilation))
        ]
        self.ranges = [self._windows_inside(axis) for axis in range(AXES - 1)]
        self.stretches = self._stretches()
        start = b.mul(block, self.block_lines)
        self._lines(start, b.intrinsic("smin", b.add(start, self.block_lines), self.line_count))

    def _stretches(self) -> list[tuple[int, int, Value, Value]]:
        """First tap, number of taps, first window and end of what is done at once of a line.

        The windows of which the whole run lies inside x, and before and behind them those of each tap alone.
        """
        b, run = self.b, self.work.run
        ranges = [self._windows_inside(AXES - 1, tap) for tap in range(run)]
        low = ranges[0][0]
        high = b.intrinsic("smax", low, ranges[-1][1])
        found = [(0, run, low, high)]
        found += [(tap, 1, first, b.intrinsic("smin", end, low)) for tap, (first, end) in enumerate(ranges) if tap > 0]
        found += [(tap, 1, b.intrinsic("smax", first, high), end) for tap, (first, end) in enumerate(ranges[:-1])]
        return found

    def _windows_inside(self, axis: int, tap: int = 0) -> tuple[Value, Value]:
        """The windows of which the tap, or one so much further, lies inside x: low <= window < high."""
        b, stride = self.b, self.work.strides[axis]
        shift = b.add(self.shifts[axis], tap)
        short = b.sub(b.i64(0), shift)
        low = b.sdiv(b.add(b.intrinsic("smax", short, 0), stride - 1), stride)
        room = b.sub(b.sub(b.param(f"source{axis}"), 1), shift)
        high = b.select(b.icmp("slt", room, 0), b.i64(0), b.add(b.sdiv(room, stride), 1))
        return low, b.intrinsic("smin", high, b.param(f"count{axis}"))

    def _lines(self, start: Value, stop: Value) -> None:
        """The lines from start to stop: plane by plane, of each the stretch whose tap lies inside."""
        b = self.b
        with b.forever([start]) as loop:
            (line,) = loop.carried
            loop.exit_if(b.icmp("sge", line, stop))
            plane, first = b.udiv(line, b.param("count1")), b.urem(line, b.param("count1"))
            last = b.intrinsic("smin", b.add(first, b.sub(stop, line)), b.param("count1"))
            image, depth = b.udiv(plane, b.param("count0")), b.urem(plane, b.param("count0"))
            low = b.intrinsic("smax", first, self.ranges[1][0])
            high = b.intrinsic("smin", last, self.ranges[1][1])
            inside = b.and_(
                b.icmp("sge", depth, self.ranges[0][0]), b.icmp("slt", depth, self.ranges[0][1])
            )
            with b.if_(b.and_(inside, b.icmp("slt", low, high))):
                for tap, taps, start_, end in self.stretches:
                    with b.if_(b.icmp("slt", start_, end)):
                        lines, pixels = b.sub(high, low), b.sub(end, start_)
                        self._stretch(image, (depth, low, start_), lines, pixels, tap, taps)
            loop.next(b.add(line, b.sub(last, first)))

    def _stretch(
        self, image: Value, windows: tuple[Value, ...], lines: Value, pixels: Value, tap: int, taps: int
    ) -> None:
        """Some lines of one plane, and some taps: for each tile of x's channels, all their pixels."""
        b, work, shape = self.b, self.work, self.shape
        place, other = image, image
        for axis, window in enumerate(windows):
            at = b.add(b.mul(window, work.strides[axis]), self.shifts[axis])
            place = b.add(b.mul(place, b.param(f"source{axis}")), at)
            other = b.add(b.mul(other, b.param(f"count{axis}")), window)
        x = b.offset(self.x, b.mul(b.add(place, tap), self.pixel_x))
        sums = b.offset(self.sums, b.mul(b.param("depth"), tap * shape.panel_step))
        y = b.offset(self.y, b.mul(other, self.pixel_y))
        steps = (
            b.mul(self.pixel_x, work.strides[2]),
            b.mul(b.mul(self.pixel_x, b.param("source2")), work.strides[1]),
            self.pixel_y,
            b.mul(self.pixel_y, b.param("count2")),
        )
        is_whole = b.icmp("eq", self.across, shape.columns)
        with b.forever([b.i64(0)]) as loop:
            (row,) = loop.carried
            rest = b.sub(b.mul(b.param("depth"), taps), row)
            loop.exit_if(b.icmp("sle", rest, 0))
            options = [(b.i64(rows), self._function(rows, is_whole)) for rows in self.whole]
            rows, function = options[-1]
            for more, larger in reversed(options[:-1]):
                enough = b.icmp("sge", rest, more)
                rows, function = b.select(enough, more, rows), b.select(enough, larger, function)
            b.call_pointer(
                "void", function, b.offset(x, b.mul(row, shape.bytes)), y, *steps, lines, pixels,
                b.offset(sums, b.mul(row, shape.panel_step)), self.across,
            )  # fmt: skip
            loop.next(b.add(row, rows))

    def _function(self, rows: int, is_whole: Value) -> Value:
        whole, ragged = (Value("ptr", f"@{table[rows].name}") for table in (self.whole, self.ragged))
        return whole if whole == ragged else self.b.select(is_whole, whole, ragged)


@remembered
def _outer_tile(shape: Blocking, rows: int, target: Target, ragged: bool, paired: bool) -> Builder:
    """A function that adds to a tile the products of `rows` channels of x with a panel of y, over a stretch.

    If `paired`, of a panel of x with the same one of y, channel by channel; the tile is one row then.

    Its arguments: x and y at the first pixel; the bytes from pixel to pixel and from line to line of each; how many
    lines and pixels; the tile; and how many of its columns there are, which a `ragged` one heeds.
    """
    b = Builder(
        "outer_tile",
        [("x", "ptr"), ("y", "ptr"), ("x_step", "i64"), ("x_line", "i64"), ("y_step", "i64"), ("y_line", "i64"),
         ("lines", "i64"), ("pixels", "i64"), ("c", "ptr"), ("across", "i64")],
        target=target,
        linkage="internal",
    )  # fmt: skip
    x, y, x_step, x_line, y_step, y_line, lines, pixels, c, across = b.params
    places = [j * shape.lanes * shape.bytes for j in range(shape.vectors)]
    masks = [mask_below(b, across, j, shape.lanes) if ragged else None for j in range(shape.vectors)]
    sums = [b.const(shape.vector, 0)] * (rows * shape.vectors)
    with b.loop(0, lines, carried=[x, y, *sums]) as line:
        with b.loop(0, pixels, carried=list(line.carried)) as pixel:
            left, right, *sums = pixel.carried
            across_ = [load_some(b, shape.vector, b.offset(right, at), m) for at, m in zip(places, masks)]
            for row in range(rows):
                for j, other in enumerate(across_):
                    if paired:
                        value = load_some(b, shape.vector, b.offset(left, places[j]), masks[j])
                    elif j == 0:
                        value = b.splat(b.load(shape.element, b.offset(left, row * shape.bytes)), shape.lanes)
                    sums[row * shape.vectors + j] = b.fma(value, other, sums[row * shape.vectors + j])
            pixel.next(b.offset(left, x_step), b.offset(right, y_step), *sums)
        line.next(
            b.offset(line.carried[0], x_line), b.offset(line.carried[1], y_line), *pixel.results[2:]
        )
    for number, value in enumerate(line.results[2:]):
        place = b.offset(c, number * shape.lanes * shape.bytes)
        b.store(b.fadd(b.load(shape.vector, place), value), place)
    return named_by_content(b)


# the second stage -----------------------------------------------------------------------------------------


def _adding_kernel(work: Weighing, shape: Blocking, target: Target) -> Kernel:
    """The kernel `(partial, w, sizes...)`: the blocks added, as `w[out][in][tap]`; a turn is part of a panel."""
    b = Builder(
        "add_blocks",
        [("partial", "ptr"), ("w", "ptr"), *((name, "i64") for name in (*_NAMES, "low", "high"))],
        target=target,
    )
    depth, width = b.param("depth"), b.param("width")
    taps = b.mul(b.mul(b.param("window0"), b.param("window1")), b.param("window2"))
    panel_bytes = b.mul(b.mul(taps, depth), shape.panel_step)
    block_bytes = b.mul(b.mul(b.param("panels"), work.groups), panel_bytes)
    chunks = b.udiv(b.add(depth, _CHANNELS - 1), _CHANNELS)
    line = b.alloca(shape.vector, shape.vectors)
    places = [j * shape.lanes * shape.bytes for j in range(shape.vectors)]
    with b.loop(b.param("low"), b.param("high")) as turn:
        first, number = b.mul(b.urem(turn.index, chunks), _CHANNELS), b.udiv(turn.index, chunks)
        panel, group = b.urem(number, b.param("panels")), b.udiv(number, b.param("panels"))
        column = b.mul(panel, shape.columns)
        across = b.intrinsic("smin", b.sub(width, column), shape.columns)
        corner = b.mul(b.add(b.mul(b.add(b.mul(group, width), column), depth), first), taps)
        source = b.offset(b.param("partial"), b.add(b.mul(number, panel_bytes), b.mul(first, shape.panel_step)))
        target_ = b.gep(b.param("w"), corner, shape.element)
        few = b.intrinsic("smin", b.sub(depth, first), _CHANNELS)
        tap_bytes = b.mul(depth, shape.panel_step)
        with b.loop(0, taps, carried=[source, target_]) as tap:
            with b.loop(0, few, carried=list(tap.carried)) as channel:
                start, place = channel.carried
                zeros = [b.const(shape.vector, 0)] * shape.vectors
                with b.loop(0, b.param("blocks"), carried=[start, *zeros]) as block:
                    at, *sums = block.carried
                    added = [b.load(shape.vector, b.offset(at, offset)) for offset in places]
                    sums = [b.fadd(total, x, EXACT) for total, x in zip(sums, added)]
                    block.next(b.offset(at, block_bytes), *sums)
                for value, offset in zip(block.results[1:], places):
                    b.store(value, b.offset(line, offset))
                with b.loop(0, across, carried=[place]) as lane:
                    b.store(b.load(shape.element, b.gep(line, lane.index, shape.element)), lane.carried[0])
                    lane.next(b.gep(lane.carried[0], b.mul(depth, taps), shape.element))
                channel.next(b.offset(start, shape.panel_step), b.gep(place, taps, shape.element))
            tap.next(b.offset(tap.carried[0], tap_bytes), b.gep(tap.carried[1], 1, shape.element))
    turns = (work.groups, work.panels(shape), dims.floordiv(work.depth + _CHANNELS - 1, _CHANNELS))
    split = Split(turns, 1, work.taps * (_CHANNELS * shape.columns * 20))
    return Kernel(b, work.sizes(shape), split=split)


