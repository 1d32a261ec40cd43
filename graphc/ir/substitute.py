"""Replacing tensors in loose expressions: `givens`, fed intermediates, assignments.

Invariant: what a replacement consists of is taken as it stands; replacements are not applied inside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from graphc.ir import dims
from graphc.ir.build import apply
from graphc.ir.dims import Size
from graphc.ir.graph import map_sizes, topological_order, with_inputs
from graphc.ir.location import inherit
from graphc.ir.opdef import Attrs, Trait
from graphc.ir.recording import record
from graphc.ir.resize import resized
from graphc.ir.tensor import Tensor
from graphc.ir.text import is_graph
from graphc.ir.types import TensorType


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
    for tensor in topological_order(wanted, known=new):
        inputs = tuple(new[i] for i in tensor.inputs)
        attrs = tensor.attrs
        if tensor.op.has(Trait.BODY):
            attrs = _resized_bodies(tensor, inputs, sizes or {})
        elif sizes and attrs:
            attrs = {k: map_sizes(v, lambda size: dims.substitute(size, sizes)) for k, v in attrs.items()}
        # Only sizes, and tuples that may hold them, were mapped; arrays have no truth value to compare by.
        same = all(
            attrs[key] is value or (isinstance(value, tuple | dims.Dim) and attrs[key] == value)
            for key, value in tensor.attrs.items()
        )
        if same and all(a.type == b.type for a, b in zip(inputs, tensor.inputs)):
            made = with_inputs(tensor, inputs)
            new[tensor] = made if made is tensor else record(made)  # a loop's body may hold it
        else:
            with inherit(tensor.location):
                new[tensor] = apply(tensor.op, *inputs, hint=tensor.hint, **attrs)
    return [new[root] for root in wanted]


def _resized_bodies(tensor: Tensor, inputs: Sequence[Tensor], sizes: Mapping[str, Size]) -> Attrs:
    """The attributes of an op with bodies, with the sizes that its operands have now."""
    changed: dict[Size, Size] = {}
    for old, new in zip(tensor.inputs, inputs):
        if isinstance(old.type, TensorType) and isinstance(new.type, TensorType):
            changed.update((a, b) for a, b in zip(old.shape, new.shape) if a != b)
    symbols = {**sizes, **{name: new for old, new in changed.items() if (name := dims.bare_symbol(old)) is not None}}
    if not symbols and not changed:
        return tensor.attrs

    def resize(size: Size) -> Size:
        return changed[size] if size in changed else dims.substitute(size, symbols)

    return {
        name: resized(value, resize) if is_graph(value) else map_sizes(value, resize)
        for name, value in tensor.attrs.items()
    }
