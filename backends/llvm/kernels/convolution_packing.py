"""The weights of a convolution as the micro-kernel reads them, packed once before the product.

    w, in memory               panel p of a group, `columns` channels of the result wide
    [out][in][window]   ->     phase, tap, channel of the source:  one line of `columns` weights for each
                               ...
                               one more line, the *check*: 0 where a column is finite throughout, else NaN

The lines are in the order in which the product takes them, so that each block of taps and channels is one stretch.

Invariant: columns beyond the last channel are zeros.
"""

from __future__ import annotations

from graphc.backends.llvm.emitter import Builder, Value
from graphc.backends.llvm.kernel import Kernel, Split
from graphc.backends.llvm.kernels.correlation import NAMES, AxisPhase, Correlation
from graphc.backends.llvm.kernels.microkernel import Blocking
from graphc.backends.llvm.target import Target
from graphc.ir.dims import Size
from graphc.ir.types import TensorType


def panels(work: Correlation, shape: Blocking) -> Size:
    """How many panels each group has."""
    return (work.width + shape.columns - 1) // shape.columns


def panel_lines(work: Correlation) -> Size:
    """The lines of a panel, without the check."""
    return work.taps * work.depth


def packed_type(work: Correlation, shape: Blocking) -> TensorType:
    """The type of the packed weights."""
    return TensorType(work.dtype, (work.groups, panels(work, shape), panel_lines(work) + 1, shape.columns))


def packing_kernel(work: Correlation, shape: Blocking, target: Target) -> Kernel:
    """The kernel `(w, packed, sizes...)`; a turn is one panel."""
    b = Builder(
        "pack_weights",
        [("w", "ptr"), ("packed", "ptr"), *((name, "i64") for name in NAMES), ("panels", "i64"), ("low", "i64"),
         ("high", "i64")],
        target=target,
    )  # fmt: skip
    depth, width = b.param("depth"), b.param("width")
    taps = b.mul(b.mul(b.param("window0"), b.param("window1")), b.param("window2"))
    line_bytes = shape.columns * shape.bytes
    panel_bytes = b.mul(b.add(b.mul(taps, depth), 1), line_bytes)
    # w[out][in][tap]; of a transposed product the channels of the source are the first axis.
    row, column = (b.mul(width, taps), taps) if work.transposed else (taps, b.mul(depth, taps))
    group_elements = b.mul(b.mul(depth, width), taps)
    with b.loop(b.param("low"), b.param("high")) as turn:
        group = b.udiv(turn.index, b.param("panels"))
        first = b.mul(b.urem(turn.index, b.param("panels")), shape.columns)
        corner = b.add(b.mul(group, group_elements), b.mul(first, column))
        source = b.gep(b.param("w"), corner, shape.element)
        panel = b.offset(b.param("packed"), b.mul(turn.index, panel_bytes))
        across = b.intrinsic("smin", b.sub(width, first), shape.columns)
        with b.loop(0, b.i64(work.phase_count), carried=[panel]) as phase:
            (place,) = phase.carried
            place = _pack_phase(b, work, shape, phase.index, place, source, (row, column), across)
            phase.next(place)
        _write_check(b, shape, panel, phase.results[0])
    size = work.groups * panels(work, shape)
    lines = panel_lines(work)
    split = Split((size,), 1, lines * shape.columns * 10)
    return Kernel(b, (*work.sizes, panels(work, shape)), split=split)


def _pack_phase(
    b: Builder, work: Correlation, shape: Blocking, phase: Value, place: Value, source: Value,
    steps: tuple[Value, Value], across: Value,
) -> Value:  # fmt: skip
    """The lines of one phase; gives the place behind them."""
    axes = work.phase(b, phase)
    row, column = steps
    with b.loop(0, b.mul(b.mul(axes[0].taps, axes[1].taps), axes[2].taps), carried=[place]) as tap:
        start = b.gep(source, window_number(b, axes, tap.index), shape.element)
        with b.loop(0, b.param("depth"), carried=[start, tap.carried[0]]) as channel:
            weight, line = channel.carried
            with b.loop(0, across, carried=[weight]) as lane:
                b.store(b.load(shape.element, lane.carried[0]), b.gep(line, lane.index, shape.element))
                lane.next(b.gep(lane.carried[0], column, shape.element))
            with b.loop(across, b.i64(shape.columns)) as rest:
                b.store(b.const(shape.element, 0), b.gep(line, rest.index, shape.element))
            channel.next(b.gep(weight, row, shape.element), b.offset(line, shape.columns * shape.bytes))
        tap.next(channel.results[1])
    return tap.results[0]


def window_number(b: Builder, axes: tuple[AxisPhase, ...], tap: Value) -> Value:
    """The number in the window of a phase's tap, both counted in row-major order."""
    rest, last = b.udiv(tap, axes[2].taps), b.urem(tap, axes[2].taps)
    entries = (b.udiv(rest, axes[1].taps), b.urem(rest, axes[1].taps), last)
    number = b.i64(0)
    for i, (axis, entry) in enumerate(zip(axes, entries)):
        number = b.mul(number, b.param(f"window{i}"))
        number = b.add(number, b.add(axis.tap, b.mul(entry, axis.tap_stride)))
    return number


def _write_check(b: Builder, shape: Blocking, panel: Value, end: Value) -> None:
    """The sum of 0 times each line."""
    places = [j * shape.lanes * shape.bytes for j in range(shape.vectors)]
    zeros = [b.const(shape.vector, 0)] * shape.vectors
    lines = b.udiv(b.sub(b.ptrtoint(end), b.ptrtoint(panel)), shape.columns * shape.bytes)
    with b.loop(0, lines, carried=[panel, *zeros]) as loop:
        line, *sums = loop.carried
        sums = [b.fma(b.load(shape.vector, b.offset(line, at)), 0.0, s) for at, s in zip(places, sums)]
        loop.next(b.offset(line, shape.columns * shape.bytes), *sums)
    for at, value in zip(places, loop.results[1:]):
        b.store(value, b.offset(end, at))
