"""Kernels of scatter_add and scatter_set: a copy of x, then one update after another.

    for each operand of indices: check every index          a bad one ends the call, with the error record
    copy x to the result
    for each point, in order:                                points are the joint shape of the indices
      row = its indices, wrapped and combined                row r of the result: the axes without indices
      result[row] = or += updates[point]

Invariant: updates are applied in the order of their points, so sums have NumPy's bits, and the last of
several values for one place stays.
"""

from __future__ import annotations

import functools

import numpy as np

from graphc.backends.llvm.emitter import EXACT, Builder, Value, memory_type
from graphc.backends.llvm.kernel import Kernel, Site, fail_if
from graphc.backends.llvm.kernels.around import lanes_for
from graphc.backends.llvm.kernels.broadcasting import broadcast_axes, broadcast_loops
from graphc.backends.llvm.kernels.joining import byte_count, copy_bytes
from graphc.backends.llvm.target import host_target
from graphc.ir import dims
from graphc.ir.tensor import Tensor


def build_scatter_add(tensor: Tensor) -> Kernel:
    """The kernel of a `scatter_add` tensor; site number i is index operand i."""
    return _scatter_kernel(tensor, adds=True)


def build_scatter_set(tensor: Tensor) -> Kernel:
    """The kernel of a `scatter_set` tensor; site number i is index operand i."""
    return _scatter_kernel(tensor, adds=False)


def _scatter_kernel(tensor: Tensor, *, adds: bool) -> Kernel:
    x, updates, *indices = tensor.inputs
    inner, shapes = x.shape[len(indices) :], [index.shape for index in indices]
    axes = broadcast_axes(updates.shape[: updates.ndim - len(inner)], shapes)
    dtypes, row_elements = [index.dtype for index in indices], dims.product(inner)
    b = _builder(len(indices), len(axes))
    bases, extents, counts, points = (
        [p for p in b.params if p.name.startswith(f"%{what}")] for what in ("index", "extent", "count", "points")
    )
    for operand, (base, count, dtype) in enumerate(zip(bases, counts, dtypes)):
        _check(b, operand, base, count, dtype, extents[operand])
    y, width, itemsize = b.param("y"), b.param("inner"), x.dtype.itemsize
    b.memcpy(y, b.param("x"), b.mul(functools.reduce(b.mul, extents, width), itemsize))
    with broadcast_loops(b, axes, points, len(indices)) as (*numbers, point):
        row = b.i64(0)
        for base, number, extent, dtype in zip(bases, numbers, extents, dtypes):
            position = _position(b, base, number, dtype)
            wrapped = b.select(b.icmp("slt", position, 0), b.add(position, extent), position)
            row = b.add(b.mul(row, extent), wrapped)
        to, source = (
            b.gep(base, b.mul(number, width), memory_type(x.dtype))
            for base, number in ((y, row), (b.param("updates"), point))
        )
        if adds:
            _add_row(b, to, source, width, x.dtype, single=row_elements == 1)
        else:
            copy_bytes(b, to, source, byte_count(row_elements, itemsize, b.mul(width, itemsize)))
    b.ret(b.i64(0))
    sizes = (*x.shape[: len(indices)], row_elements, *map(dims.product, shapes), *(axis.extent for axis in axes))
    return Kernel(b, sizes, sites=tuple(Site(tensor, i) for i in range(len(indices))))


def _builder(operands: int, axes: int) -> Builder:
    ways = range(operands)
    parameters = [
        ("x", "ptr"), ("updates", "ptr"), *((f"index{i}", "ptr") for i in ways), ("y", "ptr"),
        *((f"extent{i}", "i64") for i in ways), ("inner", "i64"), *((f"count{i}", "i64") for i in ways),
        *((f"points{i}", "i64") for i in range(axes)), ("error", "ptr"),
    ]  # fmt: skip
    return Builder("scatter", parameters, "i64", target=host_target())


def _position(b: Builder, indices: Value, number: Value, dtype: np.dtype) -> Value:
    """One index as an i64."""
    value = b.load(memory_type(dtype), b.gep(indices, number, memory_type(dtype)))
    return b.sext(value, "i64") if dtype.kind == "i" else b.zext(value, "i64")


def _check(b: Builder, operand: int, indices: Value, count: Value, dtype: np.dtype, extent: Value) -> None:
    """Fail at the first index of an operand that is outside -extent .. extent-1."""
    with b.loop(0, count) as loop:
        position = _position(b, indices, loop.index, dtype)
        if dtype.kind == "i":
            below = b.icmp("slt", position, b.sub(b.i64(0), extent))
            outside = b.or_(b.icmp("sge", position, extent), below)
        else:
            outside = b.icmp("uge", position, extent)
        fail_if(b, outside, b.param("error"), operand, position, extent)


def _add_row(b: Builder, to: Value, source: Value, count: Value, dtype: np.dtype, *, single: bool) -> None:
    """Add a row of `count` updates; a single one without a loop."""
    element = memory_type(dtype)

    def add(index: Value, lanes: int) -> None:
        place = b.gep(to, index, element)
        before = b.load_dtype(dtype, place, lanes)
        update = b.load_dtype(dtype, b.gep(source, index, element), lanes)
        value = b.fadd(before, update, EXACT) if dtype.kind == "f" else b.add(before, update)
        b.store_dtype(value, place, dtype)

    if single:
        add(b.i64(0), 1)
        return
    lanes = lanes_for(dtype, b.target)
    even = b.sub(count, b.urem(count, lanes))
    with b.loop(0, even, lanes) as loop:
        add(loop.index, lanes)
    with b.loop(even, count) as loop:
        add(loop.index, 1)
