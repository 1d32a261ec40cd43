"""The machine code of the thread pool; `threads` says how it works.

Invariant: a field of the job is read before the ticket that validates it is claimed, and is written only while
the ticket is closed.
"""

from __future__ import annotations

from graphc.backends.llvm.emitter import NULL, Builder, Module, Value
from graphc.backends.llvm.float_environment import set_default_environment
from graphc.backends.llvm.symbols import external_addresses
from graphc.backends.llvm.threads import (
    BUSY,
    CONDITION,
    CONTEXT,
    DONE,
    FUNCTION,
    MUTEX,
    PARTS,
    PROCESSOR,
    SLEEPERS,
    STOP,
    STOPPED,
)

_CLOSED = 0xFFFFFFFF

#: How often a worker looks for work before it sleeps: about 250 us. It must be longer than what a caller does alone
#: between two jobs: one that has just fallen asleep comes too late for the next, and for all that follow.
_SPINS = 10_000
_YIELD_EVERY = 64


def _atomic_add(b: Builder, pointer: Value, amount: int) -> Value:
    return b.atomic_update("add", pointer, b.i64(amount), "seq_cst")


def pool_text() -> str:
    """The IR of `graphc_parallel` and `graphc_worker`."""
    return _PoolBuilder().module.text()


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
        function = b.load("ptr", b.offset(pool, FUNCTION), note="volatile")
        context = b.load("ptr", b.offset(pool, CONTEXT), note="volatile")
        parts = b.load("i64", b.offset(pool, PARTS), note="volatile")
        with b.if_(b.icmp("ult", part, parts), [b.const("i1", 0)]) as found:
            _, claimed = b.compare_exchange(pool, ticket, b.add(ticket, 1), "seq_cst", "seq_cst")
            with b.if_(claimed):
                with b.if_(b.icmp("eq", b.atomic_load("i64", b.offset(pool, STOPPED), "seq_cst"), 0)):
                    b.call_pointer("void", function, context, part, parts, worker)
                _atomic_add(b, b.offset(pool, DONE), 1)
            found.give(b.const("i1", 1))  # a lost race: look again at once
        return found.results[0]

    def _pause(self, b: Builder, turn: Value) -> None:
        if b.target.triple.startswith(("x86_64", "amd64")):
            b.call("void", "llvm.x86.sse2.pause")
        with b.if_(b.icmp("eq", b.and_(turn, _YIELD_EVERY - 1), 0)):
            b.call("i32", "sched_yield")

    def _processor(self, b: Builder) -> Value:
        """The number of the processor that runs this; -1 where the system does not say."""
        if "sched_getcpu" not in external_addresses():
            return b.i64(-1)
        return b.sext(b.call("i32", "sched_getcpu"), "i64")

    def _parallel(self) -> None:
        """i64(pool, function, context, parts, polls): run function(context, part, parts, worker) for each part.

        With `polls`, which is for long parts, a signal's handler that raises ends the job, and the result is 1.
        """
        params = [("pool", "ptr"), ("function", "ptr"), ("context", "ptr"), ("parts", "i64"), ("polls", "i64")]
        b = Builder("graphc_parallel", params, "i64")
        pool, function, context, parts, polls = b.params
        is_polling = b.icmp("ne", polls, 0)
        _, free = b.compare_exchange(b.offset(pool, BUSY), b.i64(0), b.i64(1), "seq_cst", "seq_cst")
        with b.if_(b.not_(free)):
            with b.loop(0, parts) as loop:
                b.call_pointer("void", function, context, loop.index, parts, b.i64(0))
                with b.if_(is_polling), b.if_(b.icmp("ne", b.call("i64", "graphc_poll"), 0), likely=False):
                    b.ret(b.i64(1))
            b.ret(b.i64(0))
        ticket = b.atomic_load("i64", pool, "seq_cst")
        job = b.add(b.lshr(ticket, 32), 1)
        b.atomic_store(b.or_(b.shl(job, 32), _CLOSED), pool, "seq_cst")
        b.fence()
        b.store(function, b.offset(pool, FUNCTION))
        b.store(context, b.offset(pool, CONTEXT))
        b.store(parts, b.offset(pool, PARTS))
        b.store(self._processor(b), b.offset(pool, PROCESSOR))
        b.atomic_store(b.i64(0), b.offset(pool, DONE), "seq_cst")
        b.atomic_store(b.i64(0), b.offset(pool, STOPPED), "seq_cst")
        b.atomic_store(b.shl(job, 32), pool, "seq_cst")
        with b.if_(b.icmp("ne", b.atomic_load("i64", b.offset(pool, SLEEPERS), "seq_cst"), 0)):
            b.call("i32", "pthread_mutex_lock", b.offset(pool, MUTEX))
            b.call("i32", "pthread_cond_broadcast", b.offset(pool, CONDITION))
            b.call("i32", "pthread_mutex_unlock", b.offset(pool, MUTEX))
        with b.forever() as taking:
            taking.exit_if(b.not_(self._take_part(b, pool, b.i64(0))))
            with b.if_(is_polling), b.if_(b.icmp("ne", b.call("i64", "graphc_poll"), 0), likely=False):
                b.atomic_store(b.i64(1), b.offset(pool, STOPPED), "seq_cst")
            taking.next()
        with b.forever([b.i64(1)]) as waiting:
            done = b.atomic_load("i64", b.offset(pool, DONE), "seq_cst")
            waiting.exit_if(b.icmp("eq", done, parts))
            self._pause(b, waiting.carried[0])
            waiting.next(b.add(waiting.carried[0], 1))
        stopped = b.atomic_load("i64", b.offset(pool, STOPPED), "seq_cst")
        b.atomic_store(b.i64(0), b.offset(pool, BUSY), "seq_cst")
        b.ret(stopped)
        self.module.add(b)

    def _worker(self) -> None:
        """ptr(argument): a thread's life; the argument points to the pool's address and the worker's number."""
        b = Builder("graphc_worker", [("argument", "ptr")], "ptr")
        set_default_environment(b)
        pool = b.load("ptr", b.param("argument"))
        number = b.load("i64", b.gep(b.param("argument"), 1, "i64"))
        with b.forever([b.i64(0)]) as life:
            idle = life.carried[0]
            worked = self._take_part(b, pool, number)
            waited = b.add(idle, 1)
            with b.if_(b.not_(worked)):
                self._pause(b, waited)
            with b.if_(b.and_(b.not_(worked), b.icmp("eq", waited, 1)), [b.const("i1", 0)]) as done:
                here, caller = self._processor(b), b.load("i64", b.offset(pool, PROCESSOR), note="volatile")
                done.give(b.and_(b.icmp("eq", here, caller), b.icmp("sge", here, 0)))
            tired = b.and_(b.not_(worked), b.or_(done.results[0], b.icmp("ugt", waited, _SPINS)))
            with b.if_(tired):
                self._sleep(b, pool)
            stop = b.atomic_load("i64", b.offset(pool, STOP), "seq_cst")
            with b.if_(b.icmp("ne", stop, 0)):
                b.ret(NULL)
            life.next(b.select(b.or_(worked, tired), 0, waited))
        self.module.add(b)

    def _sleep(self, b: Builder, pool: Value) -> None:
        """Wait until a caller wakes all; a job or the end that came meanwhile is seen under the lock."""
        mutex = b.offset(pool, MUTEX)
        b.call("i32", "pthread_mutex_lock", mutex)
        _atomic_add(b, b.offset(pool, SLEEPERS), 1)
        part = b.and_(b.atomic_load("i64", pool, "seq_cst"), 0xFFFFFFFF)
        parts = b.load("i64", b.offset(pool, PARTS), note="volatile")
        stop = b.atomic_load("i64", b.offset(pool, STOP), "seq_cst")
        nothing = b.and_(b.icmp("uge", part, parts), b.icmp("eq", stop, 0))
        with b.if_(nothing):
            b.call("i32", "pthread_cond_wait", b.offset(pool, CONDITION), mutex)
        _atomic_add(b, b.offset(pool, SLEEPERS), -1)
        b.call("i32", "pthread_mutex_unlock", mutex)
