"""Windows that slide over an image whose channels are its last axis: what pooling and depthwise kernels share.

A vector of channels is one load, and each tap of a window one instruction on it; what is left of the channels goes
through narrower vectors of the same code. The taps of a small window are written out; windows at the border, and
large ones, have loops over the taps that lie inside the image. Images of one channel have vectors of neighbouring
windows instead (`planes.py`).

Invariant: a window's taps come in row-major order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from graphc.backends.llvm.emitter import Builder, Value, memory_type, vector
from graphc.backends.llvm.kernel import Kernel, Split
from graphc.backends.llvm.kernels.correlation import AXES
from graphc.backends.llvm.target import Target
from graphc.ir import dims
from graphc.ir.dims import Size

#: Windows of up to so many taps are written out.
_UNROLLED = 16

NAMES = (
    "batch", *(f"{what}{axis}" for what in ("extent", "count", "window", "before") for axis in range(AXES)),
    "channels",
)  # fmt: skip

Values = tuple[Value, ...]


@dataclass(frozen=True)
class Sliding:
    """The geometry: windows over images.

    Attributes:
        dtype: of the elements.
        batch: the number of images.
        extents: the spatial extents of the images.
        counts: the numbers of windows.
        window, before, strides, dilation: the op's.
        padded: whether windows may reach beyond the image.
        channels: how many there are.
    """

    dtype: np.dtype
    batch: Size
    extents: tuple[Size, ...]
    counts: tuple[Size, ...]
    window: tuple[Size, ...]
    before: tuple[Size, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    padded: bool
    channels: Size

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The run-time arguments, in the order of `NAMES`."""
        return (self.batch, *self.extents, *self.counts, *self.window, *self.before, self.channels)

    @property
    def taps(self) -> tuple[tuple[int, ...], ...] | None:
        """The taps one by one, if they are known to be few; else None."""
        if not all(isinstance(k, int) for k in self.window):
            return None
        found = tuple(np.ndindex(*self.window))  # type: ignore[arg-type]
        return found if len(found) <= _UNROLLED else None

    @property
    def overlaps(self) -> bool:
        """Whether an element may lie in several windows."""
        return any(
            not isinstance(k, int) or (k - 1) * d + 1 > s
            for k, d, s in zip(self.window, self.dilation, self.strides)
        )

    @property
    def covers(self) -> bool:
        """Whether each element is known to lie in a window."""
        return all(
            k == s and d == 1 and b == 0 and n == p * s
            for n, p, k, b, s, d in zip(
                self.extents, self.counts, self.window, self.before, self.strides, self.dilation
            )
        )


class Line(NamedTuple):
    """A line of windows, along the last axis: its number, its image, and its places along the first two axes."""

    number: Value
    image: Value
    first: Value
    second: Value


