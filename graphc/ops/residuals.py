"""What a backward body reads of the forward one: what to save of it, and what to compute again.

A backward body is formed in the forward body's own tensors. Those of them that depend on no cotangent are cut
off: they are saved by the forward body, as further results of it, or computed again where that is cheap:

    forward    x -> [matmul] -> z -> [tanh] -> h                h is saved
    backward   g -> [multiply] <- [1 - h*h] <- h                1 - h*h is computed again

Invariant: only ops of `_CHEAP` are computed again; so nothing prints, fails or draws twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graphc.ir.graph import topological_order, with_inputs
from graphc.ir.opdef import Trait
from graphc.ir.tensor import Tensor

#: Computed again rather than saved, if that takes no more saved tensors.
_CHEAP = frozenset("""
    abs add broadcast_to cast equal get greater greater_equal less less_equal logical_not maximum minimum multiply
    negative not_equal permute_dims reshape sign slice stop_gradient subtract where
""".split())  # fmt: skip


def to_save(roots: Iterable[Tensor], seeds: Iterable[Tensor], at_hand: Iterable[Tensor]) -> list[Tensor]:
    """The tensors to save, so that `roots` can be computed from them, the `seeds` and what is `at_hand`.

    Args:
        roots: the results of the backward body.
        seeds: the parameters that stand for cotangents.
        at_hand: the forward body's parameters that the backward one has as well.
    """
    late = set(seeds)
    known: dict[Tensor, frozenset[Tensor]] = dict.fromkeys(at_hand, frozenset())
    saved: dict[Tensor, None] = {}
    order = list(topological_order(roots))
    ends = set(roots)
    for tensor in order:
        if tensor in late or any(operand in late for operand in tensor.inputs):
            late.add(tensor)
            for operand in tensor.inputs:
                if operand not in late:
                    saved.update(dict.fromkeys(known[operand]))
        else:
            known.setdefault(tensor, _needs(tensor, known))
            if tensor in ends:
                saved.update(dict.fromkeys(known[tensor]))
    place = {tensor: i for i, tensor in enumerate(order)}
    return sorted(saved, key=place.__getitem__)


def _needs(tensor: Tensor, known: dict[Tensor, frozenset[Tensor]]) -> frozenset[Tensor]:
    """What must be saved to have a tensor: itself, or what it is cheaply computed from."""
    if tensor.op.has(Trait.SOURCE) and tensor.op.name not in ("placeholder", "variable"):
        return frozenset()
    if tensor.op.name in _CHEAP:
        needed = frozenset().union(*(known[operand] for operand in tensor.inputs))
        if len(needed) <= 1 and not any(t.op.has(Trait.BODY) for t in needed):
            return needed
    return frozenset((tensor,))


def rebuilt(roots: Sequence[Tensor | None], new: dict[Tensor, Tensor]) -> list[Tensor | None]:
    """`roots` with the tensors that are keys of `new` replaced; what stands in for each tensor is added to it."""
    found = [t for t in roots if t is not None]
    stack = list(reversed(found))
    while stack:
        tensor = stack[-1]
        waiting = [operand for operand in tensor.inputs if operand not in new] if tensor not in new else []
        if waiting:
            stack += reversed(waiting)
            continue
        stack.pop()
        if tensor not in new:
            new[tensor] = with_inputs(tensor, tuple(new[operand] for operand in tensor.inputs))
    return [None if t is None else new[t] for t in roots]
