"""One kernel for a fused body: its loop nest, with the vector loop innermost, or around loops that are too short.

Two shapes of nest, by where the last loop stands:

    rows      the last loop is reduced               columns    the last loop is kept (or nothing is reduced)
      for kept loops:                                  for kept loops but the last:
        for each stage of reductions:                    for each stage of reductions:
          for reduced loops, the last as vectors:          row[:] = identity
            accumulate in registers                        for reduced loops:
          combine the lanes: one scalar each                 for the last loop, as vectors: row[j] op= ...
        store kept results                               store kept results, as vectors
        for reduced loops: store full results            for reduced loops, for vectors: store full results

A full result that needs no reduction of a stage, or of a later one, is stored in the stage's own sweep instead.

Loops that are known to be short would leave most lanes empty. A short kept loop inside reduced ones goes outside,
so that the nest is one of rows. Short loops inside a long kept one are done *crosswise*: lanes run along the long
one, each lane folds its own row, and elements that do not lie together are gathered and scattered.

A vector loop runs twice over one body: the complete vectors, then the tail through stack buffers. A float sum
is cut into blocks, and what is rounded off where their sums are added up is carried along (Knuth's TwoSum, The Art
of Computer Programming, volume 2, section 4.2.2), which keeps its error below that of pairwise summation.

Invariant: the order in which elements are combined depends on the extents and the lane count only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np

from graphc.analysis.loops import LoopDim, folds
from graphc.backends.llvm.emitter import EXACT, Value
from graphc.backends.llvm.kernel import Kernel, Split
from graphc.backends.llvm.kernels.loop_checks import check_without_turns
from graphc.backends.llvm.kernels.loop_columns import ColumnSweeps
from graphc.backends.llvm.kernels.loop_frames import Leveled
from graphc.backends.llvm.kernels.loop_memory import ZERO, Index, VectorLoop
from graphc.backends.llvm.kernels.loop_shape import extents_of
from graphc.backends.llvm.target import Target, host_target
from graphc.ir.dims import Size
from graphc.ir.graph import Graph
from graphc.ir.tensor import Tensor

#: Vectors of one row that are summed without an intermediate result.
BLOCK = 16


def build_loops(body: Graph, target: Target | None = None) -> Kernel:
    """The kernel of a body whose tensors form one loop nest (`analysis.loops.Nest`)."""
    return LoopKernel(body, target or host_target()).kernel()


class LoopKernel(ColumnSweeps):
    """The whole kernel: outer loops, stages of reductions, results."""

    def kernel(self) -> Kernel:
        """Emit everything."""
        if self.fallible:
            check_without_turns(self.nest, self.values)
        with contextlib.ExitStack() as stack:
            for group in self._kept_loops()[0]:
                stack.enter_context(self._loop_over(group))
            if self.crosswise:
                self._turn_crosswise()
            else:
                self._turn()
        if self.fallible:
            self.b.ret(self.b.i64(0))
        helpers = tuple(self.values.helpers.values())
        split = None
        if self.split:
            shared = self.split[0]
            granule = 1 if self.first is ZERO else 4 * self.lanes
            split = Split(tuple(extents_of(shared)), granule, self._weight(shared))
        return Kernel(self.b, self.sizes, self._scratch_bytes(), tuple(self.values.sites), helpers, split)

    def _scratch_bytes(self) -> Size:
        extents = extents_of(self.kept[-1]) if self.kept else ()
        # Never 0 bytes where there are rows, not even for an extent of the number 0: the function has the parameter.
        total: Size = 8 if self.scratch_rows else 0
        for tensor in self.scratch_rows:
            size: Size = tensor.dtype.itemsize
            for extent in extents:
                size = size * extent
            total = total + size
        return total

    def _turn(self) -> None:
        """What is done for each turn of the outer loops."""
        values = self.values
        for number, stage in enumerate(self.stages):
            (self._reduce_rows if self.by_rows else self._reduce_columns)(stage, number)
        kept = [t for t in self.body.outputs if t not in self.full]
        if self.by_rows:
            for tensor in kept:
                at = self._at(tensor)
                values.store(self.outputs[tensor], at, values.value(tensor, at))
        elif rest := [t for t in kept if not folds(t)]:
            self._store_sweep(rest, [])
        if late := self.stored_with(len(self.stages)):
            self._store_sweep(late, self.reduced)
        self._forget_reductions()

    def _forget_reductions(self) -> None:
        for stage in self.stages:
            for reduction in stage:
                self.values.results.pop(reduction, None)
                self.values.rows.pop(reduction, None)

    def _turn_crosswise(self) -> None:
        """What is done for each turn of the outer loops, with lanes along the kept loop around short ones."""
        inside = self.kept[self.kept.index(self.crosswise) + 1 :]
        kept = [t for t in self.body.outputs if t not in self.full]

        def body(loop: VectorLoop, carried: Sequence[Value]) -> Sequence[Value]:
            self._set_index(self.crosswise, Index(self.first, 1))
            with self._loops_over(inside):
                for stage in self.stages:
                    self._reduce_crosswise(stage)
                for tensor in kept:
                    at = self._at(tensor)
                    self.values.store(self.outputs[tensor], at, self.values.value(tensor, at))
                with self._loops_over(self.reduced if self.full else []):
                    self._store(self.full)
                self._forget_reductions()
            return ()

        self._vectors(self._span(self.crosswise), (), body)

    def _reduce_crosswise(self, stage: Sequence[Tensor]) -> None:
        """One sweep of the short reduced loops: each lane folds its own elements."""
        frames = self.frames

        def fold(loops: Sequence[list[LoopDim]], totals: Sequence[Value]) -> Sequence[Value]:
            if not loops:
                operands = [self.values.value(r.inputs[0], self._operand_at(r)) for r in stage]
                elements = [frames.splat(operand, self.lanes).value for operand in operands]
                return [self._combine(r, x, y) for r, x, y in zip(stage, elements, totals)]
            with frames.loop(0, self._extent(loops[0]), 1, totals) as loop:
                self._set_index(loops[0], Index(Leveled(loop.index, frames.depth)))
                loop.next(*fold(loops[1:], loop.carried))
            return loop.results

        totals = fold(self.reduced, [self._identity(r, self.lanes) for r in stage])
        self.values.results.update((r, Leveled(t, frames.depth)) for r, t in zip(stage, totals))

    # ---- reductions --------------------------------------------------------------------------------------

    def _reduce_rows(self, stage: Sequence[Tensor], number: int) -> None:
        """One sweep of the reduced loops, accumulating in registers."""
        b = self.b
        identities = [self._identity(r, self.lanes) for r in stage]
        sums = [r for r in stage if _rounds(r)]
        zeros = [self._identity(r, self.lanes) for r in sums]
        found = self._accumulate(stage, number, self.reduced, [*identities, *zeros])
        lost = dict(zip(sums, found[len(stage) :]))
        for reduction, total in zip(stage, found):
            if reduction in lost:  # NaN where the total is infinite or NaN
                rest = lost[reduction]
                known = b.select(b.fcmp("ord", rest, rest), rest, self._identity(reduction, self.lanes))
                total = self._combine(reduction, total, known)
            combined = b.reduce(total, lambda x, y, r=reduction: self._combine(r, x, y))  # type: ignore[misc]
            self.values.results[reduction] = Leveled(combined, self.frames.depth)

    def _accumulate(
        self, stage: Sequence[Tensor], number: int, loops: Sequence[list[LoopDim]], carried: Sequence[Value]
    ) -> Sequence[Value]:
        """Fold the operands over `loops`; the last of them as vectors, cut into blocks for floats.

        `carried` are the totals so far, then what was rounded off of each float sum.
        """
        frames, b = self.frames, self.b
        group = loops[0]
        first, stop = self._bounds(group)
        if len(loops) > 1:
            with frames.loop(first.value, stop, 1, carried) as loop:
                self._set_index(group, Index(Leveled(loop.index, frames.depth)))
                loop.next(*self._accumulate(stage, number, loops[1:], loop.carried))
            return loop.results
        if not any(r.op.name in ("sum", "prod") and r.dtype.kind == "f" for r in stage):
            count = stop if first is ZERO else b.sub(stop, first.value)
            return self._accumulate_vectors(stage, number, group, first, count, carried)
        elements = BLOCK * self.lanes
        with frames.loop(first.value, stop, elements, carried) as block:
            count = b.intrinsic("smin", b.sub(stop, block.index), elements)
            identities = [self._identity(r, self.lanes) for r in stage]
            first = Leveled(block.index, frames.depth)
            parts = self._accumulate_vectors(stage, number, group, first, count, identities)
            block.next(*self._add_block(stage, block.carried, parts))
        return block.results

    def _add_block(self, stage: Sequence[Tensor], carried: Sequence[Value], parts: Sequence[Value]) -> list[Value]:
        """What is carried on: the totals with a block's parts, and the sums' roundings with those of this step."""
        b = self.b
        totals = [self._combine(r, x, y) for r, x, y in zip(stage, carried, parts)]
        roundings: list[Value] = []
        for reduction, total, x, y in zip(stage, totals, carried, parts):
            if _rounds(reduction):
                with b.flags(EXACT):
                    added = b.fsub(total, x)
                    rounding = b.fadd(b.fsub(x, b.fsub(total, added)), b.fsub(y, added))
                    roundings.append(b.fadd(carried[len(stage) + len(roundings)], rounding))
        return [*totals, *roundings]

    def _accumulate_vectors(
        self, stage: Sequence[Tensor], number: int, group: list[LoopDim], first: Leveled, count: Value,
        carried: Sequence[Value],
    ) -> Sequence[Value]:  # fmt: skip
        values, frames = self.values, self.frames

        def body(loop: VectorLoop, carried: Sequence[Value]) -> Sequence[Value]:
            self._set_index(group, Index(first, 1))
            if number > 0:
                self._load_earlier_spills(number)
            sums = []
            for reduction, total in zip(stage, carried):
                operand = values.value(reduction.inputs[0], self._operand_at(reduction))
                element = frames.splat(operand, self.lanes).value
                # The element first: what `maximum` asks of its first operand then waits for no earlier turn.
                sums.append(self._combine(reduction, self._masked(reduction, element), total))
            self._store_new_spills(number)
            self._store_computed(self.stored_with(number))
            return sums

        return self._vectors(count, carried, body)

    def _masked(self, reduction: Tensor, element: Value) -> Value:
        """The element, or the identity in lanes beyond the end."""
        if not self.has_tails:
            return element
        dtype = reduction.inputs[0].dtype
        width = "i8" if dtype == np.bool_ else f"i{8 * dtype.itemsize}"
        valid = self.values.valid(width)
        return self.b.select(valid, element, self._identity(reduction, self.lanes))

    def _first_sweep(self, tensor: Tensor) -> int:
        """The first stage that needs a spilled value."""
        for number, stage in enumerate(self.stages):
            for computed in (*(r.inputs[0] for r in stage), *self.stored_with(number)):
                if _reaches(computed, tensor):
                    return number
        return len(self.stages)

    def _store_new_spills(self, number: int) -> None:
        for tensor, row in self.spills.items():
            if self._first_sweep(tensor) == number:
                value = self.values.value(tensor, self._at(tensor))
                self.values.store(self.outputs[row], self._at(row), value)

    def _load_earlier_spills(self, number: int) -> None:
        for tensor, row in self.spills.items():
            if self._first_sweep(tensor) < number:
                at = self._at(tensor)
                self.frames.put((tensor, at), self.values.load(self.outputs[row], self._at(row)))


def _rounds(reduction: Tensor) -> bool:
    """Whether it is a sum of floats: what rounding loses of each block's total is added in the end."""
    return reduction.op.name == "sum" and reduction.dtype.kind == "f"


def _reaches(start: Tensor, goal: Tensor) -> bool:
    """Whether `start` is computed from `goal` without a reduction between them."""
    stack = [start]
    while stack:
        tensor = stack.pop()
        if tensor is goal:
            return True
        if not folds(tensor):
            stack.extend(tensor.inputs)
    return False
