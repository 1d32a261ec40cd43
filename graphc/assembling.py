"""From what a user gives to `gc.function` to one closed graph: inputs, outputs, updates, givens.

Invariant: nothing is compiled or run here, and the user's tensors stay as they are: a given replaces in a copy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from graphc.errors import ArgumentError, DTypeError, GraphError, ShapeError
from graphc.ir import dims
from graphc.ir.build import stored_value
from graphc.ir.close import close
from graphc.ir.dims import Size
from graphc.ir.graph import Graph
from graphc.ir.location import here
from graphc.ir.opdef import FUNCTIONS, OPS
from graphc.ir.substitute import substitute
from graphc.ir.tensor import Tensor, Variable, describe
from graphc.ops.assignment import lift_assignments
from graphc.structure import Structure, flatten, unflatten

Updates = Mapping[Variable, Any] | Mapping[Tensor, Any] | Sequence[tuple[Tensor, Any]]


def build_graph(
    inputs: Sequence[Tensor],
    outputs: Structure,
    updates: Updates | None = None,
    givens: Mapping[Tensor, Any] | None = None,
    name: str = "f",
) -> tuple[Graph, Structure]:
    """The closed graph of a function, and the structure of its outputs; see `function`."""
    if isinstance(inputs, Tensor) or not all(isinstance(t, Tensor) for t in inputs):
        raise ArgumentError("function: inputs must be a list of tensors", location=here())
    leaves = flatten(outputs)
    structure = unflatten(outputs, leaves)  # the caller may go on to change his list
    stored = [(v, _new_value(v, value)) for v, value in _pairs("updates", updates)]
    replaced = {t: _given(t, value) for t, value in _pairs("givens", givens)}
    for i, tensor in enumerate(inputs):
        if tensor in inputs[:i]:
            raise GraphError(f"function: input {describe(tensor)} is listed twice", location=here())
        if tensor in replaced:
            raise GraphError(f"function: {describe(tensor)} is both an input and a given", location=here())
    fed = _fed_placeholders(inputs)
    replaced |= {t: given for t, given in zip(inputs, fed) if t is not given}
    roots = [*leaves, *(value for _, value in stored)]
    roots = substitute(roots, replaced, _new_sizes(replaced, fed)) if replaced else roots
    roots, assigned = lift_assignments(roots)
    new_values = [(v, _fitted(v, value)) for (v, _), value in zip(stored, roots[len(leaves) :])] + assigned
    for variable, times in Counter(v for v, _ in new_values).items():
        if times > 1:
            raise GraphError(f"function: {describe(variable)} is updated twice", location=here())
    return close(name, fed, roots[: len(leaves)], new_values), structure


def _pairs(argument: str, given: Any) -> list[tuple[Tensor, Any]]:
    """The entries of a mapping, or of a sequence of pairs, with tensors for keys."""
    pairs = given.items() if isinstance(given, Mapping) else given or ()
    try:
        listed = [(tensor, value) for tensor, value in pairs]
    except (TypeError, ValueError):
        listed = [(None, None)]
    if not all(isinstance(tensor, Tensor) for tensor, _ in listed):
        raise ArgumentError(f"function: {argument} must be a dict with tensors for keys", location=here())
    return listed


def _fed_placeholders(inputs: Sequence[Tensor]) -> list[Tensor]:
    """A placeholder for each input: any tensor may be fed, a placeholder is so itself.

    A fed tensor's extent such as `2*n` becomes a symbol of its own where no input brings `n`: its value is
    then read off the fed array, and the ops that use the tensor infer their types anew.
    """
    brought = {dims.bare_symbol(size) for t in inputs for size in t.shape}
    fresh: dict[Size, Size] = {}

    def extent(size: Size) -> Size:
        if brought.issuperset(dims.symbols_of(size)):
            return size
        return fresh.setdefault(size, dims.fresh_symbol("fed"))

    def placeholder(tensor: Tensor) -> Tensor:
        if tensor.op.name == "placeholder":
            return tensor
        type_ = tensor.tensor_type.with_shape(tuple(map(extent, tensor.shape)))
        return Tensor(OPS["placeholder"], (), {}, type_, tensor.location, tensor.hint)

    return [placeholder(t) for t in inputs]


def _new_sizes(replaced: Mapping[Tensor, Tensor], fed: Sequence[Tensor]) -> dict[str, Size]:
    """What becomes of the symbols that only replaced tensors brought: the extents of their replacements."""
    brought = {dims.bare_symbol(size) for t in fed for size in t.shape}
    sizes: dict[str, Size] = {}
    for tensor, replacement in replaced.items():
        for size, new in zip(tensor.shape, replacement.shape):
            name = dims.bare_symbol(size)
            if name is not None and name not in brought and tensor.ndim == replacement.ndim:
                sizes.setdefault(name, new)
    return sizes


def _new_value(variable: Tensor, value: Any) -> Tensor:
    if not isinstance(variable, Variable):
        raise ArgumentError("function: only variables can be updated", location=here())
    return stored_value(f"function: the update of {describe(variable)}", value, variable.dtype)


def _fitted(variable: Tensor, value: Tensor) -> Tensor:
    """The new value of a variable, with symbolic sizes stated to be those of the variable."""
    if value.type == variable.type:
        return value
    message = f"function: the update of {describe(variable)} is {value.type!r}, the variable {variable.type!r}"
    if value.dtype != variable.dtype:
        hint = f"cast it: .astype({variable.dtype.name!r})"
        raise DTypeError(message, location=value.location, hint=hint)
    if value.ndim != variable.ndim or any(isinstance(a, int) and a != b for a, b in zip(value.shape, variable.shape)):
        raise ShapeError(message, location=value.location)
    return FUNCTIONS["broadcast_to"](value, variable.shape)


def _given(tensor: Tensor, value: Any) -> Tensor:
    replacement = stored_value(f"function: the given for {describe(tensor)}", value, tensor.dtype)
    if replacement.dtype != tensor.dtype:
        raise DTypeError(
            f"function: the given for {describe(tensor)} is {replacement.type!r}, the tensor {tensor.type!r}",
            location=here(),
        )
    return replacement


__all__ = ["Updates", "build_graph"]
