"""Pooling kernels: vectors of channels, window by window, tap by tap.

    max_pool, sum_pool, max_pool_pick    fold each window; a turn is one line of windows        _Folding
    max_pool_spread, sum_pool_spread     add to the places of each window; a turn is some       _Spreading
                                         channels of one image, as windows may overlap

Invariant: windows come in row-major order, as their taps do; so the first of equal maxima is found, and sums do not
depend on threads.
"""

from __future__ import annotations

import numpy as np

from graphc.backends.llvm.emitter import EXACT, Value, vector
from graphc.backends.llvm.kernel import Kernel
from graphc.backends.llvm.kernels.correlation import in_three
from graphc.backends.llvm.kernels.sliding import Sliding, SlidingKernel, Values
from graphc.backends.llvm.target import Target, host_target
from graphc.ir import dims
from graphc.ir.dims import Size
from graphc.ir.tensor import Tensor

#: The operands' names.
_POINTERS = {
    "max_pool": ("x",), "sum_pool": ("x",), "max_pool_pick": ("h", "x", "y"), "max_pool_spread": ("g", "x", "y"),
    "sum_pool_spread": ("g",),
}  # fmt: skip


def _geometry(tensor: Tensor, extents: tuple[Size, ...], counts: tuple[Size, ...]) -> Sliding:
    attrs = tensor.attrs
    return Sliding(
        dtype=tensor.dtype,
        batch=tensor.shape[0],
        extents=in_three(extents, 1),
        counts=in_three(counts, 1),
        window=in_three(attrs["window"], 1),
        before=in_three(attrs["before"], 0),
        strides=in_three(attrs["strides"], 1),
        dilation=in_three(attrs["dilation"], 1),
        padded=any(p != 0 for p in (*attrs["before"], *attrs["after"])),
        channels=tensor.shape[-1],
    )


def build_fold(tensor: Tensor, target: Target | None = None) -> Kernel:
    """The kernel of a `max_pool`, `max_pool_pick` or `sum_pool` tensor, for this machine or another."""
    work = _geometry(tensor, tensor.inputs[0].shape[1:-1], tensor.shape[1:-1])
    weight = work.counts[-1] * work.channels * (dims.product(work.window) + 1) * work.dtype.itemsize // 4 + 1
    return _Folding(work, tensor.op.name, target or host_target()).fold_kernel(weight)


def build_spread(tensor: Tensor, target: Target | None = None) -> Kernel:
    """The kernel of a `max_pool_spread` or `sum_pool_spread` tensor, for this machine or another."""
    work = _geometry(tensor, tensor.shape[1:-1], tensor.inputs[0].shape[1:-1])
    return _Spreading(work, tensor.op.name, target or host_target()).spread_kernel()


class _Pooling(SlidingKernel):
    """What both kinds of kernel know of maxima."""

    def __init__(self, work: Sliding, name: str, target: Target) -> None:
        super().__init__(work, name, (*_POINTERS[name], "result"), target)

    def larger(self, x: Value, largest: Value) -> Value:
        """The larger of two, NaN being the largest."""
        b = self.b
        if self.is_float:
            return b.select(b.or_(b.fcmp("ogt", x, largest), b.fcmp("uno", x, x)), x, largest)
        return b.intrinsic("smax" if self.work.dtype.kind == "i" else "umax", x, largest)

    def equal(self, x: Value, y: Value) -> Value:
        """Whether the two are equal, or NaN both."""
        b = self.b
        if not self.is_float:
            return b.icmp("eq", x, y)
        return b.or_(b.fcmp("oeq", x, y), b.and_(b.fcmp("uno", x, x), b.fcmp("uno", y, y)))

    def least(self) -> int | float:
        """What the maximum of nothing is."""
        return -np.inf if self.is_float else int(np.iinfo(self.work.dtype).min)


class _Folding(_Pooling):
    """Each window to one element."""

    def window(self, inside: Value, outside: Value, places: list[Value]) -> None:
        """All channels of one window."""
        b, size = self.b, self.work.dtype.itemsize

        def channels(channel: Value, lanes: int) -> None:
            at = b.mul(channel, size)
            place = b.add(inside, at)
            result = b.offset(b.param("result"), b.add(outside, at))
            fold = {"max_pool": self._largest, "sum_pool": self._sum, "max_pool_pick": self._picked}[self.name]
            b.store(fold(place, b.add(outside, at), places, lanes), result)

        self.over_channels(b.i64(0), b.param("channels"), channels)

    def _largest(self, place: Value, _: Value, places: list[Value], lanes: int) -> Value:
        initial = self.b.const(vector(self.element, lanes), self.least())

        def tap(at: Value, _: Value, largest: Value) -> Values:
            return (self.larger(self.load("x", at, lanes), largest),)

        return self.over_taps(place, places, (initial,), tap)[0]

    def _sum(self, place: Value, _: Value, places: list[Value], lanes: int) -> Value:
        initial = self.b.const(vector(self.element, lanes), 0)

        def tap(at: Value, _: Value, sums: Value) -> Values:
            return (self.b.fadd(sums, self.load("x", at, lanes), EXACT),)

        return self.over_taps(place, places, (initial,), tap)[0]

    def _picked(self, place: Value, outside: Value, places: list[Value], lanes: int) -> Value:
        b, largest = self.b, self.load("y", outside, lanes)

        def tap(at: Value, _: Value, found: Value, result: Value) -> Values:
            equal = self.equal(self.load("x", at, lanes), largest)
            first = b.and_(equal, b.not_(found))
            return b.or_(found, equal), b.select(first, self.load("h", at, lanes), result)

        initial = (b.const(vector("i1", lanes), 0), b.const(vector(self.element, lanes), 0))
        return self.over_taps(place, places, initial, tap)[1]


class _Spreading(_Pooling):
    """Each window's element to its places."""

    def spread(self, image: Value, channel: Value, lanes: int) -> None:
        """Some channels of one image."""
        at = self.b.mul(channel, self.work.dtype.itemsize)
        if not self.work.covers or self.work.overlaps:
            self.clear(image, at, lanes)

        def window(inside: Value, outside: Value, places: list[Value]) -> None:
            self._spread_window(self.b.add(inside, at), self.b.add(outside, at), places, lanes)

        self.windows_of_image(image, window)

    def _spread_window(self, inside: Value, outside: Value, places: list[Value], lanes: int) -> None:
        """What one window adds to its places."""
        b = self.b
        given = self.load("g", outside, lanes)
        if self.name == "sum_pool_spread":

            def every(at: Value, _: Value) -> Values:
                self._give(at, given, lanes)
                return ()

            self.over_taps(inside, places, (), every)
            return
        largest, zero = self.load("y", outside, lanes), b.const(vector(self.element, lanes), 0)

        def first_largest(at: Value, _: Value, found: Value) -> Values:
            equal = self.equal(self.load("x", at, lanes), largest)
            self._give(at, b.select(b.and_(equal, b.not_(found)), given, zero), lanes)
            return (b.or_(found, equal),)

        self.over_taps(inside, places, (b.const(vector("i1", lanes), 0),), first_largest)

    def _give(self, at: Value, value: Value, lanes: int) -> None:
        b = self.b
        if self.is_float:  # 0.0 + -0.0 is 0.0, also where it is the only sum
            before = self.load("result", at, lanes) if self.work.overlaps else b.const(value.type, 0)
            value = b.fadd(before, value, EXACT)
        elif self.work.overlaps:
            value = b.add(self.load("result", at, lanes), value)
        b.store(value, b.offset(b.param("result"), at))
