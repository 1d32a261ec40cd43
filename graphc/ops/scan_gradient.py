"""The gradient of `scan`: a scan that runs the other way.

Step t of the loop maps (x_t, h_{t-1}, W) to (h_t, y_t). Its own gradient, formed once for the body, maps the
cotangents of (h_t, y_t) to those of (x_t, h_{t-1}, W). So the cotangent of the state is carried backwards,
that of each sequence is an output of the backward step, and those of invariants are added up over the steps:

    forwards    h_0 -> [step 1] -> h_1 -> [step 2] -> h_2 -> ...          saves what the gradient reads
    backwards   g_0 <- [vjp  1] <- g_1 <- [vjp  2] <- g_2 <- ...          a scan over what was saved

What the backward step reads of the forward one is saved (`residuals.py`): as further outputs of a second scan
with the same transition, which the pass `join` makes one with the first. The pass `defer` takes sums of
products over the steps (weight gradients) out of the loop.

Invariant: only states that a cotangent reaches are carried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphc.ir.build import apply
from graphc.ir.dims import Size
from graphc.ir.graph import Graph, topological_order
from graphc.ir.location import here
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType, is_float
from graphc.ops.differentiation import cotangents, zeros
from graphc.ops.lifting import parameter
from graphc.ops.residuals import rebuilt, to_save


@dataclass(frozen=True, eq=False)
class _Loop:
    """A scan's attributes."""

    length: Size
    sequences: int
    states: int
    reverse: bool
    body: Graph

    def apply(self, operands: Sequence[Tensor]) -> Results:
        return Results(
            apply(
                OPS["scan"], *operands,
                length=self.length, sequences=self.sequences, states=self.states, reverse=self.reverse,
                body=self.body,
            )
        )  # fmt: skip


class Results(Sequence[Tensor]):
    """The results of an op that has several, picked when they are asked for."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __getitem__(self, index: Any) -> Any:
        return apply(OPS["get"], self.tensor, index=index)

    def __len__(self) -> int:
        return len(self.tensor.type.items)  # type: ignore[union-attr]


def scan_gradient(
    g: Sequence[Tensor | None],
    y: Sequence[Tensor],
    *xs: Tensor,
    length: Size,
    sequences: int,
    states: int,
    reverse: bool,
    body: Graph,
) -> tuple[Tensor | None, ...]:
    """The cotangents of a scan's operands, for `OpDef.vjp`."""
    loop = _Loop(length, sequences, states, reverse, body)
    results, seeds, found = _step_gradient(g, loop)
    roots = [t for t in found if t is not None]
    if not roots:
        return (None,) * len(xs)
    states_at = range(sequences, sequences + states)
    saved = to_save(roots, seeds, (t for i, t in enumerate(body.inputs) if i not in states_at))
    outputs = body.outputs[states:]
    new = [t for t in saved if t not in outputs]
    source = replace(loop, body=replace(body, outputs=(*body.outputs, *new))).apply(xs) if new else y
    places = {t: i for i, t in reversed(list(enumerate((*outputs, *new), states)))}
    stacks = {t: source[places[t]] for t in saved}
    return _backward_scan(g, xs, loop, results, seeds, found, stacks)


def _step_gradient(
    g: Sequence[Tensor | None], loop: _Loop
) -> tuple[list[int], list[Tensor], list[Tensor | None]]:
    """The results of a step that a cotangent arrives at, parameters for these, and the cotangents of its operands.

    A state is among them if a cotangent reaches it from the end, or from a later step.
    """
    body = loop.body
    wanted = [t for t in body.inputs if is_float(t.dtype)]
    results = [i for i, cotangent in enumerate(g) if cotangent is not None and is_float(body.outputs[i].dtype)]
    while True:
        seeds = [parameter(body.outputs[i].type, here()) for i in results]
        arrived = dict(zip(wanted, cotangents([body.outputs[i] for i in results], wanted, seeds)))
        found = [arrived.get(t) for t in body.inputs]
        reached = {i for i in range(loop.states) if found[loop.sequences + i] is not None}
        if reached.issubset(results):
            return results, seeds, found
        results = sorted(reached.union(results))


def _backward_scan(
    g: Sequence[Tensor | None],
    xs: Sequence[Tensor],
    loop: _Loop,
    results: Sequence[int],
    seeds: Sequence[Tensor],
    found: Sequence[Tensor | None],
    stacks: dict[Tensor, Tensor],
) -> tuple[Tensor | None, ...]:
    """The backward loop, and from its results the cotangents of the operands."""
    inputs = loop.body.inputs
    first = loop.sequences + loop.states
    carried = [i for i in results if i < loop.states]
    given = [i for i in results if i >= loop.states]
    summed = [i for i in range(first, len(xs)) if found[i] is not None]
    rows = [i for i in range(loop.sequences) if found[i] is not None]

    new = {t: parameter(t.type, t.location, t.hint) for t in (*inputs, *stacks)}
    inside = rebuilt(found, {**{t: t for t in seeds}, **new})
    seed = dict(zip(results, seeds))
    totals = {i: parameter(inputs[i].type, here(), "total") for i in summed}
    states = [_or_zeros(inside[loop.sequences + i], inputs[loop.sequences + i].tensor_type) for i in carried]
    sums = [apply(OPS["add"], total, inside[i]) for i, total in totals.items()]  # type: ignore[arg-type]
    outputs = [t for i, t in enumerate(inside[: loop.sequences]) if t is not None]

    read = set(topological_order([*states, *sums, *outputs]))
    slices = [i for i in range(loop.sequences) if new[inputs[i]] in read]
    invariants = [i for i in range(first, len(xs)) if new[inputs[i]] in read]
    body = Graph(
        f"{loop.body.name}_backwards",
        (
            *(seed[i] for i in given), *(new[t] for t in stacks), *(new[inputs[i]] for i in slices),
            *(seed[i] for i in carried), *totals.values(),
            *(new[inputs[i]] for i in invariants),
        ),
        (*states, *sums, *outputs),
    )  # fmt: skip
    operands = (
        *(g[i] for i in given), *stacks.values(), *(xs[i] for i in slices),
        *(_or_zeros(g[i], loop.body.outputs[i].tensor_type) for i in carried),
        *(zeros(inputs[i].tensor_type) for i in summed),
        *(xs[i] for i in invariants),
    )  # fmt: skip
    count = len(given) + len(stacks) + len(slices)
    backward = _Loop(loop.length, count, len(carried) + len(summed), not loop.reverse, body)
    made = backward.apply(operands)  # type: ignore[arg-type]
    places = (*(loop.sequences + i for i in carried), *summed, *rows)
    number = {place: i for i, place in enumerate(places)}
    return tuple(made[number[i]] if i in number else None for i in range(len(xs)))


def _or_zeros(tensor: Tensor | None, type_: TensorType) -> Tensor:
    return zeros(type_) if tensor is None else tensor


__all__ = ["Results", "scan_gradient"]
