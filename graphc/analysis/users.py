"""Who uses a tensor: one sweep, since tensors themselves keep no such list.

Invariant: lists are in graph order; a user that takes a tensor twice is listed once.
"""

from __future__ import annotations

from graphc.ir.graph import Graph
from graphc.ir.tensor import Tensor


def users(graph: Graph) -> dict[Tensor, list[Tensor]]:
    """For each tensor of `graph`, the tensors that take it as an operand."""
    found: dict[Tensor, list[Tensor]] = {t: [] for t in graph.tensors}
    for tensor in graph.tensors:
        for operand in dict.fromkeys(tensor.inputs):
            found[operand].append(tensor)
    return found
