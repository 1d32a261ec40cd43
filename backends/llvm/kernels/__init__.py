"""Kernels by loop shape, one file each; `KERNELS` says which op has one of its own.

Invariant: a builder takes the tensor for its types and attributes only; what it needs at run time are the
pointers and sizes of the calling convention in `kernel.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from graphc.backends.llvm.kernel import Kernel
from graphc.backends.llvm.kernels.matmul import build_matmul

from graphc.ir.tensor import Tensor

#: Op name -> the builder of its kernel. Elementwise ops, reductions, movement and gathers are loops.py's.
KERNELS: dict[str, Callable[[Tensor], Kernel]] = {
    "matmul": build_matmul,
}
