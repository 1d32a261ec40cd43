"""The entries of a program: native functions that call kernels in order, one between each two host steps.

    i64 @entry0(ptr buffers, ptr sizes, ptr error)

`buffers` is a table of addresses, one per buffer of the plan and then one for scratch; `sizes` a table of the
numbers that kernels and copies need. The result is 0, or 1 + the number of the step that failed.

Invariant: an entry holds no address of data, so its text depends on the plan only.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.backends.llvm.emitter import Builder, Value
from graphc.backends.llvm.kernel import Kernel, Split, scratch_stride
from graphc.backends.llvm.plan import Buffer, Copy, Plan, Step
from graphc.ir.dims import Size

#: A part that threads share should take about 4 us, in the units of `Split.weight`.
PART = 1 << 16
#: More parts than threads let a thread that is held up leave the rest to the others.
PARTS_PER_THREAD = 8


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

    # ---- threads -----------------------------------------------------------------------------------------

    def _is_shared(self, kernel: Kernel) -> bool:
        """Whether threads may share the kernel: not if it can fail, since its first failure is to be named."""
        return self.threads > 1 and kernel.split is not None and not kernel.sites

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
        parts = b.intrinsic("smin", granules, b.udiv(work, PART))
        parts = b.intrinsic("smin", parts, PARTS_PER_THREAD * self.threads)
        with b.if_else(b.icmp("sgt", parts, 1)) as choice:
            with choice.then:
                task = self._task(f"task{number}", step, kernel)
                context = b.alloca("ptr", 2)
                b.store(b.param("buffers"), context)
                b.store(b.param("sizes"), b.gep(context, 1, "ptr"))
                pool = Value("ptr", "@graphc_pool")
                b.call("void", "graphc_parallel", pool, Value("ptr", f"@{task}"), context, parts)
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
