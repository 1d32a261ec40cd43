"""The vector loop over a nest's innermost dim, and the sweeps that compute and store results.

Invariant: a sweep writes each element of its results once, with all values of one vector computed before the
first is stored.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from graphc.analysis.loops import LoopDim, Position
from graphc.backends.llvm.elementwise import lower
from graphc.backends.llvm.emitter import Builder, Operand, Value, register_type, vector
from graphc.backends.llvm.kernels.loop_frames import Frames, Leveled
from graphc.backends.llvm.kernels.loop_memory import ABSORBED, ZERO, Absorbed, Array, At, Index, VectorLoop
from graphc.backends.llvm.kernels.loop_shape import LoopShape, extents_of
from graphc.backends.llvm.kernels.loop_values import Values
from graphc.backends.llvm.kernels.part_copies import copy_some
from graphc.backends.llvm.target import Target
from graphc.ir.graph import Graph
from graphc.ir.opdef import Trait
from graphc.ir.tensor import Tensor

#: The op that adds an element to what a reduction has found so far.
_COMBINE = {
    "sum": "add", "prod": "multiply", "max": "maximum", "min": "minimum", "all": "bitwise_and", "any": "bitwise_or",
}  # fmt: skip


class Sweeps(LoopShape):
    """A nest's function under construction: its parameters, loops, indices and stores."""

    def __init__(self, body: Graph, target: Target) -> None:
        super().__init__(body, target)
        self._begin(target)

    def _begin(self, target: Target) -> None:
        body = self.body
        sizes = self._sizes()
        params = [(f"in{i}", "ptr") for i in range(len(body.inputs))]
        params += [(f"out{i}", "ptr") for i in range(len(body.outputs))]
        reductions = [r for stage in self.stages for r in stage if r not in body.outputs]
        rows = [] if self.by_rows or self.crosswise else reductions
        rows.sort(key=lambda r: -r.dtype.itemsize)  # so that each row begins at a multiple of its elements' size
        params += [("scratch", "ptr")] if rows else []
        params += [(f"size{i}", "i64") for i in range(len(sizes))]
        outer, inner = self._kept_loops()
        self.split = (outer or inner)[:1] if not self.by_blocks else []
        params += [("low", "i64"), ("high", "i64")] if self.split or self.by_blocks else []
        self.fallible = any(t.op.has(Trait.FALLIBLE) for t in self.members)
        params += [("error", "ptr")] if self.fallible else []
        self.b = Builder("loops", params, "i64" if self.fallible else "void", target=target)
        b = self.b
        arrays = {
            t: Array(Leveled(b.param(f"in{i}"), 0), t.shape, t.dtype) for i, t in enumerate(body.inputs)
        }
        self.frames = Frames(b)
        self.values = Values(
            b, self.frames, {size: b.param(f"size{i}") for i, size in enumerate(sizes)}, arrays, self.lanes,
            b.param("error") if self.fallible else None, self._outlined(),
            masks_tails=self.masks_tails, has_tails=self.has_tails,
        )  # fmt: skip
        self.outputs = {
            t: Array(Leveled(b.param(f"out{i}"), 0), t.shape, t.dtype) for i, t in enumerate(body.outputs)
        }
        self.sizes = sizes
        self.scratch_rows = rows
        # Where the vector loop begins: at `low` where that is the loop which threads share.
        self.first = Leveled(b.param("low"), 0) if self.split and self.split == inner else ZERO
        self.index: dict[LoopDim, Index | Absorbed] = {}

    @contextlib.contextmanager
    def _loops_over(self, groups: Sequence[list[LoopDim]]) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for group in groups:
                stack.enter_context(self._loop_over(group))
            yield

    @contextlib.contextmanager
    def _loop_over(self, group: list[LoopDim]) -> Iterator[None]:
        """A scalar loop over merged dims."""
        start: Operand = 0
        stop = self._extent(group)
        if group in self.split and self.first is ZERO:
            start, stop = self.b.param("low"), self.b.param("high")
        with self.frames.loop(start, stop) as loop:
            self._set_index(group, Index(Leveled(loop.index, self.frames.depth)))
            yield

    def _set_index(self, group: list[LoopDim], index: Index) -> None:
        self.index.update(dict.fromkeys(group[1:], ABSORBED))
        self.index[group[0]] = index

    def _at(self, tensor: Tensor) -> At:
        """The index that a tensor of the nest is read at now."""
        return self._indices(self.nest.position(tensor))

    def _indices(self, position: Position) -> At:
        return tuple(self.index[e] if isinstance(e, LoopDim) else e for e in position)  # type: ignore[misc]

    def _operand_at(self, reduction: Tensor) -> At:
        """Where a reduction's operand is read: at all loops, in the order of its axes."""
        loops = iter(self.nest.dims)
        shape = reduction.inputs[0].shape
        return tuple(None if size == 1 else self.index[next(loops)] for size in shape)

    # ---- folding -----------------------------------------------------------------------------------------

    def _identity(self, reduction: Tensor, lanes: int) -> Value:
        dtype = reduction.dtype
        return self.b.const(vector(register_type(dtype), lanes), _identity(reduction.op.name, dtype))

    def _combine(self, reduction: Tensor, x: Value, y: Value) -> Value:
        dtype = reduction.dtype
        return lower(self.b, _COMBINE[reduction.op.name], (x, y), (dtype, dtype), dtype, {})

    def _bounds(self, group: list[LoopDim]) -> tuple[Leveled, Value]:
        """Where a reduced loop begins and ends."""
        return ZERO, self._extent(group)

    # ---- vector loops ------------------------------------------------------------------------------------

    def _vectors(
        self, count: Value, carried: Sequence[Value], body: Callable[[VectorLoop, Sequence[Value]], Sequence[Value]]
    ) -> Sequence[Value]:
        """Run `body` for i = 0 .. count: once for each complete vector, once for the tail, where there may be one."""
        b, frames, lanes = self.b, self.frames, self.lanes
        if not self.has_tails:
            with frames.loop(0, count, lanes, carried) as inner:
                loop = VectorLoop(inner.index, count, b.const("i1", 0), count, b.i64(0), frames.depth, [])
                inner.next(*self._inside(loop, inner.carried, body))
            return inner.results
        full = b.and_(count, -lanes)
        left = b.sub(count, full)
        with frames.loop(0, 2, 1, carried, always=True) as phase:
            tail = b.icmp("ne", phase.index, 0)
            start, stop = b.select(tail, full, 0), b.select(tail, count, full)
            with frames.loop(start, stop, lanes, phase.carried) as inner:
                loop = VectorLoop(inner.index, stop, tail, full, left, frames.depth, [])
                inner.next(*self._inside(loop, inner.carried, body))
            if loop.stores:
                with b.if_(b.and_(tail, b.icmp("ne", left, 0))):
                    for buffer, address, element in loop.stores:
                        end = b.gep(Value("ptr", address.name), full, element)
                        copy_some(b, element, lanes, buffer, end, left)
            phase.next(*inner.results)
        return phase.results

    def _inside(
        self, loop: VectorLoop, carried: Sequence[Value], body: Callable[[VectorLoop, Sequence[Value]], Sequence[Value]]
    ) -> Sequence[Value]:
        self.values.loop = loop
        results = body(loop, carried)
        self.values.loop = None
        return results

    def _span(self, group: list[LoopDim]) -> Value:
        """How far the vector loop goes."""
        if self.first is ZERO:
            return self._extent(group)
        return self.b.sub(self.b.param("high"), self.first.value)

    def _extent(self, group: list[LoopDim]) -> Value:
        return self.values.product(extents_of(group)).value

    def _store_sweep(self, results: Sequence[Tensor], loops: Sequence[list[LoopDim]]) -> None:
        """Compute results and store them, over `loops` and the vector loop."""
        values = self.values
        inner = self._vector_group(loops)
        with contextlib.ExitStack() as stack:
            for group in loops:
                if group is not inner:
                    stack.enter_context(self._loop_over(group))
            if inner is None:
                self._store(results)
                return

            def body(loop: VectorLoop, carried: Sequence[Value]) -> Sequence[Value]:
                self._set_index(inner, Index(self.first, 1))
                self._store(results)
                return ()

            self._vectors(self._span(inner), (), body)
        values.loop = None

    def _vector_group(self, loops: Sequence[list[LoopDim]]) -> list[LoopDim] | None:
        if self.by_rows:
            return loops[-1] if loops else None
        return self.kept[-1] if self.kept else None

    def _store(self, results: Sequence[Tensor]) -> None:
        self._load_spills()
        self._store_computed(results)

    def _store_computed(self, results: Sequence[Tensor]) -> None:
        """All values first: a result's row may hold a spilled value that another result still needs."""
        computed = [(t, self.values.value(t, self._at(t))) for t in results]
        for tensor, value in computed:
            self.values.store(self.outputs[tensor], self._at(tensor), value)

    def _load_spills(self) -> None:
        """Make known that a spilled value now stands in the row of a result."""
        for tensor, row in self.spills.items():
            at = self._at(tensor)
            self.frames.put((tensor, at), self.values.load(self.outputs[row], self._at(row)))


def _identity(op: str, dtype: np.dtype) -> Any:
    if op in ("max", "min"):
        limits = (-np.inf, np.inf) if dtype.kind == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        return limits[op == "min"]
    return {"sum": 0, "prod": 1, "all": 1, "any": 0}[op]
