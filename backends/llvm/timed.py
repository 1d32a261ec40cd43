"""A program with a clock around each step, for `Function.profile`.

It is the program itself, but for its entries, which add up three numbers for each step: when it first began, how long
it took in all, and how often it ran. So threads share the same work, and memory lies where it always does.

Invariant: kernels are those of the program; only entries are compiled anew.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from graphc.backends.base import StepTime
from graphc.backends.llvm.blueprint import Blueprint
from graphc.backends.llvm.build import Build
from graphc.backends.llvm.emitter import Builder, Value
from graphc.backends.llvm.entry import Entries
from graphc.backends.llvm.frames import Frame
from graphc.backends.llvm.program import Program
from graphc.backends.llvm.steps import Step

_CLOCK_MONOTONIC = 6 if sys.platform == "darwin" else 1
_BEGAN, _TOOK, _TURNS, _WORDS = 0, 1, 2, 3
_SECOND = 1_000_000_000


class _TimedEntries(Entries):
    has_rows = False  # each step is timed

    def _step(self, b: Builder, number: int, step: Step) -> None:
        if step.nested is not None:  # its own steps are timed
            super()._step(b, number, step)
            return
        began = _now(b)
        super()._step(b, number, step)
        took = b.sub(_now(b), began)
        b.globals["graphc_times"] = "@graphc_times = external global i8"
        words = [b.gep(Value("ptr", "@graphc_times"), _WORDS * number + n, "i64") for n in range(_WORDS)]
        turns = b.load("i64", words[_TURNS])
        first = b.icmp("eq", turns, 0)
        b.store(b.select(first, began, b.load("i64", words[_BEGAN])), words[_BEGAN])
        b.store(b.add(b.load("i64", words[_TOOK]), took), words[_TOOK])
        b.store(b.add(turns, 1), words[_TURNS])


    def _run_parts(self, b: Builder, function: Builder, context: Value, count: Value) -> None:
        with b.loop(0, count) as loop:  # one after the other, so that one clock will do
            b.call("void", function.name, context, loop.index, count, b.i64(0))


def _now(b: Builder) -> Value:
    """Nanoseconds of a clock that only goes forward; Python's `time.monotonic_ns` is the same one."""
    place = b.alloca("i64", 2)
    b.call("i32", "clock_gettime", Value("i32", str(_CLOCK_MONOTONIC)), place)
    return b.add(b.mul(b.load("i64", place), _SECOND), b.load("i64", b.gep(place, 1, "i64")))


class TimedProgram(Program):
    """A program whose calls can say where their time went; for one thread at a time."""

    _has_tiers = False  # what is to be timed is the code that stays

    @cached_property
    def _build(self) -> Build:
        return Build(self.graph, self._threads, _TimedEntries)

    def _key(self) -> None:
        """It is not kept: the key of its graph is that of the program without clocks."""

    def _data(self, blueprint: Blueprint, container: type | None) -> dict[str, int]:
        found = super()._data(blueprint, container)
        self._native = None
        self._times = (ctypes.c_int64 * (_WORDS * max(1, len(self.plan.numbered))))()
        return {**found, "graphc_times": ctypes.addressof(self._times)}

    def native_call(self, fallback: Callable[..., Any]) -> None:
        """Every call goes through `timed`."""

    def timed(self, arrays: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[StepTime]]:
        """A call, and the time of each step."""
        ctypes.memset(self._times, 0, ctypes.sizeof(self._times))
        self._host_times: list[tuple[Step, int, int]] = []
        start = time.monotonic_ns()
        outputs = self(arrays)
        found = [(step, "host", began, took, 1) for step, began, took in self._host_times]
        for number, step in enumerate(self.plan.numbered):
            began, took, turns = self._times[_WORDS * number : _WORDS * (number + 1)]
            if turns:
                found.append((step, "kernel", began, took, turns))
        found.sort(key=lambda each: each[2])
        return outputs, [
            StepTime(step.tensor, kind, (began - start) / _SECOND, took / _SECOND, turns)
            for step, kind, began, took, turns in found
        ]

    def _host_step(self, step: Step, frame: Frame) -> None:
        start = time.monotonic_ns()
        super()._host_step(step, frame)
        self._host_times.append((step, start, time.monotonic_ns() - start))


__all__ = ["TimedProgram"]
