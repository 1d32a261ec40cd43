"""The entries of a program: native functions that call kernels in order, one between each two host steps.

    i64 @entry0(ptr buffers, ptr sizes, ptr error)

`buffers` is a table of addresses, one per buffer of the plan and then one for scratch; `sizes` a table of the
numbers that kernels and copies need. The result is 0, 1 + the number of the step that failed, or
`INTERRUPTED`.

Where a graph has many layers that are alike, their steps are rows of a table, which one loop runs through: a row is
i32 numbers, which call it is, the number of the step, and the slots of its buffers.

Invariant: an entry holds no address of data, so its text depends on the plan only.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence

from graphc.backends.llvm.emitter import NULL, Builder, Value
from graphc.backends.llvm.entry_loops import LoopEntries
from graphc.backends.llvm.float_environment import default_environment
from graphc.backends.llvm.interrupts import Polling, polling_code
from graphc.backends.llvm.kernel import Kernel, Split
from graphc.backends.llvm.memory import scratch_stride
from graphc.backends.llvm.sharing import PART, PART_IN_LOOP, STEP, is_worth_sharing, share, sharing_code
from graphc.backends.llvm.steps import Buffer, Copy, Plan, Scan, Step, While
from graphc.ir.dims import Size

#: So many steps one after the other, of kernels that are called at least so many times, are rows of a table.
LEAST_ROWS, LEAST_CALLS = 16, 3

_PARAMS = (("buffers", "ptr"), ("sizes", "ptr"), ("error", "ptr"))
_ROWS = (*_PARAMS, ("table", "ptr"), ("end", "ptr"), ("polls", "i64"))

Item = tuple[int, Step] | Copy  # a step and its number, or a copy


def _in_default_environment(name: str, steps: Builder) -> Builder:
    """A function that calls this one under IEEE's floating-point settings, whatever the caller's are."""
    b = Builder(name, _PARAMS, "i64")
    with default_environment(b):
        result = b.call("i64", steps.name, *b.params)
    b.ret(result)
    return b


class Entries(LoopEntries):
    """A plan's entries, and the order of its tables.

    Attributes:
        functions: the entries, finished, and internal ones that they call.
        is_shared: whether any step may be shared among threads.
        segments: the steps in runs: an entry's name for native ones, the step itself for a host step.
        sizes: what `sizes` holds.
    """

    #: Whether steps may be rows of a table.
    has_rows = True

    def __init__(self, plan: Plan, symbols: dict[Kernel, str], threads: int = 1) -> None:
        self.plan = plan
        self.threads = threads
        self.is_shared = False
        self._loops = 0
        self.symbols = symbols
        self.slot = {id(b): i for i, b in enumerate(plan.buffers)}
        self.sizes: dict[Size, int] = {}
        self.segments: list[str | Step] = []
        self.functions: list[Builder] = []
        self._polling: Polling | None = None
        self._is_polling = False
        self._polls: Value | None = None  # whether a long step asks for signals, if only the caller knows
        self._kinds: dict[Hashable, tuple[int, Step]] = {}  # of rows: its number, and a step of this kind
        self._calls = Counter(self._kind(step) for step in plan.steps if step.kernel is not None)
        self._write()

    def _write(self) -> None:
        pending: list[Item] = list(self.plan.before)
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
        if self._is_polling:
            self.functions.append(polling_code())
        if self._kinds:
            self._write_rows()
        if self.is_shared:
            self.functions += sharing_code(self.threads)

    def _flush(self, items: Sequence[Item]) -> None:
        if not items:
            return
        name = f"entry{len(self.segments)}"
        b = Builder(f"{name}_steps", _PARAMS, "i64")
        self._polling = Polling(b) if len(items) > 1 or self._has_loop(items) else None
        self._is_polling |= self._polling is not None
        for position, stretch in enumerate(self._stretches(items)):
            if isinstance(stretch[0], Copy):
                self._copy(b, stretch[0].source, stretch[0].target)
                continue
            if stretch[0][1].writes_variables:
                self._polling = None  # from here on all of it is done
            elif self._polling is not None and position:
                self._polling.poll()
            if len(stretch) == 1:
                self._step(b, *stretch[0])
            else:
                self._call_rows(b, stretch)  # type: ignore[arg-type]
        b.ret(b.i64(0))
        self.functions += [b, _in_default_environment(name, b)]
        self.segments.append(name)

    @staticmethod
    def _has_loop(items: Sequence[Item]) -> bool:
        return any(not isinstance(item, Copy) and item[1].nested is not None for item in items)

    def _stretches(self, items: Sequence[Item]) -> Iterator[Sequence[Item]]:
        """The items, one by one, or many steps that are rows of a table; of those, all write variables or none does."""

        def key(item: Item) -> Hashable:
            if isinstance(item, Copy) or item[1].kernel is None or self._calls[self._kind(item[1])] < LEAST_CALLS:
                return id(item)
            return item[1].writes_variables

        for kind, group in itertools.groupby(items, key):
            stretch = list(group)
            if self.has_rows and isinstance(kind, bool) and len(stretch) >= LEAST_ROWS:
                yield stretch
            else:
                yield from ([item] for item in stretch)

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

    # ---- kernels -----------------------------------------------------------------------------------------

    def _call(self, b: Builder, number: int, step: Step) -> None:
        """The call of a kernel."""
        self._launch(b, f"step{number}", b.i64(number + 1), step, NULL)

    def _launch(self, b: Builder, name: str, failure: Value, step: Step, row: Value) -> None:
        """Call a kernel, or let threads share it: by a function of this name. Its buffers are those of the row."""
        kernel = step.kernel
        assert kernel is not None
        turns = b.i64(0) if kernel.split is None else self._turns(b, kernel.split)
        part = PART_IN_LOOP if self._loops else PART
        # The pool does not if it can fail, since its first failure is to be named.
        is_alone = self._is_in_part or kernel.split is None or bool(kernel.sites)
        if not is_alone and kernel.split is not None and is_worth_sharing(kernel.split, part):
            self.is_shared = True
            task = self._task(name, step, has_row=row is not NULL)
            polls = self._polls or b.i64(int(self._polling is not None))
            weight = self._size(b, kernel.split.weight)
            stopped = share(b, task, row, turns, kernel.split, weight, part, polls)
            if self._polling is not None:
                self._polling.leave_if(b.icmp("ne", stopped, 0))
            return
        arguments = self._arguments(b, step, row, (b.i64(0), turns), None)
        if not kernel.sites:
            b.call("void", self.symbols[kernel], *arguments)
            return
        failed = b.call("i64", self.symbols[kernel], *arguments, b.param("error"))
        with b.if_(b.icmp("ne", failed, 0), likely=False):
            b.ret(failure)

    def _task(self, name: str, step: Step, *, has_row: bool) -> Builder:
        """A function that does some turns of a step, for `share`."""
        assert step.kernel is not None
        b = Builder(name, STEP, linkage="internal")
        turns = b.param("low"), b.param("high")
        row = b.param("row") if has_row else NULL
        b.call("void", self.symbols[step.kernel], *self._arguments(b, step, row, turns, b.param("worker")))
        self.functions.append(b)
        return b

    def _arguments(
        self, b: Builder, step: Step, row: Value, turns: tuple[Value, Value], worker: Value | None
    ) -> list[Value]:
        """A kernel's arguments, but for `error`."""
        kernel = step.kernel
        assert kernel is not None
        buffers = [*step.operands, *step.results]
        if row is NULL:
            arguments = [self._buffer(b, buffer) for buffer in buffers]
        else:
            places = [b.sext(b.load("i32", b.gep(row, n, "i32")), "i64") for n in range(2, 2 + len(buffers))]
            arguments = [b.load("ptr", b.gep(b.param("buffers"), place, "i64")) for place in places]
        if kernel.scratch_bytes != 0:
            scratch = self._load(b, "buffers", len(self.plan.buffers), "ptr")
            if worker is not None:
                scratch = b.offset(scratch, b.mul(worker, self._size(b, scratch_stride(kernel.scratch_bytes))))
            arguments.append(scratch)
        arguments += [self._size(b, size) for size in kernel.sizes]
        return arguments if kernel.split is None else [*arguments, *turns]

    def _turns(self, b: Builder, split: Split) -> Value:
        known = math.prod(extent for extent in split.extents if isinstance(extent, int))
        rest = [self._size(b, extent) for extent in split.extents if not isinstance(extent, int)]
        factors = rest if rest and known == 1 else [b.i64(known), *rest]
        return functools.reduce(b.mul, factors)

    # ---- steps that are rows of a table --------------------------------------------------------------------

    def _kind(self, step: Step) -> Hashable:
        """Steps of a kind differ in their buffers only."""
        kernel = step.kernel
        assert kernel is not None
        buffers = len(step.operands), len(step.results)
        return self.symbols[kernel], kernel.sizes, kernel.scratch_bytes, kernel.split, buffers

    def _call_rows(self, b: Builder, stretch: Sequence[tuple[int, Step]]) -> None:
        """The call that runs through many rows."""
        words: list[int] = []
        for number, step in stretch:
            kind, _ = self._kinds.setdefault(self._kind(step), (len(self._kinds), step))
            words += [kind, number, *(self.slot[id(buffer)] for buffer in (*step.operands, *step.results))]
        table = b.table("i32", words)
        polls = b.i64(int(self._polling is not None))
        ended = b.call("i64", "rows", *b.params, table, b.gep(table, len(words), "i32"), polls)
        with b.if_(b.icmp("ne", ended, 0), likely=False):
            b.ret(ended)

    def _write_rows(self) -> None:
        """The function `rows`: its result is the entry's if it is not 0."""
        b = Builder("rows", _ROWS, "i64", linkage="internal")
        self._polling, self._polls = Polling(b), b.param("polls")
        with b.forever([b.param("table")]) as loop:
            (row,) = loop.carried
            loop.exit_if(b.icmp("eq", row, b.param("end")))
            with b.if_(b.icmp("ne", b.param("polls"), 0)):
                self._polling.poll()
            kind, number = (b.load("i32", b.gep(row, n, "i32")) for n in range(2))
            failure = b.add(b.sext(number, "i64"), 1)
            width = self._choose(b, kind, list(self._kinds.values()), failure, row)
            loop.next(b.gep(row, width, "i32"))
        b.ret(b.i64(0))
        self.functions.append(b)

    def _choose(
        self, b: Builder, kind: Value, kinds: Sequence[tuple[int, Step]], failure: Value, row: Value
    ) -> Value:
        """Call the kernel of this kind, by halving; the width of its row."""
        if len(kinds) == 1:
            ((number, step),) = kinds
            self._launch(b, f"row{number}", failure, step, row)
            return b.i64(2 + len(step.operands) + len(step.results))
        half = len(kinds) // 2
        with b.if_else(b.icmp("slt", kind, kinds[half][0])) as choice:
            with choice.then:
                choice.give(self._choose(b, kind, kinds[:half], failure, row))
            with choice.otherwise:
                choice.give(self._choose(b, kind, kinds[half:], failure, row))
        (width,) = choice.results
        return width

    # ---- tables ------------------------------------------------------------------------------------------

    def _buffer(self, b: Builder, buffer: Buffer) -> Value:
        return self._load(b, "buffers", self.slot[id(buffer)], "ptr")

    def _size(self, b: Builder, size: Size) -> Value:
        return self._size_in(b, b.param("sizes"), size)

    def _size_in(self, b: Builder, table: Value, size: Size) -> Value:
        """A number, of this table if it is symbolic."""
        if isinstance(size, int):
            return b.i64(size)
        return b.load("i64", b.gep(table, self.sizes.setdefault(size, len(self.sizes)), "i64"))

    def _load(self, b: Builder, table: str, position: int, type_: str) -> Value:
        """An entry of a table, loaded where it is used: kept in registers, thousands would only be spilled."""
        return b.load(type_, b.gep(b.param(table), position, "i64"))
