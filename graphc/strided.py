"""Calls with large arrays that are not C-contiguous: read as they lie where a loop can, else copied by machine code.

The first call with a layout copies, as does every call with one that no loop takes. The second compiles the function
anew for it, with the array's base (`analysis.layouts`) as a further input; the code then serves all sizes. Copies
are programs too, one for each layout and dtype in a process: they run on all threads and write to memory that is
used again, which is what makes them several times as fast as NumPy's.

Invariant: the bits of the results are those for a contiguous copy; no array is written to.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from graphc.analysis.layouts import Layout, layout_of, merged
from graphc.backends import Backend, Executable, backend_named
from graphc.ir import dims
from graphc.ir.build import apply
from graphc.ir.graph import Graph
from graphc.ir.location import here
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType

#: Arrays of fewer bytes are copied by NumPy before that takes longer than to find out how they lie.
LARGE = 1 << 15
#: For how many layouts a function is compiled, and how many it keeps an account of.
_VARIANTS, _SEEN = 8, 64
#: How many programs that copy are kept.
_COPIERS = 64
#: Permuted elements of other sizes are copied by NumPy: the squares of `transposition` are not for them.
_TRANSPOSED = (4, 8)

_Key = tuple[tuple[int, Layout], ...]


class _Variant(NamedTuple):
    """A function compiled for a layout, and the inputs that it reads as they lie."""

    executable: Executable
    direct: tuple[int, ...]


class StridedInputs:
    """What a function does about inputs that are not contiguous.

    Args:
        graph: the function's, after all passes.
        backend: what it was compiled by.
        compile: compiles another graph, as a variant of the function.
    """

    def __init__(self, graph: Graph, backend: Backend, compile: Callable[[Graph], Executable]) -> None:
        self._graph = graph
        self._backend = backend
        self._compile = compile
        self._seen: set[_Key] = set()
        self._variants: dict[_Key, _Variant | None] = {}  # None where no loop takes any of the inputs
        self._lock = threading.Lock()

    def prepared(self, executable: Executable, arrays: Sequence[np.ndarray]) -> tuple[Executable, list[np.ndarray]]:
        """What to run for these arrays, which is `executable` or a variant of it, and the arrays to give to it."""
        lying = {
            number: found
            for number, array in enumerate(arrays)
            if not array.flags.c_contiguous and (found := layout_of(array)) is not None and not found[0].is_permuted
        }
        variant = self._variant(tuple((number, layout) for number, (layout, _) in lying.items())) if lying else None
        if variant is None:
            return executable, self.copied(arrays)
        given = self.copied(arrays, variant.direct)
        return variant.executable, [*given, *(lying[number][1] for number in variant.direct)]

    def copied(self, arrays: Sequence[np.ndarray], but: Iterable[int] = ()) -> list[np.ndarray]:
        """The arrays, C-contiguous but for those with the numbers in `but`."""
        return [
            array if array.flags.c_contiguous or number in but else contiguous(array, self._backend)
            for number, array in enumerate(arrays)
        ]

    def _variant(self, key: _Key) -> _Variant | None:
        """The variant for a layout, made at the second call with it; None if there is none."""
        if key in self._variants:
            return self._variants[key]
        if len(self._seen) >= _SEEN or not self._lock.acquire(blocking=False):  # another thread is compiling
            return None
        try:
            if key not in self._seen:
                self._seen.add(key)
            elif key not in self._variants:
                self._variants[key] = self._compiled(key)
            return self._variants.get(key)
        finally:
            self._lock.release()

    def _compiled(self, key: _Key) -> _Variant | None:
        if sum(variant is not None for variant in self._variants.values()) >= _VARIANTS:
            return None
        found = self._backend.reading(self._graph, dict(key))
        return None if found is None else _Variant(self._compile(found[0]), found[1])


def contiguous(array: np.ndarray, backend: Backend) -> np.ndarray:
    """A C-contiguous copy of an array that is not, made by a program of the backend where that is faster."""
    if array.nbytes >= LARGE and backend.copies_fast:
        flat = merged(array)
        found = layout_of(flat)
        if found is not None and not (found[0].is_permuted and array.itemsize not in _TRANSPOSED):
            layout, base = found
            (copy,) = _copier(layout, array.dtype, backend.name)([flat, base])
            return copy.reshape(array.shape)
    return np.require(array, requirements=["C", "A"])


@lru_cache(_COPIERS)
def _copier(layout: Layout, dtype: np.dtype, backend: str) -> Executable:
    """A program that takes an array of this layout, for its sizes, and its base, and gives a contiguous copy."""
    shape = tuple(dims.fresh_symbol("n") for _ in layout.order)
    array = _placeholder(TensorType(dtype, shape))
    base = _placeholder(layout.base_type(array.tensor_type))
    if layout.is_permuted:
        result = layout.view_of(base, shape)
    else:
        inside = _placeholder(base.tensor_type)
        body = Graph("body", (inside,), (layout.view_of(inside, shape),))
        result = apply(OPS["fused"], base, body=body)
    return backend_named(backend).compile(Graph("contiguous", (array, base), (result,)))


def _placeholder(type_: TensorType) -> Tensor:
    return Tensor(OPS["placeholder"], (), {}, type_, here())


__all__ = ["LARGE", "StridedInputs", "contiguous"]
