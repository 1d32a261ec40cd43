"""The interpreter backend: runs a graph op by op with each op's NumPy evaluation. It defines what is right.

Invariant: outputs own their memory, so they alias neither inputs, nor variables, nor each other; variables
change only after everything is computed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.analysis.cost import number_of_bytes
from graphc.analysis.layouts import Layout
from graphc.backends.base import StepTime
from graphc.ir.evaluate import evaluate, evaluate_tensor
from graphc.ir.graph import Graph
from graphc.ir.opdef import OPS, Trait
from graphc.ir.tensor import Tensor


class InterpretedGraph:
    """A graph and the loop that runs it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    @property
    def artifacts(self) -> Mapping[str, str]:
        """The plan: the graph itself, in the order in which it is run."""
        return {"plan": f"interpreted, {len(self.graph.tensors)} tensors in this order:\n{self.graph}"}

    def __call__(
        self, arrays: Sequence[np.ndarray], out: Sequence[np.ndarray | None] | None = None
    ) -> list[np.ndarray]:
        """The outputs for checked arrays; then the updates are stored."""
        outputs = self._finished(evaluate(self.graph, arrays))
        for number, place in enumerate(out or ()):
            if place is not None:
                place[...] = outputs[number]
                outputs[number] = place
        return outputs

    def timed(self, arrays: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[StepTime]]:
        """A call with a clock around each tensor."""
        times: list[StepTime] = []
        began = time.perf_counter()

        def each(tensor: Tensor, operands: Sequence[Any], sizes: Mapping[str, int]) -> Any:
            start = time.perf_counter()
            value = evaluate_tensor(tensor, operands, sizes)
            end = time.perf_counter()
            times.append(StepTime(tensor, "host", start - began, end - start))
            return value

        return self._finished(evaluate(self.graph, arrays, each=each)), times

    def arena_bytes(self, sizes: Mapping[str, int]) -> int:
        """The peak of what is computed and still needed."""
        live = peak = 0
        held: dict[Tensor, int] = {}
        last_uses, kept = self.graph.last_uses, self.graph.kept
        for place, tensor in enumerate(self.graph.tensors):
            if not tensor.op.has(Trait.SOURCE):
                held[tensor] = number_of_bytes(tensor, sizes)
                live += held[tensor]
            peak = max(peak, live)
            for operand in set(tensor.inputs):
                if last_uses[operand] == place and operand not in kept:
                    live -= held.pop(operand, 0)
        return peak

    def _finished(self, roots: Sequence[Any]) -> list[np.ndarray]:
        values = [np.array(v, order="C", copy=True) for v in roots]
        count = len(self.graph.outputs)
        for (variable, _), value in zip(self.graph.updates, values[count:]):
            variable.storage[...] = value  # type: ignore[attr-defined]
        return values[:count]

    def native_call(self, fallback: Callable[..., Any]) -> None:
        """There is nothing below Python here."""


class Interpreter:
    """Backend "numpy"."""

    name = "numpy"
    copies_fast = False

    @property
    def native(self) -> frozenset[str]:
        """Every op has a NumPy evaluation."""
        return frozenset(OPS)

    def reading(self, graph: Graph, layouts: Mapping[int, Layout]) -> None:
        """NumPy's copy is as good."""

    def compile(
        self, graph: Graph, container: type | None = list, opt_level: int | None = None
    ) -> InterpretedGraph:
        """Nothing to compile: the graph itself is what runs."""
        return InterpretedGraph(graph)
