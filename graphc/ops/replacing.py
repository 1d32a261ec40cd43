"""`gc.substitute`: an expression with other tensors in place of some of its own.

Invariant: sizes that only the replaced tensors brought follow their replacements, in types and in attributes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphc.errors import ArgumentError
from graphc.ir import dims
from graphc.ir.dims import Size
from graphc.ir.graph import topological_order
from graphc.ir.location import here
from graphc.ir.substitute import substitute as substitute_tensors
from graphc.ir.tensor import Tensor, describe


def substitute(outputs: Sequence[Tensor], replacements: Mapping[Tensor, Tensor]) -> list[Tensor]:
    """The same expressions with some tensors replaced, as Theano's `clone(output, replace=...)`.

    What does not depend on a replaced tensor is kept as it is. A replacement may have another shape where the ops
    allow that: a symbolic size that a replaced placeholder brought becomes the size that stands in its place.

    Args:
        outputs: the expressions.
        replacements: what to put in place of what; taken as it stands, not replaced in turn.

    Raises:
        ArgumentError: an argument is not made of tensors, or a replacement has another dtype.
        ShapeError, DTypeError: an op does not take the replaced operand.

    >>> import graphc as gc
    >>> x = gc.placeholder(("n",), "float64", name="x")
    >>> w = gc.variable(2.0, name="w")
    >>> (again,) = gc.substitute([gc.sum(x) * w], {x: gc.constant([1.0, 2.0]), w: gc.constant(10.0)})
    >>> gc.function([], again, backend="numpy")()
    array(30.)
    """
    if isinstance(outputs, Tensor) or not all(isinstance(t, Tensor) for t in outputs):
        raise ArgumentError("substitute: outputs must be a list of tensors", location=here())
    if not all(isinstance(t, Tensor) for pair in replacements.items() for t in pair):
        raise ArgumentError("substitute: replacements must be a dict from tensor to tensor", location=here())
    for old, new in replacements.items():
        if old.dtype != new.dtype:
            raise ArgumentError(
                f"substitute: {describe(old)} is {old.type!r}, its replacement {new.type!r}",
                location=here(), hint=f"cast it: .astype({old.dtype.name!r})",
            )  # fmt: skip
    return substitute_tensors(outputs, replacements, _new_sizes(outputs, replacements))


def _new_sizes(outputs: Sequence[Tensor], replacements: Mapping[Tensor, Tensor]) -> dict[str, Size]:
    """What becomes of the symbols that no remaining placeholder brings: the extents of the replacements."""
    different = [(old, new) for old, new in replacements.items() if old.shape != new.shape and old.ndim == new.ndim]
    if not different:
        return {}
    remaining = (t for t in topological_order(outputs, known=replacements) if t.op.name == "placeholder")
    brought = {dims.bare_symbol(size) for t in remaining for size in t.shape}
    sizes: dict[str, Size] = {}
    for old, new in different:
        for size, extent in zip(old.shape, new.shape):
            name = dims.bare_symbol(size)
            if name is not None and name not in brought:
                sizes.setdefault(name, extent)
    return sizes


__all__ = ["substitute"]
