"""The machine code of each tensor against the interpreter, tensor by tensor.

A variant of the graph with every tensor as an output is compiled; then each tensor is judged for the operands
that the JIT itself gave it, so that an error is charged to the op that makes it.

Invariant: the reports stand in graph order, so the first bad one is where an error begins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from graphc.analysis.rounding import rounds
from graphc.backends import backend_named
from graphc.errors import GraphcError
from graphc.inspect.agreement import ULP, Agreement, within_ulps
from graphc.inspect.debug import body_ops
from graphc.inspect.expectation import Expectation
from graphc.inspect.isolate import isolate
from graphc.ir.evaluate import Value, bind_symbols, evaluate, evaluate_tensor
from graphc.ir.graph import Graph, with_inputs
from graphc.ir.location import Location
from graphc.ir.opdef import OPS, Trait
from graphc.ir.tensor import Tensor
from graphc.ir.text import tensor_names
from graphc.ir.types import TensorType

#: What the interpreter's own float64 functions may be off, where they have to stand for the true value.
_INTERPRETER_ULPS = 2
_OPS_WIDTH = 28


@dataclass(frozen=True, slots=True)
class TensorReport:
    """One tensor of the optimised graph.

    Attributes:
        name: as dumps print it.
        op: its op.
        ops: the op and, of a fused tensor, what is in it, shortened to fit a table.
        type: its type as text.
        location: the user's line that made it.
        agreement: the verdict on its machine code, for the operands that the JIT gave it.
        drift: how far it is from the interpreter's run of the whole graph, errors of its operands included.
        inside: for a fused tensor that is wrong, what is known of the ops in it.
    """

    name: str
    op: str
    ops: str
    type: str
    location: Location
    agreement: Agreement
    drift: Agreement
    inside: tuple[str, ...] = ()


def compare_tensors(
    graph: Graph, arrays: Sequence[np.ndarray], values: Mapping[Tensor, np.ndarray]
) -> list[TensorReport]:
    """A report on each tensor that an optimised graph computes, but tuples, whose items have their own.

    Args:
        graph: as the LLVM backend takes it; runs without error on these arrays.
        arrays: one per input.
        values: those of the variables.
    """
    names = tensor_names(graph)
    wanted = [t for t in _computed(graph) if t.op.name != "print"]
    variant = Graph(graph.name, graph.inputs, tuple(wanted), (), graph.constraints)
    isolated = isolate(variant, values)
    interpreted = evaluate(isolated.graph, arrays, isolated.variables)
    compiled = backend_named("llvm").compile(isolated.graph, opt_level=2)(arrays)
    known: dict[Tensor, Value] = {**dict(zip(graph.inputs, arrays)), **values, **dict(zip(wanted, compiled))}
    for tensor in graph.tensors:
        if tensor.op.name == "print":
            known[tensor] = known[tensor.inputs[0]]
    judge = _Judge(graph, arrays, known)
    reports: list[TensorReport] = []
    for tensor, expected, found in zip(wanted, interpreted, compiled):
        drift = within_ulps(np.asarray(expected), found, np.inf)
        agreement = judge.verdict(tensor)
        shown = tensor.inputs[0] if tensor.op.name == "get" else tensor
        inside: tuple[str, ...] = ()
        if not agreement.ok and shown.op.name == "fused" and all(r.agreement.ok for r in reports):
            inside = judge.look_inside(shown)
        reports.append(
            TensorReport(
                name=names[tensor], op=shown.op.name, ops=_ops(shown), type=repr(tensor.type),
                location=tensor.location, agreement=agreement, drift=drift, inside=inside,
            )
        )  # fmt: skip
    return reports


class _Judge:
    """Verdicts on single tensors, for known values of their operands."""

    def __init__(self, graph: Graph, arrays: Sequence[np.ndarray], known: Mapping[Tensor, Value]) -> None:
        self.graph = graph
        self.arrays = arrays
        self.known = known
        self.sizes = bind_symbols(graph.inputs, arrays)

    def verdict(self, tensor: Tensor) -> Agreement:
        """Whether the JIT computed `tensor` rightly from the operands that it had."""
        alone, operands = self._alone(tensor)
        found = np.asarray(self.known[tensor])
        expected = Expectation(alone, operands, sizes=self.sizes)
        if expected.error is not None:
            reason = f"it has a value, the interpreter raises {type(expected.error).__name__}"
            return Agreement(False, np.inf, np.inf, found.size, reason)
        limit = ULP.get(tensor.op.name)
        if limit is None or not rounds(tensor):
            return expected.check([found])[0]
        value = np.asarray(expected.values[0])
        if value.dtype == np.float32:  # the float64 result, rounded, is the true one but for rare halves
            with np.errstate(all="ignore"):
                value = expected.reference[0].astype(np.float32)
        else:
            limit += _INTERPRETER_ULPS
        return within_ulps(value, found, limit)

    def _alone(self, tensor: Tensor) -> tuple[Graph, list[Value]]:
        """A graph of this tensor alone, and the values of its inputs; a `get` comes with its tuple."""
        source = tensor.inputs[0] if tensor.op.name == "get" else tensor
        inside: dict[Tensor, Tensor] = {}
        operands: list[Value] = []
        for operand in dict.fromkeys(source.inputs):
            if operand in self.known:
                inside[operand] = _parameter(operand)
                operands.append(self.known[operand])
            else:  # a constant or a size
                inside[operand] = operand
        result = with_inputs(source, tuple(inside[t] for t in source.inputs))
        if source is not tensor:
            result = with_inputs(tensor, (result,))
        parameters = tuple(t for t in inside.values() if t.op.name == "placeholder")
        return Graph("alone", parameters, (result,)), operands

    def look_inside(self, fused: Tensor) -> tuple[str, ...]:
        """Which op of a cluster is wrong when compiled alone, on the operands that the cluster had."""
        body: Graph = fused.attrs["body"]
        arrays = [*self.arrays, *(self._value(t) for t in fused.inputs)]
        members = _computed(body)
        # The graph's own inputs come first, since the symbolic sizes are read off them.
        variant = Graph("cluster", (*self.graph.inputs, *body.inputs), tuple(members), (), ())
        try:
            found = backend_named("llvm").compile(variant, opt_level=2)(arrays)
        except GraphcError as error:
            return (f"its ops cannot be compiled one by one: {error.message}",)
        inner = _Judge(variant, arrays, dict(zip((*variant.inputs, *members), [*arrays, *found])))
        names = tensor_names(body)
        for member in members:
            agreement = inner.verdict(member)
            if not agreement.ok:
                return (
                    f"inside it, %{names[member]} = {member.op.name} : {member.type!r} is wrong:",
                    f"  {agreement.reason}    # {member.location}",
                )
        return ("each of its ops agrees when compiled alone: the fault is in how they are fused",)

    def _value(self, tensor: Tensor) -> Value:
        if tensor in self.known:
            return self.known[tensor]
        return evaluate_tensor(tensor, [], self.sizes)


def _computed(graph: Graph) -> list[Tensor]:
    """The arrays that a graph computes: all tensors but its inputs, sources and tuples."""
    given = set(graph.inputs)
    return [
        t for t in graph.tensors
        if t not in given and not t.op.has(Trait.SOURCE) and isinstance(t.type, TensorType)
    ]  # fmt: skip


def _ops(tensor: Tensor) -> str:
    if tensor.op.name != "fused":
        return tensor.op.name
    listed = " ".join(body_ops(tensor.attrs["body"]))
    return f"fused({listed if len(listed) <= _OPS_WIDTH else listed[: _OPS_WIDTH - 4] + ' ...'})"


def _parameter(tensor: Tensor) -> Tensor:
    """A placeholder for the value of `tensor`."""
    return Tensor(OPS["placeholder"], (), {}, tensor.type, tensor.location, tensor.hint)
