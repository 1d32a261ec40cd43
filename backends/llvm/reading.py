"""Inputs read as they lie: a layout's movement goes into the bodies of the loops that read the input.

A loop nest reads through slices and broadcasts in place. But where an array is cut up otherwise, loops that were one
are two, and a sum over both is combined in another order. So an input is read as it lies only where each of its
readers is a loop nest that is run just as before.

Invariant: the results have the same bits as for a contiguous copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from graphc.analysis.layouts import Layout
from graphc.analysis.loops import Nest, folds, fusible
from graphc.analysis.users import users
from graphc.backends.llvm.finished import single_op_body
from graphc.backends.llvm.kernels.loop_shape import LoopShape, extents_of
from graphc.backends.llvm.kernels.matmul import lying_product_kernel
from graphc.backends.llvm.kernels.total_reductions import in_two_steps, nest_of_parts
from graphc.backends.llvm.target import host_target
from graphc.ir.graph import Graph, with_inputs
from graphc.ir.opdef import OPS, Trait
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType


class _Input(NamedTuple):
    """An input that is read as it lies, and the base that is read instead."""

    layout: Layout
    base: Tensor


class _Reader(NamedTuple):
    """A loop nest that reads inputs through views: its body, and its operands as they were."""

    body: Graph
    operands: tuple[Tensor, ...]


def reading(graph: Graph, layouts: Mapping[int, Layout]) -> tuple[Graph, tuple[int, ...]] | None:
    """The graph that reads inputs as they lie; see `Backend.reading`."""
    using, roots = users(graph), set(graph.roots)
    lying = {
        tensor: _Input(layout, _placeholder(layout.base_type(tensor.tensor_type), tensor))
        for number, layout in layouts.items()
        if (tensor := graph.inputs[number]) not in roots and not layout.is_permuted
    }
    readers: dict[Tensor, _Reader | None] = {}
    while lying:
        readers = {t: _reader(t, lying) for t in dict.fromkeys(u for x in lying for u in using[x])}
        refused = {operand for t, reader in readers.items() if reader is None for operand in t.inputs}
        if refused.isdisjoint(lying):
            break
        lying = {t: entry for t, entry in lying.items() if t not in refused}
    if not lying:
        return None

    def rewrite(tensor: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        reader = readers.get(tensor)
        if reader is None:
            return with_inputs(tensor, inputs)
        new = dict(zip(tensor.inputs, inputs))
        operands = [lying[t].base if t in lying else new[t] for t in reader.operands]
        return Tensor(OPS["fused"], tuple(operands), {"body": reader.body}, tensor.type, tensor.location, tensor.hint)

    rebuilt = graph.rebuild(rewrite)
    numbers = tuple(number for number, tensor in enumerate(graph.inputs) if tensor in lying)
    return replace(rebuilt, inputs=(*graph.inputs, *(lying[graph.inputs[n]].base for n in numbers))), numbers


def _placeholder(type_: TensorType, like: Tensor) -> Tensor:
    return Tensor(OPS["placeholder"], (), {}, type_, like.location, like.hint)


def _reader(tensor: Tensor, lying: Mapping[Tensor, _Input]) -> _Reader | None:
    """The nest of a tensor, through views; None if it has none, or another one then."""
    is_product = tensor.op.name == "matmul"
    if tensor.op.name == "fused":
        body, operands = tensor.attrs["body"], list(tensor.inputs)
    elif is_product and (tensor.inputs[1] in lying or tensor.inputs[1].op.name == "permute_dims"):
        return None  # only the first operand is read as it lies, and the second one as a transpose only from a product
    elif is_product or (fusible(tensor) and tensor.op.name != "permute_dims"):  # which goes by squares
        body, operands = single_op_body(tensor)
    else:
        return None
    if any(t.op.has(Trait.FALLIBLE) for t in body.tensors):
        return None
    new: dict[Tensor, Tensor] = {}
    parameters = []
    for parameter, operand in zip(body.inputs, operands):
        entry = lying.get(operand)
        read = parameter if entry is None else _placeholder(entry.base.tensor_type, parameter)
        parameters.append(read)
        new[parameter] = parameter if entry is None else entry.layout.view_of(read, parameter.shape)
    for member in body.tensors:
        if member not in new:
            new[member] = with_inputs(member, tuple(new[i] for i in member.inputs))
    through = Graph(body.name, tuple(parameters), tuple(new[output] for output in body.outputs))
    alike = lying_product_kernel(through) is not None if is_product else _runs_alike(body, through)
    return _Reader(through, tuple(operands)) if alike else None


def _runs_alike(body: Graph, through: Graph) -> bool:
    """Whether two bodies that compute the same combine elements in the same order."""
    members = [t for t in through.tensors if t not in through.inputs]
    if isinstance(Nest.fitted(through.outputs, members), str):
        return False
    if not any(map(folds, members)):
        return True
    return _order_of(body) == _order_of(through)


def _order_of(body: Graph) -> list[Any]:
    """All that the order in which a body's kernels combine elements depends on, extents aside."""
    parts, steps = nest_of_parts(body), in_two_steps(body)
    if parts is None or steps is None:
        return _decisions(LoopShape(body, host_target()))
    return [_decisions(parts), parts.height, parts.blocks, _decisions(LoopShape(steps.finish, host_target()))]


def _decisions(shape: LoopShape) -> list[Any]:
    loops = [(tuple(extents_of(group)), group in shape.reduced, group is shape.crosswise) for group in shape.groups]
    return [loops, shape.by_rows, shape.lanes, [len(stage) for stage in shape.stages]]
