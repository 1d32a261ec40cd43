"""A copy of a graph that can run without a trace: variables of its own, and nothing printed.

Invariant: running the copy neither reads nor writes the storage of the original's variables.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from graphc.ir.graph import Graph, with_inputs
from graphc.ir.tensor import Tensor, Variable


@dataclass(frozen=True, slots=True)
class Isolated:
    """An isolated graph.

    Attributes:
        graph: the copy.
        variables: the values that its variables had at the beginning, which no run changes.
    """

    graph: Graph
    variables: Mapping[Tensor, np.ndarray]


def snapshot(variables: Iterable[Tensor]) -> dict[Tensor, np.ndarray]:
    """Copies of the present values of variables, all of one moment."""
    ordered = sorted((v for v in variables if isinstance(v, Variable)), key=id)
    with contextlib.ExitStack() as stack:
        for variable in ordered:
            stack.enter_context(variable.lock)
        return {variable: variable.storage.copy() for variable in ordered}


def isolate(graph: Graph, values: Mapping[Tensor, np.ndarray]) -> Isolated:
    """A copy of `graph` with variables of its own.

    Args:
        graph: what to copy.
        values: those of its variables; from `snapshot`.
    """
    own: dict[Tensor, Tensor] = {}
    for variable in graph.variables:
        storage = values[variable].copy()
        own[variable] = Variable(variable.op, storage, variable.tensor_type, variable.location, variable.hint)

    def rewrite(tensor: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        if tensor in own:
            return own[tensor]
        return inputs[0] if tensor.op.name == "print" else with_inputs(tensor, inputs)

    copy = graph.rebuild(rewrite)
    copy = replace(copy, updates=tuple((own[variable], value) for variable, value in copy.updates))
    return Isolated(copy, {own[variable]: values[variable] for variable in graph.variables})
