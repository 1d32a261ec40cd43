"""Replacing tensors in loose expressions: `givens`, fed intermediates, assignments.

Invariant: what a replacement consists of is taken as it stands; replacements are not applied inside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from graphc.ir.build import apply
from graphc.ir.graph import topological_order, with_inputs
from graphc.ir.location import inherit
from graphc.ir.tensor import Tensor


def substitute(roots: Iterable[Tensor], replacements: Mapping[Tensor, Tensor]) -> list[Tensor]:
    """The roots, with each tensor that is a key of `replacements` replaced by its value.

    Type rules run again where an operand's type changed.

    Raises:
        GraphcError: an op does not take the replaced operand.
    """
    wanted = list(roots)
    new: dict[Tensor, Tensor] = dict(replacements)
    for tensor in topological_order(wanted):
        if tensor in new:
            continue
        inputs = tuple(new[i] for i in tensor.inputs)
        if all(a.type == b.type for a, b in zip(inputs, tensor.inputs)):
            new[tensor] = with_inputs(tensor, inputs)
        else:
            with inherit(tensor.location):
                new[tensor] = apply(tensor.op, *inputs, hint=tensor.hint, **tensor.attrs)
    return [new[root] for root in wanted]
