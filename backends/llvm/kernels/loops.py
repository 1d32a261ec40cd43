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
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from graphc.analysis.loops import ELEMENTARY, EXPENSIVE, LoopDim, Mapped, Nest, Position, folds
from graphc.backends.llvm.elementwise import lower
from graphc.backends.llvm.emitter import EXACT, Builder, Operand, Value, register_type, vector
from graphc.backends.llvm.kernel import Kernel, Split
from graphc.backends.llvm.kernels.loop_checks import check_without_turns
from graphc.backends.llvm.kernels.loop_frames import Frames, Leveled
from graphc.backends.llvm.kernels.loop_values import (
    ABSORBED,
    ALONG,
    ZERO,
    Absorbed,
    Array,
    At,
    Index,
    Values,
    VectorLoop,
)
from graphc.backends.llvm.target import Target, host_target
from graphc.ir import dims
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import Graph
from graphc.ir.opdef import Trait
from graphc.ir.tensor import Tensor

#: Vectors of one row that are summed without an intermediate result.
BLOCK = 16
#: Loops of so few turns, and rows of so few elements that are folded, leave most lanes of a vector empty.
SHORT, SHORT_ROW = 6, 16
#: Bodies with more arithmetic than this keep more values alive than wide vectors leave registers for.
HEAVY = 24
#: Bodies with more calls of elementary functions than this hold them as functions rather than in line: the
#: time to compile grows faster than the length of a loop, and calls cost a body of this length little.
INLINE_FUNCTIONS = 6

_COMBINE = {
    "sum": "add", "prod": "multiply", "max": "maximum", "min": "minimum", "all": "bitwise_and", "any": "bitwise_or",
}  # fmt: skip


def build_loops(body: Graph, target: Target | None = None) -> Kernel:
    """The kernel of a body whose tensors form one loop nest (`analysis.loops.Nest`)."""
    return _LoopKernel(body, target or host_target()).kernel()


def reads_in_place(body: Graph, parameter: Tensor) -> bool:
    """Whether a body may write a result over this operand: each element is read only where it is written."""
    members = [t for t in body.tensors if t not in body.inputs]
    nest = Nest.of(body.outputs, members)
    return not nest.reduced and all(_stands_at(at, nest.dims) for at in nest.positions[parameter])


def _identity(op: str, dtype: np.dtype) -> Any:
    if op in ("max", "min"):
        limits = (-np.inf, np.inf) if dtype.kind == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        return limits[op == "min"]
    return {"sum": 0, "prod": 1, "all": 1, "any": 0}[op]


