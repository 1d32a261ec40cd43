"""`out=`: results written into arrays of the caller, instead of fresh ones.

Invariant: an array is handed to a backend only if writing to it cannot change what the call still reads; results for
other arrays are computed elsewhere and copied when everything is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import FeedError
from graphc.ir import dims
from graphc.ir.evaluate import bind_symbols
from graphc.ir.graph import Graph
from graphc.ir.location import here
from graphc.ir.tensor import Tensor, Variable
from graphc.structure import Structure


class Results:
    """The caller's arrays for one call.

    Args:
        graph: what is called.
        structure: how its outputs are nested.
        out: arrays, nested in the same way.
        arrays: the inputs.

    Attributes:
        places: for each output the array to write it to, or None for a fresh one.

    Raises:
        FeedError: `out` is nested otherwise, or an array has not the dtype and shape of its output, or is read-only.
    """

    def __init__(self, graph: Graph, structure: Structure, out: Any, arrays: Sequence[np.ndarray]) -> None:
        self._name = graph.name
        self._out = out
        self._given = self._flat(structure, out, "out")
        sizes = bind_symbols(graph.inputs, arrays)
        for number, (tensor, array) in enumerate(zip(graph.outputs, self._given)):
            self._check(tensor.hint or f"output {number}", tensor, array, sizes)
        read = [*arrays, *(v.storage for v in graph.variables if isinstance(v, Variable))]
        self.places: list[np.ndarray | None] = []
        for number, array in enumerate(self._given):
            others = [*read, *self._given[:number], *self._given[number + 1 :]]
            plain = type(array) is np.ndarray and array.flags.c_contiguous and array.flags.aligned
            direct = plain and not any(np.may_share_memory(array, other) for other in others)
            self.places.append(array if direct else None)

    def finish(self, outputs: Sequence[np.ndarray]) -> Any:
        """Copy what was computed elsewhere; what the call returns: `out`."""
        for array, place, output in zip(self._given, self.places, outputs):
            if place is None:
                array[...] = output
        return self._out

    def _flat(self, structure: Structure, out: Any, where: str) -> list[np.ndarray]:
        """The arrays in the order of the outputs."""
        if structure is None and out is None:
            return []
        if isinstance(structure, Tensor):
            if not isinstance(out, np.ndarray):
                raise self._error(f"{where} must be an array, not {type(out).__name__}")
            return [out]
        if isinstance(structure, Mapping):
            if not isinstance(out, Mapping) or structure.keys() != out.keys():
                raise self._error(f"{where} must be a dict with the keys {', '.join(map(repr, structure))}")
            return [a for key, item in structure.items() for a in self._flat(item, out[key], f"{where}[{key!r}]")]
        items = list(structure)
        if not isinstance(out, (list, tuple)) or len(out) != len(items):
            raise self._error(f"{where} must be a list of {len(items)} arrays")
        return [a for i, (item, part) in enumerate(zip(items, out)) for a in self._flat(item, part, f"{where}[{i}]")]

    def _check(self, name: str, tensor: Tensor, array: np.ndarray, sizes: Mapping[str, int]) -> None:
        shape = tuple(dims.evaluate(size, sizes) for size in tensor.shape)
        if array.dtype != tensor.dtype or array.shape != shape:
            raise self._error(
                f"out for {name} has {array.dtype} {array.shape}, the result is {tensor.dtype} {shape}"
            )
        if not array.flags.writeable:
            raise self._error(f"out for {name} is read-only")

    def _error(self, message: str) -> FeedError:
        return FeedError(f"{self._name}: {message}", location=here())


__all__ = ["Results"]
