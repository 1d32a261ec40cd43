"""A compiled program: fill the tables, run the entries, take the host steps in between, report failures.

Invariant: re-entrant. All that a call writes is its outputs, its own frame (arena and tables), and, under
the variables' locks, the variables.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.backends.base import StepTime
from graphc.backends.llvm import abi, interrupts, stored_program, tiers
from graphc.backends.llvm.blueprint import Blueprint
from graphc.backends.llvm.call import NativeCall, Signature
from graphc.backends.llvm.forking import compiling
from graphc.backends.llvm.frames import Frame, Frames
from graphc.backends.llvm.interrupts import INTERRUPTED, raise_interrupt
from graphc.backends.llvm.linked import Linked, link_stored
from graphc.backends.llvm.memory import layout
from graphc.backends.llvm.threads import pool, thread_count
from graphc.errors import GraphcError, IndexOutOfBoundsError
from graphc.ir import dims
from graphc.ir.bodies import bodies_of
from graphc.ir.evaluate import evaluate_tensor
from graphc.ir.graph import Graph
from graphc.ir.tensor import Variable
from graphc.ir.types import TupleType

if TYPE_CHECKING:
    from graphc.backends.llvm.build import Build
    from graphc.backends.llvm.kernel import Site
    from graphc.backends.llvm.steps import Plan, Step
    from graphc.backends.llvm.timed import TimedProgram

#: Ops with one index operand for each indexed axis.
INDEXED_BY_AXIS = frozenset({"gather", "scatter_add", "scatter_set"})
#: How many sets of sizes a program keeps memory for.
_LAYOUTS_KEPT = 16
_NATIVE = ("entry0",)  # the segments of a program without host steps


class Program:
    """An optimised graph as machine code.

    Args:
        graph: the graph.
        container: what a native call returns: one array (None), or all in a list or tuple.
        opt_level: how much LLVM's code generator optimises; see `library.link`.
    """

    _has_tiers = True

    def __init__(self, graph: Graph, container: type | None = list, opt_level: int | None = None) -> None:
        self.graph = graph
        self._container, self._opt_level = container, opt_level
        self._threads = thread_count()
        self._variables = [v for v in graph.variables if isinstance(v, Variable)]
        self._constants = _constants(graph)
        self._symbols = _symbols(graph)
        self._native: NativeCall | None = None
        self._segments: Sequence[str | Step] = _NATIVE
        key = self._key()
        self._all_linked: list[Linked] = []  # code that was in use may still be running
        self._second_tier: Callable[[], None] | None = None
        with compiling():
            self._use(self._from_cache(key, container, opt_level) or self._built(key, container, opt_level))
        self._calls: dict[tuple[int, ...], Frames] = {}
        self.artifacts: Mapping[str, str] = _Artifacts(self)

    def _key(self) -> str | None:
        """Under which the disk cache keeps the program."""
        return stored_program.key_of_program(self.graph, self._container, self._opt_level, self._threads)

    # ---- code --------------------------------------------------------------------------------------------

    def _from_cache(self, key: str | None, container: type | None, opt_level: int | None) -> Linked | None:
        """The code of a program that was compiled before."""
        stored = stored_program.load(key)
        if stored is None:
            return None
        return link_stored(stored.modules, self._data(stored.blueprint, container), opt_level)

    def _built(self, key: str | None, container: type | None, opt_level: int | None) -> Linked:
        """The code, written and compiled now, and kept for the next time."""
        build = self._build
        self._segments = build.segments
        data = self._data(build.blueprint, container)
        signature = self._native.signature if self._native is not None else None
        if opt_level is None and tiers.ENABLED and self._has_tiers and self._is_native and build.is_small:
            # One thread: the others are for calls; and no thread can be started when the process ends.
            self._second_tier = lambda: self._use(self._optimised(key, signature, data, threads=1))
            return build.link_first_tier(signature, data)
        return self._optimised(key, signature, data, opt_level)

    def _optimised(
        self,
        key: str | None,
        signature: Signature | None,
        data: Mapping[str, int],
        opt_level: int | None = None,
        threads: int | None = None,
    ) -> Linked:
        """The code as it stays, which is kept for the next time."""
        linked = self._build.link(signature, data, opt_level, threads=threads)
        if self._is_native:
            stored_program.store(key, self._blueprint, linked)
        return linked

    def _use(self, linked: Linked) -> None:
        """Let calls that begin from now on run this code; those in flight go on in the other one."""
        kind = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        self._runs = [kind(linked.addresses[s]) if isinstance(s, str) else s for s in self._segments]
        self._all_linked.append(linked)
        if self._native is not None:
            self._native.replace(linked.addresses["call"])

    @property
    def _linked(self) -> Linked:
        return self._all_linked[-1]

    @cached_property
    def _build(self) -> Build:
        """The plan and the text of the code: needed to compile it, and to explain it."""
        from graphc.backends.llvm.build import Build  # brings LLVM along

        return Build(self.graph, self._threads)

    @property
    def plan(self) -> Plan:
        """The steps and buffers."""
        return self._build.plan

    @property
    def _is_native(self) -> bool:
        return tuple(self._segments) == _NATIVE

    def _data(self, blueprint: Blueprint, container: type | None) -> dict[str, int]:
        """The addresses of what the code names beyond functions; the native call's tables are made here."""
        self._blueprint = blueprint
        found = dict(interrupts.symbols())
        if blueprint.uses_pool:
            found |= pool().symbols
            pool().start()
        # Host steps need Python in between, and a Python whose arrays look unusual needs it for them.
        self._native = None
        if self._is_native and abi.native_calls_work():
            self._native = NativeCall(self._signature(blueprint, container), self._variables)
            found |= self._native.symbols
        return found

    def _signature(self, blueprint: Blueprint, container: type | None) -> Signature:
        inputs, outputs = self.graph.inputs, self.graph.outputs
        input_slots, output_slots = blueprint.slots("input"), blueprint.slots("output")
        return Signature(
            tuple(t.tensor_type for t in inputs),
            tuple(input_slots.get(i) for i in range(len(inputs))),
            tuple(t.tensor_type for t in outputs),
            tuple(output_slots[i] for i in range(len(outputs))),
            container,
            len(self._variables),
        )

    def native_call(self, fallback: Callable[..., Any]) -> Callable[..., Any] | None:
        """A builtin that runs the program, and hands to `fallback` what it cannot; None if there is none."""
        if self._native is None:
            return None
        return self._native.builtin(self._linked.addresses["call"], fallback, self.graph.name)

    def timed(self, arrays: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[StepTime]]:
        """A call with a clock around each step."""
        return self._timed.timed(arrays)

    @cached_property
    def _timed(self) -> TimedProgram:
        from graphc.backends.llvm.timed import TimedProgram  # brings LLVM along

        return TimedProgram(self.graph, self._container, self._opt_level)

    def arena_bytes(self, sizes: Mapping[str, int]) -> int:
        """The peak of memory for intermediates, scratch memory included."""
        return layout(self._blueprint, sizes, self._threads).total

    # ---- calls -------------------------------------------------------------------------------------------

    def __call__(
        self, arrays: Sequence[np.ndarray], out: Sequence[np.ndarray | None] | None = None
    ) -> list[np.ndarray]:
        """The outputs, as fresh arrays or in those of `out`; variables are updated in place.

        Raises:
            IndexOutOfBoundsError: a gather or scatter met an index outside its axis.
            GraphcError: a host step refuses its operands.
            MemoryError: the arena does not fit.
        """
        if self._second_tier is not None:  # worth the work, now that there are calls
            job, self._second_tier = self._second_tier, None
            with tiers.behind(job):
                return self(arrays, out)
        frames = self._frames_for(tuple(arrays[number].shape[axis] for number, axis in self._symbols.values()))
        frame = frames.take()
        for variable in self._variables:
            variable.busy[0] += 1
        try:
            return self._run(frame, arrays, out)
        finally:
            for variable in self._variables:
                variable.busy[0] -= 1
            frames.give(frame)
            if self._native is not None:
                self._native.offer(frames, arrays)

    def _run(
        self, frame: Frame, arrays: Sequence[np.ndarray], out: Sequence[np.ndarray | None] | None
    ) -> list[np.ndarray]:
        outputs = frame.bind(arrays, out)
        for segment in self._runs:
            if callable(segment):
                failed = segment(frame.table, frame.numbers, frame.error)
                if failed == INTERRUPTED:
                    raise_interrupt()
                if failed:
                    raise self._failure(failed - 1, frame)
            else:
                self._host_step(segment, frame)
        return outputs

    def _frames_for(self, key: tuple[int, ...]) -> Frames:
        found = self._calls.get(key)
        if found is None:
            outputs = [t.tensor_type for t in self.graph.outputs]
            sizes = dict(zip(self._symbols, key))
            found = Frames(self._blueprint, outputs, self._variables, self._constants, sizes, self._threads)
            while len(self._calls) >= _LAYOUTS_KEPT:
                try:
                    self._calls.pop(next(iter(self._calls)))
                except (StopIteration, KeyError, RuntimeError):  # another thread was faster
                    break
            self._calls[key] = found
        return found

    def _host_step(self, step: Step, frame: Frame) -> None:
        slots = {id(buffer): slot for slot, buffer in enumerate(self.plan.buffers)}
        sizes = frame.frames.sizes
        operands = []
        for tensor, buffer in zip(step.tensor.inputs, step.operands):
            shape = tuple(dims.evaluate(s, sizes) for s in tensor.shape)
            view = frame.view(slots[id(buffer)]).reshape(shape)
            view.flags.writeable = False
            operands.append(view)
        value = evaluate_tensor(step.tensor, operands, sizes)
        for buffer, array in zip(step.results, value if isinstance(step.tensor.type, TupleType) else (value,)):
            frame.view(slots[id(buffer)])[...] = array

    def _failure(self, number: int, frame: Frame) -> GraphcError:
        """The error that a kernel's record stands for."""
        kernel = self.plan.numbered[number].kernel
        assert kernel is not None
        site: Site = kernel.sites[frame.error[0]]
        tensor = site.tensor
        name = tensor.op.name if tensor.hint is None else f"{tensor.op.name} {tensor.hint!r}"
        # Indices follow x in a gather and x and the updates in a scatter, one operand to an axis; the record has
        # them as signed, whatever they are.
        first = 2 if tensor.op.name.startswith("scatter") else 1
        indices = tensor.inputs[first + (site.axis if tensor.op.name in INDEXED_BY_AXIS else 0)]
        index = frame.error[1] % 2**64 if indices.dtype.kind == "u" else frame.error[1]
        return IndexOutOfBoundsError(
            f"{name}: index {index} is out of bounds for axis {site.axis} with size {frame.error[2]}",
            location=tensor.location,
        )