class _LoopKernel:
    #: Whether threads share blocks of the outermost reduced loop; see `total_reductions`.
    by_blocks = False
    #: The most turns of loops that go outside the reduced ones.
    short = 4

    def __init__(self, body: Graph, target: Target) -> None:
        self.body = body
        given = set(body.inputs)
        self.members = [t for t in body.tensors if t not in given]
        self.nest = Nest.of(body.outputs, self.members)
        self.groups = _merged_loops(self.nest)
        self.kept = [g for g in self.groups if g[0] not in self.nest.reduced]
        self.reduced = [g for g in self.groups if g[0] in self.nest.reduced]
        self.by_rows = bool(self.reduced) and (self.groups[-1][0] in self.nest.reduced or self._keeps_little())
        self.crosswise = self._crosswise()
        self.lanes = self._lanes(target)
        self.stages = self._stages()
        self.full = [t for t in body.outputs if self.nest.is_full(t)] if self.nest.reduced else list(body.outputs)
        self.spills = self._spills() if self.by_rows and not self.crosswise else {}
        self._begin(target)

    def _lanes(self, target: Target) -> int:
        if not self.groups:
            return 1
        computing = [t for t in self.members if t.op.name not in ("const", "dim", "broadcast_to", "reshape")]
        deciding = (*computing, *self.body.inputs) or self.body.outputs  # a constant spread out computes nothing
        lanes = target.lanes(*{t.dtype for t in deciding}, heavy=len(computing) > HEAVY)
        inner = _extents(self.crosswise or (self.reduced[-1] if self.by_rows else self.groups[-1]))
        while lanes > 1 and all(isinstance(s, int) for s in inner) and lanes // 2 >= np.prod(inner):  # type: ignore[arg-type]
            lanes //= 2
        return lanes

    def _keeps_little(self) -> bool:
        """Whether the loops inside the last reduced one are too short for vectors: they go outside then."""
        last = max(i for i, group in enumerate(self.groups) if group[0] in self.nest.reduced)
        inside = _turns(self.groups[last + 1 :])
        short = isinstance(inside, int) and inside <= self.short
        fallible = any(t.op.has(Trait.FALLIBLE) for t in self.members)
        return short and not fallible and not any(map(self.nest.is_full, self.body.outputs))

    def _crosswise(self) -> list[LoopDim]:
        """The kept loop that vectors run along because all loops inside it are too short; none if they are not."""
        if self.by_blocks or any(t.op.has(Trait.FALLIBLE) for t in self.members):
            return []
        limit = SHORT_ROW if self.reduced else SHORT
        place = len(self.groups)
        while place > 0 and isinstance(turns := _turns(self.groups[place - 1 :]), int) and turns <= limit:
            place -= 1
        if not 0 < place < len(self.groups) or any(g[0] in self.nest.reduced for g in self.groups[:place]):
            return []
        turns = _turns([self.groups[place - 1]])
        return [] if isinstance(turns, int) and turns < SHORT_ROW else self.groups[place - 1]

    def _outlined(self) -> frozenset[str]:
        """The ops whose instructions stand in functions of their own."""
        functions = [t.op.name for t in self.members if t.op.name in ELEMENTARY]
        return frozenset(functions) if len(functions) > INLINE_FUNCTIONS else frozenset()

    def _stages(self) -> list[list[Tensor]]:
        """The reductions, each after those that its operand needs."""
        depth = dict.fromkeys(self.body.inputs, 0)
        stages: list[list[Tensor]] = []
        for tensor in self.members:
            needed = max((depth[i] for i in tensor.inputs), default=0)
            if folds(tensor):
                if needed == len(stages):
                    stages.append([])
                stages[needed].append(tensor)
                needed += 1
            depth[tensor] = needed
        return stages

    def _spills(self) -> dict[Tensor, Tensor]:
        """Dear values that several sweeps need: kept in the row of a full result until that is computed."""
        sweeps: dict[Tensor, set[int]] = {t: set() for t in (*self.members, *self.body.inputs)}
        for number, stage in enumerate(self.stages):
            for reduction in stage:
                sweeps[reduction.inputs[0]].add(number)
        for result in self.full:
            sweeps[result].add(len(self.stages))
        spills: dict[Tensor, Tensor] = {}
        rows = list(self.full)
        for tensor in reversed(self.members):
            if folds(tensor):
                continue
            needed = sweeps[tensor]
            dear = tensor.op.name in EXPENSIVE and tensor not in self.full
            at = list(self.nest.positions[tensor])
            if dear and len(needed) > 1 and len(at) == 1 and _stands_at(at[0], self.nest.dims):
                row = next((r for r in rows if r.dtype == tensor.dtype), None)
                if row is not None:
                    rows.remove(row)
                    spills[tensor] = row
                    needed = {min(needed)}
            for operand in tensor.inputs:
                sweeps[operand] |= needed
        return spills

    def _kept_loops(self) -> tuple[list[list[LoopDim]], list[list[LoopDim]]]:
        """The kept loops outside all else, and the one that vectors run along, if they run along a kept one."""
        if self.crosswise:
            return self.kept[: self.kept.index(self.crosswise)], [self.crosswise]
        return (self.kept, []) if self.by_rows else (self.kept[:-1], self.kept[-1:])

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
        # A row of scratch is for one thread only.
        self.split = (outer or inner)[:1] if not rows and not self.by_blocks else []
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
        )  # fmt: skip
        self.outputs = {
            t: Array(Leveled(b.param(f"out{i}"), 0), t.shape, t.dtype) for i, t in enumerate(body.outputs)
        }
        self.sizes = sizes
        self.scratch_rows = rows
        # Where the vector loop begins: at `low` where that is the loop which threads share.
        self.first = Leveled(b.param("low"), 0) if self.split and self.split == inner else ZERO
        self.index: dict[LoopDim, Index | Absorbed] = {}

    def _sizes(self) -> tuple[Size, ...]:
        """The sizes that the code needs at run time. Numbers too, so that kernels of other extents are equal."""
        found: dict[Size, None] = {}
        for dim in self.nest.dims:
            found[dim.extent] = None
        for tensor in (*self.body.inputs, *self.body.outputs):
            found.update(dict.fromkeys(tensor.shape))
        for tensor in self.members:
            if tensor.op.has(Trait.MOVEMENT):
                for operand in tensor.inputs:
                    found.update(dict.fromkeys(operand.shape))
            for value in tensor.attrs.values():
                for size in value if isinstance(value, tuple) else (value,):
                    if isinstance(size, Dim):
                        found[size] = None
        return tuple(size for size in found if size not in (0, 1))

    # ---- the nest ----------------------------------------------------------------------------------------

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
            vectors = self.first is not ZERO
            split = Split(tuple(_extents(self.split[0])), 4 * self.lanes if vectors else 1, self._weight())
        return Kernel(self.b, self.sizes, self._scratch_bytes(), tuple(self.values.sites), helpers, split)

    def _weight(self) -> Size:
        """About how long one turn of the shared loop takes, in sixteenths of a nanosecond."""
        inner: Size = 1
        for dim in self.nest.dims:
            if dim not in self.split[0]:
                inner = inner * dim.extent
        return inner * self._cost()

    def _cost(self) -> int:
        """About how long one element takes, in sixteenths of a nanosecond."""
        costs = {True: 8, False: 1}
        return sum(costs[t.op.name in ELEMENTARY] for t in self.members) + len(self.body.inputs)

    def _scratch_bytes(self) -> Size:
        extents = _extents(self.kept[-1]) if self.kept else ()
        # Never 0 bytes where there are rows, not even for an extent of the number 0: the function has the parameter.
        total: Size = 8 if self.scratch_rows else 0
        for tensor in self.scratch_rows:
            size: Size = tensor.dtype.itemsize
            for extent in extents:
                size = size * extent
            total = total + size
        return total

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

    def _turn(self) -> None:
        """What is done for each turn of the outer loops."""
        values = self.values
        for stage in self.stages:
            (self._reduce_rows if self.by_rows else self._reduce_columns)(stage)
        kept = [t for t in self.body.outputs if t not in self.full]
        if self.by_rows:
            for tensor in kept:
                at = self._at(tensor)
                values.store(self.outputs[tensor], at, values.value(tensor, at))
        elif rest := [t for t in kept if not folds(t)]:
            self._store_sweep(rest, [])
        if self.full:
            self._store_sweep(self.full, self.reduced)
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

    # ---- vector loops ------------------------------------------------------------------------------------

    def _vectors(
        self, count: Value, carried: Sequence[Value], body: Callable[[VectorLoop, Sequence[Value]], Sequence[Value]]
    ) -> Sequence[Value]:
        """Run `body` for i = 0 .. count: once for each complete vector, once for the tail."""
        b, frames, lanes = self.b, self.frames, self.lanes
        never = b.const("i1", 0)
        if lanes == 1:
            with frames.loop(0, count, 1, carried) as inner:
                loop = VectorLoop(inner.index, count, never, count, b.i64(0), frames.depth, [])
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
                    for buffer, address, size in loop.stores:
                        end = b.offset(Value("ptr", address.name), b.mul(full, size))
                        b.memcpy(end, buffer, b.mul(left, size))
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
        return self.values.product(_extents(group)).value

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
        """All values first: a result's row may hold a spilled value that another result still needs."""
        self._load_spills()
        computed = [(t, self.values.value(t, self._at(t))) for t in results]
        for tensor, value in computed:
            self.values.store(self.outputs[tensor], self._at(tensor), value)

    def _load_spills(self) -> None:
        """Make known that a spilled value now stands in the row of a result."""
        for tensor, row in self.spills.items():
            at = self._at(tensor)
            self.frames.put((tensor, at), self.values.load(self.outputs[row], self._at(row)))

    # ---- reductions --------------------------------------------------------------------------------------

    def _reduce_rows(self, stage: Sequence[Tensor]) -> None:
        """One sweep of the reduced loops, accumulating in registers."""
        b = self.b
        identities = [self._identity(r, self.lanes) for r in stage]
        sums = [r for r in stage if _rounds(r)]
        zeros = [self._identity(r, self.lanes) for r in sums]
        number = self.stages.index(list(stage))
        found = self._accumulate(stage, number, self.reduced, [*identities, *zeros])
        lost = dict(zip(sums, found[len(stage) :]))
        for reduction, total in zip(stage, found):
            if reduction in lost:  # NaN where the total is infinite or NaN
                rest = lost[reduction]
                known = b.select(b.fcmp("ord", rest, rest), rest, self._identity(reduction, self.lanes))
                total = self._combine(reduction, total, known)
            combined = b.reduce(total, lambda x, y, r=reduction: self._combine(r, x, y))  # type: ignore[misc]
            self.values.results[reduction] = Leveled(combined, self.frames.depth)

    def _identity(self, reduction: Tensor, lanes: int) -> Value:
        dtype = reduction.dtype
        return self.b.const(vector(register_type(dtype), lanes), _identity(reduction.op.name, dtype))

    def _combine(self, reduction: Tensor, x: Value, y: Value) -> Value:
        dtype = reduction.dtype
        return lower(self.b, _COMBINE[reduction.op.name], (x, y), (dtype, dtype), dtype, {})

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

    def _bounds(self, group: list[LoopDim]) -> tuple[Leveled, Value]:
        """Where a reduced loop begins and ends."""
        return ZERO, self._extent(group)

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
            return sums

        return self._vectors(count, carried, body)

    def _masked(self, reduction: Tensor, element: Value) -> Value:
        """The element, or the identity in lanes beyond the end."""
        if self.lanes == 1:
            return element
        dtype = reduction.inputs[0].dtype
        width = "i8" if dtype == np.bool_ else f"i{8 * dtype.itemsize}"
        valid = self.values.valid(width)
        return self.b.select(valid, element, self._identity(reduction, self.lanes))

    def _first_sweep(self, tensor: Tensor) -> int:
        """The first stage that needs a spilled value."""
        for number, stage in enumerate(self.stages):
            for reduction in stage:
                if _reaches(reduction.inputs[0], tensor):
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

    def _reduce_columns(self, stage: Sequence[Tensor]) -> None:
        """Accumulate into rows in memory, which then are what the reductions' results are read from."""
        values = self.values
        rows = [self._row(r) for r in stage]
        inner = self.kept[-1]
        extent = self._span(inner)

        def clear(loop: VectorLoop, carried: Sequence[Value]) -> Sequence[Value]:
            for reduction, row in zip(stage, rows):
                values.store(row, (ALONG,), Leveled(self._identity(reduction, 1), 0))
            return ()

        self._vectors(extent, (), clear)
        with contextlib.ExitStack() as stack:
            for group in self.reduced:
                stack.enter_context(self._loop_over(group))

            def body(loop: VectorLoop, carried: Sequence[Value]) -> Sequence[Value]:
                self._set_index(inner, Index(self.first, 1))
                for reduction, row in zip(stage, rows):
                    operand = self.frames.splat(
                        values.value(reduction.inputs[0], self._operand_at(reduction)), self.lanes
                    ).value
                    total = values.load(row, (ALONG,)).value
                    combined = self._combine(reduction, total, operand)
                    values.store(row, (ALONG,), Leveled(combined, loop.level))
                return ()

            self._vectors(extent, (), body)
        values.rows.update(zip(stage, rows))

    def _row(self, reduction: Tensor) -> Array:
        """Where a reduction's results for one turn of the outer loops stand: its own output, or scratch."""
        extents = _extents(self.kept[-1])
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


