"""The textual IR, printed: one line per tensor, `%name = op operands {attributes} : type  # line`.

No op has syntax of its own, so a new op prints and parses on the day it is defined.

Invariant: printing is linear in the graph, depends on nothing but the graph, and `parse.parse` reads it back
to a graph that prints the same.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.ir.collector import holding
from graphc.ir.dims import Dim
from graphc.ir.tensor import Tensor
from graphc.ir.types import SHORT_NAMES

if TYPE_CHECKING:
    from graphc.ir.graph import Graph

_COMMENT_COLUMN = 70
_LISTED_ELEMENTS = 64  # larger constants print as base64 of their little-endian bytes


@holding
def print_graph(graph: Graph, *, locations: bool = True) -> str:
    """The text of `graph`; without `locations`, no comments (the canonical form for comparing graphs)."""
    return "\n".join(_graph_lines(graph, locations)) + "\n"


def tensor_names(graph: Graph) -> dict[Tensor, str]:
    """The name that each tensor of `graph` prints under, without the `%`."""
    names: dict[Tensor, str] = {}
    given = _Names()
    count = 0
    for tensor in graph.tensors:
        if tensor.hint:
            names[tensor] = given.unused(tensor.hint)
        else:
            names[tensor] = str(count)
            count += 1
    for variable, _ in graph.updates:  # a variable that is only written still needs a line
        if variable not in names:
            names[variable] = given.unused(variable.hint or "variable")
    return names


class _Names:
    """Gives names out, each once; `x` is followed by `x.1`, `x.2`, ..."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._suffix: dict[str, int] = {}  # of the last name made from each base, so that no search starts anew

    def unused(self, wanted: str) -> str:
        """`wanted`, with what the text form does not allow replaced, and a suffix if it is taken."""
        base = re.sub(r"[^\w.]", "_", wanted)
        base = base if re.match(r"[A-Za-z_]", base) else f"_{base}"
        name, suffix = base, self._suffix.get(base, 0)
        while name in self._taken:
            suffix += 1
            name = f"{base}.{suffix}"
        self._taken.add(name)
        self._suffix[base] = suffix
        return name


def _graph_lines(graph: Graph, locations: bool) -> list[str]:
    names = tensor_names(graph)
    parameters = ", ".join(f"%{names[t]}: {t.type!r}" for t in graph.inputs)
    name = re.sub(r"[^\w.<>-]", "_", graph.name) or "_"
    lines = [f"graph @{name}({parameters}) {{"]
    for constraint in graph.constraints:
        text = f"  require {constraint.left} == {constraint.right} by {constraint.reason}"
        lines.append(_commented(text, constraint.location if locations else None))
    given = set(graph.inputs)
    read = set(graph.tensors)
    written_only = [v for v, _ in graph.updates if v not in read]
    for tensor in (*written_only, *graph.tensors):
        if tensor not in given:
            lines += _tensor_lines(tensor, names, locations)
    lines += [f"  update %{names[variable]}, %{names[value]}" for variable, value in graph.updates]
    lines.append(("  return " + ", ".join(f"%{names[t]}" for t in graph.outputs)).rstrip())
    lines.append("}")
    return lines


def _tensor_lines(tensor: Tensor, names: dict[Tensor, str], locations: bool) -> list[str]:
    text = f"  %{names[tensor]} = {tensor.op.name}"
    if tensor.inputs:
        text += " " + ", ".join(f"%{names[i]}" for i in tensor.inputs)
    regions = {k: v for k, v in tensor.attrs.items() if is_graph(v)}
    plain = ", ".join(f"{k}={format_attr(v)}" for k, v in tensor.attrs.items() if k not in regions)
    if plain:
        text += f" {{{plain}}}"
    text += f" : {tensor.type!r}"
    if not regions:
        return [_commented(text, tensor.location if locations else None)]
    lines = [_commented(text + " {", tensor.location if locations else None)]
    for key, body in regions.items():
        inner = _graph_lines(body, locations)
        prefix = "" if key == "body" else f"{key}="
        lines += ["    " + (prefix + line if i == 0 else line) for i, line in enumerate(inner)]
    return [*lines, "  }"]


def _commented(text: str, location: Any) -> str:
    return text if location is None else f"{text:<{_COMMENT_COLUMN}}# {location}"


def is_graph(value: Any) -> bool:
    """Whether an attribute is a body graph."""
    return hasattr(value, "outputs") and hasattr(value, "constraints")


def format_attr(value: Any) -> str:
    """An attribute's value as text."""
    if isinstance(value, np.ndarray):
        return _format_array(value)
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if isinstance(value, np.dtype):
        return SHORT_NAMES[value]
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, tuple):
        return "(" + ", ".join(map(format_attr, value)) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, (int, float, Dim)):
        return str(value)
    raise TypeError(f"an attribute of type {type(value).__name__} has no text form")


def _format_array(array: np.ndarray) -> str:
    if array.size > _LISTED_ELEMENTS:
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        return f'bytes("{base64.b64encode(little.tobytes()).decode()}")'
    return _format_nested(array)


def _format_nested(array: Any) -> str:
    if array.ndim:
        return "[" + ", ".join(_format_nested(item) for item in array) + "]"
    item = array[()]
    return str(bool(item)).lower() if item.dtype == np.bool_ else str(item)
