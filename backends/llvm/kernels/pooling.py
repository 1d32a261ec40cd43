"""Pooling kernels: vectors of channels, or of windows of images of one channel; window by window, tap by tap.

    max_pool, sum_pool, max_pool_pick    fold each window; a turn is one line of windows        _Folding
    max_pool_spread, sum_pool_spread     add to the places of each window; a turn is some       _Spreading
                                         channels of one image, as windows may overlap

Invariant: windows come in row-major order, as their taps do; so the first of equal maxima is found, and sums do not
depend on threads.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc.backends.llvm.emitter import EXACT, Value, like, vector
from graphc.backends.llvm.kernel import Kernel
from graphc.backends.llvm.kernels.correlation import in_three
from graphc.backends.llvm.kernels.planes import PlaneKernel
from graphc.backends.llvm.kernels.sliding import Sliding, SlidingKernel, Values
from graphc.backends.llvm.target import Target, host_target
from graphc.ir import dims
from graphc.ir.dims import Size
from graphc.ir.tensor import Tensor

Tap = tuple[int, ...]

#: The names of operands and result.
_POINTERS = {
    "max_pool": ("x", "result"), "sum_pool": ("x", "result"), "max_pool_pick": ("h", "x", "result"),
    "max_pool_spread": ("g", "x", "result"), "sum_pool_spread": ("g", "result"),
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
    kind = _PlaneFolding if work.channels == 1 else _Folding
    return kind(work, tensor.op.name, _POINTERS[tensor.op.name], target or host_target()).fold_kernel(weight)


def build_spread(tensor: Tensor, target: Target | None = None) -> Kernel:
    """The kernel of a `max_pool_spread` or `sum_pool_spread` tensor, for this machine or another."""
    work = _geometry(tensor, tensor.shape[1:-1], tensor.inputs[0].shape[1:-1])
    kind = _PlaneSpreading if work.channels == 1 else _Spreading
    return kind(work, tensor.op.name, _POINTERS[tensor.op.name], target or host_target()).spread_kernel()


class _Pooling(SlidingKernel):
    """What both kinds of kernel know of maxima."""

    def is_larger(self, x: Value, largest: Value) -> Value:
        """Whether the first is larger than the second, NaN being the largest."""
        b = self.b
        if self.is_float:
            return b.and_(b.fcmp("ugt", x, largest), b.fcmp("ord", largest, largest))
        return b.icmp("sgt" if self.work.dtype.kind == "i" else "ugt", x, largest)

    def larger(self, x: Value, largest: Value) -> Value:
        """The larger of two, NaN being the largest."""
        if self.is_float:
            return self.b.select(self.is_larger(x, largest), x, largest)
        return self.b.intrinsic("smax" if self.work.dtype.kind == "i" else "umax", x, largest)

    def equal(self, x: Value, y: Value) -> Value:
        """Whether the two are equal, or NaN both."""
        b = self.b
        if not self.is_float:
            return b.icmp("eq", x, y)
        return b.or_(b.fcmp("oeq", x, y), b.and_(b.fcmp("uno", x, x), b.fcmp("uno", y, y)))

    def least(self) -> int | float:
        """What the maximum of nothing is."""
        return -np.inf if self.is_float else int(np.iinfo(self.work.dtype).min)

    def filled(self, value: float, lanes: int) -> Value:
        """The same in all lanes."""
        return self.b.const(vector(self.element, lanes), value)

    def largest(self, inside: Value, places: list[Value], lanes: int) -> Value:
        """The largest element of a window."""

        def tap(at: Value, _: Value, largest: Value) -> Values:
            return (self.larger(self.met("x", at, lanes), largest),)

        return self.over_taps(inside, places, (self.filled(self.least(), lanes),), tap)[0]


class _Folding(_Pooling):
    """Each window to one element."""

    def window(self, inside: Value, outside: Value, places: list[Value]) -> None:
        """All channels of one window."""
        b = self.b

        def channels(channel: Value, lanes: int) -> None:
            at = b.mul(channel, self.work.dtype.itemsize)
            self.windows(b.add(inside, at), b.add(outside, at), places, lanes)

        self.over_channels(b.i64(0), self.param("channels"), channels)

    def windows(self, inside: Value, outside: Value, places: list[Value], lanes: int) -> None:
        """So many channels of one window, or neighbouring windows of one channel."""
        fold = {"max_pool": self.largest, "sum_pool": self._sum, "max_pool_pick": self._picked}[self.name]
        self.b.store(fold(inside, places, lanes), self.b.offset(self.b.param("result"), outside))

    def _sum(self, inside: Value, places: list[Value], lanes: int) -> Value:
        def tap(at: Value, _: Value, sums: Value) -> Values:
            return (self.b.fadd(sums, self.met("x", at, lanes), EXACT),)

        return self.over_taps(inside, places, (self.filled(0, lanes),), tap)[0]

    def _picked(self, inside: Value, places: list[Value], lanes: int) -> Value:
        b = self.b

        def tap(at: Value, _: Value, found: Value, largest: Value, result: Value) -> Values:
            x = self.met("x", at, lanes)
            better = b.or_(b.not_(found), self.is_larger(x, largest))
            chosen = b.select(better, x, largest), b.select(better, self.met("h", at, lanes), result)
            return b.const(vector("i1", lanes), 1), *chosen

        zero = self.filled(0, lanes)
        initial = (b.const(vector("i1", lanes), 0), zero, zero)
        return self.over_taps(inside, places, initial, tap)[2]


class _Spreading(_Pooling):
    """Each window's element to its places."""

    def spread(self, image: Value, channel: Value, lanes: int) -> None:
        """Some channels of one image."""
        at = self.b.mul(channel, self.work.dtype.itemsize)
        if not self.work.covers or self.work.overlaps:
            self.clear(image, at, lanes)

        def window(inside: Value, outside: Value, places: list[Value]) -> None:
            self.windows(self.b.add(inside, at), self.b.add(outside, at), places, lanes)

        self.windows_of_image(image, window)

    def windows(self, inside: Value, outside: Value, places: list[Value], lanes: int) -> None:
        """What some channels of one window add to its places."""
        given = self.load("g", outside, lanes)
        if self.name == "sum_pool_spread":

            def every(at: Value, _: Value) -> Values:
                self._give(at, given, lanes)
                return ()

            self.over_taps(inside, places, (), every)
            return
        largest = self.largest(inside, places, lanes)

        def first_largest(at: Value, _: Value, found: Value) -> Values:
            value, found = self.share(self.met("x", at, lanes), largest, given, found)
            self._give(at, value, lanes)
            return (found,)

        self.over_taps(inside, places, (self.b.const(vector("i1", lanes), 0),), first_largest)

    def share(self, x: Value, largest: Value, given: Value, found: Value) -> tuple[Value, Value]:
        """What of a window's element an x gets: all if it is the first largest; and whether that is found now."""
        b, equal = self.b, self.equal(x, largest)
        return b.select(b.and_(equal, b.not_(found)), given, b.const(given.type, 0)), b.or_(found, equal)

    def _give(self, at: Value, value: Value, lanes: int) -> None:
        b = self.b
        if self.work.overlaps:
            before = self.load("result", at, lanes)
            value = b.fadd(before, value, EXACT) if self.is_float else b.add(before, value)
        else:
            value = self.as_sum(value)
        b.store(value, b.offset(b.param("result"), at))

    def as_sum(self, value: Value) -> Value:
        """0.0 + -0.0 is 0.0, also where it is the only sum."""
        return self.b.fadd(self.b.const(value.type, 0), value, EXACT) if self.is_float else value


