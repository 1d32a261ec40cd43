"""When two attributes, or two graphs, say the same: keys that are equal just then.

Invariant: the same to the bit: 0.0 and -0.0, 1 and True, float32 and float64 differ. Names and lines are not compared.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.ir.graph import Graph
from graphc.ir.text import is_graph, print_graph


def attribute_key(value: Any) -> Any:
    """A hashable value that is equal only for attributes that are the same to the bit.

    >>> attribute_key(0.0) == attribute_key(-0.0), attribute_key((1, 2)) == attribute_key((1, 2))
    (False, True)
    """
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, tuple):
        return tuple(attribute_key(item) for item in value)
    if isinstance(value, float):
        return "float", struct.pack("<d", value)
    if is_graph(value):
        return "graph", print_graph(value, locations=False)
    return type(value).__name__, value


def attributes_key(attrs: Mapping[str, Any]) -> tuple[Any, ...]:
    """The same for all attributes of a tensor."""
    return tuple([(name, attribute_key(value)) for name, value in attrs.items()])


def graph_key(graph: Graph) -> tuple[Any, ...]:
    """A hashable value that is equal only for graphs without updates whose tensors are the same, in the same order.

    >>> import graphc as gc
    >>> def doubled(name):
    ...     x = gc.placeholder((3,), "float32", name=name)
    ...     return Graph("body", (x,), (x + x,))
    >>> graph_key(doubled("x")) == graph_key(doubled("y"))
    True
    """
    numbers = {tensor: number for number, tensor in enumerate(graph.tensors)}
    rows = [
        (t.op.name, tuple([numbers[operand] for operand in t.inputs]), attributes_key(t.attrs), t.type)
        for t in graph.tensors
    ]
    return (*rows, tuple([numbers[t] for t in graph.inputs]), tuple([numbers[t] for t in graph.outputs]))