def _symbols(graph: Graph) -> dict[str, tuple[int, int]]:
    """For each symbolic size, the input and the axis that bring its value."""
    found: dict[str, tuple[int, int]] = {}
    for number, tensor in enumerate(graph.inputs):
        for axis, size in enumerate(tensor.shape):
            name = dims.bare_symbol(size)
            if name is not None:
                found.setdefault(name, (number, axis))
    return found


def _constants(graph: Graph) -> list[np.ndarray]:
    """The arrays of the plan's constant buffers, in its order; a body's before what comes after its loop."""
    inputs = set(graph.inputs)
    found = []
    for tensor in graph.tensors:
        if tensor.op.name == "const" and tensor not in inputs:
            found.append(np.ascontiguousarray(tensor.attrs["value"]))
        elif tensor.op.name != "fused":
            for body in bodies_of(tensor).values():
                found += _constants(body)
    return found


class _Artifacts(Mapping[str, str]):
    """Texts that are made when they are asked for."""

    def __init__(self, program: Program) -> None:
        build = lambda: program._build  # noqa: E731
        self._makers: dict[str, Callable[[], str]] = {
            "plan": lambda: build().describe(),
            "cache": lambda: program._linked.describe_cache(),
            "llvm": lambda: build().text,
            "asm": lambda: build().assembly(),
        }

    def __getitem__(self, name: str) -> str:
        return self._makers[name]()

    def __iter__(self) -> Any:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)
