"""Which products are finished by the loop nest that alone reads them, and loop nests as bodies on operands.

Such a product is no step of its own: it waits for the nest, whose kernel computes both (`kernels/finishing.py`).

Invariant: nothing else reads the product, so nothing can tell that it is never stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from graphc.analysis.loops import fusible
from graphc.backends.llvm.kernel import Kernel
from graphc.backends.llvm.kernels.alike import KernelsAlike
from graphc.backends.llvm.kernels.finishing import finished_body
from graphc.backends.llvm.kernels.product import canonical
from graphc.ir.graph import Graph, with_inputs
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor


class FinishedProduct(NamedTuple):
    """A product and the nest that finishes it.

    Attributes:
        product: the matmul.
        whole: both, as one fused tensor.
        operands: what the kernel reads: the factors as they lie, then the nest's other operands.
        kernel: what computes both.
    """

    product: Tensor
    whole: Tensor
    operands: Sequence[Tensor]
    kernel: Kernel

    @property
    def body(self) -> Graph:
        """What is computed of the operands."""
        body: Graph = self.whole.attrs["body"]
        return body


def finished_products(
    graph: Graph,
    users: Mapping[Tensor, Sequence[Tensor]],
    factors: Callable[[Tensor], tuple[list[Tensor], list[bool]]],
    kernels: KernelsAlike,
) -> dict[Tensor, FinishedProduct]:
    """The products of a graph that are finished, by the tensor of the nest.

    Args:
        graph: an optimised graph.
        users: who reads a tensor.
        factors: the operands of a matmul as they lie, and whether it reads each one's transpose.
        kernels: what builds kernels.
    """
    roots, found = set(graph.roots), dict[Tensor, FinishedProduct]()
    for product in graph.tensors:
        using = list(dict.fromkeys(users[product])) if product.op.name == "matmul" else []
        if len(using) != 1 or product in roots or using[0] in found or (nest := _nest_of(using[0])) is None:
            continue
        body = finished_body(product, *nest)
        if body is None:
            continue
        (x, y), transposed = factors(product)
        kernel = kernels.finished(canonical(x.tensor_type, y.tensor_type, product.tensor_type, *transposed), body)
        if kernel is not None:
            others, user = [t for t in nest[1] if t is not product], using[0]
            whole = Tensor(
                OPS["fused"], (*product.inputs, *others), {"body": body}, user.type, user.location, user.hint
            )
            found[user] = FinishedProduct(product, whole, [x, y, *others], kernel)
    return found


def _nest_of(tensor: Tensor) -> tuple[Graph, Sequence[Tensor]] | None:
    """The body and the operands of a loop nest."""
    if tensor.op.name == "fused":
        return tensor.attrs["body"], tensor.inputs
    return single_op_body(tensor) if fusible(tensor) else None


def single_op_body(tensor: Tensor) -> tuple[Graph, list[Tensor]]:
    """A tensor as a body of its own, scalar constants included; and the operands that it takes from outside."""
    inside: dict[Tensor, Tensor] = {}
    operands: list[Tensor] = []
    parameters: list[Tensor] = []
    for operand in dict.fromkeys(tensor.inputs):
        if operand.op.name == "dim" or (operand.op.name == "const" and fusible(operand)):
            inside[operand] = operand
            continue
        parameter = Tensor(
            OPS["placeholder"], (), {}, operand.type, operand.location, f"p{len(operands)}"
        )
        inside[operand] = parameter
        parameters.append(parameter)
        operands.append(operand)
    result = with_inputs(tensor, tuple(inside[t] for t in tensor.inputs))
    return Graph("body", tuple(parameters), (result,)), operands
