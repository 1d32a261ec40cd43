"""Loops and branches without what nobody reads: results, states, operands, outputs that are there twice.

From the results of a `scan` that are read, and with them the states that these need, a smaller body follows, and
from that the operands it reads. So the walk goes from the roots to the operands, and into bodies on the way.

    scan -> last h, last c, stack of h, stack of c        only the last h is read, and c is needed for h
    scan -> last h, last c                                the stacks are not made

Invariant: what is left of an op computes the very values that it did before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from graphc.ir.build import apply
from graphc.ir.graph import Graph, topological_order, with_inputs
from graphc.ir.location import inherit
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor
from graphc.ir.types import TupleType


@dataclass(frozen=True, eq=False)
class _Slim:
    """An op with less to do.

    Attributes:
        operands: which operands are left, by their numbers.
        attrs: the attributes.
        results: for each result that is read, its number among those that are left, or the operand that it is.
    """

    operands: Sequence[int]
    attrs: dict[str, object]
    results: dict[int, int | Tensor]


def slim(graph: Graph) -> Graph:
    """`graph` without what no root needs of its loops and branches."""
    if not any(tensor.op.name in _RULES for tensor in graph.tensors):
        return graph
    found = _needed(graph)
    new: dict[Tensor, Tensor] = {t: t for t in graph.inputs}
    for tensor in graph.tensors:
        if tensor in new:
            continue
        smaller = found.get(tensor)
        if smaller is not None:
            if smaller.operands or smaller.attrs:
                with inherit(tensor.location):
                    operands = (new[tensor.inputs[i]] for i in smaller.operands)
                    new[tensor] = apply(tensor.op, *operands, hint=tensor.hint, **smaller.attrs)
        elif tensor.op.name == "get" and tensor.inputs[0] in found:
            place = found[tensor.inputs[0]].results.get(tensor.attrs["index"])
            if isinstance(place, Tensor):
                new[tensor] = new[place]
            elif place is not None:
                with inherit(tensor.location):
                    new[tensor] = apply(OPS["get"], new[tensor.inputs[0]], hint=tensor.hint, index=place)
        elif all(operand in new for operand in tensor.inputs):
            new[tensor] = with_inputs(tensor, tuple(new[operand] for operand in tensor.inputs))
    return graph.with_roots(new[root] for root in graph.roots)


def _needed(graph: Graph) -> dict[Tensor, _Slim]:
    """What is left of each loop and branch that a root needs."""
    live = set(graph.roots)
    read: dict[Tensor, set[int]] = {}
    found: dict[Tensor, _Slim] = {}
    for tensor in reversed(graph.tensors):
        if tensor not in live:
            continue
        rule = _RULES.get(tensor.op.name)
        if rule is not None:
            assert isinstance(tensor.type, TupleType)
            smaller = found[tensor] = rule(tensor, sorted(read.get(tensor, ())))
            live.update(tensor.inputs[i] for i in smaller.operands)
            live.update(place for place in smaller.results.values() if isinstance(place, Tensor))
            continue
        live.update(tensor.inputs)
        if tensor.op.name == "get":
            read.setdefault(tensor.inputs[0], set()).add(tensor.attrs["index"])
    return found


def _reads(roots: Iterable[Tensor]) -> set[Tensor]:
    """The parameters that tensors of a body are made of."""
    return {t for t in topological_order(roots) if t.op.name == "placeholder"}


def _merged(operands: Sequence[Tensor], numbers: Iterable[int], body: Graph) -> tuple[list[int], Graph]:
    """Those of `numbers` with operands that differ, and the body with one parameter for each."""
    first: dict[Tensor, int] = {}
    twice: dict[Tensor, Tensor] = {}
    for i in numbers:
        kept = first.setdefault(operands[i], i)
        if kept != i:
            twice[body.inputs[i]] = body.inputs[kept]
    if not twice:
        return list(first.values()), body
    new: dict[Tensor, Tensor] = {**{t: t for t in body.inputs}, **twice}
    for tensor in body.tensors:
        if tensor not in new:
            new[tensor] = with_inputs(tensor, tuple(new[operand] for operand in tensor.inputs))
    return list(first.values()), body.with_roots(new[root] for root in body.roots)


def _slim_scan(tensor: Tensor, read: Sequence[int]) -> _Slim:
    attrs, xs = tensor.attrs, tensor.inputs
    sequences, states, body = attrs["sequences"], attrs["states"], attrs["body"]
    first = sequences + states
    _, body = _merged(xs, range(sequences), body)
    _, body = _merged(xs, range(first, len(xs)), body)
    wanted = [i for i in read if i >= states]
    carried = {i for i in read if i < states}
    while True:
        carried = _carried(body, sequences, states, carried, wanted)
        kept = sorted(carried)
        inner = slim(replace(body, outputs=tuple(body.outputs[i] for i in (*kept, *wanted))))
        whole = dict(zip((*kept, *wanted), inner.outputs))
        body = replace(body, outputs=tuple(whole.get(i, t) for i, t in enumerate(body.outputs)))
        needed = _carried(body, sequences, states, {i for i in read if i < states}, wanted)
        if needed == carried:
            break
        carried = needed
    fixed = [i for i in kept if body.outputs[i] is body.inputs[sequences + i]]  # a state that never changes
    kept = [i for i in kept if i not in fixed]
    results: dict[int, int | Tensor] = {i: xs[sequences + i] for i in fixed}
    results |= {i: place for place, i in enumerate(kept)}
    outputs: list[Tensor] = []
    row = {t: xs[i] for i, t in enumerate(body.inputs[:sequences])}
    for i in wanted:
        output = body.outputs[i]
        if output in row:
            results[i] = row[output]
            continue
        if output not in outputs:
            outputs.append(output)
        results[i] = len(kept) + outputs.index(output)
    roots = (*(body.outputs[i] for i in kept), *outputs)
    reads = _reads(roots)
    rows = [i for i in range(sequences) if body.inputs[i] in reads]
    outside = [*(sequences + i for i in fixed), *range(first, len(xs))]
    outside = [i for i in outside if body.inputs[i] in reads]
    operands = [*rows, *(sequences + i for i in kept), *outside]
    if not roots:
        return _Slim([], {}, results)
    smaller = Graph(body.name, tuple(body.inputs[i] for i in operands), roots)
    return _Slim(
        operands, {**attrs, "sequences": len(rows), "states": len(kept), "body": smaller}, results
    )


def _carried(body: Graph, sequences: int, states: int, start: Iterable[int], wanted: Iterable[int]) -> set[int]:
    """The states that must be carried so that the states `start` and the outputs `wanted` are right."""
    carried = set(start)
    wanted = list(wanted)
    while True:
        reads = _reads([*(body.outputs[i] for i in sorted(carried)), *(body.outputs[i] for i in wanted)])
        more = {i for i in range(states) if body.inputs[sequences + i] in reads} - carried
        if not more:
            return carried
        carried |= more


def _slim_cond(tensor: Tensor, read: Sequence[int]) -> _Slim:
    attrs, xs = tensor.attrs, tensor.inputs
    pairs: dict[tuple[Tensor, Tensor], int] = {}
    for i in read:
        pairs.setdefault((attrs["then"].outputs[i], attrs["otherwise"].outputs[i]), len(pairs))
    results: dict[int, int | Tensor] = {
        i: pairs[attrs["then"].outputs[i], attrs["otherwise"].outputs[i]] for i in read
    }
    branches = []
    for side, name in enumerate(("then", "otherwise")):
        _, branch = _merged(xs[1:], range(len(xs) - 1), replace(attrs[name], outputs=tuple(p[side] for p in pairs)))
        branches.append(slim(branch))
    reads = [_reads(branch.outputs) for branch in branches]
    kept = [i for i in range(len(xs) - 1) if any(b.inputs[i] in r for b, r in zip(branches, reads))]
    then, otherwise = (replace(b, inputs=tuple(b.inputs[i] for i in kept)) for b in branches)
    return _Slim([0, *(1 + i for i in kept)], {"then": then, "otherwise": otherwise}, results)


def _slim_while(tensor: Tensor, read: Sequence[int]) -> _Slim:
    attrs, xs = tensor.attrs, tensor.inputs
    states = attrs["states"]
    _, condition = _merged(xs, range(states, len(xs)), attrs["condition"])
    _, body = _merged(xs, range(states, len(xs)), attrs["body"])
    condition = slim(condition)
    tested = _reads(condition.outputs)
    start = {i for i in range(states) if i in read or condition.inputs[i] in tested}
    kept = sorted(_carried(body, 0, states, start, ()))
    inner = slim(replace(body, outputs=tuple(body.outputs[i] for i in kept)))
    reads = _reads(inner.outputs)
    outside = [i for i in range(states, len(xs)) if condition.inputs[i] in tested or inner.inputs[i] in reads]
    operands = [*kept, *outside]
    condition = replace(condition, inputs=tuple(condition.inputs[i] for i in operands))
    inner = replace(inner, inputs=tuple(inner.inputs[i] for i in operands))
    results: dict[int, int | Tensor] = {i: place for place, i in enumerate(kept)}
    return _Slim(operands, {**attrs, "states": len(kept), "condition": condition, "body": inner}, results)


_RULES: dict[str, Callable[[Tensor, Sequence[int]], _Slim]] = {
    "scan": _slim_scan,
    "cond": _slim_cond,
    "while_loop": _slim_while,
}
