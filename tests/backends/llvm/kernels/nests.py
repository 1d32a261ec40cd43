"""Compile the loop kernels of many bodies at once, and call them between canaries and walls of memory.

An operand ends where a page without access begins, or begins where one ends, so a read outside it kills the
test run. Results lie between canary bytes; what a kernel does not write keeps them too.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from harness import CANARY, Failure, assert_same_bits

from graphc.backends.llvm.emitter import Module
from graphc.backends.llvm.jit import compile_module
from graphc.backends.llvm.kernels.loops import build_loops
from graphc.backends.llvm.target import Target, host_target
from graphc.ir import dims
from graphc.ir.evaluate import bind_symbols, evaluate
from graphc.ir.graph import Graph, topological_order
from graphc.ir.tensor import Tensor

MARGIN = 256
PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None)


def targets() -> dict[str, Target]:
    """Machines that this one can stand in for: with no vectors, with short ones, without fused multiply-add."""
    host = host_target()
    found = {"host": host, "no vectors": replace(host, vector_bits=64)}
    if platform.machine().lower() in ("x86_64", "amd64"):
        found["baseline"] = Target.of(host.triple, "x86-64")
        if host.vector_bits >= 256:
            found["avx2"] = Target.of(host.triple, "x86-64", "+avx2")
    return found


def body(*outputs: Tensor) -> Graph:
    """The body with these results; its parameters are the placeholders that they need, in order of creation."""
    needed = [t for t in topological_order(outputs) if t.op.name == "placeholder"]
    return Graph("body", tuple(needed), outputs)


class Nests:
    """Kernels of bodies, compiled as one module."""

    def __init__(self, bodies: Iterable[Graph], target: Target | None = None, opt: int = 0) -> None:
        self.bodies = list(bodies)
        self.kernels = [build_loops(b, target) for b in self.bodies]
        module = Module()
        names = []
        for number, kernel in enumerate(self.kernels):
            for helper in kernel.helpers:
                if helper.name not in module.functions:
                    module.add(helper)
            kernel.function.name = f"nest{number}"
            names.append(module.add(kernel.function))
        self.library = compile_module(module.text(), names, opt, target=target)
        self.functions = [ctypes.CFUNCTYPE(ctypes.c_int64)(self.library.address(name)) for name in names]

    def run(
        self,
        number: int,
        arrays: Sequence[np.ndarray],
        sizes: Mapping[str, int] | None = None,
        *,
        wall: str = "after",
        parts: int = 1,
    ) -> list[np.ndarray]:
        """The results of a body's kernel; raises `Failure` with its error record if it returns 1."""
        of, kernel = self.bodies[number], self.kernels[number]
        sizes = bind_symbols(of.inputs, arrays) if sizes is None else sizes
        guarded = [beside_a_wall(a, wall) for a in arrays]
        shapes = [[dims.evaluate(s, sizes) for s in t.shape] for t in of.outputs]
        outputs = [canaries(int(np.prod(s)) * t.dtype.itemsize) for s, t in zip(shapes, of.outputs)]
        scratch = canaries(dims.evaluate(kernel.scratch_bytes, sizes))
        error = np.full(3, -1, np.int64)
        given = {f"in{i}": copy.ctypes.data for i, (copy, _) in enumerate(guarded)}
        given |= {f"out{i}": out.ctypes.data + MARGIN for i, out in enumerate(outputs)}
        given |= {f"size{i}": dims.evaluate(s, sizes) for i, s in enumerate(kernel.sizes)}
        given |= {"scratch": scratch.ctypes.data + MARGIN, "error": error.ctypes.data}
        status = 0
        for given["low"], given["high"] in self._parts(number, sizes, parts):
            arguments = [given[p.name.removeprefix("%")] for p in kernel.function.params]
            returned = self.functions[number](*map(ctypes.c_int64, arguments))
            status = status or (returned if kernel.sites else 0)
        for buffer in (*outputs, scratch):
            assert (buffer[:MARGIN] == CANARY).all(), "wrote before a result or scratch memory"
            assert (buffer[buffer.size - MARGIN :] == CANARY).all(), "wrote past a result or scratch memory"
        for (copy, _), array in zip(guarded, arrays):
            assert copy.tobytes() == array.tobytes(), "wrote to an operand"
        if status:
            assert status == 1
            raise Failure(*error.tolist())
        return [
            out[MARGIN : out.size - MARGIN].view(t.dtype).reshape(s)
            for out, t, s in zip(outputs, of.outputs, shapes)
        ]

    def _parts(self, number: int, sizes: Mapping[str, int], parts: int) -> list[tuple[int, int]]:
        """The ranges of turns that threads would take."""
        split = self.kernels[number].split
        if split is None:
            return [(0, 0)]
        turns = int(np.prod([dims.evaluate(s, sizes) for s in split.extents]))
        granules = -(-turns // split.granule)
        bounds = [min(granules * i // parts * split.granule, turns) for i in range(parts + 1)]
        return list(zip(bounds, bounds[1:]))

    def check(
        self,
        number: int,
        arrays: Sequence[np.ndarray],
        sizes: Mapping[str, int] | None = None,
        *,
        rtol: float = 0.0,
        parts: int = 1,
    ) -> None:
        """Assert that a kernel gives what the body evaluates to: the same bits, or within `rtol`."""
        of = self.bodies[number]
        expected = evaluate(of, arrays, sizes=bind_symbols(of.inputs, arrays) if sizes is None else sizes)
        for wall in ("after", "before"):
            found = self.run(number, arrays, sizes, wall=wall, parts=parts)
            for result, wanted in zip(found, expected):
                if rtol and wanted.dtype.kind == "f":
                    assert (result.dtype, result.shape) == (wanted.dtype, wanted.shape)
                    np.testing.assert_allclose(result, wanted, rtol, rtol)
                else:
                    assert_same_bits(result, wanted)


def check_all(bodies: Sequence[Graph], feeds: Sequence[Sequence[np.ndarray]], target: Target | None = None) -> None:
    """Check each body on its arrays."""
    nests = Nests(bodies, target)
    for number, arrays in enumerate(feeds):
        nests.check(number, arrays)


def canaries(size: int) -> np.ndarray:
    """Memory full of canary bytes, with a margin on both sides."""
    return np.full(size + 2 * MARGIN, CANARY, np.uint8)


def beside_a_wall(array: np.ndarray, side: str) -> tuple[np.ndarray, mmap.mmap]:
    """A copy of the array directly before, or after, a page without access; and the memory that holds it."""
    room = -(-max(array.nbytes, 1) // PAGE) * PAGE
    memory = mmap.mmap(-1, room + 2 * PAGE)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    if hasattr(libc, "mprotect"):
        for wall in (base, base + PAGE + room):
            assert libc.mprotect(ctypes.c_void_p(wall), ctypes.c_size_t(PAGE), 0) == 0
    offset = PAGE + room - array.nbytes if side == "after" else PAGE
    copy = np.frombuffer(memory, np.uint8, array.nbytes, offset).view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy, memory


def small(rng: np.random.Generator, shape: Sequence[int], dtype: object) -> np.ndarray:
    """Random small whole numbers, whose sums and products are exact in any order."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    return rng.integers(0 if dtype.kind == "u" else -3, 4, shape).astype(dtype)
