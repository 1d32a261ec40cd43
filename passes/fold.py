"""Constants in, constant out: what does not depend on inputs or variables is computed now.

Invariant: a folded value is the op's own `eval`, of exactly the declared dtype and shape. What has an effect
is left for the call, and so is what fails, so that it fails there with the user's line.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import GraphcError
from graphc.ir.build import apply
from graphc.ir.dims import Dim
from graphc.ir.evaluate import check_value, evaluate_tensor
from graphc.ir.graph import Graph, sizes_of, with_inputs
from graphc.ir.location import inherit
from graphc.ir.opdef import OPS, Trait
from graphc.ir.tensor import Tensor
from graphc.ir.types import TupleType

#: A folded constant has at most this many elements, unless the operands it replaces have more.
SIZE_LIMIT = 1024
#: Cheap to make and long to store: a kernel computes them in passing, so they and what uses them stay.
_GENERATED = frozenset({"iota", "broadcast_to"})


def fold(graph: Graph) -> Graph:
    """`graph` with tensors that depend only on constants replaced by constants."""
    values: dict[Tensor, Any] = {}

    def folded(tensor: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        result = with_inputs(tensor, inputs)
        if tensor.op.name == "const":
            values[result] = tensor.attrs["value"]
            return result
        if not _can_fold(result) or not all(operand in values for operand in inputs):
            return result
        if tensor.op.name in _GENERATED and result.tensor_type.size != 1:
            return result
        operands = [values[operand] for operand in inputs]
        if not _is_small(result, operands):
            return result
        try:
            value = evaluate_tensor(result, operands, {})
        except GraphcError:
            return result
        check_value(result, value, {})
        if isinstance(value, tuple):  # a tuple has no constant; see `get`
            values[result] = value
            return result
        array = np.array(value, order="C", copy=True)
        array.setflags(write=False)
        with inherit(tensor.location, "via fold"):
            constant = apply(OPS["const"], hint=tensor.hint, value=array)
        values[constant] = array
        return constant

    return graph.rebuild(folded)


def _can_fold(tensor: Tensor) -> bool:
    op = tensor.op
    if op.has(Trait.EFFECT) or op.has(Trait.BODY) or op.name in ("placeholder", "variable"):
        return False  # a loop may be long, and its body may print
    return not any(isinstance(size, Dim) for size in sizes_of(tensor))


def _is_small(tensor: Tensor, operands: list[Any]) -> bool:
    items = tensor.type.items if isinstance(tensor.type, TupleType) else (tensor.type,)
    size = sum(item.size for item in items if isinstance(item.size, int))
    arrays = [a for operand in operands for a in (operand if isinstance(operand, tuple) else (operand,))]
    return size <= max([SIZE_LIMIT, *(array.size for array in arrays)])