def _rounds(reduction: Tensor) -> bool:
    """Whether it is a sum of floats: what rounding loses of each block's total is added in the end."""
    return reduction.op.name == "sum" and reduction.dtype.kind == "f"


def _turns(groups: Sequence[list[LoopDim]]) -> Size:
    return dims.product([size for group in groups for size in _extents(group)])


def _extents(group: Sequence[LoopDim]) -> list[Size]:
    return [d.extent for d in group]


def _stands_at(position: Position, dims: Sequence[LoopDim]) -> bool:
    return [e for e in position if e is not None] == list(dims)


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


def _merged_loops(nest: Nest) -> list[list[LoopDim]]:
    """The loops, with neighbours that every array runs over as one merged into one."""
    positions = [p for at in nest.positions.values() for p in at]
    for reduction in (t for t in nest.members if folds(t)):
        loops = iter(nest.dims)
        positions.append(tuple(None if s == 1 else next(loops) for s in reduction.inputs[0].shape))
    apart = {d for p in positions for e in p if isinstance(e, Mapped) for d in _loops_inside(e)}
    apart |= {e for t in nest.members if t.op.name == "iota" for p in nest.positions[t] for e in p if e}  # type: ignore[misc]
    groups: list[list[LoopDim]] = []
    for dim in nest.dims:
        previous = groups[-1][-1] if groups else None
        same_kind = previous is not None and (previous in nest.reduced) == (dim in nest.reduced)
        if previous is not None and same_kind and not {previous, dim} & apart and _adjacent(positions, previous, dim):
            groups[-1].append(dim)
        else:
            groups.append([dim])
    return groups


def _loops_inside(mapped: Mapped) -> set[LoopDim]:
    found: set[LoopDim] = set()
    stack: list[Any] = [mapped]
    while stack:
        entry = stack.pop()
        if isinstance(entry, LoopDim):
            found.add(entry)
        elif isinstance(entry, Mapped):
            stack.extend(entry.entries)
    return found


def _adjacent(positions: Sequence[Position], first: LoopDim, second: LoopDim) -> bool:
    """Whether every array that moves with one of the loops moves with the other, right after it."""
    for position in positions:
        loops = [e for e in position if e is not None]
        has = [loops.index(d) if d in loops else None for d in (first, second)]
        if has == [None, None]:
            continue
        if None in has or has[1] != has[0] + 1:  # type: ignore[operator]
            return False
    return True


__all__ = ["build_loops", "reads_in_place"]
