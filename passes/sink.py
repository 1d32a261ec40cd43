"""Cheap arithmetic on a sequence that only one loop reads is done in the loop, row by row.

    z = x + b;  scan(z){tanh(z_t + h)}   ->   scan(x, b){tanh((x_t + b) + h)}

There it is part of a kernel that reads the row anyway; before the loop, the whole sequence would be read and written
once more, and need memory.

Invariant: only what costs little for each element is moved, and each element is computed once, as before.
"""

from __future__ import annotations

from collections import Counter

from graphc.ir.build import apply
from graphc.ir.graph import Graph, with_inputs
from graphc.ir.location import inherit
from graphc.ir.tensor import Tensor
from graphc.passes.scan_parts import ScanParts
from graphc.passes.slim import slim

_CHEAP = frozenset({"abs", "add", "cast", "maximum", "minimum", "multiply", "negative", "subtract", "where"})


def sink(graph: Graph) -> Graph:
    """`graph` with cheap arithmetic on sequences moved into the scans that read them."""
    uses = Counter(operand for tensor in graph.tensors for operand in tensor.inputs) + Counter(graph.roots)
    single = {tensor for tensor, count in uses.items() if count == 1}
    changed = False

    def rewritten(tensor: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        nonlocal changed
        if tensor.op.name == "scan":
            # `inputs` may be new tensors, of which nothing knows how often they are used.
            free = {new for new, old in zip(inputs, tensor.inputs) if old in single}
            parts = ScanParts.of(tensor, inputs)
            if _sunk(parts, free, single):
                changed = True
                return parts.scan()
        return with_inputs(tensor, inputs)

    result = graph.rebuild(rewritten) if any(t.op.name == "scan" for t in graph.tensors) else graph
    return slim(result) if changed else graph


def _sunk(parts: ScanParts, free: set[Tensor], single: set[Tensor]) -> bool:
    """Move what can be moved into one scan; whether there was anything."""
    replacements: dict[Tensor, Tensor] = {}
    for row, whole in list(parts.rows.items()):
        if whole in free:
            inside = _row_of(whole, parts, single, is_free=True)
            if inside is not None:
                replacements[row] = inside
    if replacements:
        parts.replace(replacements)
    return bool(replacements)


def _is_cheap(tensor: Tensor) -> bool:
    """Whether an element costs about as much as to read it; a product of depth one is a multiplication."""
    is_multiplication = tensor.op.name == "matmul" and tensor.inputs[0].shape[-1] == 1 and tensor.ndim > 2
    return tensor.op.name in _CHEAP or is_multiplication


def _row_of(whole: Tensor, parts: ScanParts, single: set[Tensor], *, is_free: bool) -> Tensor | None:
    """A row of a sequence, computed in the body; None where it is read as it is."""
    if not is_free or not _is_cheap(whole):
        return None
    if any(t.ndim == whole.ndim and t.shape[0] != whole.shape[0] for t in whole.inputs):
        return None  # an operand of one row, for all rows
    operands = []
    for operand in whole.inputs:
        if operand.op.name == "const" and operand.ndim == 0:
            operands.append(operand)
        elif operand.ndim < whole.ndim:
            operands.append(parts.parameter_for(operand, operand, parts.outside))
        else:
            inside = _row_of(operand, parts, single, is_free=operand in single)
            operands.append(parts.row_for(operand) if inside is None else inside)
    with inherit(whole.location):
        return apply(whole.op, *operands, **whole.attrs)
