"""Graphs for networkx: export, critical path, and whatever else its algorithms answer.

networkx is too slow to be the IR (about 10 us and 1 kB a tensor), so it gets a copy.

Invariant: nodes are the names that `dump` prints, every attribute is a string, number or bool, so that each
writer of networkx takes the result; edges run from operand to user, one for each use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from graphc.analysis.cost import Cost, costs
from graphc.errors import ArgumentError
from graphc.ir.graph import Graph
from graphc.ir.tensor import Tensor
from graphc.ir.text import tensor_names

if TYPE_CHECKING:
    import networkx

Weight = Literal["seconds", "flops", "bytes", "tensors"]


def to_networkx(graph: Graph, sizes: Mapping[str, int] | None = None) -> networkx.MultiDiGraph:
    """The graph as a `networkx.MultiDiGraph`.

    Nodes have the attributes `op`, `type`, `location`, `hint` (the user's name or ""), `input` and `output`
    (bools) and `updates` (the name of the variable whose new value it is, or ""); a fused tensor also `ops`.
    The key and the attribute `operand` of an edge are the operand's position; `name` is its name in the op.

    Args:
        graph: that of a function, or one from `gc.parse`.
        sizes: values of the symbolic sizes; with them, nodes also have `flops`, `bytes` and `seconds`.

    Raises:
        ArgumentError: `sizes` is given, but lacks one.

    >>> import graphc as gc
    >>> x = gc.placeholder((3,), name="x")
    >>> exported = gc.to_networkx(gc.function([x], x * x).graph)
    >>> list(exported.edges(keys=True)), exported.nodes["x"]["type"]
    ([('x', '0', 0), ('x', '0', 1)], 'f32[3]')
    """
    import networkx

    names = tensor_names(graph)
    for variable, _ in graph.updates:  # one that is written and never read
        names.setdefault(variable, variable.hint or "variable")
    counted = costs(graph, sizes) if sizes is not None else {}
    inputs, outputs = set(graph.inputs), set(graph.outputs)
    updates = {value: names[variable] for variable, value in graph.updates}
    exported = networkx.MultiDiGraph(name=graph.name)
    for tensor in graph.tensors:
        exported.add_node(
            names[tensor],
            op=tensor.op.name,
            type=repr(tensor.type),
            location=str(tensor.location),
            hint=tensor.hint or "",
            input=tensor in inputs,
            output=tensor in outputs,
            updates=updates.get(tensor, ""),
            **_ops(tensor),
            **_cost(counted.get(tensor)),
        )
        for position, operand in enumerate(tensor.inputs):
            exported.add_edge(
                names[operand], names[tensor], key=position,
                operand=position, name=tensor.op.operand_name(position),
            )  # fmt: skip
    return exported


def _ops(tensor: Tensor) -> dict[str, str]:
    if tensor.op.name != "fused":
        return {}
    body: Graph = tensor.attrs["body"]
    given = set(body.inputs)
    return {"ops": " ".join(t.op.name for t in body.tensors if t not in given)}


def _cost(cost: Cost | None) -> dict[str, Any]:
    return {} if cost is None else {"flops": cost.flops, "bytes": cost.bytes, "seconds": cost.seconds}


@dataclass(frozen=True, slots=True)
class CriticalPath:
    """The chain of tensors that takes longest; no number of threads makes a call shorter than this.

    Attributes:
        tensors: from a source to a result.
        length: the sum of their weights.
        total: the sum of the weights of all tensors of the graph.
    """

    tensors: tuple[Tensor, ...]
    length: float
    total: float

    @property
    def parallelism(self) -> float:
        """How many times faster the graph could be with no end of threads, tensor by tensor."""
        return self.total / self.length if self.length else 1.0


def critical_path(
    graph: Graph, sizes: Mapping[str, int] | None = None, weight: Weight = "seconds"
) -> CriticalPath:
    """The heaviest path through `graph`.

    Args:
        graph: before or after the passes.
        sizes: a value for each symbolic size.
        weight: what to add up: "seconds" (a roofline estimate), "flops", "bytes", or "tensors", which counts.

    Raises:
        ArgumentError: an unknown weight, or a size without a value.

    >>> import graphc as gc
    >>> x = gc.placeholder((3,), name="x")
    >>> path = critical_path(gc.function([x], gc.exp(x) * x).graph, weight="tensors")
    >>> [t.op.name for t in path.tensors], path.length
    (['placeholder', 'exp', 'multiply'], 3.0)
    """
    import networkx

    if weight not in ("seconds", "flops", "bytes", "tensors"):
        raise ArgumentError(f"critical_path: weight {weight!r} is none of seconds, flops, bytes, tensors")
    if weight == "tensors":
        weights = dict.fromkeys(graph.tensors, 1.0)
    else:
        weights = {tensor: float(getattr(cost, weight)) for tensor, cost in costs(graph, sizes).items()}
    # A node's weight stands on the edges into it; a common start gives the sources theirs.
    start = object()
    dag = networkx.DiGraph()
    dag.add_node(start)
    for tensor in graph.tensors:
        for operand in tensor.inputs or (start,):
            dag.add_edge(operand, tensor, weight=weights[tensor])
    path = networkx.dag_longest_path(dag)[1:]
    return CriticalPath(tuple(path), sum(weights[t] for t in path), sum(weights.values()))


__all__ = ["CriticalPath", "critical_path", "to_networkx"]
