"""Functions as texts and weights: what of a compiled function goes into a file.

Invariant: in a saved text a variable's name is the name of its array among the weights, and so is that of a large
constant, which is written as a variable. Nothing else about a function is kept but the structure of its outputs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import graphc as gc

INLINE_LIMIT = 1000  # elements; larger constants are saved as arrays


@dataclass
class Exported:
    """What functions consist of.

    Attributes:
        texts: the graph of each function, as text IR.
        structures: the outputs of each function, as JSON data.
        variables: by the name in the texts; more of them than those in the texts where more were given.
        constants: large constants, by the name in the texts.
    """

    texts: dict[str, str] = field(default_factory=dict)
    structures: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, gc.Variable] = field(default_factory=dict)
    constants: dict[str, np.ndarray] = field(default_factory=dict)


def export(
    functions: Mapping[str, gc.Function], variables: Mapping[str, gc.Variable], locations: bool = False
) -> Exported:
    """Functions as texts; their variables named as in `variables`, else by their own names.

    Raises:
        ArgumentError: a graph holds something that has no text form; a variable is given two names.
    """
    result = Exported()
    graphs = {name: function.graph for name, function in functions.items()}
    # Inputs keep their names, by which calls feed them; names of variables give way.
    taken = {legal(t.hint) for graph in graphs.values() for t in graph.inputs if t.hint}
    names: dict[gc.Tensor, str] = {}
    for wanted, variable in variables.items():
        if variable in names:
            raise gc.ArgumentError(f"save: one variable is given two names, {names[variable]!r} and {wanted!r}")
        names[variable] = _unused(wanted, taken)
    for graph in graphs.values():
        for tensor in graph.variables:
            if tensor not in names:
                names[tensor] = _unused(tensor.hint or "variable", taken)
    result.variables = {name: tensor for tensor, name in names.items() if isinstance(tensor, gc.Variable)}
    constants: dict[int, str] = {}
    for graph in graphs.values():
        for tensor in graph.tensors:
            value = tensor.attrs["value"] if tensor.op.name == "const" else None
            if value is not None and value.size > INLINE_LIMIT and id(value) not in constants:
                constants[id(value)] = _unused(tensor.hint or "constant", taken)
                result.constants[constants[id(value)]] = value
    stand_ins = _StandIns(names, constants)
    for name, function in functions.items():
        try:
            result.texts[name] = stand_ins.graph(function.graph).text(locations=locations)
        except TypeError as error:
            raise gc.ArgumentError(f"save: the function {name!r} cannot be written as text: {error}") from None
        result.structures[name] = described(function.structure)
    return result


class _StandIns:
    """Variables under the names of the weights, in place of variables and large constants."""

    def __init__(self, names: Mapping[gc.Tensor, str], constants: Mapping[int, str]) -> None:
        self.names = names
        self.constants = constants
        self.reserved = {*names.values(), *constants.values()}
        self.made: dict[str, gc.Variable] = {}

    def graph(self, graph: gc.Graph) -> gc.Graph:
        """The graph with them, and with no other tensor named like one."""
        hints = Counter(legal(tensor.hint) for tensor in graph.tensors if tensor.hint)

        def rewrite(tensor: gc.Tensor, inputs: tuple[gc.Tensor, ...]) -> gc.Tensor:
            name = self.names.get(tensor)
            if name is None and tensor.op.name == "const":
                name = self.constants.get(id(tensor.attrs["value"]))
            if name is not None:
                return self._variable(name, tensor)
            hint = tensor.hint
            if hint and (legal(hint) in self.reserved or hints[legal(hint)] > 1):
                hint = None
            if hint == tensor.hint and all(new is old for new, old in zip(inputs, tensor.inputs)):
                return tensor
            return gc.Tensor(tensor.op, inputs, tensor.attrs, tensor.type, tensor.location, hint)

        rebuilt = graph.rebuild(rewrite)
        updates = tuple((self._variable(self.names[v], v), value) for v, value in rebuilt.updates)
        return gc.Graph(graph.name, graph.inputs, rebuilt.outputs, updates, graph.constraints)

    def _variable(self, name: str, tensor: gc.Tensor) -> gc.Variable:
        if name not in self.made:
            storage = np.zeros((), tensor.dtype)  # never read: only the name and the type are written
            op = gc.variable(0).op
            self.made[name] = gc.Variable(op, storage, tensor.tensor_type, tensor.location, name)
        return self.made[name]


def legal(name: str) -> str:
    """`name` as the text form allows it.

    >>> legal("dense1.weight"), legal("my weight"), legal("0")
    ('dense1.weight', 'my_weight', '_0')
    """
    base = re.sub(r"[^\w.]", "_", name)
    return base if re.match(r"[A-Za-z_]", base) else f"_{base}"


def _unused(wanted: str, taken: set[str]) -> str:
    base = name = legal(wanted)
    suffix = 0
    while name in taken:
        suffix += 1
        name = f"{base}.{suffix}"
    taken.add(name)
    return name


def described(structure: Any) -> Any:
    """The structure of a function's outputs as JSON data; tensors are numbers, counted from the left.

    >>> import graphc as gc
    >>> x = gc.placeholder((), name="x")
    >>> described([x, {"square": x * x}])
    [0, {'dict': {'square': 1}}]
    """
    count = 0

    def walk(item: Any) -> Any:
        nonlocal count
        if isinstance(item, gc.Tensor):
            count += 1
            return count - 1
        if isinstance(item, Mapping):
            for key in item:
                if not isinstance(key, str):
                    raise gc.ArgumentError(f"save: the outputs' key {key!r} is no string")
            return {"dict": {key: walk(value) for key, value in item.items()}}
        if isinstance(item, tuple):
            return {"tuple": [walk(value) for value in item]}
        return None if item is None else [walk(value) for value in item]

    return walk(structure)


def restored(description: Any, outputs: tuple[gc.Tensor, ...], what: str) -> Any:
    """The structure that `described` wrote, with `outputs` for its tensors.

    Raises:
        ModelFileError: it is none, or one of another number of outputs.
    """
    found: list[int] = []

    def walk(item: Any) -> Any:
        if item is None:
            return None
        if type(item) is int and 0 <= item < len(outputs):
            found.append(item)
            return outputs[item]
        if isinstance(item, list):
            return [walk(value) for value in item]
        if isinstance(item, dict) and len(item) == 1:
            if isinstance(values := item.get("tuple"), list):
                return tuple(walk(value) for value in values)
            if isinstance(named := item.get("dict"), dict):
                return {key: walk(value) for key, value in named.items()}
        raise gc.ModelFileError(f"{what}: {str(item)[:80]} does not describe outputs")

    structure = walk(description)
    if sorted(found) != list(range(len(outputs))):
        raise gc.ModelFileError(f"{what}: the description of the outputs is not one of {len(outputs)} outputs")
    return structure
