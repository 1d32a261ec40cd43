"""Running a pass inside bodies: what is good for a graph is good for the body of a loop.

Invariant: bodies of `fused` are left alone; they are made by the last pass, and are what a backend compiles.
"""

from __future__ import annotations

from collections.abc import Callable

from graphc.ir.bodies import bodies_of, with_bodies
from graphc.ir.graph import Graph, with_inputs
from graphc.ir.tensor import Tensor


def has_bodies(tensor: Tensor) -> bool:
    """Whether the tensor is a loop or a branch, whose bodies passes enter."""
    return tensor.op.name != "fused" and bool(bodies_of(tensor))


def within(graph: Graph, function: Callable[[Graph], Graph]) -> Graph:
    """`graph` with `function` applied to all bodies in it, the innermost first, and then to itself."""
    if not any(map(has_bodies, graph.tensors)):
        return function(graph)

    def rewritten(tensor: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        same = with_inputs(tensor, inputs)
        return with_bodies(same, lambda body: within(body, function)) if has_bodies(same) else same

    return function(graph.rebuild(rewritten))
