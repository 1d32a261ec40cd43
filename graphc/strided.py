"""Calls with large arrays that are not C-contiguous: read as they lie where a loop can, else copied by machine code.

The first call with a layout copies, as does every call with one that no loop takes. The second compiles the function
anew for it, a *variant* which takes the array's base (`analysis.layouts`) in its place; the code then serves all sizes.
What was found out about arguments is remembered with their shapes and strides, so that later calls with such are
calls of the variant's builtin. Copies are programs too, one for each layout and dtype in a process: they run on all
threads and write to memory that is used again, which is what makes them several times as fast as NumPy's.

Invariant: the bits of the results are those for a contiguous copy; no array is written to.
"""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from graphc.analysis.layouts import Layout, layout_of, merged
from graphc.backends import Backend, Executable, backend_named
from graphc.ir import dims
from graphc.ir.build import apply
from graphc.ir.dims import Size
from graphc.ir.graph import Graph
from graphc.ir.location import here
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType

#: Arrays of fewer bytes are copied by NumPy before that takes longer than to find out how they lie.
LARGE = 1 << 15
#: For how many layouts a function is compiled, and how many it keeps an account of.
_VARIANTS, _SEEN = 8, 64
#: For how many shapes and strides of its arguments it knows at once what to do.
_PLANS = 256
#: How many programs that copy are kept.
_COPIERS = 64
#: Permuted elements of other sizes are copied by NumPy: the squares of `transposition` are not for them.
_TRANSPOSED = (4, 8)

_Key = tuple[tuple[int, Layout], ...]


class _Variant(NamedTuple):
    """A function compiled for a layout.

    Attributes:
        executable: the program. Its arguments are the arrays of `taken`, the bases of those of `lying`, and for
            each size of `carried`, which no other argument has, an array of bool of that extent.
        call: the program, called with them as the function is, natively where it can be.
        taken, lying: numbers of the function's inputs.
        carried: (number of an input, axis) of each such size.
    """

    executable: Executable
    call: Callable[..., Any]
    taken: tuple[int, ...]
    lying: tuple[int, ...]
    carried: tuple[tuple[int, int], ...]


class _Place(NamedTuple):
    """How to make a base: so many bytes from an array's first element, as an array of this shape and dtype."""

    number: int
    bytes: int
    shape: tuple[int, ...]
    dtype: np.dtype
    memory: Any  # the ctypes type of as many bytes as it has

    @classmethod
    def of(cls, number: int, array: np.ndarray, base: np.ndarray) -> _Place:
        size = math.prod(base.shape) * base.itemsize
        return cls(number, _address(base) - _address(array), base.shape, base.dtype, ctypes.c_char * size)

    def base(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """The base; NumPy's `as_strided` takes several times as long to make one."""
        memory = self.memory.from_address(_address(arrays[self.number]) + self.bytes)
        return np.ndarray(self.shape, self.dtype, memory)


class _Plan(NamedTuple):
    """What to do about arguments of some shapes and strides: what to call with which of them, bases and carriers."""

    call: Callable[..., Any]
    taken: tuple[int, ...]
    places: tuple[_Place, ...]
    carriers: tuple[np.ndarray, ...]
    backend: Backend

    def __call__(self, arrays: Sequence[np.ndarray]) -> Any:
        taken = [arrays[number] for number in self.taken]
        whole = [array if array.flags.c_contiguous else contiguous(array, self.backend) for array in taken]
        return self.call(*whole, *[place.base(arrays) for place in self.places], *self.carriers)


class StridedInputs:
    """What a function does about inputs that are not contiguous.

    Args:
        graph: the function's, after all passes.
        backend: what it was compiled by.
        compile: compiles another graph, as a variant of the function: the program, and what calls it with
            its arguments and returns what the function returns.
    """

    def __init__(
        self, graph: Graph, backend: Backend, compile: Callable[[Graph], tuple[Executable, Callable[..., Any]]]
    ) -> None:
        self._graph = graph
        self._backend = backend
        self._compile = compile
        self._seen: set[_Key] = set()
        self._variants: dict[_Key, _Variant | None] = {}  # None where no loop takes any of the inputs
        self._plans: dict[tuple[Any, ...], _Plan] = {}
        self._dtypes = [tensor.dtype for tensor in graph.inputs]
        self._lock = threading.Lock()

    def known(self, arguments: Sequence[Any]) -> _Plan | None:
        """What to do about arguments just like those of an earlier call; None for all others."""
        return self._plans.get(_shapes_and_strides(arguments)) if self._plans and self._are_plain(arguments) else None

    def _are_plain(self, arguments: Sequence[Any]) -> bool:
        """Whether the arguments are arrays that need no conversion, for all but how they lie."""
        if len(arguments) != len(self._dtypes):
            return False
        for argument, dtype in zip(arguments, self._dtypes):
            if type(argument) is not np.ndarray or argument.dtype is not dtype or not argument.flags.aligned:
                return False
        return True

    def prepared(
        self, executable: Executable, arrays: Sequence[np.ndarray], arguments: Sequence[Any]
    ) -> tuple[Executable, list[np.ndarray]]:
        """What to run for these arrays, which is `executable` or a variant of it, and the arrays to give to it.

        `arguments`: what the caller gave by position. The next call with such shall know at once what to do.
        """
        lying = {
            number: found
            for number, array in enumerate(arrays)
            if not array.flags.c_contiguous and (found := layout_of(array)) is not None and not found[0].is_permuted
        }
        variant = self._variant(tuple((number, layout) for number, (layout, _) in lying.items())) if lying else None
        if variant is None:
            return executable, self.copied(arrays)
        bases = [lying[number][1] for number in variant.lying]
        carriers = [np.empty(arrays[number].shape[axis], np.bool_) for number, axis in variant.carried]
        if self._are_plain(arguments) and len(self._plans) < _PLANS:
            places = tuple(_Place.of(number, arrays[number], base) for number, base in zip(variant.lying, bases))
            plan = _Plan(variant.call, variant.taken, places, tuple(carriers), self._backend)
            self._plans[_shapes_and_strides(arguments)] = plan
        given = self.copied(arrays, variant.lying)
        return variant.executable, [*[given[number] for number in variant.taken], *bases, *carriers]

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
        if found is None:
            return None
        graph, lying = found
        count = len(self._graph.inputs)
        taken = tuple(number for number in range(count) if number not in lying)
        arguments = [*(graph.inputs[number] for number in taken), *graph.inputs[count:]]
        carried = _only_in({number: graph.inputs[number] for number in lying}, arguments)
        carriers = [_placeholder(TensorType(np.dtype(np.bool_), (size,))) for size in carried]
        executable, call = self._compile(replace(graph, inputs=(*arguments, *carriers)))
        return _Variant(executable, call, taken, lying, tuple(carried.values()))


def _only_in(lying: Mapping[int, Tensor], others: Sequence[Tensor]) -> dict[Size, tuple[int, int]]:
    """The symbolic sizes that only these numbered inputs bring -> (number, axis) of one that does."""
    brought = {dims.bare_symbol(size) for tensor in others for size in tensor.shape}
    found: dict[Size, tuple[int, int]] = {}
    for number, tensor in lying.items():
        for axis, size in enumerate(tensor.shape):
            if dims.bare_symbol(size) not in (None, *brought):
                found.setdefault(size, (number, axis))
    return found


def _shapes_and_strides(arrays: Sequence[np.ndarray]) -> tuple[Any, ...]:
    return tuple([(array.shape, array.strides) for array in arrays])


def _address(array: np.ndarray) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


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
