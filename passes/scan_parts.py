"""A scan taken apart, changed, and put together again; for the passes that move work out of loops.

Invariant: results keep their numbers: states are never added or removed, and new outputs come last.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.ir.build import apply
from graphc.ir.graph import Graph, topological_order
from graphc.ir.location import inherit
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor
from graphc.ops.lifting import parameter
from graphc.ops.residuals import rebuilt


@dataclass(eq=False)
class ScanParts:
    """A scan's operands with the parameters of its body, by role, and the results of the body.

    Attributes:
        tensor: the scan as it was.
        rows: the sequences: parameter -> operand.
        states: parameter -> first state.
        outside: the invariants: parameter -> operand.
        new: the new states, in order.
        outputs: what is stacked, in order.
    """

    tensor: Tensor
    rows: dict[Tensor, Tensor]
    states: dict[Tensor, Tensor]
    outside: dict[Tensor, Tensor]
    new: list[Tensor]
    outputs: list[Tensor]

    @classmethod
    def of(cls, tensor: Tensor, operands: tuple[Tensor, ...]) -> ScanParts:
        """The parts of a scan with these operands."""
        body: Graph = tensor.attrs["body"]
        first, second = tensor.attrs["sequences"], tensor.attrs["sequences"] + tensor.attrs["states"]
        pairs = list(zip(body.inputs, operands))
        states = tensor.attrs["states"]
        return cls(
            tensor, dict(pairs[:first]), dict(pairs[first:second]), dict(pairs[second:]),
            list(body.outputs[:states]), list(body.outputs[states:]),
        )  # fmt: skip

    def tensors(self) -> list[Tensor]:
        """The body's tensors, operands first."""
        return list(topological_order([*self.rows, *self.states, *self.outside, *self.new, *self.outputs]))

    def parameter_for(self, tensor: Tensor, operand: Tensor, role: dict[Tensor, Tensor]) -> Tensor:
        """A new parameter that stands in for a tensor of the body; `operand` brings its values."""
        fresh = parameter(tensor.type, tensor.location, tensor.hint)
        role[fresh] = operand
        return fresh

    def row_for(self, operand: Tensor) -> Tensor:
        """A new parameter for the rows of a further sequence."""
        type_ = operand.tensor_type
        fresh = parameter(type_.with_shape(type_.shape[1:]), operand.location, operand.hint)
        self.rows[fresh] = operand
        return fresh

    def replace(self, replacements: dict[Tensor, Tensor]) -> None:
        """Put other tensors in place of some of the body's."""
        known = {t: t for t in (*self.rows, *self.states, *self.outside)} | replacements
        found: list[Tensor] = rebuilt([*self.new, *self.outputs], known)  # type: ignore[assignment]
        self.new, self.outputs = found[: len(self.new)], found[len(self.new) :]

    def stacked(self, tensor: Tensor) -> int | Tensor:
        """Where the stack of a tensor of the body is: an operand, or else the number of a result."""
        if tensor in self.rows:
            return self.rows[tensor]
        if tensor not in self.outputs:
            self.outputs.append(tensor)
        return len(self.new) + self.outputs.index(tensor)

    def scan(self) -> Tensor:
        """The scan as it is now."""
        old = self.tensor
        body = Graph(old.attrs["body"].name, (*self.rows, *self.states, *self.outside), (*self.new, *self.outputs))
        with inherit(old.location):
            return apply(
                OPS["scan"], *self.rows.values(), *self.states.values(), *self.outside.values(),
                hint=old.hint,
                **{**old.attrs, "sequences": len(self.rows), "states": len(self.states), "body": body},
            )  # fmt: skip


def varying(parts: ScanParts, roots: dict[Tensor, Tensor]) -> set[Tensor]:
    """The body's tensors that depend on some of its parameters, these included."""
    found = set(roots)
    for tensor in parts.tensors():
        if any(operand in found for operand in tensor.inputs):
            found.add(tensor)
    return found
