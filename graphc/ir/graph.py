"""`Graph`: a closed set of tensors with named inputs, outputs and variable updates.

Invariant: every tensor reachable from the outputs and updates is a constant, a variable, a size, one of
`inputs`, or computed from those. Walks are iterative: depth costs memory, never recursion.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from graphc.ir import dims
from graphc.ir.dims import Size
from graphc.ir.location import Location
from graphc.ir.tensor import Tensor
from graphc.ir.text import print_graph
from graphc.ir.types import TensorType, TupleType


@dataclass(frozen=True, slots=True)
class Constraint:
    """Two sizes that the graph takes to be equal, and where that was needed; checked at each call."""

    left: Size
    right: Size
    reason: str
    location: Location

    def __str__(self) -> str:
        return f"{self.left} == {self.right}"


@dataclass(frozen=True, eq=False)
class Graph:
    """A program: what it takes, what it returns, which variables it changes.

    Attributes:
        name: for printing and messages.
        inputs: placeholders in call order.
        outputs: the results in order.
        updates: pairs of a variable and its new value, applied together after everything is computed.
        constraints: sizes that must be equal at each call.
    """

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    updates: tuple[tuple[Tensor, Tensor], ...] = ()
    constraints: tuple[Constraint, ...] = ()

    @property
    def roots(self) -> tuple[Tensor, ...]:
        """Everything that must be computed: outputs, then the new values of variables."""
        return self.outputs + tuple(value for _, value in self.updates)

    @functools.cached_property
    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors that the roots need and all inputs, operands before users; the same order always."""
        return tuple(topological_order(self.inputs + self.roots))

    @functools.cached_property
    def last_uses(self) -> dict[Tensor, int]:
        """For each operand, the place in `tensors` of the last one that reads it."""
        return {operand: place for place, tensor in enumerate(self.tensors) for operand in tensor.inputs}

    @functools.cached_property
    def kept(self) -> frozenset[Tensor]:
        """What is needed when everything is computed: inputs and roots."""
        return frozenset((*self.inputs, *self.roots))

    @functools.cached_property
    def variables(self) -> tuple[Tensor, ...]:
        """The variables that are read or updated, in order of first use."""
        found = dict.fromkeys(t for t in self.tensors if t.op.name == "variable")
        found.update(dict.fromkeys(variable for variable, _ in self.updates))
        return tuple(found)

    @functools.cached_property
    def symbols(self) -> tuple[str, ...]:
        """The names of the symbolic sizes that inputs bring, in order of first use."""
        names: dict[str, None] = {}
        for tensor in self.inputs:
            for size in tensor.shape:
                names.update(dict.fromkeys(dims.symbols_of(size)))
        return tuple(names)

    def with_roots(self, roots: Iterable[Tensor]) -> Graph:
        """The same graph with other roots, in the order of `roots`."""
        fresh = tuple(roots)
        count = len(self.outputs)
        updates = tuple((variable, value) for (variable, _), value in zip(self.updates, fresh[count:]))
        return replace(self, outputs=fresh[:count], updates=updates)

    def rebuild(self, rewrite: Callable[[Tensor, tuple[Tensor, ...]], Tensor]) -> Graph:
        """Walk the tensors in order and replace each by `rewrite(tensor, new inputs)`.

        Inputs of the graph stay what they are. `with_inputs` is the rewrite that changes nothing.
        """
        new: dict[Tensor, Tensor] = {}
        keep = set(self.inputs)
        for tensor in self.tensors:
            new[tensor] = tensor if tensor in keep else rewrite(tensor, tuple(new[i] for i in tensor.inputs))
        return self.with_roots(new[root] for root in self.roots)

    def text(self, *, locations: bool = True) -> str:
        """The textual IR of the graph, which `parse` reads back.

        Args:
            locations: whether lines end with the user's source line.
        """
        return print_graph(self, locations=locations)

    def __str__(self) -> str:
        return self.text()


def with_inputs(tensor: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
    """`tensor` with other operands of the same types; itself where nothing changes."""
    if tensor.inputs == inputs:  # tensors compare by identity
        return tensor
    return Tensor(tensor.op, inputs, tensor.attrs, tensor.type, tensor.location, tensor.hint)


def topological_order(roots: Iterable[Tensor], known: Iterable[Tensor] = ()) -> Iterator[Tensor]:
    """The tensors that `roots` reach, each once, operands first: depth first, in operand order.

    The walk neither yields nor enters those that are `known`.
    """
    done: set[Tensor] = set(known)
    for root in roots:
        if root in done:
            continue
        stack: list[tuple[Tensor, Iterator[Tensor]]] = [(root, iter(root.inputs))]
        on_stack = {root}
        while stack:
            tensor, rest = stack[-1]
            for operand in rest:
                if operand not in done and operand not in on_stack:
                    stack.append((operand, iter(operand.inputs)))
                    on_stack.add(operand)
                    break
            else:
                stack.pop()
                on_stack.discard(tensor)
                done.add(tensor)
                yield tensor


def sizes_of(tensor: Tensor) -> Iterator[Size]:
    """The symbolic sizes in a tensor's type and attributes, each maybe more than once."""
    items = tensor.type.items if isinstance(tensor.type, TupleType) else (tensor.type,)
    for item in items:
        yield from (s for s in item.shape if isinstance(s, dims.Dim))
    for value in tensor.attrs.values():
        yield from _sizes_in(value)


def _sizes_in(value: Any) -> Iterator[Size]:
    if isinstance(value, dims.Dim):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _sizes_in(item)


def map_sizes(value: Any, function: Callable[[Size], Size]) -> Any:
    """An attribute's value, or a type, with `function` applied to each symbolic size in it."""
    if isinstance(value, dims.Dim):
        return function(value)
    if isinstance(value, tuple):
        return tuple(map_sizes(v, function) for v in value)
    if isinstance(value, TensorType):
        return TensorType(value.dtype, map_sizes(value.shape, function))
    if isinstance(value, TupleType):
        return TupleType(map_sizes(value.items, function))
    return value
