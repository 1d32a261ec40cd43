"""Replacing tensors in loose expressions: `givens`, fed intermediates, assignments.

Invariant: what a replacement consists of is taken as it stands; replacements are not applied inside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from graphc.ir import dims
from graphc.ir.build import apply
from graphc.ir.dims import Size
from graphc.ir.graph import map_sizes, topological_order, with_inputs
from graphc.ir.location import inherit
from graphc.ir.tensor import Tensor


def substitute(
    roots: Iterable[Tensor], replacements: Mapping[Tensor, Tensor], sizes: Mapping[str, Size] | None = None
) -> list[Tensor]:
    """The roots, with each tensor that is a key of `replacements` replaced by its value.

    Type rules run again where an operand's type changed.

    Args:
        roots: what to rewrite.
        replacements: what to put in place of what.
        sizes: symbols to replace in attributes, such as the `n` that the mean over `n` rows divides by.

    Raises:
        GraphcError: an op does not take the replaced operand.
    """
    wanted = list(roots)
    new: dict[Tensor, Tensor] = dict(replacements)
    for tensor in topological_order(wanted):
        if tensor in new:
            continue
        inputs = tuple(new[i] for i in tensor.inputs)
        attrs = tensor.attrs
        if sizes and attrs:
            attrs = {k: map_sizes(v, lambda size: dims.substitute(size, sizes)) for k, v in attrs.items()}
        # Only sizes, and tuples that may hold them, were mapped; arrays have no truth value to compare by.
        same = all(
            attrs[key] is value or (isinstance(value, tuple | dims.Dim) and attrs[key] == value)
            for key, value in tensor.attrs.items()
        )
        if same and all(a.type == b.type for a, b in zip(inputs, tensor.inputs)):
            new[tensor] = with_inputs(tensor, inputs)
        else:
            with inherit(tensor.location):
                new[tensor] = apply(tensor.op, *inputs, hint=tensor.hint, **attrs)
    return [new[root] for root in wanted]
