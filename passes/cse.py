"""Common subexpressions: what is computed twice from the same operands is computed once.

Invariant: two tensors are merged only if op, operands and attributes are the same to the bit (0.0 and -0.0,
1 and True, float32 and float64 differ), and never if the op has an effect.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from graphc.ir.graph import Graph, with_inputs
from graphc.ir.opdef import Trait
from graphc.ir.tensor import Tensor
from graphc.ir.text import is_graph, print_graph

#: Their values are not in the graph, so their identity is all there is to compare.
_IDENTITY = frozenset({"placeholder", "variable"})


def cse(graph: Graph) -> Graph:
    """`graph` with equal tensors merged into the first of them."""
    first: dict[Any, Tensor] = {}
    numbers: dict[Tensor, int] = {}

    def merged(tensor: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        result = with_inputs(tensor, inputs)
        numbers.setdefault(result, len(numbers))
        if tensor.op.has(Trait.EFFECT) or tensor.op.name in _IDENTITY:
            return result
        operands = tuple(numbers[operand] for operand in inputs)
        if tensor.op.has(Trait.COMMUTATIVE):
            operands = tuple(sorted(operands))
        attributes = tuple((name, _key(value)) for name, value in tensor.attrs.items())
        return first.setdefault((tensor.op.name, operands, attributes, tensor.type), result)

    for source in graph.inputs:
        numbers[source] = len(numbers)
    return graph.rebuild(merged)


def _key(value: Any) -> Any:
    """A hashable value that is equal only for attributes that are the same to the bit."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, tuple):
        return tuple(_key(item) for item in value)
    if isinstance(value, float):
        return "float", struct.pack("<d", value)
    if is_graph(value):
        return "graph", print_graph(value, locations=False)
    return type(value).__name__, value
