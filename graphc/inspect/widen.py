"""The same graph in float64: the reference that errors of float32 are measured against.

Invariant: every float32 in types, constants and attributes becomes float64, and nothing else changes; so a
graph that has none is its own reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from graphc.ir.build import apply
from graphc.ir.graph import Graph
from graphc.ir.location import inherit
from graphc.ir.tensor import Tensor
from graphc.ir.text import is_graph
from graphc.ir.types import TensorType, TupleType, Type

_NARROW, _WIDE = np.dtype(np.float32), np.dtype(np.float64)


def widen(graph: Graph) -> tuple[Graph, Mapping[Tensor, Tensor]]:
    """The graph in float64, and its variables by those of `graph`.

    The variables of the result have no storage; give `evaluate` their values, cast by `widen_array`.

    Raises:
        GraphcError: an op does not take float64 where it took float32.

    >>> import graphc as gc
    >>> x = gc.placeholder((3,), "float32")
    >>> widen(gc.function([x], gc.exp(x)).graph)[0].outputs[0].type
    f64[3]
    """
    new: dict[Tensor, Tensor] = {}
    given = set(graph.inputs)
    for tensor in (*graph.variables, *graph.tensors):
        if tensor in new:
            continue
        if tensor in given or tensor.op.name == "variable":
            type_ = _wide_type(tensor.type)
            new[tensor] = Tensor(tensor.op, (), tensor.attrs, type_, tensor.location, tensor.hint)
            continue
        attrs = {name: _wide_attribute(value) for name, value in tensor.attrs.items()}
        with inherit(tensor.location):
            new[tensor] = apply(tensor.op, *(new[t] for t in tensor.inputs), hint=tensor.hint, **attrs)
    wide = replace(
        graph,
        inputs=tuple(new[t] for t in graph.inputs),
        outputs=tuple(new[t] for t in graph.outputs),
        updates=tuple((new[variable], new[value]) for variable, value in graph.updates),
    )
    return wide, {variable: new[variable] for variable in graph.variables}


def widen_array(array: np.ndarray) -> np.ndarray:
    """A float32 array in float64; any other as it is."""
    return array.astype(_WIDE) if array.dtype == _NARROW else array


def _wide_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return _WIDE if dtype == _NARROW else dtype


def _wide_type(type_: Type) -> Type:
    if isinstance(type_, TupleType):
        return TupleType(tuple(item.with_dtype(_wide_dtype(item.dtype)) for item in type_.items))
    return type_.with_dtype(_wide_dtype(type_.dtype))


def _wide_attribute(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return widen_array(value)
    if isinstance(value, np.dtype):
        return _wide_dtype(value)
    if isinstance(value, (TensorType, TupleType)):
        return _wide_type(value)
    if is_graph(value):
        return widen(value)[0]
    return value
