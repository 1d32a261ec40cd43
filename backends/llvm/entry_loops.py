"""Loops and branches in the entries of a program.

A loop sets the addresses of its bound buffers at every step; its body's steps are then called like any others. A loop
that threads share by parts (see `Parts`) is two functions, each part being called with a table of addresses of its own:

    scan7_part(context, number, parts, worker)     makes the table: its own copies of buffers, its scratch memory
    scan7_loop(buffers, sizes, error, first, worker)    all steps, for the rows from `first` on

Invariant: the tables of the entry hold the addresses of this step and no other; no part writes to them.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.backends.llvm.blueprint import copy_stride
from graphc.backends.llvm.emitter import NULL, Builder, Value
from graphc.backends.llvm.interrupts import Polling
from graphc.backends.llvm.memory import scratch_stride
from graphc.backends.llvm.steps import Buffer, Cond, Parts, Plan, Scan, State, Step, While
from graphc.ir import dims
from graphc.ir.dims import Size

#: The arguments of the pool's function for a part, and what the context holds: two tables, whether to stop, and for
#: each part whether it is taken.
_PART = (("context", "ptr"), ("number", "i64"), ("parts", "i64"), ("worker", "i64"))
_CONTEXT = ("buffers", "sizes", "stop")
_LOOP = (("buffers", "ptr"), ("sizes", "ptr"), ("stop", "ptr"), ("first", "i64"), ("worker", "i64"))


class LoopEntries:
    """The part of `Entries` that writes loops and branches."""

    plan: Plan
    slot: dict[int, int]
    functions: list[Builder]
    is_shared: bool
    _polling: Polling | None
    _is_in_part = False
    _loops: int  # how many are open where code is added

    def _step(self, b: Builder, number: int, step: Step) -> None:
        """The code of a native step whose number is this."""
        raise NotImplementedError

    def _copy(self, b: Builder, source: Buffer, target: Buffer) -> None:
        raise NotImplementedError

    def _buffer(self, b: Builder, buffer: Buffer) -> Value:
        raise NotImplementedError

    def _size(self, b: Builder, size: Size) -> Value:
        raise NotImplementedError

    def _size_in(self, b: Builder, table: Value, size: Size) -> Value:
        raise NotImplementedError

    def _body(self, b: Builder, number: int, plan: Plan) -> int:
        """The steps and copies of a body, of which the first has this number; the number after them."""
        for step in plan.steps:
            self._step(b, number, step)
            number += step.numbers
        for copy in plan.after:
            self._copy(b, copy.source, copy.target)
        return number

    def _scan(self, b: Builder, number: int, scan: Scan) -> None:
        length = self._size(b, scan.length)
        for view in scan.views:
            start = self._buffer(b, view.history)
            row_bytes = self._size(b, view.history.row_bytes)
            self._bind(b, view.buffer, b.offset(start, row_bytes) if view.skips_first else start)
        for state in scan.states:
            if state.history is not None:  # the first state begins it, or ends it
                start = self._buffer(b, state.history)
                place = b.mul(length, self._size(b, state.first.nbytes)) if scan.is_reversed else b.i64(0)
                b.memcpy(b.offset(start, place), self._buffer(b, state.first), self._size(b, state.first.nbytes))
        if scan.parts is None:
            self._steps_of_scan(b, number, scan, NULL)
        else:
            self._share_scan(b, number, scan, scan.parts)

    def _steps_of_scan(self, b: Builder, number: int, scan: Scan, first: Value) -> None:
        """All steps; of a part, for the rows from `first` on."""
        length = self._size(b, scan.length)
        parts = scan.parts
        self._begin(b, scan.states, first)
        with b.loop(0, length) as loop:
            turn = b.sub(b.sub(length, 1), loop.index) if scan.is_reversed else loop.index
            for whole, row in scan.slices:
                start, step, part = self._buffer(b, whole), row.nbytes, row.row_bytes
                if parts is not None and whole in parts.stacks:
                    part = row.row_bytes * scan.length
                elif parts is not None and row not in parts.flat:
                    step = row.row_bytes * parts.extent
                else:
                    part = 0
                place = b.offset(start, b.mul(turn, self._size(b, step)))
                self._bind(b, row, self._part(b, place, part, first))
            if self._polling is not None:
                self._polling.poll()
            self._take_turns(b, scan.states, loop.index)
            self._loops += 1
            self._body(b, number + 1, scan.plan)
            self._loops -= 1
            self._advance(b, scan.states)
        self._end(b, scan.states, first)

    def _part(self, b: Builder, whole: Value, row_bytes: Size, first: Value) -> Value:
        """Where a part's rows are in an array of all rows; the array itself where there are no parts."""
        if first is NULL or row_bytes == 0:
            return whole
        return b.offset(whole, b.mul(first, self._size(b, row_bytes)))

    # ---- loops that threads share --------------------------------------------------------------------------

    def _share_scan(self, b: Builder, number: int, scan: Scan, parts: Parts) -> None:
        """Let the pool do the parts of a loop."""
        self.is_shared = True
        polls = self._polling is not None
        function = self._part_function(number, scan, parts, polls)
        words = b.param("buffers"), b.param("sizes"), b.i64(0), *(b.i64(0) for _ in range(parts.count))
        context = b.alloca("i64", len(words))
        for place, word in enumerate(words):
            b.store(word, b.gep(context, place, "i64"))
        share = dims.maximum(parts.share, 1)
        count = dims.floordiv(parts.extent + share - 1, share)
        self._run_parts(b, function, context, self._size(b, count))
        if self._polling is not None:
            self._polling.leave_if(b.icmp("ne", b.load("i64", b.gep(context, 2, "i64")), 0))

    def _run_parts(self, b: Builder, function: Builder, context: Value, count: Value) -> None:
        b.globals["graphc_pool"] = "@graphc_pool = external global i8"
        arguments = (Value("ptr", "@graphc_pool"), b.function(function.name), context, count, b.i64(0))
        b.call("i64", "graphc_parallel", *arguments)

    def _part_function(self, number: int, scan: Scan, parts: Parts, polls: bool) -> Builder:
        """The function for one part: it makes a table of addresses, and does all steps with it."""
        loop = self._loop_function(number, scan, polls)
        b = Builder(f"scan{number}_part", _PART, linkage="internal")
        before, sizes = (b.load("ptr", b.gep(b.param("context"), place, "i64")) for place in range(2))
        stop = b.gep(b.param("context"), _CONTEXT.index("stop"), "i64")
        part = _taken(b)
        count = len(self.plan.buffers) + 1  # the last one is that of scratch memory
        table = b.alloca("i64", count)
        b.memcpy(table, before, 8 * count)

        def number_of(size: Size) -> Value:
            return self._size_in(b, sizes, size)

        def move(slot: int, bytes_: Value) -> None:
            place = b.gep(table, slot, "i64")
            b.store(b.offset(b.load("ptr", place), bytes_), place)

        for buffer in parts.own:
            move(self.slot[id(buffer)], b.mul(part, number_of(copy_stride(buffer.nbytes))))
        scratch: Size = 0
        for step in scan.plan.steps:
            if step.kernel is not None and step.kernel.scratch_bytes != 0:
                scratch = dims.maximum(scratch, scratch_stride(step.kernel.scratch_bytes))
        move(count - 1, b.mul(b.param("worker"), number_of(scratch)))
        share, extent = number_of(parts.share), number_of(parts.extent)
        first = b.intrinsic("smin", b.mul(part, share), b.sub(extent, share))
        for whole, rows in parts.outside:
            place = b.load("ptr", b.gep(table, self.slot[id(whole)], "i64"))
            begin = b.offset(place, b.mul(first, number_of(rows.row_bytes)))
            b.store(begin, b.gep(table, self.slot[id(rows)], "i64"))
        ended = b.call("i64", loop.name, table, sizes, stop, first, b.param("worker"))
        with b.if_(b.icmp("ne", ended, 0), likely=False):
            b.atomic_store(b.i64(1), stop, "seq_cst")
        self.functions.append(b)
        return b

    def _loop_function(self, number: int, scan: Scan, polls: bool) -> Builder:
        """The function for the steps of one part; the result is not 0 if they were interrupted."""
        b = Builder(f"scan{number}_loop", _LOOP, "i64", linkage="internal")
        polling = self._polling
        self._polling = _PartPolling(b) if polls else None
        self._is_in_part = True
        self._steps_of_scan(b, number, scan, b.param("first"))
        self._polling, self._is_in_part = polling, False
        b.ret(b.i64(0))
        self.functions.append(b)
        return b

    def _while(self, b: Builder, number: int, loop: While) -> None:
        self._begin(b, loop.states)
        with b.forever([b.i64(0)]) as trips:
            (trip,) = trips.carried
            if loop.limit is not None:
                trips.exit_if(b.icmp("sge", trip, loop.limit), trip)
            if self._polling is not None:
                self._polling.poll()
            self._loops += 1
            following = self._body(b, number + 1, loop.condition)
            trips.exit_if(b.icmp("eq", b.load("i8", self._buffer(b, loop.go)), 0), trip)
            self._take_turns(b, loop.states, trip)
            self._body(b, following, loop.plan)
            self._loops -= 1
            self._advance(b, loop.states)
            trips.next(b.add(trip, 1))
        self._end(b, loop.states)

    def _cond(self, b: Builder, number: int, cond: Cond) -> None:
        pred = b.load("i8", self._buffer(b, cond.pred))
        following = number + 1 + sum(step.numbers for step in cond.then.steps)
        with b.if_else(b.icmp("ne", pred, 0)) as choice:
            for side, plan, first, bound in (
                (choice.then, cond.then, number + 1, cond.bound[0]),
                (choice.otherwise, cond.otherwise, following, cond.bound[1]),
            ):
                with side:
                    for result, buffer in bound:
                        self._bind(b, buffer, self._buffer(b, result))
                    self._body(b, first, plan)

    def _begin(self, b: Builder, states: Sequence[State], first: Value = NULL) -> None:
        for state in states:
            place = self._part(b, self._buffer(b, state.first), state.present.row_bytes, first)
            self._bind(b, state.present, place)

    def _take_turns(self, b: Builder, states: Sequence[State], trip: Value) -> None:
        """Where this step writes the states that are in no stack: not where they are read."""
        is_odd = b.icmp("ne", b.and_(trip, 1), 0)
        for state in states:
            if state.spare:
                even, odd = (self._buffer(b, spare) for spare in state.spare)
                self._bind(b, state.new, b.select(is_odd, odd, even))

    def _advance(self, b: Builder, states: Sequence[State]) -> None:
        for address, state in [(self._buffer(b, state.new), state) for state in states]:
            self._bind(b, state.present, address)

    def _end(self, b: Builder, states: Sequence[State], first: Value = NULL) -> None:
        for state in states:
            if state.last is not None:
                target = self._part(b, self._buffer(b, state.last), state.present.row_bytes, first)
                b.memcpy(target, self._buffer(b, state.present), self._size(b, state.present.nbytes))

    def _bind(self, b: Builder, buffer: Buffer, address: Value) -> None:
        """Let a bound buffer be at an address, from now on."""
        b.store(address, b.gep(b.param("buffers"), self.slot[id(buffer)], "i64"))


def _taken(b: Builder) -> Value:
    """The number of the part to do: the worker's own if it is free, whose rows are in its caches; else the next."""
    flags = b.gep(b.param("context"), len(_CONTEXT), "i64")
    parts = b.param("parts")
    with b.forever([b.urem(b.param("worker"), parts)]) as search:
        (part,) = search.carried
        _, is_free = b.compare_exchange(b.gep(flags, part, "i64"), b.i64(0), b.i64(1), "seq_cst", "seq_cst")
        search.exit_if(is_free, part)
        search.next(b.urem(b.add(part, 1), parts))
    return search.results[0]


class _PartPolling(Polling):
    """The polls of a part: the caller's own thread asks for signals, and all stop if one has raised."""

    def poll(self) -> None:
        b = self._b
        with b.if_(b.icmp("eq", b.param("worker"), 0)):
            super().poll()
        stopped = b.atomic_load("i64", b.param("stop"), "seq_cst")
        self.leave_if(b.icmp("ne", stopped, 0))
