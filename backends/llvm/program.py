"""A compiled program: fill the tables, run the entries, take the host steps in between, report failures.

Invariant: re-entrant. All that a call writes is its outputs, its own frame (arena and tables), and, under
the variables' locks, the variables; a frame is used by one call at a time.
"""

from __future__ import annotations

import ctypes
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.backends.llvm import abi
from graphc.backends.llvm.call import FREE, Signature, build_call, builtin, words
from graphc.backends.llvm.codegen import assembly
from graphc.backends.llvm.entry import Entries
from graphc.backends.llvm.kernel import Kernel, Site
from graphc.backends.llvm.library import Linked, link, symbol_of
from graphc.backends.llvm.memory import aligned_bytes, layout
from graphc.backends.llvm.plan import Buffer, Plan, Step, describe_plan, plan
from graphc.backends.llvm.threads import pool, thread_count
from graphc.errors import GraphcError, IndexOutOfBoundsError
from graphc.ir import dims
from graphc.ir.evaluate import evaluate_tensor
from graphc.ir.graph import Graph
from graphc.ir.tensor import Variable
from graphc.ir.types import TupleType

#: Ops with one index operand for each indexed axis.
INDEXED_BY_AXIS = frozenset({"gather", "scatter_add", "scatter_set"})
#: How many sets of sizes a program keeps memory for.
_LAYOUTS_KEPT = 16
#: How many native calls with the same sizes may be in flight at once.
_NATIVE_FRAMES = 16
#: From this much work on (see `_work`; about 100 us) a call lets other Python threads run.
_RELEASE_WORK = 1 << 21

SizeKey = tuple[int, ...]


