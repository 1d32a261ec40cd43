"""Loops that step alike become one: a gradient asks for a loop again, with what it needs saved besides.

    a = scan(xs, h0){h = step(x_t, h)} -> last h                 one loop -> last h, stack of h
    b = scan(xs, h0){h = step(x_t, h)} -> last h, stack of h

Two scans step alike if they have the same operands, and their states come of the same tensors of the body, or of
equal ones. Two conds of the same operands always do.

Invariant: the joined op gives each result that either of them gave; what prints or may fail is not merged unless
it is the very same tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from graphc.ir.build import apply
from graphc.ir.graph import Graph, with_inputs
from graphc.ir.location import inherit
from graphc.ir.opdef import OPS
from graphc.ir.sameness import attributes_key
from graphc.ir.tensor import Tensor
from graphc.passes.cse import cse

#: The bodies of the ops that are joined, and the attribute that says how many of their first results are states.
_JOINED: dict[str, tuple[tuple[str, ...], str | None]] = {
    "scan": (("body",), "states"),
    "cond": (("then", "otherwise"), None),
}


#: What first states are usually made by, of a constant.
_SPREAD = frozenset({"broadcast_to", "reshape", "cast"})


class _Group:
    """Ops that step alike, as they become one.

    Attributes:
        tensors: the ops.
        bodies: the bodies of the joined op.
        places: for each op, the number of each of its results among those of the joined one.
    """

    def __init__(self, tensor: Tensor) -> None:
        names, _ = _JOINED[tensor.op.name]
        self.tensors = [tensor]
        self.bodies = {name: tensor.attrs[name] for name in names}
        self.places: dict[Tensor, list[int]] = {tensor: list(range(len(self.bodies[names[0]].outputs)))}

    def take(self, tensor: Tensor) -> bool:
        """Join one more op, if it steps alike."""
        names, counted = _JOINED[tensor.op.name]
        states = tensor.attrs[counted] if counted else 0
        merged = {name: _merged(self.bodies[name], tensor.attrs[name]) for name in names}
        present = len(self.bodies[names[0]].outputs)
        for body in merged.values():
            if any(a is not b for a, b in zip(body.outputs[:states], body.outputs[present : present + states])):
                return False
        rows = list(zip(*(body.outputs for body in merged.values())))
        kept = rows[:present]
        places = list(range(states))
        for row in rows[present + states :]:
            if row not in kept[states:]:
                kept.append(row)
            places.append(states + kept[states:].index(row))
        self.bodies = {
            name: replace(body, outputs=tuple(row[i] for row in kept)) for i, (name, body) in enumerate(merged.items())
        }
        self.tensors.append(tensor)
        self.places[tensor] = places
        return True


def join(graph: Graph) -> Graph:
    """`graph` with loops and branches that step alike made one."""
    groups: dict[Any, list[_Group]] = {}
    group_of: dict[Tensor, _Group] = {}
    for tensor in graph.tensors:
        if tensor.op.name in _JOINED:
            names, _ = _JOINED[tensor.op.name]
            plain = tuple((k, v) for k, v in tensor.attrs.items() if k not in names)
            operands = tuple(_operand_key(operand) for operand in tensor.inputs)
            alike = groups.setdefault((tensor.op.name, operands, plain), [])
            group = next((g for g in alike if g.take(tensor)), None)
            if group is None:
                group = _Group(tensor)
                alike.append(group)
            group_of[tensor] = group
    if not any(len(group.tensors) > 1 for group in group_of.values()):
        return graph
    joined: dict[_Group, Tensor] = {}

    def rewritten(tensor: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        group = group_of.get(tensor)
        if group is not None and len(group.tensors) > 1:
            if group not in joined:
                with inherit(tensor.location):
                    joined[group] = apply(tensor.op, *inputs, hint=tensor.hint, **{**tensor.attrs, **group.bodies})
            return joined[group]
        source = tensor.inputs[0] if tensor.op.name == "get" else None
        if source in group_of and len(group_of[source].tensors) > 1:
            place = group_of[source].places[source][tensor.attrs["index"]]
            with inherit(tensor.location):
                return apply(OPS["get"], inputs[0], hint=tensor.hint, index=place)
        return with_inputs(tensor, inputs)

    return graph.rebuild(rewritten)


def _operand_key(tensor: Tensor, depth: int = 4) -> Any:
    """The tensor itself; what stands for its value, for constants and what is broadcast from them."""
    if tensor.op.name == "const":
        return attributes_key(tensor.attrs)
    if depth and tensor.op.name in _SPREAD:
        inner = _operand_key(tensor.inputs[0], depth - 1)
        return tensor if isinstance(inner, Tensor) else (tensor.op.name, inner, attributes_key(tensor.attrs))
    return tensor


def _merged(one: Graph, other: Graph) -> Graph:
    """Both bodies as one, on the parameters of the first: its results, then those of the other."""
    new: dict[Tensor, Tensor] = dict(zip(other.inputs, one.inputs))
    for tensor in other.tensors:
        if tensor not in new:
            new[tensor] = with_inputs(tensor, tuple(new[operand] for operand in tensor.inputs))
    outputs: Sequence[Tensor] = (*one.outputs, *(new[t] for t in other.outputs))
    return cse(replace(one, outputs=tuple(outputs)))
