"""Products of a loop's sequences with fixed matrices are one product before the loop.

    scan(xs[T,N,K], w[K,M]){x_t @ w}   ->   scan(xs @ w){z_t}          the input projection of a recurrent net

One product of T*N rows runs at the speed of the machine; T products of N rows each read all of w again.

Invariant: each row of the product is made of the same numbers as before; a kernel may add them in another order.
"""

from __future__ import annotations

from graphc.ir.build import apply
from graphc.ir.dims import Size
from graphc.ir.graph import Graph, with_inputs
from graphc.ir.location import inherit
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor
from graphc.passes.scan_parts import ScanParts
from graphc.passes.slim import slim


def batch(graph: Graph) -> Graph:
    """`graph` with products of sequences by invariants taken out of its scans."""
    changed = False

    def rewritten(tensor: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        nonlocal changed
        if tensor.op.name == "scan":
            parts = ScanParts.of(tensor, inputs)
            if _batched(parts):
                changed = True
                return parts.scan()
        return with_inputs(tensor, inputs)

    result = graph.rebuild(rewritten) if any(t.op.name == "scan" for t in graph.tensors) else graph
    return slim(result) if changed else graph


def _batched(parts: ScanParts) -> bool:
    """Take the products of one scan out; whether there were any."""
    length = parts.tensor.attrs["length"]
    replacements: dict[Tensor, Tensor] = {}
    for tensor in parts.tensors():
        if tensor.op.name != "matmul":
            continue
        x, w = tensor.inputs
        if w not in parts.outside or w.ndim > x.ndim or not _is_row(x, parts):
            continue
        with inherit(tensor.location, "via batch"):
            whole = apply(OPS["matmul"], _whole(x, parts, length), parts.outside[w])
        replacements[tensor] = parts.parameter_for(tensor, whole, parts.rows)
    if replacements:
        parts.replace(replacements)
    return bool(replacements)


def _is_row(tensor: Tensor, parts: ScanParts) -> bool:
    """Whether a tensor of the body is a slice of a sequence, at most in another shape."""
    while tensor.op.name in ("reshape", "permute_dims"):
        (tensor,) = tensor.inputs
    return tensor in parts.rows


def _whole(tensor: Tensor, parts: ScanParts, length: Size) -> Tensor:
    """A slice of a sequence for all steps at once."""
    if tensor in parts.rows:
        return parts.rows[tensor]
    x = _whole(tensor.inputs[0], parts, length)
    if tensor.op.name == "reshape":
        return apply(OPS["reshape"], x, shape=(length, *tensor.shape))
    return apply(OPS["permute_dims"], x, axes=(0, *(axis + 1 for axis in tensor.attrs["axes"])))
