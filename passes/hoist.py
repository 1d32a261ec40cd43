"""What is the same in every step of a loop is computed once, before it.

    scan(xs, w){x_t @ transpose(w)}  ->  scan(xs, transpose(w)){x_t @ wt}

What costs nothing to make again (sizes, scalar constants, broadcasting) stays inside, so that it fuses.

Invariant: what has an effect or may fail stays in the loop, which may have no steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graphc.ir.bodies import does
from graphc.ir.build import apply
from graphc.ir.graph import Graph, topological_order, with_inputs
from graphc.ir.location import inherit
from graphc.ir.opdef import Trait
from graphc.ir.tensor import Tensor
from graphc.ir.types import TupleType
from graphc.ops.lifting import parameter
from graphc.ops.residuals import rebuilt
from graphc.passes.slim import slim

#: Cheaper to make in passing than to read.
_FREE = frozenset({"dim", "iota", "broadcast_to"})
#: The bodies of loops, and how many operands come before the invariants.
_BODIES = {"scan": ("body",), "while_loop": ("condition", "body")}


def hoist(graph: Graph) -> Graph:
    """`graph` with what does not change from step to step computed before the loops."""
    changed = False

    def rewritten(tensor: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        nonlocal changed
        result = _hoisted(tensor, inputs) if tensor.op.name in _BODIES else None
        changed = changed or result is not None
        return with_inputs(tensor, inputs) if result is None else result

    result = graph.rebuild(rewritten) if any(t.op.name in _BODIES for t in graph.tensors) else graph
    return slim(result) if changed else graph


def _hoisted(tensor: Tensor, operands: tuple[Tensor, ...]) -> Tensor | None:
    """The loop with its invariant tensors as further operands; None if it has none."""
    first = tensor.attrs.get("sequences", 0) + tensor.attrs["states"]
    bodies: dict[str, Graph] = {name: tensor.attrs[name] for name in _BODIES[tensor.op.name]}
    found = {name: _invariant(body, body.inputs[first:]) for name, body in bodies.items()}
    if not any(found.values()):
        return None
    outer: list[Tensor] = []
    for name, body in bodies.items():
        outside = dict(zip(body.inputs[first:], operands[first:]))
        outer += rebuilt(found[name], outside)  # type: ignore[arg-type]
    more = {name: [parameter(t.type, t.location, t.hint) for t in outer] for name in bodies}
    place = 0
    for name, body in bodies.items():
        own = found[name]
        new = {t: t for t in body.inputs} | dict(zip(own, more[name][place:]))
        place += len(own)
        bodies[name] = Graph(body.name, (*body.inputs, *more[name]), tuple(rebuilt(body.outputs, new)))  # type: ignore[arg-type]
    with inherit(tensor.location):
        return apply(tensor.op, *operands, *outer, hint=tensor.hint, **{**tensor.attrs, **bodies})


def _invariant(body: Graph, outside: Sequence[Tensor]) -> list[Tensor]:
    """The tensors of a body to compute before the loop: the last ones that depend on invariants only."""
    known = set(outside)
    given = set(body.inputs)
    for tensor in body.tensors:
        if tensor in given or not all(operand in known for operand in tensor.inputs):
            continue
        if not does(tensor, Trait.EFFECT) and not does(tensor, Trait.FALLIBLE):
            known.add(tensor)
    ends = [t for t in body.outputs if t in known]
    for tensor in body.tensors:
        if tensor not in known:
            ends += (operand for operand in tensor.inputs if operand in known)
    return [t for t in _worthwhile(ends) if t not in given]


def _worthwhile(ends: Iterable[Tensor]) -> list[Tensor]:
    """Of tensors that could be hoisted, those that it pays for; or their operands."""
    found: dict[Tensor, None] = {}
    stack = list(dict.fromkeys(ends))
    while stack:
        tensor = stack.pop()
        if tensor.op.name in _FREE or isinstance(tensor.type, TupleType):
            stack += tensor.inputs
        elif tensor.op.name != "const" or tensor.tensor_type.size != 1:
            found[tensor] = None
    place = {t: i for i, t in enumerate(topological_order(found))}
    return sorted(found, key=place.__getitem__)