class Program:
    """An optimised graph as machine code.

    Args:
        graph: the graph.
        container: what a native call returns: one array (None), or all in a list or tuple.
        opt_level: how much LLVM's code generator optimises; see `library.link`.
    """

    def __init__(self, graph: Graph, container: type | None = list, opt_level: int | None = None) -> None:
        self.graph = graph
        self.plan = plan(graph)
        kernels = [s.kernel for s in self.plan.steps if s.kernel is not None]
        symbols: dict[Kernel, str] = {k: symbol_of(k.function) for k in kernels}
        self._threads = thread_count()
        self._entries = Entries(self.plan, symbols, self._threads)
        self._variables = [v for v in graph.variables if isinstance(v, Variable)]
        self._native = self._native_parts(container)
        functions = self._entries.functions
        data: dict[str, int] = {}
        if self._entries.is_shared:
            data |= pool().symbols
            pool().start()
        if self._native is not None:
            functions = [*functions, build_call(self._native.signature, "entry0")]
            data |= self._native.symbols
        self._linked: Linked = link(kernels, functions, data, opt_level)
        kind = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        self._segments = [
            kind(self._linked.addresses[s]) if isinstance(s, str) else s for s in self._entries.segments
        ]
        self._symbols = _symbols(graph)
        self._slots = list(enumerate(self.plan.buffers))
        self._calls: dict[SizeKey, _Frames] = {}
        self._constants = _constants(graph)
        self.artifacts: Mapping[str, str] = _Artifacts(self)

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs, as fresh arrays; variables are updated in place.

        Raises:
            IndexOutOfBoundsError: a gather or scatter met an index outside its axis.
            GraphcError: a host step refuses its operands. MemoryError: the arena does not fit.
        """
        frames = self._frames_for(tuple(arrays[number].shape[axis] for number, axis in self._symbols.values()))
        frame = frames.take()
        for variable in self._variables:
            variable.busy[0] += 1
        try:
            return frame.run(self._segments, arrays)
        finally:
            for variable in self._variables:
                variable.busy[0] -= 1
            frames.give(frame)
            if self._native is not None:
                self._native.offer(frames, arrays)

    def _native_parts(self, container: type | None) -> NativeCall | None:
        """What a native call needs; None where there is none: host steps, or an unknown memory layout."""
        native = self._entries.segments == ["entry0"] and abi.native_calls_work()
        if not native:
            return None
        slots: dict[tuple[str, int], int] = {}
        for slot, buffer in enumerate(self.plan.buffers):
            if buffer.kind in ("input", "output"):
                slots[buffer.kind, buffer.number] = slot
        inputs, outputs = self.graph.inputs, self.graph.outputs
        signature = Signature(
            tuple(t.tensor_type for t in inputs),
            tuple(slots.get(("input", i)) for i in range(len(inputs))),
            tuple(t.tensor_type for t in outputs),
            tuple(slots["output", i] for i in range(len(outputs))),
            container,
            len(self._variables),
        )
        return NativeCall(signature, self._variables)

    def native_call(self, fallback: Callable[..., Any]) -> Callable[..., Any] | None:
        """A builtin that runs the program, and hands to `fallback` what it cannot; None if there is none."""
        if self._native is None:
            return None
        return self._native.builtin(self._linked.addresses["call"], fallback, self.graph.name)

    def _frames_for(self, key: SizeKey) -> _Frames:
        found = self._calls.get(key)
        if found is None:
            found = _Frames(self, dict(zip(self._symbols, key)))
            while len(self._calls) >= _LAYOUTS_KEPT:
                try:
                    self._calls.pop(next(iter(self._calls)))
                except (StopIteration, KeyError, RuntimeError):  # another thread was faster
                    break
            self._calls[key] = found
        return found


class _Frames:
    """The frames of calls with the same sizes: idle ones are kept."""

    def __init__(self, program: Program, sizes: Mapping[str, int]) -> None:
        self.program = program
        self.sizes = sizes
        self.layout = layout(program.plan, sizes, program._threads)
        self.numbers = [dims.evaluate(size, sizes) for size in program._entries.sizes]
        self.shapes: dict[Buffer, tuple[int, ...]] = {
            b: tuple(dims.evaluate(s, sizes) for s in b.type.shape) for b in program.plan.buffers
        }
        outputs = sorted((b for b in program.plan.buffers if b.kind == "output"), key=lambda b: b.number)
        graph_outputs = program.graph.outputs
        self.outputs = [
            (program._entries.slot[id(b)], tuple(dims.evaluate(s, sizes) for s in t.shape), t.dtype)
            for b, t in zip(outputs, graph_outputs)
        ]
        self._idle: deque[_Frame] = deque()
        self.work = _work(program.plan, sizes)
        self.native: list[tuple[_Frame, Any]] = []
        self.record: Any = None  # for native calls, once there has been a call with these sizes

    def take(self) -> _Frame:
        """An idle frame, or a new one."""
        try:
            return self._idle.pop()
        except IndexError:
            return _Frame(self)

    def give(self, frame: _Frame) -> None:
        """Keep a frame for the next call."""
        self._idle.append(frame)


class NativeCall:
    """The state, records and frames that a program's native call looks up; see `call`."""

    def __init__(self, signature: Signature, variables: Sequence[Variable]) -> None:
        self.signature = signature
        self._state = words([0, *(_address(v.busy) for v in variables)])
        self._kept: list[Any] = []
        self._lock = threading.Lock()

    @property
    def symbols(self) -> dict[str, int]:
        """The addresses of the data and functions that the code names."""
        return {"graphc_state": ctypes.addressof(self._state), **self.signature.symbols, **abi.symbols()}

    def builtin(self, address: int, fallback: Callable[..., Any], name: str) -> Callable[..., Any]:
        """The Python object."""
        return builtin(address, fallback, name)

    def offer(self, frames: _Frames, arrays: Sequence[np.ndarray]) -> None:
        """After a call through Python: let the next ones with these sizes be native."""
        with self._lock:
            if frames.record is None:
                self._add_record(frames, arrays)
            elif frames.record is not False and frames.record[FREE] == 0 and len(frames.native) < _NATIVE_FRAMES:
                self._add_frame(frames)

    def _add_record(self, frames: _Frames, arrays: Sequence[np.ndarray]) -> None:
        big = frames.work > _RELEASE_WORK
        if len(self._kept) >= _LAYOUTS_KEPT or (big and self.signature.variables):
            frames.record = False  # Python takes the variables' locks, and lets go of the GIL
            return
        sizes = self.signature.input_sizes([a.shape for a in arrays])
        extents = [extent for _, shape, _ in frames.outputs for extent in shape]
        record = words([self._state[0], 0, int(big), *sizes, *extents])
        frames.record = record
        self._add_frame(frames)
        self._kept.append(frames)
        self._state[0] = ctypes.addressof(record)

    def _add_frame(self, frames: _Frames) -> None:
        frame = _Frame(frames)
        tables = (frame.table, frame.numbers, frame.error)
        node = words([frames.record[FREE], *(ctypes.addressof(t) for t in tables)])
        frames.native.append((frame, node))
        frames.record[FREE] = ctypes.addressof(node)


