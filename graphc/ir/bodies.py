"""Ops with body graphs (`scan`, `while_loop`, `cond`, `fused`), seen from outside: which bodies, what is in them.

Invariant: bodies nest as deep as the user wrote them, which is not deep, so this is the one place where the IR
is walked by recursion; within a body, walks are iterative as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from graphc.ir.opdef import Trait
from graphc.ir.text import is_graph

if TYPE_CHECKING:
    from graphc.ir.graph import Graph
    from graphc.ir.tensor import Tensor


def bodies_of(tensor: Tensor) -> dict[str, Graph]:
    """The body graphs of a tensor by attribute name; none for most ops."""
    if not tensor.op.has(Trait.BODY):
        return {}
    return {name: value for name, value in tensor.attrs.items() if is_graph(value)}


def with_bodies(tensor: Tensor, function: Callable[[Graph], Graph]) -> Tensor:
    """The tensor with `function` applied to each of its bodies; itself where that changes none.

    `function` must keep the types of the body's inputs and outputs.
    """
    bodies = bodies_of(tensor)
    changed = {name: new for name, body in bodies.items() if (new := function(body)) is not body}
    if not changed:
        return tensor
    attrs = {**tensor.attrs, **changed}
    return type(tensor)(tensor.op, tensor.inputs, attrs, tensor.type, tensor.location, tensor.hint)


def tensors_within(graph: Graph) -> Iterator[Tensor]:
    """The tensors of a graph and of all bodies in it; a body's before the tensor that has it."""
    for tensor in graph.tensors:
        for body in bodies_of(tensor).values():
            yield from tensors_within(body)
        yield tensor


def does(tensor: Tensor, trait: Trait) -> bool:
    """Whether the tensor's op has a trait, or one in a body of it: a loop whose body prints has an effect.

    >>> import graphc as gc
    >>> r = gc.scan(lambda h: gc.print(h + 1.0), init=[gc.constant(0.0)], length=3)
    >>> does(r.last[0].inputs[0], Trait.EFFECT), does(r.last[0], Trait.EFFECT)
    (True, False)
    """
    if tensor.op.has(trait):
        return True
    return any(does(inner, trait) for body in bodies_of(tensor).values() for inner in body.tensors)
