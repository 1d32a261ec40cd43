"""Kernels by loop shape, one file each; `KERNELS` says which op has one of its own.

Invariant: a builder takes the tensor for its types and attributes only; what it needs at run time are the
pointers and sizes of the calling convention in `kernel.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from graphc.backends.llvm.kernel import Kernel
from graphc.backends.llvm.kernels.argreduce import build_argmax, build_argmin
from graphc.backends.llvm.kernels.convolution import build_conv
from graphc.backends.llvm.kernels.convolution_weights import build_conv_weights
from graphc.backends.llvm.kernels.cumulative import build_cumprod, build_cumsum
from graphc.backends.llvm.kernels.joining import build_concat, build_pad
from graphc.backends.llvm.kernels.matmul import build_matmul
from graphc.backends.llvm.kernels.plane_convolution import build_conv_planes, build_conv_planes_weights
from graphc.backends.llvm.kernels.pooling import build_fold, build_spread
from graphc.backends.llvm.kernels.scatter import build_scatter_add, build_scatter_set
from graphc.backends.llvm.kernels.sorting import build_argsort, build_sort
from graphc.backends.llvm.kernels.stages import Stage
from graphc.ir.tensor import Tensor

#: Op name -> the builder of its kernel, or stages; None is a host step. Elementwise ops, reductions, movement and
#: gathers are loops.py's.
KERNELS: dict[str, Callable[[Tensor], Kernel | tuple[Stage, ...] | None]] = {
    "argmax": build_argmax,
    "argmin": build_argmin,
    "argsort": build_argsort,
    "concat": build_concat,
    "conv": build_conv,
    "conv_planes": build_conv_planes,
    "conv_planes_weights": build_conv_planes_weights,
    "conv_transpose": build_conv,
    "conv_weights": build_conv_weights,
    "cumprod": build_cumprod,
    "cumsum": build_cumsum,
    "matmul": build_matmul,
    "max_pool": build_fold,
    "max_pool_pick": build_fold,
    "max_pool_spread": build_spread,
    "pad": build_pad,
    "scatter_add": build_scatter_add,
    "scatter_set": build_scatter_set,
    "sort": build_sort,
    "sum_pool": build_fold,
    "sum_pool_spread": build_spread,
}