class _Frame:
    """The memory of one call in flight."""

    def __init__(self, frames: _Frames) -> None:
        self.frames = frames
        program = frames.program
        count = len(program.plan.buffers) + 1
        self.arena = aligned_bytes(frames.layout.total)
        base = _address(self.arena)
        self.table = (ctypes.c_void_p * count)()
        self.numbers = (ctypes.c_int64 * max(1, len(frames.numbers)))(*frames.numbers)
        self.error = (ctypes.c_int64 * 3)()
        for slot, buffer in program._slots:
            if buffer.kind == "arena" and buffer in frames.layout.offsets:
                self.table[slot] = base + frames.layout.offsets[buffer]
            elif buffer.kind == "constant":
                self.table[slot] = _address(program._constants[buffer.number])
            elif buffer.kind == "variable":
                self.table[slot] = _address(program._variables[buffer.number].storage)
        self.table[count - 1] = base + frames.layout.scratch
        self.input_slots = [(slot, b.number) for slot, b in program._slots if b.kind == "input"]

    def run(self, segments: Sequence[Any], arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run all segments; the outputs."""
        table = self.table
        for slot, number in self.input_slots:
            table[slot] = _address(arrays[number])
        outputs = []
        for slot, shape, dtype in self.frames.outputs:
            output = np.empty(shape, dtype)
            table[slot] = _address(output)
            outputs.append(output)
        for segment in segments:
            if isinstance(segment, Step):
                self._host_step(segment)
            else:
                failed = segment(table, self.numbers, self.error)
                if failed:
                    raise self._failure(failed - 1)
        return outputs

    def _view(self, buffer: Buffer) -> np.ndarray:
        """A buffer's memory as an array."""
        program = self.frames.program
        address = self.table[program._entries.slot[id(buffer)]] or 0
        shape, dtype = self.frames.shapes[buffer], buffer.type.dtype
        count = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if count == 0:
            return np.empty(shape, dtype)
        memory = (ctypes.c_uint8 * count).from_address(address)
        return np.frombuffer(memoryview(memory), dtype).reshape(shape)

    def _host_step(self, step: Step) -> None:
        operands = []
        for tensor, buffer in zip(step.tensor.inputs, step.operands):
            shape = tuple(dims.evaluate(s, self.frames.sizes) for s in tensor.shape)
            view = self._view(buffer).reshape(shape)
            view.flags.writeable = False
            operands.append(view)
        value = evaluate_tensor(step.tensor, operands, self.frames.sizes)
        for buffer, array in zip(step.results, value if isinstance(step.tensor.type, TupleType) else (value,)):
            self._view(buffer)[...] = array

    def _failure(self, number: int) -> GraphcError:
        """The error that a kernel's record stands for."""
        step = self.frames.program.plan.steps[number]
        assert step.kernel is not None
        site: Site = step.kernel.sites[self.error[0]]
        tensor = site.tensor
        name = tensor.op.name if tensor.hint is None else f"{tensor.op.name} {tensor.hint!r}"
        # Indices follow x in a gather and x and the updates in a scatter, one operand to an axis; the record has
        # them as signed, whatever they are.
        first = 2 if tensor.op.name.startswith("scatter") else 1
        indices = tensor.inputs[first + (site.axis if tensor.op.name in INDEXED_BY_AXIS else 0)]
        index = self.error[1] % 2**64 if indices.dtype.kind == "u" else self.error[1]
        return IndexOutOfBoundsError(
            f"{name}: index {index} is out of bounds for axis {site.axis} with size {self.error[2]}",
            location=tensor.location,
        )


def _work(plan: Plan, sizes: Mapping[str, int]) -> int:
    """A rough count of what a call does: bytes moved, and two for each multiply-add of a matrix product."""
    total = 0
    for step in plan.steps:
        total += sum(dims.evaluate(b.nbytes, sizes) for b in (*step.operands, *step.results))
        if step.tensor.op.name == "matmul":
            depth = step.tensor.inputs[0].shape[-1]
            total += 2 * dims.evaluate(step.tensor.tensor_type.size * depth, sizes) // 8
    return total


def _symbols(graph: Graph) -> dict[str, tuple[int, int]]:
    """For each symbolic size, the input and the axis that bring its value."""
    found: dict[str, tuple[int, int]] = {}
    for number, tensor in enumerate(graph.inputs):
        for axis, size in enumerate(tensor.shape):
            name = dims.bare_symbol(size)
            if name is not None:
                found.setdefault(name, (number, axis))
    return found


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def _constants(graph: Graph) -> list[np.ndarray]:
    """The arrays of the plan's constant buffers, in its order."""
    inputs = set(graph.inputs)
    return [np.ascontiguousarray(t.attrs["value"]) for t in graph.tensors if t.op.name == "const" and t not in inputs]


class _Artifacts(Mapping[str, str]):
    """Texts that are made when they are asked for."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def __getitem__(self, name: str) -> str:
        program = self._program
        if name == "plan":
            return describe_plan(program.plan)
        if name == "cache":
            return program._linked.describe_cache()
        if name in ("llvm", "asm"):
            return program._linked.text if name == "llvm" else assembly(program._linked.text)
        raise KeyError(name)

    def __iter__(self) -> Any:
        return iter(("plan", "cache", "llvm", "asm"))

    def __len__(self) -> int:
        return 4
