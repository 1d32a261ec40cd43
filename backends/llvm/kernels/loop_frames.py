"""Where code belongs in a nest of loops: each value is computed in the outermost loop that it depends on.

A frame is the inside of one loop (the first is the function itself). While an inner loop is being written,
code for an outer frame goes to that inner loop's preheader:

    frame 0    function
                 preheader of i   <- level 0
    frame 1      for i:
                   preheader of j <- level 1
    frame 2        for j:         <- level 2, where text is appended now

Invariant: a cached value is found exactly as long as its code dominates the place where it is asked for; the
values hoisted to a loop's preheader are forgotten when that loop ends, since it may not have run.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from graphc.backends.llvm.control import Loop, Section
from graphc.backends.llvm.emitter import Builder, Operand, Value, lanes_of


class Leveled(NamedTuple):
    """A value and the number of the frame that it is computed in."""

    value: Value
    level: int


class _Frame:
    def __init__(self) -> None:
        self.section: Section | None = None  # None: append to where the builder is
        self.cache: dict[Hashable, Value] = {}


class Frames:
    """The loops that are open, and what has been computed in each."""

    def __init__(self, b: Builder) -> None:
        self.b = b
        self._frames = [_Frame()]

    @property
    def depth(self) -> int:
        """The level of the place where text is appended now."""
        return len(self._frames) - 1

    @contextmanager
    def loop(
        self, start: Operand, stop: Operand, step: Operand = 1, carried: Sequence[Value] = (), *, always: bool = False
    ) -> Iterator[Loop]:
        """A counting loop whose inside is a new frame; see `Builder.loop`."""
        with self.b.loop(start, stop, step, carried, at_least_once=always) as loop:
            frame = self._frames[-1]
            before = frame.section, frame.cache
            frame.section, frame.cache = loop.preheader, dict(frame.cache)
            self._frames.append(_Frame())
            yield loop
            self._frames.pop()
            frame.section, frame.cache = before

    def cached(self, key: Hashable) -> Leveled | None:
        """What was computed under `key`, if that is in force here."""
        for level, frame in enumerate(self._frames):
            value = frame.cache.get(key)
            if value is not None:
                return Leveled(value, level)
        return None

    def put(self, key: Hashable, made: Leveled) -> Leveled:
        """Remember a value."""
        self._frames[made.level].cache[key] = made.value
        return made

    @contextmanager
    def at(self, level: int) -> Iterator[None]:
        """Write into the frame of this level."""
        section = self._frames[level].section
        if section is None:
            yield
        else:
            with self.b.at(section):
                yield

    @contextmanager
    def branch(self) -> Iterator[None]:
        """What is computed inside is forgotten afterwards, since it may not have run."""
        frame = self._frames[-1]
        before, frame.cache = frame.cache, dict(frame.cache)
        yield
        frame.cache = before

    def compute(self, make: Callable[..., Value], *operands: Leveled, level: int = 0) -> Leveled:
        """`make(*values)`, in the frame of the innermost operand, or in that of `level` if it is further in.

        Scalars are widened to the operands' vectors.
        """
        level = max([level, *(o.level for o in operands)])
        lanes = max((lanes_of(o.value.type) for o in operands), default=1)
        values = [self.splat(o, lanes).value for o in operands]
        with self.at(level):
            return Leveled(make(*values), level)

    def splat(self, made: Leveled, lanes: int) -> Leveled:
        """The value in every lane, widened where the value itself is computed."""
        if lanes_of(made.value.type) == lanes:
            return made
        key = ("splat", made.value, lanes)
        known = self.cached(key)
        if known is not None:
            return known
        with self.at(made.level):
            return self.put(key, Leveled(self.b.splat(made.value, lanes), made.level))
