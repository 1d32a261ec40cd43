"""The same graph with other sizes: in types, attributes, bodies and constraints.

Invariant: nothing but sizes changes; what has none is shared with the old graph.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

from graphc.ir import dims
from graphc.ir.dims import Size
from graphc.ir.graph import Graph, map_sizes, sizes_of, with_inputs
from graphc.ir.opdef import Trait
from graphc.ir.tensor import Tensor
from graphc.ir.text import is_graph
from graphc.ir.types import Type


def resized(graph: Graph, resize: Callable[[Size], Size]) -> Graph:
    """`graph` with each symbolic size replaced by what `resize` makes of it. Tensors that bodies share stay shared.

    >>> import graphc as gc
    >>> graph = gc.parse('''
    ... graph @f(%x: f32[n]) {
    ...   %0 = broadcast_to %x {shape=(2*n, n)} : f32[2*n,n]
    ...   return %0
    ... }''')
    >>> resized(graph, lambda size: dims.substitute(size, {"n": 3})).outputs[0].type
    f32[6,3]
    """
    return _Resizing(resize).graph(graph)


class _Resizing:
    def __init__(self, resize: Callable[[Size], Size]) -> None:
        self.size = functools.cache(resize)
        self.type: Callable[[Type], Type] = functools.cache(lambda type_: map_sizes(type_, self.size))
        self.new: dict[Tensor, Tensor] = {}

    def graph(self, graph: Graph) -> Graph:
        new = self.new
        for tensor in graph.tensors:
            if tensor not in new:
                new[tensor] = self.tensor(tensor)
        constraints = (
            replace(c, left=self.size(c.left), right=self.size(c.right))
            for c in graph.constraints
            if self.size(c.left) != self.size(c.right)
        )
        kept = graph.with_roots(new[root] for root in graph.roots)
        return replace(kept, inputs=tuple(new[t] for t in graph.inputs), constraints=tuple(constraints))

    def tensor(self, tensor: Tensor) -> Tensor:
        inputs = tuple(self.new[operand] for operand in tensor.inputs)
        if not any(isinstance(size, dims.Dim) for size in sizes_of(tensor)) and not tensor.op.has(Trait.BODY):
            return with_inputs(tensor, inputs)
        attrs = {
            name: self.graph(value) if is_graph(value) else map_sizes(value, self.size)
            for name, value in tensor.attrs.items()
        }
        return Tensor(tensor.op, inputs, attrs, self.type(tensor.type), tensor.location, tensor.hint)
