"""What this processor can do at most: multiply-adds out of registers, and bytes to and from memory. Measured, once.

Arithmetic: independent chains of fused multiply-adds, as many as hide their latency. Memory: the triad a = b + s c
of J. D. McCalpin's STREAM benchmark (1995), over arrays far larger than the caches, three bytes counted for each
element's byte, as STREAM counts.

Invariant: best of several short runs, so that other work on the machine counts for little.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from graphc.backends.llvm.emitter import Builder, Module, vector
from graphc.backends.llvm.jit import compile_own
from graphc.backends.llvm.target import host_target
from graphc.backends.llvm.threads import thread_count

_CHAINS = 12
_TURNS = 400_000
_TRIAD_BYTES = 96 << 20
_RUNS = 5


@dataclass(frozen=True, slots=True)
class Peak:
    """The most that a number of threads reaches together.

    Attributes:
        flops: float32 operations a second; half as many in float64.
        bandwidth: bytes a second.
        threads: how many.
    """

    flops: float
    bandwidth: float
    threads: int


@cache
def peak(threads: int | None = None) -> Peak:
    """This processor's peak for so many threads; by default for as many as a call uses. Takes about 0.3 s."""
    count = threads or thread_count()
    library = compile_own("peak", ("graphc_chains", "graphc_triad"), _text)
    chains = library.function("graphc_chains", ctypes.c_float, ctypes.c_int64)
    triad = library.function("graphc_triad", None, *[ctypes.c_void_p] * 3, ctypes.c_int64)
    operations = 2 * _CHAINS * host_target().native_lanes("float32") * _TURNS
    arithmetic = _best([lambda: chains(_TURNS)] * count)
    size = _TRIAD_BYTES // 3 // 4 // count // 64 * 64
    arrays = [[np.ones(size, np.float32) for _ in range(3)] for _ in range(count)]
    jobs = [lambda three=three: triad(*(a.ctypes.data for a in three), size) for three in arrays]
    return Peak(operations * count / arithmetic, 12 * size * count / _best(jobs), count)


def _best(jobs: Sequence[Callable[[], object]]) -> float:
    """Seconds that all jobs take side by side, at best."""
    found = []
    for _ in range(_RUNS):
        threads = [threading.Thread(target=job) for job in jobs]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found.append(time.perf_counter() - start)
    return min(found)


def _text() -> str:
    module = Module()
    module.add(_chains())
    module.add(_triad())
    return module.text()


def _chains() -> Builder:
    """float(turns): so many turns of one multiply-add in each chain."""
    b = Builder("graphc_chains", [("turns", "i64")], "float")
    type_ = vector("float", host_target().native_lanes("float32"))
    begin = [b.const(type_, 1.0 + n / 64) for n in range(_CHAINS)]
    with b.loop(0, b.param("turns"), carried=begin) as loop:
        loop.next(*(b.fma(x, 0.999, 0.001) for x in loop.carried))
    total = loop.results[0]
    for x in loop.results[1:]:
        total = b.fadd(total, x)
    b.ret(b.extract(total, 0))
    return b


def _triad() -> Builder:
    """void(a, b, c, n): a = b + 0.5 c, for n that is a multiple of 64."""
    b = Builder("graphc_triad", [("a", "ptr"), ("b", "ptr"), ("c", "ptr"), ("n", "i64")])
    lanes = host_target().lanes("float32")
    type_ = vector("float", lanes)
    with b.loop(0, b.param("n"), step=lanes) as loop:
        left, right = (b.load(type_, b.gep(b.param(name), loop.index, "float"), align=4) for name in "bc")
        b.store(b.fma(right, 0.5, left), b.gep(b.param("a"), loop.index, "float"), align=4)
    b.ret()
    return b


__all__ = ["Peak", "peak"]
