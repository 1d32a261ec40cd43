"""Compile one kernel and call it on NumPy arrays, with memory around its outputs and inputs that must stay untouched.

Outputs and scratch lie between canary bytes; each input ends where a page without access begins, so that a
read or write past an end kills the test run instead of passing.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Mapping, Sequence

import numpy as np
from graphc.backends.llvm.emitter import Module
from graphc.backends.llvm.jit import Library, compile_module
from graphc.backends.llvm.kernel import Kernel

from graphc.ir import dims

CANARY = 0xA7
_MARGIN = 256


class Failure(Exception):
    """The kernel returned 1: (site number, index, extent)."""


class Compiled:
    """A kernel as a Python callable: arrays in, fresh array out."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        module = Module()
        for helper in kernel.helpers:
            if helper.name not in module.functions:
                module.add(helper)
        name = module.add(kernel.function)
        self.text = module.text()
        self.library: Library = compile_module(self.text, [name])
        self._function = ctypes.CFUNCTYPE(ctypes.c_int64)(self.library.address(name))

    def __call__(
        self,
        inputs: Sequence[np.ndarray],
        shape: tuple[int, ...],
        dtype: np.dtype | str,
        sizes: Mapping[str, int] | None = None,
    ) -> np.ndarray:
        kernel, values = self.kernel, sizes or {}
        guarded = [_before_a_wall(array) for array in inputs]
        output = np.full(int(np.prod(shape)) * np.dtype(dtype).itemsize + 2 * _MARGIN, CANARY, np.uint8)
        scratch = np.full(dims.evaluate(kernel.scratch_bytes, values) + 2 * _MARGIN, CANARY, np.uint8)
        error = np.zeros(3, np.int64)
        arguments = [array.ctypes.data for array, _ in guarded] + [output.ctypes.data + _MARGIN]
        if kernel.scratch_bytes != 0:
            arguments.append((scratch.ctypes.data + _MARGIN))
        arguments += [dims.evaluate(size, values) for size in kernel.sizes]
        if kernel.sites:
            arguments.append(error.ctypes.data)
        status = self._function(*map(ctypes.c_int64, arguments))
        for what, buffer in (("output", output), ("scratch", scratch)):
            assert (buffer[:_MARGIN] == CANARY).all(), f"written before the {what}"
            assert (buffer[-_MARGIN:] == CANARY).all(), f"written after the {what}"
        for (copy, _), array in zip(guarded, inputs):
            assert copy.tobytes() == array.tobytes(), "an input was written"
        if kernel.sites and status:
            assert status == 1
            raise Failure(*error.tolist())
        return output[_MARGIN : output.size - _MARGIN].view(dtype).reshape(shape)


_libc = ctypes.CDLL(None)


def _before_a_wall(array: np.ndarray) -> tuple[np.ndarray, mmap.mmap]:
    """A copy of the array that ends where a page without access begins."""
    page = mmap.PAGESIZE
    room = -(-max(array.nbytes, 1) // page) * page
    memory = mmap.mmap(-1, room + page)
    place = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    if hasattr(_libc, "mprotect"):
        assert _libc.mprotect(ctypes.c_void_p(place + room), ctypes.c_size_t(page), 0) == 0
    copy = np.frombuffer(memory, np.uint8, array.nbytes, room - array.nbytes).view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy, memory
