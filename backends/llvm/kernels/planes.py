"""Images of one channel: vectors of neighbouring windows along the last axis, in place of vectors of channels.

What a tap meets in neighbouring windows lies a stride apart: one load without a stride, else a few loads, of which
shuffles take the elements. A line of windows is cut into vectors like this, narrower ones where it is shorter:

    . . 0 1 2 3 4 5 6 7 8 9 a b c .       borders, where taps lie outside, one by one
        |-----|-----|-----|
                      |-----|             the last vector ends with the last window, and computes some once more

Invariant: a vector's windows lie inside the image along the last axis; each element of a result has the value that it
would have alone, so it may be written twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.backends.llvm.emitter import Value, lanes_of
from graphc.backends.llvm.kernels.sliding import Line, Sliding, SlidingKernel
from graphc.backends.llvm.target import Target

#: With a larger stride, what a vector needs is so far apart that it takes more shuffles than it saves.
_LARGEST_STRIDE = 4

#: Lines of up to so many vectors are written out.
_STRAIGHT = 2


class PlaneKernel(SlidingKernel):
    """A kernel of images of one channel, over lines of windows."""

    is_static = True  # an image may be small, and what is done for each line counts

    def __init__(self, work: Sliding, name: str, pointers: Sequence[str], target: Target) -> None:
        super().__init__(work, name, pointers, target)
        self.size = work.dtype.itemsize
        self.pixel = self.b.i64(self.size)
        self.widths = (1,)
        native = target.native_lanes(work.dtype) if self.has_vectors() else 1
        #: The lanes of the vectors, widest first.
        self.vectors = tuple(lanes for lanes in (native, native // 2, native // 4) if lanes > 1)
        with self.b.at(self.b.entry):
            self.low, self.high = self.windows_inside()
        #: How many windows a line has, where no tap lies outside along the last axis and that is known.
        self.length = None if work.padded or not isinstance(work.counts[2], int) else work.counts[2]

    def has_vectors(self) -> bool:
        """Whether vectors of windows are of use."""
        return self.work.strides[2] <= _LARGEST_STRIDE

    def takes_vectors(self, places: Sequence[Value]) -> Value | None:
        """Whether a line at these places along the first two axes may be cut into vectors; None: always."""
        return None

    def line(self, line: Line) -> None:
        """All windows of one line."""
        b, stride = self.b, self.work.strides[2]
        flat, places = self.base(line, b.i64(0))
        inside = b.mul(flat, self.size)
        outside = b.mul(b.mul(line.number, self.param("count2")), self.size)

        def some(window: Value, lanes: int) -> None:
            further = b.mul(window, stride)
            self.windows(
                b.add(inside, b.mul(further, self.size)), b.add(outside, b.mul(window, self.size)),
                [*places[:2], b.add(places[2], further)], lanes,
            )  # fmt: skip

        low, high, count = self.low, self.high, self.param("count2")
        if not self.vectors:
            self._singles(b.i64(0), count, some)
            return
        if self.length is not None and self.length <= _STRAIGHT * self.vectors[0]:
            for window, lanes in self._cuts(self.length):
                some(b.i64(window), lanes)
            return
        allowed = self.takes_vectors(places)
        if allowed is not None:
            high = b.select(allowed, high, low)
        if self.work.padded:
            self._singles(b.i64(0), low, some)
        rest = self._cut(low, high, some)
        self._singles(rest, count if self.work.padded else high, some)

    def _singles(self, low: Value, high: Value, body: Callable[[Value, int], None]) -> None:
        with self.b.loop(low, high) as window:
            body(window.index, 1)

    def _cuts(self, length: int) -> list[tuple[int, int]]:
        """The first windows and lanes of the vectors of a line of known length, and of its single windows."""
        for lanes in self.vectors:
            if length >= lanes:
                return [*((at, lanes) for at in range(0, length - lanes, lanes)), (length - lanes, lanes)]
        return [(window, 1) for window in range(length)]

    def _cut(self, low: Value, high: Value, body: Callable[[Value, int], None]) -> Value:
        """Vectors of the windows from `low` to `high`; gives the first window that is in none."""
        b = self.b
        for lanes in self.vectors:
            last = b.sub(high, lanes)
            with b.if_(b.icmp("sge", last, low), [low]) as fits:
                with b.forever([low]) as loop:
                    (window,) = loop.carried
                    body(window, lanes)
                    loop.exit_if(b.icmp("eq", window, last))
                    loop.next(b.intrinsic("smin", b.add(window, lanes), last))
                fits.give(high)
            (low,) = fits.results
        return low

    def met(self, name: str, at: Value, lanes: int) -> Value:
        """What a tap meets in neighbouring windows: elements a stride apart.

        Nothing behind the last of them is read: the last load ends with it.
        """
        b, stride = self.b, self.work.strides[2]
        found = self.load(name, at, lanes)
        if lanes == 1:
            return found
        places = [lane * stride for lane in range(lanes)]  # of the elements
        taken = [place if place < lanes else -1 for place in places]
        for part in range(1, stride):
            is_last = part == stride - 1
            first = (lanes - 1) * part if is_last else lanes * part
            more = self.load(name, b.add(at, first * self.size), lanes)
            for lane, place in enumerate(places):
                if place >= lanes * part and (is_last or place < lanes * (part + 1)):
                    taken[lane] = lanes + place - first
            found = b.shuffle(found, more, [max(entry, 0) for entry in taken])
            taken = [lane if entry >= 0 else -1 for lane, entry in enumerate(taken)]
        return found

    def put(self, values: Sequence[Value], at: Value) -> None:
        """Store what belongs to the taps 0, 1, ... of a line, where windows touch each other: vectors by turns."""
        b, stride, lanes = self.b, len(values), lanes_of(values[0].type)
        for part in range(stride):
            wanted = [divmod(part * lanes + lane, stride) for lane in range(lanes)]  # window, tap
            found = values[0]
            for tap in range(1, stride):
                picks = [
                    lanes + window if k == tap else (window if tap == 1 else lane)
                    for lane, (window, k) in enumerate(wanted)
                ]
                found = b.shuffle(found, values[tap], picks)
            b.store(found, b.offset(b.param("result"), b.add(at, part * lanes * self.size)))
