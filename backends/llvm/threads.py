"""The thread pool: machine code that shares the turns of a kernel's outermost loop among threads. `pool_code`
writes that code.

One job runs at a time. Its *ticket* is one 64-bit word, (number of the job << 32) | next part; whoever wants a
part reads the ticket and the job's fields, then claims the part by compare-and-exchange, which fails if the
job has changed meanwhile. The caller takes parts too and waits for *parts done*, not for workers, so a
sleeping or preempted worker costs nothing.

    caller:  ticket = (n, closed); write fields; ticket = (n, 0); wake sleepers; take parts; wait for done
    worker:  take parts; spin some 250 us; sleep on the condition until a caller wakes it

A worker that finds itself on the caller's processor sleeps at once: threads that never sleep are not moved apart, while
one that is woken begins on a processor that is idle.

A pool that is busy (another Python thread, or a part that calls it again) runs the new job in line.

Invariant: which thread takes which part, and how many threads there are, never changes a result: parts write
different elements, and no value is combined across parts.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from graphc.backends.llvm import interrupts
from graphc.backends.llvm.jit import compile_own
from graphc.backends.llvm.loader import Library
from graphc.backends.llvm.symbols import external_addresses
from graphc.errors import FlagError

# Byte offsets in the pool's memory; what different threads write lies in different cache lines.
TICKET, DONE, BUSY, SLEEPERS, STOP = 0, 128, 256, 384, 512
FUNCTION, CONTEXT, PARTS, PROCESSOR = 640, 648, 656, 664
STOPPED = 768  # whether the job's other parts are not to be run
MUTEX, CONDITION, _BYTES = 896, 1024, 1280

_LIMIT = 64


class Pool:
    """The process's pool. Workers start when `start` is first called, and again in a forked child."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._memory = (ctypes.c_uint8 * (_BYTES + 128))()
        self.address = (ctypes.addressof(self._memory) + 127) // 128 * 128
        self._library: Library = compile_own(
            "thread pool", ("graphc_parallel", "graphc_worker"), _pool_text, interrupts.symbols()
        )
        self._lock = threading.Lock()
        self._running: list[ctypes.c_uint64] = []
        self._arguments: list[ctypes.Array[ctypes.c_int64]] = []
        self._reset()
        os.register_at_fork(after_in_child=self._reset)
        atexit.register(self.stop)

    @property
    def symbols(self) -> dict[str, int]:
        """What entries use of the pool."""
        return {"graphc_pool": self.address, "graphc_parallel": self._library.address("graphc_parallel")}

    def _reset(self) -> None:
        """A pool without workers: at first, and in a child, which inherits none of its parent's threads."""
        ctypes.memset(self.address, 0, _BYTES)
        self._lock = threading.Lock()
        self._running = []
        self._call("pthread_mutex_init", self.address + MUTEX, None)
        self._call("pthread_cond_init", self.address + CONDITION, None)

    def _word(self, offset: int) -> ctypes.c_int64:
        return ctypes.c_int64.from_address(self.address + offset)

    def _call(self, name: str, *arguments: int | None) -> int:
        function = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * len(arguments))
        return int(function(external_addresses()[name])(*arguments))

    def start(self) -> None:
        """Make sure that the workers run; where the system gives fewer threads, fewer share the work."""
        with self._lock:
            worker = self._library.address("graphc_worker")
            while len(self._running) < self.threads - 1:
                handle = ctypes.c_uint64()
                argument = (ctypes.c_int64 * 2)(self.address, len(self._running) + 1)
                self._arguments.append(argument)
                if self._call("pthread_create", ctypes.addressof(handle), None, worker, ctypes.addressof(argument)):
                    return
                self._running.append(handle)

    def stop(self) -> None:
        """End the workers and wait for them; the pool still runs jobs, in line."""
        with self._lock:
            self._word(STOP).value = 1
            self._call("pthread_mutex_lock", self.address + MUTEX)
            self._call("pthread_cond_broadcast", self.address + CONDITION)
            self._call("pthread_mutex_unlock", self.address + MUTEX)
            for handle in self._running:
                self._call("pthread_join", handle.value, None)
            self._running = []
            self._word(STOP).value = 0


def _pool_text() -> str:
    from graphc.backends.llvm.pool_code import pool_text  # brings the emitter along

    return pool_text()


@cache
def pool() -> Pool:
    """The process's one pool."""
    return Pool(thread_count())


def thread_count() -> int:
    """How many threads to use: `GRAPHC_NUM_THREADS`, else what affinity and the cgroup's quota allow.

    Raises:
        FlagError: the variable is not a number from 1 to 64.
    """
    wanted = os.environ.get("GRAPHC_NUM_THREADS", "")
    if wanted:
        if not wanted.isdecimal() or not 1 <= int(wanted) <= _LIMIT:
            raise FlagError(f"GRAPHC_NUM_THREADS={wanted}: expected a number from 1 to {_LIMIT}")
        return int(wanted)
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    return max(1, min(allowed, _quota() or allowed, _LIMIT))


def _quota() -> int | None:
    """Whole cores that the cgroup (version 2, then 1) lets this process use; None if it sets no limit."""
    readers: tuple[Callable[[], Sequence[str]], ...] = (
        lambda: Path("/sys/fs/cgroup/cpu.max").read_text().split()[:2],
        lambda: (
            Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").read_text().strip(),
            Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us").read_text().strip(),
        ),
    )
    if not sys.platform.startswith("linux"):
        return None
    for read in readers:
        try:
            quota, period = read()
            if quota not in ("max", "-1"):
                return max(1, int(quota) // int(period))
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return None
