"""Common subexpressions: what is computed twice from the same operands is computed once.

Invariant: two tensors are merged only if op, operands and attributes are the same to the bit (0.0 and -0.0,
1 and True, float32 and float64 differ), and never if the op has an effect.
"""

from __future__ import annotations

from typing import Any

from graphc.ir.bodies import does
from graphc.ir.graph import Graph, with_inputs
from graphc.ir.opdef import Trait
from graphc.ir.sameness import attributes_key
from graphc.ir.tensor import Tensor
from graphc.passes.slim import slim

#: Their values are not in the graph, so their identity is all there is to compare.
_IDENTITY = frozenset({"placeholder", "variable"})


def cse(graph: Graph) -> Graph:
    """`graph` with equal tensors merged into the first of them."""
    first: dict[Any, Tensor] = {}
    numbers: dict[Tensor, int] = {}

    def merged(tensor: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        result = with_inputs(tensor, inputs)
        numbers.setdefault(result, len(numbers))
        if does(tensor, Trait.EFFECT) or tensor.op.name in _IDENTITY:
            return result
        operands = tuple(numbers[operand] for operand in inputs)
        if tensor.op.has(Trait.COMMUTATIVE):
            operands = tuple(sorted(operands))
        return first.setdefault((tensor.op.name, operands, attributes_key(tensor.attrs), tensor.type), result)

    for source in graph.inputs:
        numbers[source] = len(numbers)
    return slim(graph.rebuild(merged))  # a loop may have had two operands, or outputs, that are one now