class _PlaneFolding(PlaneKernel, _Folding):
    """The same of images of one channel."""


class _PlaneSpreading(PlaneKernel, _Spreading):
    """The same of images of one channel.

    Windows that touch each other along the last axis fill whole vectors of the result; others go one by one.
    """

    def has_vectors(self) -> bool:
        """Whether windows touch each other, and the taps are known."""
        work = self.work
        touch = work.window[2] == work.strides[2] and work.dilation[2] == 1
        return super().has_vectors() and touch and not work.overlaps and work.taps is not None

    def takes_vectors(self, places: Sequence[Value]) -> Value | None:
        """Where all taps of the line lie inside."""
        return self.is_inside(places, axes=2) if self.work.padded else None

    def spread(self, image: Value, channel: Value, lanes: int) -> None:
        """One image."""
        b, work = self.b, self.work
        if not work.covers or work.overlaps:
            elements = b.mul(b.mul(self.param("extent0"), self.param("extent1")), self.param("extent2"))
            count = b.mul(elements, self.size)
            b.memset(b.offset(b.param("result"), b.mul(image, count)), 0, count)
        lines = b.mul(self.param("count0"), self.param("count1"))
        start = b.mul(image, lines)
        self.over_lines(start, b.add(start, lines), self.line)

    def windows(self, inside: Value, outside: Value, places: list[Value], lanes: int) -> None:
        """What neighbouring windows add to their places."""
        b, taps = self.b, self.work.taps
        if lanes == 1 or taps is None:
            super().windows(inside, outside, places, lanes)
            return
        given = self.as_sum(self.load("g", outside, lanes))
        shares = dict.fromkeys(taps, given)
        if self.name == "max_pool_spread":
            met = {tap: self.met("x", b.add(inside, self.tap_offset(tap)), lanes) for tap in taps}
            zero = self.filled(0, lanes)
            shares = {tap: b.select(mask, given, zero) for tap, mask in self._first_largest(met).items()}
        for row in dict.fromkeys(tap[:2] for tap in taps):
            values = [value for tap, value in shares.items() if tap[:2] == row]
            self.put(values, b.add(inside, self.tap_offset((*row, 0))))

    def _first_largest(self, met: dict[Tap, Value]) -> dict[Tap, Value]:
        """For each tap, where it is the first of the largest: halves against halves, as in a tournament."""
        b = self.b
        rounds = [([tap], x) for tap, x in met.items()]
        wins = {tap: b.const(like(x.type, "i1"), 1) for tap, x in met.items()}
        while len(rounds) > 1:
            following = []
            for (left, x), (right, y) in zip(rounds[::2], rounds[1::2]):
                later = self.is_larger(y, x)
                earlier = b.not_(later)
                wins |= {tap: b.and_(wins[tap], earlier) for tap in left}
                wins |= {tap: b.and_(wins[tap], later) for tap in right}
                following.append(([*left, *right], b.select(later, y, x)))
            rounds = following + rounds[len(following) * 2 :]
        return wins
