"""Only what the outputs and updates need.

A graph holds no dead tensors by construction: it is whatever its roots reach. What is left to remove are
roots that do nothing: updates that store a variable's own value in it, and size constraints that always hold;
and what loops and branches compute for nobody (`slim.py`).

Invariant: inputs stay, needed or not, since they are the call's arguments.
"""

from __future__ import annotations

from dataclasses import replace

from graphc.ir.graph import Graph
from graphc.passes.slim import slim


def prune(graph: Graph) -> Graph:
    """`graph` without updates that change nothing, constraints that say nothing, and results that nobody reads."""
    needed = slim(graph)
    return replace(
        needed,
        updates=tuple((variable, value) for variable, value in needed.updates if value is not variable),
        constraints=tuple(c for c in graph.constraints if c.left != c.right),
    )
