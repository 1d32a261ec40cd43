"""The thread pool: machine code that shares the turns of a kernel's outermost loop among threads.

One job runs at a time. Its *ticket* is one 64-bit word, (number of the job << 32) | next part; whoever wants a
part reads the ticket and the job's fields, then claims the part by compare-and-exchange, which fails if the
job has changed meanwhile. The caller takes parts too and waits for *parts done*, not for workers, so a
sleeping or preempted worker costs nothing.

    caller:  ticket = (n, closed); write fields; ticket = (n, 0); wake sleepers; take parts; wait for done
    worker:  take parts; spin some 50 us; sleep on the condition until a caller wakes it

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

from graphc.backends.llvm.emitter import NULL, Builder, Module, Value
from graphc.backends.llvm.jit import compile_module
from graphc.backends.llvm.loader import Library
from graphc.backends.llvm.symbols import external_addresses
from graphc.errors import FlagError

# Byte offsets in the pool's memory; what different threads write lies in different cache lines.
_TICKET, _DONE, _BUSY, _SLEEPERS, _STOP = 0, 128, 256, 384, 512
_FUNCTION, _CONTEXT, _PARTS = 640, 648, 656
_THREADS = 768  # read by entries: how many threads may work, the caller included
_MUTEX, _CONDITION, _BYTES = 896, 1024, 1280
_CLOSED = 0xFFFFFFFF

#: How often a worker looks for work before it sleeps: about 50 us.
_SPINS = 2000
_YIELD_EVERY = 64
_LIMIT = 64


def _atomic_add(b: Builder, pointer: Value, amount: int) -> Value:
    return b.atomic_update("add", pointer, b.i64(amount), "seq_cst")


class _PoolBuilder:
    """The pool's two functions."""

    def __init__(self) -> None:
        self.module = Module()
        self._parallel()
        self._worker()

    def _take_part(self, b: Builder, pool: Value, worker: Value) -> Value:
        """Claim and run one part of the present job; whether there was one."""
        ticket = b.atomic_load("i64", pool, "seq_cst")
        part = b.and_(ticket, 0xFFFFFFFF)
        function = b.load("ptr", b.offset(pool, _FUNCTION), note="volatile")
        context = b.load("ptr", b.offset(pool, _CONTEXT), note="volatile")
        parts = b.load("i64", b.offset(pool, _PARTS), note="volatile")
        with b.if_(b.icmp("ult", part, parts), [b.const("i1", 0)]) as found:
            _, claimed = b.compare_exchange(pool, ticket, b.add(ticket, 1), "seq_cst", "seq_cst")
            with b.if_(claimed):
                b.call_pointer("void", function, context, part, parts, worker)
                _atomic_add(b, b.offset(pool, _DONE), 1)
            found.give(b.const("i1", 1))  # a lost race: look again at once
        return found.results[0]

    def _pause(self, b: Builder, turn: Value) -> None:
        if b.target.triple.startswith(("x86_64", "amd64")):
            b.call("void", "llvm.x86.sse2.pause")
        with b.if_(b.icmp("eq", b.and_(turn, _YIELD_EVERY - 1), 0)):
            b.call("i32", "sched_yield")

    def _parallel(self) -> None:
        """void(pool, function, context, parts): run function(context, part, parts, worker) for each part."""
        b = Builder("graphc_parallel", [("pool", "ptr"), ("function", "ptr"), ("context", "ptr"), ("parts", "i64")])
        pool, function, context, parts = b.params
        _, free = b.compare_exchange(b.offset(pool, _BUSY), b.i64(0), b.i64(1), "seq_cst", "seq_cst")
        with b.if_(b.not_(free)):
            with b.loop(0, parts) as loop:
                b.call_pointer("void", function, context, loop.index, parts, b.i64(0))
            b.ret()
        ticket = b.atomic_load("i64", pool, "seq_cst")
        job = b.add(b.lshr(ticket, 32), 1)
        b.atomic_store(b.or_(b.shl(job, 32), _CLOSED), pool, "seq_cst")
        b.fence()
        b.store(function, b.offset(pool, _FUNCTION))
        b.store(context, b.offset(pool, _CONTEXT))
        b.store(parts, b.offset(pool, _PARTS))
        b.atomic_store(b.i64(0), b.offset(pool, _DONE), "seq_cst")
        b.atomic_store(b.shl(job, 32), pool, "seq_cst")
        with b.if_(b.icmp("ne", b.atomic_load("i64", b.offset(pool, _SLEEPERS), "seq_cst"), 0)):
            b.call("i32", "pthread_mutex_lock", b.offset(pool, _MUTEX))
            b.call("i32", "pthread_cond_broadcast", b.offset(pool, _CONDITION))
            b.call("i32", "pthread_mutex_unlock", b.offset(pool, _MUTEX))
        with b.forever() as taking:
            taking.exit_if(b.not_(self._take_part(b, pool, b.i64(0))))
            taking.next()
        with b.forever([b.i64(1)]) as waiting:
            done = b.atomic_load("i64", b.offset(pool, _DONE), "seq_cst")
            waiting.exit_if(b.icmp("eq", done, parts))
            self._pause(b, waiting.carried[0])
            waiting.next(b.add(waiting.carried[0], 1))
        b.atomic_store(b.i64(0), b.offset(pool, _BUSY), "seq_cst")
        self.module.add(b)

    def _worker(self) -> None:
        """ptr(argument): a thread's life; the argument points to the pool's address and the worker's number."""
        b = Builder("graphc_worker", [("argument", "ptr")], "ptr")
        pool = b.load("ptr", b.param("argument"))
        number = b.load("i64", b.gep(b.param("argument"), 1, "i64"))
        with b.forever([b.i64(0)]) as life:
            idle = life.carried[0]
            worked = self._take_part(b, pool, number)
            waited = b.add(idle, 1)
            with b.if_(b.not_(worked)):
                self._pause(b, waited)
            tired = b.and_(b.not_(worked), b.icmp("ugt", waited, _SPINS))
            with b.if_(tired):
                self._sleep(b, pool)
            stop = b.atomic_load("i64", b.offset(pool, _STOP), "seq_cst")
            with b.if_(b.icmp("ne", stop, 0)):
                b.ret(NULL)
            life.next(b.select(b.or_(worked, tired), 0, waited))
        self.module.add(b)

    def _sleep(self, b: Builder, pool: Value) -> None:
        """Wait until a caller wakes all; a job or the end that came meanwhile is seen under the lock."""
        mutex = b.offset(pool, _MUTEX)
        b.call("i32", "pthread_mutex_lock", mutex)
        _atomic_add(b, b.offset(pool, _SLEEPERS), 1)
        part = b.and_(b.atomic_load("i64", pool, "seq_cst"), 0xFFFFFFFF)
        parts = b.load("i64", b.offset(pool, _PARTS), note="volatile")
        stop = b.atomic_load("i64", b.offset(pool, _STOP), "seq_cst")
        nothing = b.and_(b.icmp("uge", part, parts), b.icmp("eq", stop, 0))
        with b.if_(nothing):
            b.call("i32", "pthread_cond_wait", b.offset(pool, _CONDITION), mutex)
        _atomic_add(b, b.offset(pool, _SLEEPERS), -1)
        b.call("i32", "pthread_mutex_unlock", mutex)


class Pool:
    """The process's pool. Workers start when `start` is first called, and again in a forked child."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._memory = (ctypes.c_uint8 * (_BYTES + 128))()
        self.address = (ctypes.addressof(self._memory) + 127) // 128 * 128
        builder = _PoolBuilder()
        self._library: Library = compile_module(builder.module.text(), tuple(builder.module.functions))
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
        self._word(_THREADS).value = self.threads
        self._lock = threading.Lock()
        self._running = []
        self._call("pthread_mutex_init", self.address + _MUTEX, None)
        self._call("pthread_cond_init", self.address + _CONDITION, None)

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
            self._word(_STOP).value = 1
            self._call("pthread_mutex_lock", self.address + _MUTEX)
            self._call("pthread_cond_broadcast", self.address + _CONDITION)
            self._call("pthread_mutex_unlock", self.address + _MUTEX)
            for handle in self._running:
                self._call("pthread_join", handle.value, None)
            self._running = []
            self._word(_STOP).value = 0


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
