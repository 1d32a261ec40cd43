"""Reductions of columns: vectors run along a kept loop, and whole rows are added up to a row of totals.

A few rows are added at once, one after the other: the totals are read and written so much less often, and the ends
of rows that fill no vector, which go by way of the stack, cost so much less. Where columns are few, each vector of
them is folded in registers over all rows.

Invariant: each total takes its elements in the order of the reduced loops, however many rows are added at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from graphc.analysis.loops import LoopDim, folds
from graphc.backends.llvm.emitter import Value
from graphc.backends.llvm.kernels.loop_frames import Leveled
from graphc.backends.llvm.kernels.loop_memory import ALONG, ZERO, Array, Index, VectorLoop
from graphc.backends.llvm.kernels.loop_shape import cost_of_members, extents_of
from graphc.backends.llvm.kernels.loop_sweeps import Sweeps
from graphc.ir.dims import Size
from graphc.ir.tensor import Tensor

#: Rows that are added to a row of totals at once, which then is read and written so much less often; in bodies
#: whose elements take no longer than this to compute (see `cost_of_members`).
BAND, LIGHT_BAND = 4, 8


class ColumnSweeps(Sweeps):
    """The sweeps of stages whose totals stand in rows of memory."""

    def _reduce_columns(self, stage: Sequence[Tensor], number: int) -> None:
        """Accumulate into rows in memory, which then are what the reductions' results are read from."""
        values = self.values
        rows = [self._row(r) for r in stage]
        inner = self.kept[-1]
        extent = self._span(inner)
        if self.masks_tails:
            self._reduce_short_columns(stage, number, rows)
            values.rows.update(zip(stage, rows))
            return

        def clear(loop: VectorLoop, carried: Sequence[Value]) -> Sequence[Value]:
            for reduction, row in zip(stage, rows):
                values.store(row, (ALONG,), Leveled(self._identity(reduction, 1), 0))
            return ()

        self._vectors(extent, (), clear)
        with contextlib.ExitStack() as stack:
            for group in self.reduced[:-1]:
                first, stop = self._bounds(group)
                loop = stack.enter_context(self.frames.loop(first.value, stop))
                self._set_index(group, Index(Leveled(loop.index, self.frames.depth)))
            for start, stop, height in self._bands(self.reduced[-1], self._sweep_cost(stage, number)):
                with self.frames.loop(start, stop, height) as loop:
                    self._add_band(stage, number, rows, [self.b.add(loop.index, turn) for turn in range(height)])
        values.rows.update(zip(stage, rows))

    def _bands(self, group: list[LoopDim], cost: int) -> list[tuple[Value, Value, int]]:
        """The turns of the innermost reduced loop: start, stop, and how many are taken together."""
        b = self.b
        first, stop = self._bounds(group)
        if self.fallible or cost > LIGHT_BAND:
            return [(first.value, stop, 1)]
        bands = b.add(first.value, b.and_(b.sub(stop, first.value), -BAND))
        return [(first.value, bands, BAND), (bands, stop, 1)]

    def _sweep_cost(self, stage: Sequence[Tensor], number: int) -> int:
        """How much the sweep of a stage does for an element, in the units of `cost_of_members`."""
        found: dict[Tensor, None] = {}
        stack = [*(r.inputs[0] for r in stage), *self.stored_with(number)]
        while stack:
            tensor = stack.pop()
            if tensor not in found and not folds(tensor):
                found[tensor] = None
                stack.extend(tensor.inputs)
        return cost_of_members(found)

    def _add_band(self, stage: Sequence[Tensor], number: int, rows: Sequence[Array], turns: Sequence[Value]) -> None:
        """Add what these turns of the innermost reduced loop have to rows, one turn after the other."""
        values, frames = self.values, self.frames
        inner, last = self.kept[-1], self.reduced[-1]
        indices = [Index(Leveled(turn, frames.depth)) for turn in turns]

        def body(loop: VectorLoop, carried: Sequence[Value]) -> Sequence[Value]:
            self._set_index(inner, Index(self.first, 1))
            totals = [values.load(row, (ALONG,)).value for row in rows]
            for index in indices:
                self._set_index(last, index)
                operands = [values.value(r.inputs[0], self._operand_at(r)) for r in stage]
                elements = [frames.splat(operand, self.lanes).value for operand in operands]
                totals = [self._combine(r, total, x) for r, total, x in zip(stage, totals, elements)]
                self._store_computed(self.stored_with(number))
            for row, total in zip(rows, totals):
                values.store(row, (ALONG,), Leveled(total, loop.level))
            return ()

        self._vectors(self._span(inner), (), body)

    def _reduce_short_columns(self, stage: Sequence[Tensor], number: int, rows: Sequence[Array]) -> None:
        """Accumulate each vector of columns in registers, over all rows; in the same order as in memory."""
        inner, frames = self.kept[-1], self.frames

        def fold(loops: Sequence[list[LoopDim]], totals: Sequence[Value]) -> Sequence[Value]:
            if not loops:
                operands = [self.values.value(r.inputs[0], self._operand_at(r)) for r in stage]
                elements = [frames.splat(operand, self.lanes).value for operand in operands]
                self._store_computed(self.stored_with(number))
                return [self._combine(r, total, x) for r, total, x in zip(stage, totals, elements)]
            first, stop = self._bounds(loops[0])
            with frames.loop(first.value, stop, 1, totals) as loop:
                self._set_index(loops[0], Index(Leveled(loop.index, frames.depth)))
                loop.next(*fold(loops[1:], loop.carried))
            return loop.results

        def body(loop: VectorLoop, carried: Sequence[Value]) -> Sequence[Value]:
            self._set_index(inner, Index(self.first, 1))
            totals = fold(self.reduced, [self._identity(r, self.lanes) for r in stage])
            for row, total in zip(rows, totals):
                self.values.store(row, (ALONG,), Leveled(total, loop.level))
            return ()

        self._vectors(self._span(inner), (), body)

    def _row(self, reduction: Tensor) -> Array:
        """Where a reduction's results for one turn of the outer loops stand: its own output, or scratch."""
        extents = extents_of(self.kept[-1])
        size: Size = 1
        for extent in extents:
            size = size * extent
        b, values = self.b, self.values
        if reduction in self.outputs:
            output = self.outputs[reduction]
            self._set_index(self.kept[-1], Index(self.first))
            pointer = values.address_at(output, self._at(reduction))
        else:
            before = self.scratch_rows[: self.scratch_rows.index(reduction)]
            offset = ZERO
            for tensor in before:
                part = values.product([*extents, tensor.dtype.itemsize])
                offset = self.frames.compute(b.add, offset, part)
            scratch = Leveled(b.param("scratch"), 0)
            pointer = self.frames.compute(b.offset, scratch, offset)
        return Array(pointer, (size,), reduction.dtype)
