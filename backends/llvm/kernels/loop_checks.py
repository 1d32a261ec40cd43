"""The indices of a nest without turns: NumPy checks them even where nothing is read at them.

    x: f32[5,0], i = [7]      take(x, i, axis=0): f32[1,0] has no element, and still 7 is out of bounds

Invariant: after this code, the loops of the nest need to check an index only in turns that use it.
"""

from __future__ import annotations

from contextlib import ExitStack

from graphc.analysis.loops import LoopDim, Mapped, Nest, folds, index_operand, operand_positions
from graphc.backends.llvm.kernels.loop_frames import Leveled
from graphc.backends.llvm.kernels.loop_memory import Index
from graphc.backends.llvm.kernels.loop_values import Values
from graphc.ir.opdef import Trait
from graphc.ir.tensor import Tensor


def check_without_turns(nest: Nest, values: Values) -> None:
    """If any loop of the nest has no turns, check all gathered indices; else nothing."""
    extents = [d.extent for d in nest.dims]
    if all(isinstance(e, int) and e > 0 for e in extents):
        return
    b, frames = values.b, values.frames
    turns = values.product(extents).value
    reduced = _after_reductions(nest)
    with b.if_(b.icmp("eq", turns, 0), likely=False), frames.branch():
        for tensor in nest.members:
            if tensor.op.has(Trait.FALLIBLE):
                (x, *_) = operand_positions(tensor, nest.position(tensor), ())
                for entry in x:
                    if isinstance(entry, Mapped) and entry.via is tensor and index_operand(entry)[0] not in reduced:
                        _check(entry, values)


def _check(mapped: Mapped, values: Values) -> None:
    """Check each element of an index tensor."""
    frames = values.frames
    turn: dict[object, Index] = {}
    with ExitStack() as stack:
        for dim in index_operand(mapped)[1]:
            if isinstance(dim, LoopDim):
                loop = stack.enter_context(frames.loop(0, values.size(dim.extent).value))
                turn[dim] = Index(Leveled(loop.index, frames.depth))
        entries = tuple(turn.get(e) for e in mapped.entries)
        values.mapped(Mapped(mapped.via, mapped.axis, entries))  # type: ignore[arg-type]


def _after_reductions(nest: Nest) -> set[Tensor]:
    """The members that need a reduction's result, which does not exist yet."""
    found: set[Tensor] = set()
    for tensor in reversed(nest.members):
        if folds(tensor) or any(i in found for i in tensor.inputs):
            found.add(tensor)
    return found
