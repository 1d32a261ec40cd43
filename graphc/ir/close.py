"""Closing a graph: from loose tensors to a `Graph` that can run, or an error that says what is missing.

Invariant: a closed graph needs nothing but its inputs and its variables' storage, its symbolic sizes can all be
read off the inputs' shapes, and `constraints` lists every equality of sizes that its tensors rely on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from graphc.errors import GraphError
from graphc.ir import dims
from graphc.ir.bodies import tensors_within
from graphc.ir.collector import holding
from graphc.ir.graph import Graph, sizes_of
from graphc.ir.tensor import Tensor, describe
from graphc.ir.verify import constraints_of


@holding
def close(
    name: str,
    inputs: Iterable[Tensor],
    outputs: Iterable[Tensor],
    updates: Iterable[tuple[Tensor, Tensor]] = (),
) -> Graph:
    """The graph of these inputs, outputs and updates, with its constraints collected.

    Raises:
        GraphError: a placeholder is needed but not among the inputs, an input is listed twice, a symbolic
            size is bound by no input, or two inputs share a name.
    """
    graph = Graph(name, tuple(inputs), tuple(outputs), tuple(updates))
    given = set(graph.inputs)
    if len(given) != len(graph.inputs):
        double = next(t for t in graph.inputs if graph.inputs.count(t) > 1)
        raise GraphError(f"input {describe(double)} is listed twice", location=double.location)
    names = Counter(t.hint for t in graph.inputs)
    for t in graph.inputs:
        if t.hint and names[t.hint] > 1:
            raise GraphError(f"two inputs are named {t.hint!r}", location=t.location)
    for tensor in graph.tensors:
        if tensor.op.name == "placeholder" and tensor not in given:
            raise GraphError(
                f"placeholder {describe(tensor)} ({tensor.type!r}) is needed but is not among the inputs",
                location=tensor.location,
                hint=f"add {tensor.hint or 'it'} to the inputs, or feed it",
            )
    check_symbols(graph)
    return replace(graph, constraints=tuple(constraints_of(graph)))


def check_symbols(graph: Graph) -> None:
    """Check that every symbol in use is a bare extent of some input, so that a call can read its value off.

    Raises:
        GraphError: one is not.
    """
    bound = {dims.bare_symbol(s) for t in graph.inputs for s in t.shape}
    for tensor in tensors_within(graph):
        for size in sizes_of(tensor):
            for name in dims.symbols_of(size):
                if name not in bound:
                    raise GraphError(
                        f"the size {name!r} in {tensor.type!r} is bound by no input of the graph",
                        location=tensor.location,
                        hint=f"an input needs {name!r} as one of its extents",
                    )
