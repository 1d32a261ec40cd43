"""The entries of a program: native functions that call kernels in order, one between each two host steps.

    i64 @entry0(ptr buffers, ptr sizes, ptr error)

`buffers` is a table of addresses, one per buffer of the plan and then one for scratch; `sizes` a table of the
numbers that kernels and copies need. The result is 0, 1 + the number of the step that failed, or
`INTERRUPTED`.

Invariant: an entry holds no address of data, so its text depends on the plan only.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.backends.llvm.emitter import Builder, Value
from graphc.backends.llvm.float_environment import default_environment
from graphc.backends.llvm.interrupts import Polling
from graphc.backends.llvm.kernel import Kernel, Split
from graphc.backends.llvm.memory import scratch_stride
from graphc.backends.llvm.steps import Buffer, Cond, Copy, Plan, Scan, State, Step, While
from graphc.ir.dims import Size

#: A part that threads share should take about 4 us, in the units of `Split.weight`.
PART = 1 << 16
#: ... and a long kernel's parts no longer than about 2 ms, since it can be interrupted only between them.
LONGEST_PART = 1 << 25
#: More parts than threads let a thread that is held up leave the rest to the others.
PARTS_PER_THREAD = 8

_PARAMS = (("buffers", "ptr"), ("sizes", "ptr"), ("error", "ptr"))


def _in_default_environment(name: str, steps: Builder) -> Builder:
    """A function that calls this one under IEEE's floating-point settings, whatever the caller's are."""
    b = Builder(name, _PARAMS, "i64")
    with default_environment(b):
        result = b.call("i64", steps.name, *b.params)
    b.ret(result)
    return b


class Entries:
    """A plan's entries, and the order of its tables.

    Attributes:
        functions: the entries, finished, and the tasks that they hand to the thread pool.
        is_shared: whether any step may be shared among threads.
        segments: the steps in runs: an entry's name for native ones, the step itself for a host step.
        sizes: what `sizes` holds.
    """

    def __init__(self, plan: Plan, symbols: dict[Kernel, str], threads: int = 1) -> None:
        self.plan = plan
        self.threads = threads
        self.is_shared = False
        self._tables: dict[int, dict[str, Value]] = {}
        self.symbols = symbols
        self.slot = {id(b): i for i, b in enumerate(plan.buffers)}
        self.sizes: dict[Size, int] = {}
        self.segments: list[str | Step] = []
        self.functions: list[Builder] = []
        self._polling: Polling | None = None
        self._write()

    def _write(self) -> None:
        pending: list[tuple[int, Step] | Copy] = list(self.plan.before)
        number = 0
        for step in self.plan.steps:
            if step.is_host:
                self._flush(pending)
                self.segments.append(step)
                pending = []
            else:
                pending.append((number, step))
            number += step.numbers
        self._flush([*pending, *self.plan.after])

    def _flush(self, items: Sequence[tuple[int, Step] | Copy]) -> None:
        if not items:
            return
        name = f"entry{len(self.segments)}"
        b = Builder(f"{name}_steps", _PARAMS, "i64")
        self._polling = Polling(b) if len(items) > 1 or self._has_loop(items) else None
        for position, item in enumerate(items):
            if isinstance(item, Copy):
                self._copy(b, item.source, item.target)
                continue
            number, step = item
            if step.writes_variables:
                self._polling = None  # from here on all of it is done
            elif self._polling is not None and position:
                self._polling.poll()
            self._step(b, number, step)
        b.ret(b.i64(0))
        self.functions += [b, _in_default_environment(name, b)]
        self.segments.append(name)

    @staticmethod
    def _has_loop(items: Sequence[tuple[int, Step] | Copy]) -> bool:
        return any(not isinstance(item, Copy) and item[1].nested is not None for item in items)

    def _copy(self, b: Builder, source: Buffer, target: Buffer) -> None:
        b.memcpy(self._buffer(b, target), self._buffer(b, source), self._size(b, source.nbytes))

    def _step(self, b: Builder, number: int, step: Step) -> None:
        """The code of a native step whose number is this."""
        if step.nested is None:
            self._call(b, number, step)
        elif isinstance(step.nested, Scan):
            self._scan(b, number, step.nested)
        elif isinstance(step.nested, While):
            self._while(b, number, step.nested)
        else:
            self._cond(b, number, step.nested)

    def _call(self, b: Builder, number: int, step: Step) -> None:
        kernel = step.kernel
        assert kernel is not None
        arguments = [self._buffer(b, buffer) for buffer in (*step.operands, *step.results)]
        if kernel.scratch_bytes != 0:
            arguments.append(self._load(b, "buffers", len(self.plan.buffers), "ptr"))
        arguments += [self._size(b, size) for size in kernel.sizes]
        symbol = self.symbols[kernel]
        if kernel.split is not None:
            turns = self._turns(b, kernel.split)
            arguments += [b.i64(0), turns]
            if self._is_shared(kernel):
                self._share(b, number, step, kernel, turns, arguments)
                return
        if not kernel.sites:
            b.call("void", symbol, *arguments)
            return
        failed = b.call("i64", symbol, *arguments, b.param("error"))
        with b.if_(b.icmp("ne", failed, 0), likely=False):
            b.ret(b.i64(number + 1))

    # ---- loops and branches ------------------------------------------------------------------------------

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
        self._begin(b, scan.states)
        with b.loop(0, length) as loop:
            row = b.sub(b.sub(length, 1), loop.index) if scan.is_reversed else loop.index
            for whole, part in scan.slices:
                self._bind(b, part, b.offset(self._buffer(b, whole), b.mul(row, self._size(b, part.nbytes))))
            if self._polling is not None:
                self._polling.poll()
            self._take_turns(b, scan.states, loop.index)
            self._body(b, number + 1, scan.plan)
            self._advance(b, scan.states)
        self._end(b, scan.states)

    def _while(self, b: Builder, number: int, loop: While) -> None:
        self._begin(b, loop.states)
        with b.forever([b.i64(0)]) as trips:
            (trip,) = trips.carried
            if loop.limit is not None:
                trips.exit_if(b.icmp("sge", trip, loop.limit), trip)
            if self._polling is not None:
                self._polling.poll()
            following = self._body(b, number + 1, loop.condition)
            trips.exit_if(b.icmp("eq", b.load("i8", self._buffer(b, loop.go)), 0), trip)
            self._take_turns(b, loop.states, trip)
            self._body(b, following, loop.plan)
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

    def _begin(self, b: Builder, states: Sequence[State]) -> None:
        for state in states:
            self._bind(b, state.present, self._buffer(b, state.first))

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

    def _end(self, b: Builder, states: Sequence[State]) -> None:
        for state in states:
            if state.last is not None:
                self._copy(b, state.present, state.last)

    def _bind(self, b: Builder, buffer: Buffer, address: Value) -> None:
        """Let a bound buffer be at an address, from now on."""
        b.store(address, b.gep(b.param("buffers"), self.slot[id(buffer)], "i64"))

    # ---- threads -----------------------------------------------------------------------------------------

    def _is_shared(self, kernel: Kernel) -> bool:
        """Whether the pool may run it in parts: not if it can fail, since its first failure is to be named.

        With one thread too: between parts, a long kernel can be interrupted.
        """
        return kernel.split is not None and not kernel.sites

    def _turns(self, b: Builder, split: Split) -> Value:
        turns = b.i64(1)
        for extent in split.extents:
            turns = b.mul(turns, self._size(b, extent))
        return turns

    def _share(
        self, b: Builder, number: int, step: Step, kernel: Kernel, turns: Value, arguments: list[Value]
    ) -> None:
        """Call the kernel for all turns, or let the pool call it for parts of them if that pays."""
        assert kernel.split is not None
        b.globals["graphc_pool"] = "@graphc_pool = external global i8"
        self.is_shared = True
        granules = b.udiv(b.add(turns, kernel.split.granule - 1), kernel.split.granule)
        work = b.mul(turns, self._size(b, kernel.split.weight))
        most = PARTS_PER_THREAD * self.threads if self.threads > 1 else 0
        shared = b.intrinsic("smin", b.udiv(work, PART), most) if most else b.i64(0)
        long = b.udiv(work, LONGEST_PART)
        parts = b.intrinsic("smin", granules, b.intrinsic("smax", shared, long))
        polls = b.zext(b.icmp("sgt", long, most), "i64") if self._polling is not None else b.i64(0)
        with b.if_else(b.icmp("sgt", parts, 1)) as choice:
            with choice.then:
                task = self._task(f"task{number}", step, kernel)
                context = b.alloca("ptr", 2)
                b.store(b.param("buffers"), context)
                b.store(b.param("sizes"), b.gep(context, 1, "ptr"))
                pool = Value("ptr", "@graphc_pool")
                stopped = b.call("i64", "graphc_parallel", pool, Value("ptr", f"@{task}"), context, parts, polls)
                if self._polling is not None:
                    self._polling.leave_if(b.icmp("ne", stopped, 0))
            with choice.otherwise:
                b.call("void", self.symbols[kernel], *arguments)

    def _task(self, name: str, step: Step, kernel: Kernel) -> str:
        """A function that does one part: void(context, part, parts, worker)."""
        assert kernel.split is not None
        params = [("context", "ptr"), ("part", "i64"), ("parts", "i64"), ("worker", "i64")]
        b = Builder(name, params)
        tables = {n: b.load("ptr", b.gep(b.param("context"), i, "ptr")) for i, n in enumerate(("buffers", "sizes"))}
        self._tables[id(b)] = tables
        turns = self._turns(b, kernel.split)
        granule = kernel.split.granule
        granules = b.udiv(b.add(turns, granule - 1), granule)

        def bound(part: Value) -> Value:
            first = b.udiv(b.mul(granules, part), b.param("parts"))
            return b.intrinsic("smin", b.mul(first, granule), turns)

        arguments = [self._buffer(b, buffer) for buffer in (*step.operands, *step.results)]
        if kernel.scratch_bytes != 0:
            base = self._load(b, "buffers", len(self.plan.buffers), "ptr")
            own = b.mul(b.param("worker"), self._size(b, scratch_stride(kernel.scratch_bytes)))
            arguments.append(b.offset(base, own))
        arguments += [self._size(b, size) for size in kernel.sizes]
        arguments += [bound(b.param("part")), bound(b.add(b.param("part"), 1))]
        b.call("void", self.symbols[kernel], *arguments)
        self.functions.append(b)
        return name

    # ---- tables ------------------------------------------------------------------------------------------

    def _buffer(self, b: Builder, buffer: Buffer) -> Value:
        return self._load(b, "buffers", self.slot[id(buffer)], "ptr")

    def _size(self, b: Builder, size: Size) -> Value:
        if isinstance(size, int):
            return b.i64(size)
        return self._load(b, "sizes", self.sizes.setdefault(size, len(self.sizes)), "i64")

    def _load(self, b: Builder, table: str, position: int, type_: str) -> Value:
        """An entry of a table, loaded where it is used: kept in registers, thousands would only be spilled."""
        base = self._tables[id(b)][table] if id(b) in self._tables else b.param(table)
        return b.load(type_, b.gep(base, position, "i64"))
