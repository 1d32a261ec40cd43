"""The meaning of a graph: run every op's NumPy evaluation, in order.

The interpreter backend, constant folding, `fused` bodies and the value checks between passes all call this.

Invariant: results are fresh or borrowed, never written to; an op's `eval` sees sizes as numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import GraphcError, ShapeError
from graphc.ir import dims
from graphc.ir.graph import Graph, map_sizes
from graphc.ir.opdef import Trait
from graphc.ir.tensor import Tensor, describe

Value = Any  # an ndarray, or a tuple of them for an op with several results
#: What gives the value of a tensor, of those of its operands, and of the symbolic sizes.
Each = Callable[[Tensor, Sequence[Value], Mapping[str, int]], Value]
#: What a body op's `eval` is given to run a body: the values of its roots for these arrays.
Run = Callable[[Graph, Sequence[np.ndarray]], list[Value]]


def bind_symbols(inputs: Sequence[Tensor], arrays: Sequence[np.ndarray]) -> dict[str, int]:
    """The values of the symbolic sizes, read off the arrays' shapes where an extent is a bare symbol."""
    values: dict[str, int] = {}
    for tensor, array in zip(inputs, arrays):
        for size, extent in zip(tensor.shape, array.shape):
            name = dims.bare_symbol(size)
            if name is not None:
                values.setdefault(name, extent)
    return values


def evaluate_tensor(
    tensor: Tensor, operands: Sequence[Value], sizes: Mapping[str, int], each: Each | None = None
) -> Value:
    """The value of one tensor, given those of its operands.

    Args:
        tensor: what to compute.
        operands: the values of its inputs.
        sizes: the values of the symbolic sizes.
        each: gives the value of one tensor of a body of it; by default this function.

    Raises:
        GraphcError: the op refuses the values (an index out of bounds, a failed assertion); names the line.
    """
    attrs = tensor.attrs
    if sizes and attrs:
        attrs = {k: map_sizes(v, lambda s: dims.evaluate(s, sizes)) for k, v in attrs.items()}
    if tensor.op.has(Trait.BODY):

        def run(body: Graph, arrays: Sequence[np.ndarray]) -> list[Value]:
            return evaluate(body, arrays, sizes=sizes, each=each or evaluate_tensor)

        attrs = {**attrs, "sizes": sizes, "run": run}
    try:
        with np.errstate(all="ignore"):
            return tensor.op.eval(*operands, **attrs)
    except GraphcError as error:
        if error.location is not None:
            raise
        names = tensor.op.name if tensor.hint is None else f"{tensor.op.name} {tensor.hint!r}"
        raise type(error)(f"{names}: {error.message}", location=tensor.location, hint=error.hint) from None


def evaluate(
    graph: Graph,
    arrays: Sequence[np.ndarray],
    variables: Mapping[Tensor, np.ndarray] | None = None,
    watch: Callable[[Tensor, Value], None] | None = None,
    sizes: Mapping[str, int] | None = None,
    each: Each = evaluate_tensor,
) -> list[Value]:
    """The values of `graph.roots` for these input arrays.

    Args:
        graph: what to run.
        arrays: one per input, of its dtype and shape.
        variables: the present values of the variables; by default their own storage.
        watch: called with each tensor and its value as it is computed.
        sizes: the values of the symbolic sizes; by default read off the arrays' shapes.
        each: gives the value of one tensor; for runs that disturb values on purpose.

    Raises:
        GraphcError: an op fails on its values.
    """
    if sizes is None:
        sizes = bind_symbols(graph.inputs, arrays)
    values: dict[Tensor, Value] = dict(zip(graph.inputs, arrays))
    last_use, kept = graph.last_uses, graph.kept
    for i, tensor in enumerate(graph.tensors):
        if tensor not in values:
            if tensor.op.name == "variable":
                values[tensor] = variables[tensor] if variables is not None else tensor.storage  # type: ignore[attr-defined]
            else:
                values[tensor] = each(tensor, [values[t] for t in tensor.inputs], sizes)
        if watch is not None:
            watch(tensor, values[tensor])
        for operand in tensor.inputs:  # free what nothing needs any more
            if last_use[operand] == i and operand not in kept:
                values.pop(operand, None)
    return [values[root] for root in graph.roots]


def check_value(tensor: Tensor, value: Value, sizes: Mapping[str, int]) -> None:
    """Check that a value has the tensor's declared type.

    Raises:
        ShapeError: it has not; a defect of the op's `eval` or type rule.
    """
    items = getattr(tensor.type, "items", (tensor.type,))
    for item, array in zip(items, value if isinstance(value, tuple) else (value,)):
        shape = tuple(dims.evaluate(s, sizes) for s in item.shape)
        if np.shape(array) != shape or array.dtype != item.dtype:
            raise ShapeError(
                f"{describe(tensor)}: declared {item!r} = {shape}, evaluated to {array.dtype} {np.shape(array)}",
                location=tensor.location,
            )
