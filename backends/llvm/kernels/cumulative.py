"""Kernels of cumsum and cumprod.

    last axis    a running value, one step for each element
    other axes   each row is the row before it combined with the operand's, lanes along the row

Invariant: elements are combined one by one from the first on, which is NumPy's order, so results equal
NumPy's bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphc.backends.llvm.emitter import EXACT, Builder, Value
from graphc.backends.llvm.kernel import Kernel
from graphc.backends.llvm.kernels.around import Around, Column, lanes_for, start_of
from graphc.backends.llvm.target import Target, host_target
from graphc.ir.tensor import Tensor

Combine = Callable[[Value, Value], Value]


def build_cumsum(tensor: Tensor) -> Kernel:
    """The kernel of a `cumsum` tensor."""
    return cumulative_kernel(tensor, product=False)


def build_cumprod(tensor: Tensor) -> Kernel:
    """The kernel of a `cumprod` tensor."""
    return cumulative_kernel(tensor, product=True)


def cumulative_kernel(tensor: Tensor, *, product: bool, target: Target | None = None) -> Kernel:
    """The kernel of running sums or products along the tensor's `axis`."""
    x = tensor.tensor_type
    around, machine = Around.axis(x, tensor.attrs["axis"]), target or host_target()
    b = around.builder("cumulative", machine)
    if x.dtype.kind == "f":
        combine: Combine = b.fmul if product else b.fadd
    else:
        combine = b.mul if product else b.add
    with b.flags(EXACT):
        if around.is_last:
            _along_rows(b, combine, x.dtype)
        else:
            _along_columns(b, combine, x.dtype, lanes_for(x.dtype, machine))
    return Kernel(b, around.sizes)


def _along_rows(b: Builder, combine: Combine, dtype: np.dtype) -> None:
    x, y, outer, extent, _ = b.params
    one, zero = b.i64(1), b.i64(0)
    with b.loop(0, outer) as block, b.if_(b.icmp("sgt", extent, 0)):
        starts = (start_of(b, base, block.index, extent, one, zero, dtype) for base in (x, y))
        source, result = (Column(b, start, one, dtype) for start in starts)
        first = source.load(zero)
        result.store(first, zero)
        with b.loop(1, extent, carried=[first]) as loop:
            running = combine(loop.carried[0], source.load(loop.index))
            result.store(running, loop.index)
            loop.next(running)


def _along_columns(b: Builder, combine: Combine, dtype: np.dtype, lanes: int) -> None:
    x, y, outer, extent, inner = b.params
    even = b.sub(inner, b.urem(inner, lanes))

    def combined(block: Value, row: Value, column: Value, lanes: int) -> None:
        starts = (start_of(b, base, block, extent, inner, column, dtype) for base in (x, y))
        source, result = (Column(b, start, inner, dtype, lanes) for start in starts)
        value = source.load(row)
        with b.if_(b.icmp("sgt", row, 0), [value]) as later:
            later.give(combine(result.load(b.sub(row, 1)), value))
        result.store(later.results[0], row)

    with b.loop(0, outer) as block, b.loop(0, extent) as row:
        with b.loop(0, even, lanes) as column:
            combined(block.index, row.index, column.index, lanes)
        with b.loop(even, inner) as column:
            combined(block.index, row.index, column.index, 1)
