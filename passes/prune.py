"""Only what the outputs and updates need.

A graph holds no dead tensors by construction: it is whatever its roots reach. What is left to remove are
roots that do nothing: updates that store a variable's own value in it, and size constraints that always hold.

Invariant: inputs stay, needed or not, since they are the call's arguments.
"""

from __future__ import annotations

from dataclasses import replace

from graphc.ir.graph import Graph


def prune(graph: Graph) -> Graph:
    """`graph` without updates that change nothing and without constraints that say nothing."""
    return replace(
        graph,
        updates=tuple((variable, value) for variable, value in graph.updates if value is not variable),
        constraints=tuple(c for c in graph.constraints if c.left != c.right),
    )
