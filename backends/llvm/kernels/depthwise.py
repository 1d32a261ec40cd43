"""Depthwise convolutions: each channel with a window of its own, so vectors of channels, as in pooling.

    conv                        each window folded, times the weights               _Convolving
    conv_transpose, stride 1    the same, with the window turned round: every
                                element is met by the taps in reverse order
    conv_transpose, strides     each element spread over its window                 _Transposing

The weights, `w[channel][1][tap]`, are turned into lines of channels first, one for each tap.

Invariant: an element is the sum over taps in row-major order (of windows in theirs, where they are spread).
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.backends.llvm.emitter import Builder, Value, vector
from graphc.backends.llvm.kernel import Kernel, Split
from graphc.backends.llvm.kernels.correlation import Correlation
from graphc.backends.llvm.kernels.sliding import Line, Sliding, SlidingKernel, Values
from graphc.backends.llvm.kernels.stages import Stage
from graphc.backends.llvm.target import Target
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType


def is_depthwise(work: Correlation) -> bool:
    """Whether each group is one channel in, one out."""
    return work.groups > 1 and work.depth == 1 and work.width == 1


def depthwise_stages(tensor: Tensor, work: Correlation, target: Target) -> tuple[Stage, ...]:
    """The kernels of a depthwise `conv` or `conv_transpose`."""
    turned = work.transposed and all(s == 1 for s in work.strides)
    lines = TensorType(work.dtype, (work.taps, work.groups))
    kernel = _transposing(work, target) if work.transposed and not turned else _convolving(tensor, work, turned, target)
    return (
        Stage(_lines_kernel(work, turned, target), (1,), lines),
        Stage(kernel, (0, 2), tensor.tensor_type),
    )


def _lines_kernel(work: Correlation, turned: bool, target: Target) -> Kernel:
    """The kernel `(w, lines, taps, low, high)`: a line of channels for each tap; a turn is one tap."""
    b = Builder(
        "weight_lines",
        [("w", "ptr"), ("lines", "ptr"), ("taps", "i64"), ("low", "i64"), ("high", "i64")],
        target=target,
    )
    element = "float" if work.dtype.itemsize == 4 else "double"
    taps, channels = b.param("taps"), work.groups
    with b.loop(b.param("low"), b.param("high")) as tap:
        taken = b.sub(b.sub(taps, 1), tap.index) if turned else tap.index
        line = b.gep(b.param("lines"), b.mul(tap.index, channels), element)
        with b.loop(0, channels) as channel:
            value = b.load(element, b.gep(b.param("w"), b.add(b.mul(channel.index, taps), taken), element))
            b.store(value, b.gep(line, channel.index, element))
    return Kernel(b, (work.taps,), split=Split((work.taps,), 1, channels * 16))


def _convolving(tensor: Tensor, work: Correlation, turned: bool, target: Target) -> Kernel:
    before = work.before
    padded = True
    if turned:  # the first tap of the turned window is the last one of the image's
        before = tuple((k - 1) * d - b for k, d, b in zip(work.window, work.dilation, work.before))
    else:
        padded = any(p != 0 for p in (*tensor.attrs["before"], *tensor.attrs["after"]))
    geometry = Sliding(
        work.dtype, work.batch, work.source, work.result, work.window, before, work.strides, work.dilation, padded,
        work.groups,
    )  # fmt: skip
    return _Convolving(geometry, target).fold_kernel(work.result[-1] * work.groups * (work.taps + 1))


def _transposing(work: Correlation, target: Target) -> Kernel:
    geometry = Sliding(
        work.dtype, work.batch, work.result, work.source, work.window, work.before, work.strides, work.dilation, True,
        work.groups,
    )  # fmt: skip
    return _Transposing(geometry, target).spread_kernel()


#: Windows that are computed together.
_TILE = 4


class _Depthwise(SlidingKernel):
    """What both kinds of kernel know of weights."""

    def __init__(self, work: Sliding, target: Target) -> None:
        super().__init__(work, "depthwise", ("x", "lines", "result"), target)
        self.widths = tuple(dict.fromkeys((target.native_lanes(work.dtype), 1)))
        if isinstance(work.channels, int):  # distances between neighbours are constants of the instructions then
            self.pixel = self.b.i64(work.channels * work.dtype.itemsize)

    def weights(self, tap: Value, at: Value, lanes: int) -> Value:
        """The weights of some channels for one tap; `at` is where the channels begin in a line, in bytes."""
        b = self.b
        line = b.offset(b.param("lines"), b.mul(tap, self.pixel))
        return b.load(vector(self.element, lanes), b.offset(line, at))


class _Convolving(_Depthwise):
    """Each window to one element.

    Where a line of windows lies inside the image, a few neighbours are computed together: their weights stay in
    registers from window to window, and an element that several of them meet is loaded once.
    """

    def line(self, line: Line) -> None:
        """All windows of one line: those at the border one by one, those inside in tiles."""
        b, taps = self.b, self.work.taps
        if taps is None:
            self.windows_of_line(line, self.window)
            return
        _, places = self.base(line, b.i64(0))
        inside = self.is_inside([*places[:2], b.i64(0)], axes=2)
        low, high = self.windows_inside()
        high = b.select(inside, high, low)
        count = self.param("count2")
        tiled = b.add(low, b.mul(b.sdiv(b.sub(high, low), _TILE), _TILE))
        self.windows_between(line, b.i64(0), low, self.window)
        with b.loop(low, tiled, _TILE) as tile:
            flat, _ = self.base(line, tile.index)
            number = b.add(b.mul(line.number, count), tile.index)
            self._tile(b.mul(flat, self.pixel), b.mul(number, self.pixel), taps)
        self.windows_between(line, tiled, count, self.window)

    def _tile(self, inside: Value, outside: Value, taps: Sequence[tuple[int, ...]]) -> None:
        """`_TILE` windows side by side, the first of which begins at `inside`."""
        b, stride, dilation = self.b, self.work.strides[2], self.work.dilation[2]
        columns = sorted({tap[2] for tap in taps})
        shifts = sorted({q * stride + k * dilation for q in range(_TILE) for k in columns})
        rows = {row: b.add(inside, self.tap_offset((*row, 0))) for row in sorted({tap[:2] for tap in taps})}

        def channels(channel: Value, lanes: int) -> None:
            at = b.mul(channel, self.work.dtype.itemsize)
            sums = [b.const(vector(self.element, lanes), 0)] * _TILE
            for row, start in rows.items():
                weights = {k: self.weights(b.i64(taps.index((*row, k))), at, lanes) for k in columns}
                begin = b.add(start, at)
                for shift in shifts:
                    value = self.load("x", b.add(begin, b.mul(self.pixel, shift)), lanes)
                    for q in range(_TILE):
                        k, rest = divmod(shift - q * stride, dilation)
                        if not rest and k in weights:
                            sums[q] = b.fma(value, weights[k], sums[q])
            for q, value in enumerate(sums):
                place = b.add(b.add(outside, at), b.mul(self.pixel, q))
                b.store(value, b.offset(b.param("result"), place))

        self.over_channels(b.i64(0), self.param("channels"), channels)

    def window(self, inside: Value, outside: Value, places: list[Value]) -> None:
        """All channels of one window."""
        b = self.b

        def channels(channel: Value, lanes: int) -> None:
            at = b.mul(channel, self.work.dtype.itemsize)

            def tap(place: Value, number: Value, sums: Value) -> Values:
                return (b.fma(self.load("x", place, lanes), self.weights(number, at, lanes), sums),)

            initial = (b.const(vector(self.element, lanes), 0),)
            (sums,) = self.over_taps(b.add(inside, at), places, initial, tap)
            b.store(sums, b.offset(b.param("result"), b.add(outside, at)))

        self.over_channels(b.i64(0), self.param("channels"), channels)


class _Transposing(_Depthwise):
    """Each element to its window."""

    def spread(self, image: Value, channel: Value, lanes: int) -> None:
        """Some channels of one image."""
        b = self.b
        at = b.mul(channel, self.work.dtype.itemsize)
        self.clear(image, at, lanes)

        def window(inside: Value, outside: Value, places: list[Value]) -> None:
            given = self.load("x", b.add(outside, at), lanes)

            def tap(place: Value, number: Value) -> Values:
                value = b.fma(given, self.weights(number, at, lanes), self.load("result", place, lanes))
                b.store(value, b.offset(b.param("result"), place))
                return ()

            self.over_taps(b.add(inside, at), places, (), tap)

        self.windows_of_image(image, window)


