"""How a loop nest is to be run: what is merged, what vectors run along, what is kept between sweeps.

Invariant: only decisions, no code; they depend on the body and the target alone, never on run-time extents.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from graphc.analysis.loops import ELEMENTARY, EXPENSIVE, LoopDim, Mapped, Nest, Position, folds
from graphc.backends.llvm.kernels.part_copies import MASKED_BITS
from graphc.backends.llvm.target import Target
from graphc.ir import dims
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import Graph
from graphc.ir.opdef import Trait
from graphc.ir.tensor import Tensor

#: Loops of so few turns, and rows of so few elements that are folded, leave most lanes of a vector empty.
SHORT, SHORT_ROW = 6, 16
#: Rows of at most so many vectors are short.
SHORT_VECTORS = 8
#: So many elements lie in the second-level cache, where it does not matter that a sweep for each vector reads them.
FEW_TURNS = 1 << 16
#: Bodies with more arithmetic than this keep more values alive than wide vectors leave registers for.
HEAVY = 24
#: Bodies with more calls of elementary functions than this hold them as functions rather than in line: the
#: time to compile grows faster than the length of a loop. The cell of an LSTM with its gradient has 8.
INLINE_FUNCTIONS = 8


def reads_in_place(body: Graph, parameter: Tensor) -> bool:
    """Whether a body may write a result over this operand: each element is read only where it is written."""
    given = set(body.inputs)
    members = [t for t in body.tensors if t not in given]
    nest = Nest.of(body.outputs, members)
    positions = nest.positions[parameter]
    if not nest.reduced:
        return all(stands_at(at, nest.dims) for at in positions)
    # One result that is made when all is folded, as the new value of a bias; what is folded does not need the old one.
    (result, *others), needed = body.outputs, {parameter}
    for tensor in members:
        if not needed.isdisjoint(tensor.inputs):
            needed.add(tensor)
    late = not others and not nest.is_full(result) and not any(folds(t) for t in members if t in needed)
    return late and not folds(result) and all(stands_at(at, nest.kept) for at in positions)


class LoopShape:
    """The decisions for one body.

    Attributes:
        groups: the loops, neighbours merged where all arrays allow it; `kept` and `reduced` are those of each kind.
        by_rows: whether vectors run along a reduced loop, else along a kept one.
        crosswise: the kept loop that vectors run along because those inside it are too short; else nothing.
        lanes: elements of a vector.
        masks_tails: whether vectors are read and written under a mask, and columns are folded in registers. The
            rest of a row, shorter than a vector, goes by way of the stack otherwise, and columns are folded in memory:
            it takes longer, but nothing from rows that are long, nor from columns that are read once.
        has_tails: whether the vector loop may end in the midst of a vector, for all that is known.
        depth: how many sweeps of reductions must have been done before a tensor can be computed.
        stages: the reductions, in sweeps.
        full: the results that have an element for each turn of all loops.
        spills: dear values that stand in a full result's row until that is computed.
    """

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
        self.has_tails = self._has_tails()
        self.masks_tails = self._masks_tails(target)
        self.depth = self._depths()
        self.stages = self._stages()
        self.full = [t for t in body.outputs if self.nest.is_full(t)] if self.nest.reduced else list(body.outputs)
        self.spills = self._spills() if self.by_rows and not self.crosswise else {}

    def _lanes(self, target: Target) -> int:
        if not self.groups:
            return 1
        computing = [t for t in self.members if t.op.name not in ("const", "dim", "broadcast_to", "reshape")]
        deciding = (*computing, *self.body.inputs) or self.body.outputs  # a constant spread out computes nothing
        lanes = target.lanes(*{t.dtype for t in deciding}, heavy=len(computing) > HEAVY)
        inner = extents_of(self._along_vectors())
        while lanes > 1 and all(isinstance(s, int) for s in inner) and lanes // 2 >= np.prod(inner):  # type: ignore[arg-type]
            lanes //= 2
        return lanes

    def _along_vectors(self) -> list[LoopDim]:
        """The loop that vectors run along."""
        return self.crosswise or (self.reduced[-1] if self.by_rows else self.groups[-1])

    def _has_tails(self) -> bool:
        if self.lanes == 1:
            return False
        turns = _turns([self._along_vectors()])
        return not isinstance(turns, int) or turns % self.lanes != 0

    def _masks_tails(self, target: Target) -> bool:
        """Whether rows are known as so short that their ends matter, and registers have masks."""
        if self.lanes == 1 or target.vector_bits < MASKED_BITS:
            return False
        turns = _turns([self._along_vectors()])
        if not isinstance(turns, int) or turns > SHORT_VECTORS * self.lanes:
            return False
        all_turns = _turns(self.groups)
        in_registers = self.reduced and not self.by_rows and isinstance(all_turns, int) and all_turns <= FEW_TURNS
        return self.has_tails or bool(in_registers)

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

    def _depths(self) -> dict[Tensor, int]:
        depth = dict.fromkeys(self.body.inputs, 0)
        for tensor in self.members:
            depth[tensor] = max((depth[i] + folds(i) for i in tensor.inputs), default=0)
        return depth

    def _stages(self) -> list[list[Tensor]]:
        """The reductions, each after those that its operand needs."""
        reductions = [t for t in self.members if folds(t)]
        last = max((self.depth[r] for r in reductions), default=-1)
        return [[r for r in reductions if self.depth[r] == number] for number in range(last + 1)]

    def stored_with(self, number: int) -> list[Tensor]:
        """The full results that the sweep of a stage can store; after the last stage, all that are left."""
        return [t for t in self.full if self.depth[t] == number]

    def _spills(self) -> dict[Tensor, Tensor]:
        """Dear values that several sweeps need: kept in the row of a full result until that is computed."""
        sweeps: dict[Tensor, set[int]] = {t: set() for t in (*self.members, *self.body.inputs)}
        for number, stage in enumerate(self.stages):
            for reduction in stage:
                sweeps[reduction.inputs[0]].add(number)
        for result in self.full:
            sweeps[result].add(self.depth[result])
        spills: dict[Tensor, Tensor] = {}
        rows = self.stored_with(len(self.stages))
        for tensor in reversed(self.members):
            if folds(tensor):
                continue
            needed = sweeps[tensor]
            dear = tensor.op.name in EXPENSIVE and tensor not in self.full
            at = list(self.nest.positions[tensor])
            if dear and len(needed) > 1 and len(at) == 1 and stands_at(at[0], self.nest.dims):
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

    def _weight(self, shared: Sequence[LoopDim]) -> Size:
        """About how long one turn of the shared loop takes, in sixteenths of a nanosecond."""
        inner: Size = 1
        for dim in self.nest.dims:
            if dim not in shared:
                inner = inner * dim.extent
        return inner * self._cost()

    def _cost(self) -> int:
        """About how long one element takes, in sixteenths of a nanosecond."""
        return cost_of_members(self.members) + len(self.body.inputs)


def cost_of_members(members: Iterable[Tensor]) -> int:
    """About how long these ops of one element take, in sixteenths of a nanosecond."""
    return sum(8 if t.op.name in ELEMENTARY else 1 for t in members)


def _turns(groups: Sequence[list[LoopDim]]) -> Size:
    return dims.product([size for group in groups for size in extents_of(group)])


def extents_of(group: Sequence[LoopDim]) -> list[Size]:
    """The extents of merged dims."""
    return [d.extent for d in group]


def stands_at(position: Position, dims: Sequence[LoopDim]) -> bool:
    """Whether a position is at just these loops, in order."""
    return [e for e in position if e is not None] == list(dims)


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
