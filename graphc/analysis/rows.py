"""Which graphs treat the rows of their operands each for itself, and what such a graph is for some of the rows.

A row is an entry of the first axis: one example of a batch. What a recurrent net does in a step it does to every
example alone, so the step for half of the batch is the same graph with half of the rows; and a loop of such steps is
two loops that need nothing of each other.

    h: f32[32,50], w: f32[50,200]                    h: f32[16,50], w: f32[50,200]
    %1 = matmul h, w : f32[32,200]          ->       %1 = matmul h, w : f32[16,200]
    %2 = sum %1 {axis=(1,)} : f32[32]                %2 = sum %1 {axis=(1,)} : f32[16]

A tensor is *by rows* if its first axis is that of the batch, and each of its rows is made of the same row of operands
that are by rows and of operands that are not. From the outputs, which must be, rules tell backwards which operands are.

Invariant: a rule that cannot know says no; nothing that is not by rows depends on something that is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from graphc.ir.build import apply
from graphc.ir.dims import Size
from graphc.ir.graph import Graph
from graphc.ir.location import inherit
from graphc.ir.opdef import Trait
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType


@dataclass(frozen=True)
class ByRows:
    """A graph for some of the rows.

    Attributes:
        graph: it.
        inputs: which inputs are by rows; the others are what they were.
    """

    graph: Graph
    inputs: tuple[bool, ...]


def by_rows(graph: Graph, extent: Size, share: Size) -> ByRows | None:
    """The graph for `share` of the `extent` rows; None where not all of its outputs are by rows.

    >>> import graphc as gc
    >>> h, w = gc.placeholder((32, 50), "float32"), gc.placeholder((50, 200), "float32")
    >>> found = by_rows(Graph("step", (h, w), (gc.matmul(h, w),)), 32, 16)
    >>> found.graph.outputs[0].type, found.inputs
    (f32[16,200], (True, False))
    >>> by_rows(Graph("step", (h,), (h - gc.max(h, axis=0),)), 32, 16) is None
    True
    """
    try:
        work = _Work(graph, extent, share)
        return ByRows(work.rewritten(), tuple(tensor in work.rules for tensor in graph.inputs))
    except _NotByRowsError:
        return None


class _NotByRowsError(Exception):
    """Some row depends on others, or nobody knows."""


class _Rule(NamedTuple):
    """How a tensor is made by rows: which operands are, and which attributes become others."""

    operands: Sequence[bool]
    attrs: dict[str, Any]


class _Work:
    """What is by rows.

    Attributes:
        rules: for each tensor that is, how.
    """

    def __init__(self, graph: Graph, extent: Size, share: Size) -> None:
        self.graph = graph
        self.extent = extent
        self.share = share
        self.rules: dict[Tensor, _Rule] = {}
        needed = set(graph.outputs)
        for tensor in reversed(graph.tensors):
            if tensor in needed:
                self.rules[tensor] = self._rule(tensor)
                needed.update(x for x, is_needed in zip(tensor.inputs, self.rules[tensor].operands) if is_needed)
        for tensor in graph.tensors:
            rule = self.rules.get(tensor)
            for number, x in enumerate(tensor.inputs):
                _require(x not in needed or (rule is not None and rule.operands[number]))

    def _rule(self, tensor: Tensor) -> _Rule:
        op = tensor.op
        if op.name not in _ITEMS:
            _require(isinstance(tensor.type, TensorType) and self.is_tall(tensor))
        if tensor in self.graph.inputs:
            return _Rule((), {})
        _require(not any(op.has(trait) for trait in (Trait.EFFECT, Trait.FALLIBLE, Trait.LIBRARY)))
        if op.has(Trait.ELEMENTWISE):
            return _elementwise(self, tensor)
        if op.has(Trait.REDUCTION):
            _require(0 not in tensor.attrs["axis"])
            return _Rule((True,), {})
        _require(op.name in _RULES)
        return _RULES[op.name](self, tensor)

    def is_tall(self, tensor: Tensor) -> bool:
        """Whether the first axis may be that of the rows."""
        return tensor.ndim > 0 and tensor.shape[0] == self.extent

    def shorter(self, tensor: Tensor) -> tuple[Size, ...]:
        """The shape of some rows of a tensor."""
        return (self.share, *tensor.shape[1:])

    def rewritten(self) -> Graph:
        """The graph for some of the rows."""
        found: dict[Tensor, Tensor] = {}
        for tensor in self.graph.tensors:
            if tensor not in self.rules:
                found[tensor] = tensor
            elif tensor in self.graph.inputs:
                type_ = tensor.tensor_type.with_shape(self.shorter(tensor))
                found[tensor] = Tensor(tensor.op, (), tensor.attrs, type_, tensor.location, tensor.hint)
            else:
                attrs = {**tensor.attrs, **self.rules[tensor].attrs}
                with inherit(tensor.location):
                    found[tensor] = apply(tensor.op, *(found[x] for x in tensor.inputs), hint=tensor.hint, **attrs)
        inputs, outputs = (tuple(found[t] for t in group) for group in (self.graph.inputs, self.graph.outputs))
        return replace(self.graph, inputs=inputs, outputs=outputs)


def _require(condition: bool) -> None:
    if not condition:
        raise _NotByRowsError


def _is_flat(x: Tensor, rank: int) -> bool:
    """Whether a tensor, broadcast to a rank, is the same for all rows."""
    return x.ndim < rank or x.shape[0] == 1


def _elementwise(work: _Work, tensor: Tensor) -> _Rule:
    return _Rule([not _is_flat(x, tensor.ndim) for x in tensor.inputs], {})


def _along_axis(work: _Work, tensor: Tensor) -> _Rule:
    _require(tensor.attrs["axis"] != 0)
    return _Rule([True] * len(tensor.inputs), {})


def _broadcast(work: _Work, tensor: Tensor) -> _Rule:
    return _Rule((not _is_flat(tensor.inputs[0], tensor.ndim),), {"shape": work.shorter(tensor)})


def _reshaped(work: _Work, tensor: Tensor) -> _Rule:
    _require(work.is_tall(tensor.inputs[0]))  # so an element stays in its row
    return _Rule((True,), {"shape": work.shorter(tensor)})


def _permuted(work: _Work, tensor: Tensor) -> _Rule:
    _require(tensor.attrs["axes"][0] == 0)
    return _Rule((True,), {})


def _sliced(work: _Work, tensor: Tensor) -> _Rule:
    start, size, step = (tensor.attrs[name] for name in ("start", "size", "step"))
    _require(start[0] == 0 and step[0] == 1 and work.is_tall(tensor.inputs[0]))
    return _Rule((True,), {"size": (work.share, *size[1:])})


def _padded(work: _Work, tensor: Tensor) -> _Rule:
    _require(tensor.attrs["before"][0] == 0 and tensor.attrs["after"][0] == 0)
    return _Rule((True, False), {})


def _product(work: _Work, tensor: Tensor) -> _Rule:
    """Rows of x, each times y; or a batch, each matrix of x times one of y."""
    x, y = tensor.inputs
    if tensor.ndim == 2:
        return _Rule((True, False), {})
    return _Rule((not _is_flat(x, tensor.ndim), not _is_flat(y, tensor.ndim)), {})


def _item(work: _Work, tensor: Tensor) -> _Rule:
    return _Rule((True,), {})


def _fused(work: _Work, tensor: Tensor) -> _Rule:
    found = by_rows(tensor.attrs["body"], work.extent, work.share)
    if found is None:
        raise _NotByRowsError
    return _Rule(found.inputs, {"body": found.graph})


_ITEMS = frozenset({"fused"})  # whose results may be several
_RULES: dict[str, Callable[[_Work, Tensor], _Rule]] = {
    "argmax": _along_axis,
    "argmin": _along_axis,
    "argsort": _along_axis,
    "broadcast_to": _broadcast,
    "concat": _along_axis,
    "cumprod": _along_axis,
    "cumsum": _along_axis,
    "fused": _fused,
    "get": _item,
    "log_softmax": _along_axis,
    "matmul": _product,
    "pad": _padded,
    "permute_dims": _permuted,
    "reshape": _reshaped,
    "slice": _sliced,
    "softmax": _along_axis,
    "sort": _along_axis,
}
