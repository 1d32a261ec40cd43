"""The entries of a program: native functions that call kernels in order, one between each two host steps.

    i64 @entry0(ptr buffers, ptr sizes, ptr error)

`buffers` is a table of addresses, one per buffer of the plan and then one for scratch; `sizes` a table of the
numbers that kernels and copies need. The result is 0, or 1 + the number of the step that failed.

Invariant: an entry holds no address of data, so its text depends on the plan only.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.backends.llvm.emitter import Builder, Value
from graphc.backends.llvm.kernel import Kernel
from graphc.backends.llvm.plan import Buffer, Copy, Plan, Step
from graphc.ir.dims import Size


class Entries:
    """A plan's entries, and the order of its tables.

    Attributes:
        functions: the entries, finished.
        segments: the steps in runs: an entry's name for native ones, the step itself for a host step.
        sizes: what `sizes` holds.
    """

    def __init__(self, plan: Plan, symbols: dict[Kernel, str]) -> None:
        self.plan = plan
        self.symbols = symbols
        self.slot = {id(b): i for i, b in enumerate(plan.buffers)}
        self.sizes: dict[Size, int] = {}
        self.segments: list[str | Step] = []
        self.functions: list[Builder] = []
        self._write()

    def _write(self) -> None:
        pending: list[tuple[int, Step] | Copy] = list(self.plan.before)
        for number, step in enumerate(self.plan.steps):
            if step.kernel is None:
                self._flush(pending)
                self.segments.append(step)
                pending = []
            else:
                pending.append((number, step))
        self._flush([*pending, *self.plan.after])

    def _flush(self, items: Sequence[tuple[int, Step] | Copy]) -> None:
        if not items:
            return
        name = f"entry{len(self.segments)}"
        b = Builder(name, [("buffers", "ptr"), ("sizes", "ptr"), ("error", "ptr")], "i64")
        for item in items:
            if isinstance(item, Copy):
                b.memcpy(self._buffer(b, item.target), self._buffer(b, item.source), self._size(b, item.source.nbytes))
            else:
                self._call(b, *item)
        b.ret(b.i64(0))
        self.functions.append(b)
        self.segments.append(name)

    def _call(self, b: Builder, number: int, step: Step) -> None:
        kernel = step.kernel
        assert kernel is not None
        arguments = [self._buffer(b, buffer) for buffer in (*step.operands, *step.results)]
        if kernel.scratch_bytes != 0:
            arguments.append(self._load(b, "buffers", len(self.plan.buffers), "ptr"))
        arguments += [self._size(b, size) for size in kernel.sizes]
        symbol = self.symbols[kernel]
        if not kernel.sites:
            b.call("void", symbol, *arguments)
            return
        failed = b.call("i64", symbol, *arguments, b.param("error"))
        with b.if_(b.icmp("ne", failed, 0), likely=False):
            b.ret(b.i64(number + 1))

    def _buffer(self, b: Builder, buffer: Buffer) -> Value:
        return self._load(b, "buffers", self.slot[id(buffer)], "ptr")

    def _size(self, b: Builder, size: Size) -> Value:
        if isinstance(size, int):
            return b.i64(size)
        return self._load(b, "sizes", self.sizes.setdefault(size, len(self.sizes)), "i64")

    def _load(self, b: Builder, table: str, position: int, type_: str) -> Value:
        """An entry of a table, loaded where it is used: kept in registers, thousands would only be spilled."""
        return b.load(type_, b.gep(b.param(table), position, "i64"))
