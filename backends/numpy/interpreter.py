"""The interpreter backend: runs a graph op by op with each op's NumPy evaluation. It defines what is right.

Invariant: outputs own their memory, so they alias neither inputs, nor variables, nor each other; variables
change only after everything is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.ir.evaluate import evaluate
from graphc.ir.graph import Graph
from graphc.ir.opdef import OPS


class InterpretedGraph:
    """A graph and the loop that runs it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    @property
    def artifacts(self) -> Mapping[str, str]:
        """The plan: the graph itself, in the order in which it is run."""
        return {"plan": f"interpreted, {len(self.graph.tensors)} tensors in this order:\n{self.graph}"}

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs for checked arrays; then the updates are stored."""
        values = [np.array(v, order="C", copy=True) for v in evaluate(self.graph, arrays)]
        count = len(self.graph.outputs)
        for (variable, _), value in zip(self.graph.updates, values[count:]):
            variable.storage[...] = value  # type: ignore[attr-defined]
        return values[:count]

    def native_call(self, fallback: Callable[..., Any]) -> None:
        """There is nothing below Python here."""


class Interpreter:
    """Backend "numpy"."""

    name = "numpy"

    @property
    def native(self) -> frozenset[str]:
        """Every op has a NumPy evaluation."""
        return frozenset(OPS)

    def compile(
        self, graph: Graph, container: type | None = list, opt_level: int | None = None
    ) -> InterpretedGraph:
        """Nothing to compile: the graph itself is what runs."""
        return InterpretedGraph(graph)