class SlidingKernel:
    """A kernel under construction: where windows and their taps lie, and loops over them."""

    #: Whether extents that are known are numbers in the text; else kernels of all extents are one.
    is_static = False

    def __init__(self, work: Sliding, name: str, pointers: Sequence[str], target: Target) -> None:
        self.work, self.name = work, name
        self.element = memory_type(work.dtype)
        self.is_float = work.dtype.kind == "f"
        wide, native = target.lanes(work.dtype), target.native_lanes(work.dtype)
        self.widths = tuple(dict.fromkeys((wide, native, 1)))
        names = [(pointer, "ptr") for pointer in pointers]
        names += [(size, "i64") for size in (*NAMES, "low", "high")]
        self.b = Builder(name, names, target=target)
        with self.b.at(self.b.entry):
            self.pixel = self.b.mul(self.param("channels"), work.dtype.itemsize)

    def param(self, name: str) -> Value:
        """A run-time size, by its name."""
        size = self.work.sizes[NAMES.index(name)]
        return self.b.i64(size) if self.is_static and isinstance(size, int) else self.b.param(name)

    def base(self, line: Line, window: Value) -> tuple[Value, list[Value]]:
        """The flat number of the place where a window of a line begins, and the place along each axis."""
        b, flat, places = self.b, line.image, []
        for axis, number in enumerate((line.first, line.second, window)):
            place = b.sub(b.mul(number, self.work.strides[axis]), self.param(f"before{axis}"))
            flat = b.add(b.mul(flat, self.param(f"extent{axis}")), place)
            places.append(place)
        return flat, places

    def over_taps(
        self, start: Value, places: Sequence[Value], states: Values, body: Callable[..., Values]
    ) -> Values:
        """`states = body(offset, tap number, *states)` for the taps inside of the window at `start`, in bytes."""
        b, taps = self.b, self.work.taps
        if taps is None:
            return self._loop(start, places, states, body)
        if not self.work.padded:
            return self._written_out(start, taps, states, body)
        with b.if_else(self.is_inside(places), likely=True) as side:
            with side.then:
                side.give(*self._written_out(start, taps, states, body))
            with side.otherwise:
                side.give(*self._loop(start, places, states, body))
        return side.results

    def is_inside(self, places: Sequence[Value], axes: int = AXES) -> Value:
        """Whether all taps of a window lie inside the image, along the first axes."""
        b, inside = self.b, Value("i1", "true")
        for axis, place in enumerate(places[:axes]):
            reach = b.mul(b.sub(self.param(f"window{axis}"), 1), self.work.dilation[axis])
            ends = b.icmp("slt", b.add(place, reach), self.param(f"extent{axis}"))
            inside = b.and_(inside, b.and_(b.icmp("sge", place, 0), ends))
        return inside

    def _written_out(
        self, start: Value, taps: Sequence[tuple[int, ...]], states: Values, body: Callable[..., Values]
    ) -> Values:
        b = self.b
        for number, tap in enumerate(taps):
            states = body(b.add(start, self.tap_offset(tap)), b.i64(number), *states)
        return states

    def _loop(
        self, start: Value, places: Sequence[Value], states: Values, body: Callable[..., Values]
    ) -> Values:
        b, ranges = self.b, self._ranges(places)
        with b.loop(*ranges[0], carried=states) as first:
            with b.loop(*ranges[1], carried=first.carried) as second:
                with b.loop(*ranges[2], carried=second.carried) as third:
                    tap = (first.index, second.index, third.index)
                    number = b.add(b.mul(tap[0], self.param("window1")), tap[1])
                    number = b.add(b.mul(number, self.param("window2")), tap[2])
                    third.next(*body(b.add(start, self._tap_offset(tap)), number, *third.carried))
                second.next(*third.results)
            first.next(*second.results)
        return first.results

    def _ranges(self, places: Sequence[Value]) -> list[tuple[Value, Value]]:
        """For each axis, which taps of a window lie inside the image: low <= tap < high."""
        b, found = self.b, []
        for axis, place in enumerate(places):
            step = self.work.dilation[axis]
            low = b.sdiv(b.add(b.intrinsic("smax", b.sub(b.i64(0), place), 0), step - 1), step)
            room = b.sub(b.sub(self.param(f"extent{axis}"), 1), place)
            high = b.select(b.icmp("slt", room, 0), b.i64(0), b.add(b.sdiv(room, step), 1))
            found.append((low, b.intrinsic("smin", high, self.param(f"window{axis}"))))
        return found

    def tap_offset(self, tap: Sequence[int]) -> Value:
        """From the beginning of a window to a tap, in bytes."""
        return self._tap_offset(tuple(self.b.i64(entry) for entry in tap))

    def _tap_offset(self, tap: Values) -> Value:
        b, offset = self.b, self.b.i64(0)
        for axis, number in enumerate(tap):
            offset = b.add(b.mul(offset, self.param(f"extent{axis}")), b.mul(number, self.work.dilation[axis]))
        return b.mul(offset, self.pixel)

    def over_channels(self, low: Value, high: Value, body: Callable[[Value, int], None]) -> None:
        """`body(channel, lanes)` for all channels from low to high, in vectors as wide as fit."""
        b, start = self.b, low
        for lanes in self.widths:
            stop = b.sub(high, b.urem(b.sub(high, start), lanes)) if lanes > 1 else high
            with b.loop(start, stop, lanes) as loop:
                body(loop.index, lanes)
            start = stop

    def load(self, name: str, at: Value, lanes: int) -> Value:
        """Some channels of one element of the image that a parameter points to, `at` so many bytes from its start."""
        return self.b.load(vector(self.element, lanes), self.b.offset(self.b.param(name), at))

    def met(self, name: str, at: Value, lanes: int) -> Value:
        """The element that a tap meets, for as many lanes as there are; `at` is where the first of them lies."""
        return self.load(name, at, lanes)

    def line(self, line: Line) -> None:
        """What a folding kernel does with one line of windows."""
        self.windows_of_line(line, self.window)

    def over_lines(self, low: Value, high: Value, body: Callable[[Line], None]) -> None:
        """`body` for the lines of windows from `low` to `high`, slab by slab, so that few numbers are divided."""
        b, length = self.b, self.param("count1")
        with b.forever([low]) as stretch:
            (number,) = stretch.carried
            stretch.exit_if(b.icmp("sge", number, high))
            slab, second = b.udiv(number, length), b.urem(number, length)
            image, first = b.udiv(slab, self.param("count0")), b.urem(slab, self.param("count0"))
            lines = b.intrinsic("smin", b.sub(high, number), b.sub(length, second))
            with b.loop(0, lines) as line:
                body(Line(b.add(number, line.index), image, first, b.add(second, line.index)))
            stretch.next(b.add(number, lines))

    def windows_of_line(self, line: Line, body: Callable[[Value, Value, list[Value]], None]) -> None:
        """`body` for each window of one line of windows; see `windows_between`."""
        self.windows_between(line, self.b.i64(0), self.param("count2"), body)

    def windows_inside(self) -> tuple[Value, Value]:
        """The windows of a line whose taps all lie inside the image along the last axis: low <= window < high."""
        b, stride = self.b, self.work.strides[2]
        reach = b.mul(b.sub(self.param("window2"), 1), self.work.dilation[2])
        before, count = self.param("before2"), self.param("count2")
        low = b.intrinsic("smax", b.sdiv(b.add(before, stride - 1), stride), 0)
        room = b.sub(b.add(b.sub(self.param("extent2"), 1), before), reach)
        high = b.select(b.icmp("slt", room, 0), b.i64(0), b.add(b.sdiv(room, stride), 1))
        low = b.intrinsic("smin", low, count)
        return low, b.intrinsic("smax", b.intrinsic("smin", high, count), low)

    def windows_between(
        self, line: Line, low: Value, high: Value, body: Callable[[Value, Value, list[Value]], None]
    ) -> None:
        """`body(inside, outside, places)` for some windows of a line, from `low` to `high`.

        `inside` is where the window begins, in bytes from the first image, `outside` where its element of the result
        is, and `places` where it begins along each axis.
        """
        b = self.b
        with b.loop(low, high) as third:
            flat, places = self.base(line, third.index)
            number = b.add(b.mul(line.number, self.param("count2")), third.index)
            body(b.mul(flat, self.pixel), b.mul(number, self.pixel), places)

    def windows_of_image(self, image: Value, body: Callable[[Value, Value, list[Value]], None]) -> None:
        """The same for all windows of an image."""
        b = self.b
        lines = b.mul(self.param("count0"), self.param("count1"))
        start = b.mul(image, lines)
        self.over_lines(start, b.add(start, lines), lambda line: self.windows_of_line(line, body))

    def clear(self, image: Value, at: Value, lanes: int) -> None:
        """Zeros in some channels of an image of the result."""
        b = self.b
        pixels = b.mul(b.mul(self.param("extent0"), self.param("extent1")), self.param("extent2"))
        start = b.offset(b.param("result"), b.add(b.mul(b.mul(image, pixels), self.pixel), at))
        with b.loop(0, pixels, carried=[start]) as loop:
            b.store(b.const(vector(self.element, lanes), 0), loop.carried[0])
            loop.next(b.offset(loop.carried[0], self.pixel))

    def fold_kernel(self, weight: Size) -> Kernel:
        """The kernel, a turn of which is one line of windows."""
        b, work = self.b, self.work
        self.over_lines(b.param("low"), b.param("high"), self.line)
        return Kernel(b, work.sizes, split=Split((work.batch, *work.counts[:2]), 1, weight))

    def spread_kernel(self) -> Kernel:
        """The kernel, a turn of which is one chunk of channels of one image, as windows may overlap."""
        b, work, chunk = self.b, self.work, self.widths[0]
        chunks = b.udiv(b.add(self.param("channels"), chunk - 1), chunk)
        with b.loop(b.param("low"), b.param("high")) as turn:
            image, first = b.udiv(turn.index, chunks), b.mul(b.urem(turn.index, chunks), chunk)
            last = b.intrinsic("smin", b.add(first, chunk), self.param("channels"))
            self.over_channels(first, last, lambda channel, lanes: self.spread(image, channel, lanes))
        pixels = dims.product(work.extents) + dims.product(work.counts) * dims.product(work.window)
        weight = pixels * max(1, chunk * work.dtype.itemsize // 8)
        turns = (work.channels + chunk - 1) // chunk
        return Kernel(b, work.sizes, split=Split((work.batch, turns), 1, weight))

    def window(self, inside: Value, outside: Value, places: list[Value]) -> None:
        """What a folding kernel does with one window."""
        raise NotImplementedError

    def windows(self, inside: Value, outside: Value, places: list[Value], lanes: int) -> None:
        """What a kernel does with some channels of one window, or neighbouring windows of one channel."""
        raise NotImplementedError

    def spread(self, image: Value, channel: Value, lanes: int) -> None:
        """What a spreading kernel does with some channels of an image."""
        raise NotImplementedError
