"""Which pass changed the values? The interpreter runs the graph after each pass, on the same arrays.

Invariant: a pass is blamed only for what rounding cannot explain (`inspect.agreement`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.feed import Feeder
from graphc.function import Function
from graphc.inspect.expectation import Expectation
from graphc.inspect.isolate import isolate, snapshot
from graphc.ir.graph import Graph
from graphc.ir.tensor import Tensor
from graphc.passes.manager import Trace


@dataclass(frozen=True, slots=True)
class Bisection:
    """What `gc.bisect_passes` found; print it.

    Attributes:
        guilty: the first pass after which the values change; None if none changes them.
        reason: how they change.
        rules: how often each rule of the guilty pass fired.
    """

    guilty: str | None
    reason: str = ""
    rules: Mapping[str, int] | None = None

    def __str__(self) -> str:
        if self.guilty is None:
            return "no pass changes the values"
        text = f"pass {self.guilty} changes the values: {self.reason}"
        if self.rules:
            fired = ", ".join(f"{rule} {count}" for rule, count in self.rules.items())
            text += f"\n  rules that fired: {fired}"
        return text


def bisect_passes(function: Function, *arrays: Any, **named: Any) -> Bisection:
    """The first pass after which the interpreter gets other values from the graph.

    Args:
        function: compiled for either backend; its passes are looked at as they ran.
        arrays, named: what a call of the function takes.

    Raises:
        FeedError, ShapeError, DTypeError: an argument does not fit its input.

    >>> import graphc as gc
    >>> x = gc.placeholder(("n",), "float32", name="x")
    >>> print(gc.bisect_passes(gc.function([x], x * 1.0 + 0.0, backend="numpy"), [1.0, 2.0]))
    no pass changes the values
    """
    checked = Feeder(function.graph).arrays(arrays, named)
    return bisect_trace(function.trace, checked, snapshot(function.graph.variables))


def bisect_trace(
    trace: Trace, arrays: Sequence[np.ndarray], values: Mapping[Tensor, np.ndarray]
) -> Bisection:
    """The first guilty pass of a trace; `values` are those of the variables."""
    before = _expectation(trace.input, arrays, values)
    graph = trace.input
    for stage in trace.stages:
        if stage.graph is graph:
            continue
        after = _expectation(stage.graph, arrays, values)
        reason = _change(before, after)
        if reason is not None:
            return Bisection(stage.name, reason, dict(stage.fired))
        before, graph = after, stage.graph
    return Bisection(None)


def _expectation(
    graph: Graph, arrays: Sequence[np.ndarray], values: Mapping[Tensor, np.ndarray]
) -> Expectation:
    alone = isolate(graph, values)
    return Expectation(alone.graph, arrays, alone.variables)


def _change(before: Expectation, after: Expectation) -> str | None:
    """How the values differ between two stages; None if rounding explains it."""
    if before.error is not None or after.error is not None:
        if type(before.error) is type(after.error):
            return None
        return f"the graph {_outcome(after)}, it {_outcome(before)} before"
    for position, agreement in enumerate(before.check(after.values, rewritten=True)):
        if not agreement.ok:
            return f"in result {position}, {agreement.reason.replace('the interpreter gives', 'it was')}"
    return None


def _outcome(expectation: Expectation) -> str:
    error = expectation.error
    return "gives values" if error is None else f"raises {type(error).__name__}"


__all__ = ["Bisection", "bisect_passes", "bisect_trace"]
