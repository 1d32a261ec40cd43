"""Compile one kernel and call it on NumPy arrays, with memory around its operands that must stay untouched.

Outputs and scratch memory lie between canary bytes. Each input ends where a page without access begins, so a
read past its end kills the test run instead of passing.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

import graphc as gc
from graphc.backends.llvm.emitter import Module
from graphc.backends.llvm.jit import compile_module
from graphc.backends.llvm.kernel import Kernel, Split
from graphc.backends.llvm.kernels import KERNELS
from graphc.backends.llvm.loader import Library
from graphc.ir import dims
from graphc.ir.build import apply
from graphc.ir.evaluate import bind_symbols, evaluate_tensor
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor

CANARY = 0xA7
_MARGIN = 256
_libc = ctypes.CDLL(None)


class Failure(Exception):
    """A kernel returned 1; the arguments are its error record: site number, index, extent."""


class Compiled:
    """A kernel as a Python callable."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        module = Module()
        for helper in kernel.helpers:
            module.add(helper)
        module.add(kernel.function)
        self.text = module.text()
        self.library = _library(self.text, kernel.function.name)
        self.address = self.library.address(kernel.function.name)
        self._function = ctypes.CFUNCTYPE(ctypes.c_int64)(self.address)

    def __call__(
        self,
        inputs: Sequence[np.ndarray],
        shape: Sequence[int],
        dtype: Any,
        sizes: Mapping[str, int] | None = None,
        cuts: Sequence[float] = (),
    ) -> np.ndarray:
        """The kernel's result, of this shape and dtype, for arrays and the values of the symbolic sizes.

        Of a kernel with a `split`, the turns are done in several calls, cut at these parts of the whole.
        """
        kernel, values = self.kernel, sizes or {}
        guarded = [before_a_wall(array) for array in inputs]
        output = _between_canaries(int(np.prod(shape)) * np.dtype(dtype).itemsize)
        scratch = _between_canaries(dims.evaluate(kernel.scratch_bytes, values))
        error = np.zeros(3, np.int64)
        arguments = [copy.ctypes.data for copy, _ in guarded] + [output.ctypes.data + _MARGIN]
        if kernel.scratch_bytes != 0:
            arguments.append(scratch.ctypes.data + _MARGIN)
        arguments += [dims.evaluate(size, values) for size in kernel.sizes]
        parts: list[list[int]] = [[]]
        if kernel.split is not None:
            parts = _parts(kernel.split, values, cuts)
        for part in parts:
            given = [*arguments, *part, *([error.ctypes.data] if kernel.sites else [])]
            assert len(given) == len(kernel.function.params), "the function has other parameters"
            status = self._function(*map(ctypes.c_int64, given))
        for what, buffer in (("output", output), ("scratch memory", scratch)):
            assert (buffer[:_MARGIN] == CANARY).all(), f"wrote before the {what}"
            assert (buffer[buffer.size - _MARGIN :] == CANARY).all(), f"wrote past the {what}"
        for (copy, _), array in zip(guarded, inputs):
            assert copy.tobytes() == array.tobytes(), "wrote to an input"
        if kernel.sites and status:
            assert status == 1
            raise Failure(*error.tolist())
        return output[_MARGIN : output.size - _MARGIN].view(dtype).reshape(shape)


def _parts(split: Split, sizes: Mapping[str, int], cuts: Sequence[float]) -> list[list[int]]:
    """[low, high] of each part of a kernel's turns; all begin at multiples of the granule."""
    turns = int(np.prod([dims.evaluate(size, sizes) for size in split.extents]))
    granules = -(-turns // split.granule)
    bounds = [0, *(min(turns, int(cut * granules) * split.granule) for cut in cuts), turns]
    return [list(part) for part in zip(bounds, bounds[1:])]


@lru_cache(maxsize=256)
def _library(text: str, name: str) -> Library:
    return compile_module(text, [name])


def _between_canaries(size: int) -> np.ndarray:
    return np.full(size + 2 * _MARGIN, CANARY, np.uint8)


def before_a_wall(array: np.ndarray) -> tuple[np.ndarray, mmap.mmap]:
    """A copy of the array that ends where a page without access begins, and the memory that holds it."""
    room = -(-max(array.nbytes, 1) // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, room + mmap.PAGESIZE)
    place = ctypes.addressof(ctypes.c_char.from_buffer(memory)) + room
    if hasattr(_libc, "mprotect"):
        assert _libc.mprotect(ctypes.c_void_p(place), ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    data = np.frombuffer(memory, np.uint8, array.nbytes, room - array.nbytes)
    copy = data.view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy, memory


def placeholders(arrays: Sequence[np.ndarray], symbolic: bool) -> list[Tensor]:
    """An input for each array: of its shape, or with a symbol `a0`, `a1`, `b0` ... for each extent."""
    shapes = [
        [f"{letter}{i}" for i in range(array.ndim)] if symbolic else array.shape
        for letter, array in zip("abcdefgh", arrays)
    ]
    return [gc.placeholder(shape, array.dtype) for shape, array in zip(shapes, arrays)]


def result_of(tensor: Tensor, arrays: Sequence[np.ndarray]) -> np.ndarray:
    """What the kernel of a tensor, whose operands are placeholders, makes of their arrays."""
    sizes = bind_symbols(tensor.inputs, arrays)
    shape = [dims.evaluate(size, sizes) for size in tensor.shape]
    return Compiled(KERNELS[tensor.op.name](tensor))(arrays, shape, tensor.dtype, sizes)


def check(op: str, arrays: Sequence[np.ndarray], *, symbolic: bool = False, **attrs: Any) -> None:
    """Assert that an op's kernel gives the bits that the op's NumPy evaluation gives."""
    tensor = apply(OPS[op], *placeholders(arrays, symbolic), **attrs)
    expected = evaluate_tensor(tensor, arrays, bind_symbols(tensor.inputs, arrays))
    assert_same_bits(result_of(tensor, arrays), expected)


def assert_same_bits(found: np.ndarray, expected: np.ndarray) -> None:
    """Assert equal dtype, shape and bits, where all NaNs count as one value."""
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)
    if found.dtype.kind == "f":
        numbers = ~np.isnan(found)
        np.testing.assert_array_equal(np.signbit(found)[numbers], np.signbit(expected)[numbers])


def values(rng: np.random.Generator, shape: Sequence[int], dtype: Any, *, few: bool = False) -> np.ndarray:
    """Random elements; or `few` different ones, NaN, infinities and both zeros among them."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        if few:
            return rng.choice(np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 2.5], dtype), shape)
        return rng.standard_normal(shape).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    bounds = np.iinfo(dtype)
    if few:
        return rng.choice(np.array([bounds.min, bounds.max, 0, 1, 2], dtype), shape)
    return rng.integers(bounds.min, bounds.max, shape, dtype, endpoint=True)
