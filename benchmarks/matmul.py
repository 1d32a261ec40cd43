"""Speed of the matmul kernels beside NumPy's BLAS, both on one thread: `python benchmarks/matmul.py [f32|f64]`.

Prints for each shape (m, k, n) the best time of each, the arithmetic rate of ours, and the ratio: above 1 ours
is faster. Times are the thread's own processor time, taken by turns, so that other processes disturb them little.
A call of ours goes through ctypes, which costs about as much as NumPy's own call.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable, Sequence

for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[variable] = "1"  # before NumPy, which reads it once

import numpy as np  # noqa: E402

from graphc.backends.llvm.emitter import Module  # noqa: E402
from graphc.backends.llvm.jit import Library, compile_module  # noqa: E402
from graphc.backends.llvm.kernel import Kernel  # noqa: E402
from graphc.backends.llvm.kernels.matmul import matmul_kernel  # noqa: E402
from graphc.ir import dims  # noqa: E402
from graphc.ir.types import DTYPES, TensorType  # noqa: E402

#: (m, k, n), how the operands are stored (N as they are, T transposed), and which extents are symbolic.
CASES = [
    ((8, 8, 8), "NN", ""), ((16, 16, 16), "NN", ""), ((32, 128, 64), "NN", ""), ((32, 128, 64), "NN", "m"),
    ((32, 128, 64), "NT", ""), ((32, 100, 10), "NN", ""), ((256, 256, 256), "NN", ""), ((512, 512, 512), "NN", ""),
    ((1024, 1024, 1024), "NN", ""), ((512, 512, 512), "NT", ""), ((512, 512, 512), "TN", ""),
    ((128, 784, 512), "NN", ""), ((784, 128, 512), "TN", ""), ((784, 32, 128), "TN", ""), ((784, 32, 10), "TN", ""),
    ((32, 10, 128), "NT", ""), ((1, 784, 512), "NN", ""), ((1, 512, 512), "NN", ""), ((1, 784, 512), "NT", ""),
    ((512, 784, 1), "NN", ""), ((8, 784, 512), "NN", ""), ((1, 784, 512), "NT", "m"), ((2, 784, 512), "NT", "m"),
    ((8, 784, 512), "NT", "m"), ((32, 784, 512), "NT", "m"), ((128, 784, 512), "NT", "m"),
    *(((1797, 64, n), "NN", "") for n in (1, 2, 3, 4, 5, 6, 7, 8, 10, 16)), ((1000, 20, 1), "NN", ""),
    ((1000, 20, 6), "NN", ""), ((1000, 784, 3), "NN", ""),
]  # fmt: skip


def best_times(calls: Sequence[Callable[[], object]], seconds: float = 0.4) -> list[float]:
    """The shortest processor time of each call, of as many rounds as fit into the time."""
    best = [float("inf")] * len(calls)
    for call in calls:
        call()
    start = time.perf_counter()
    calls[0]()
    repeats = max(1, int(20e-6 / (time.perf_counter() - start)))
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for number, call in enumerate(calls):
            before = time.thread_time_ns()
            for _ in range(repeats):
                call()
            best[number] = min(best[number], (time.thread_time_ns() - before) / repeats * 1e-9)
    return best


def compiled(kernel: Kernel) -> Library:
    """The kernel and its helpers as machine code."""
    module = Module()
    for helper in kernel.helpers:
        module.add(helper)
    module.add(kernel.function)
    return compile_module(module.text(), [kernel.function.name])


def measure(dtype: str, extents: tuple[int, int, int], stored: str, symbolic: str) -> str:
    """One line of the table."""
    m, k, n = extents
    sizes = dict(zip("mkn", extents))
    rng, number = np.random.default_rng(0), DTYPES[dtype]
    x = rng.standard_normal((k, m) if stored[0] == "T" else (m, k)).astype(number)
    y = rng.standard_normal((n, k) if stored[1] == "T" else (k, n)).astype(number)
    found, expected = np.empty((m, n), number), np.empty((m, n), number)
    axes = ("km" if stored[0] == "T" else "mk", "nk" if stored[1] == "T" else "kn", "mn")
    types = (
        TensorType(number, tuple(dims.symbol(a) if a in symbolic else sizes[a] for a in names)) for names in axes
    )
    start = time.process_time()
    kernel = matmul_kernel(*types, transpose_x=stored[0] == "T", transpose_y=stored[1] == "T")
    library = compiled(kernel)
    compiling = time.process_time() - start
    scratch = np.empty(dims.evaluate(kernel.scratch_bytes, sizes) + 64, np.uint8)
    aligned = scratch.ctypes.data + -scratch.ctypes.data % 64
    pointers = [array.ctypes.data for array in (x, y, found)] + [aligned] * (kernel.scratch_bytes != 0)
    assert kernel.split is not None
    turns = dims.evaluate(dims.product(list(kernel.split.extents)), sizes)
    numbers = [*pointers, *(dims.evaluate(s, sizes) for s in kernel.sizes), 0, turns]
    arguments = [ctypes.c_int64(value) for value in numbers]
    function = ctypes.CFUNCTYPE(None)(library.address(kernel.function.name))
    left, right = x.T if stored[0] == "T" else x, y.T if stored[1] == "T" else y
    ours, numpys = best_times([lambda: function(*arguments), lambda: np.matmul(left, right, out=expected)])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * k)
    return (
        f"{dtype} {extents!s:>18} {stored} {symbolic:1}  {ours * 1e6:9.1f} us  {2e-9 * m * k * n / ours:6.1f} GFLOP/s"
        f"  NumPy {numpys * 1e6:9.1f} us  ratio {numpys / ours:5.2f}  compiled in {compiling * 1e3:3.0f} ms"
    )


if __name__ == "__main__":
    for chosen in sys.argv[1:] or ("f32", "f64"):
        for case in CASES:
            print(measure(chosen, *case), flush=True)
