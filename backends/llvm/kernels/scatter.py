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

from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

import numpy as np
from graphc.backends.llvm.emitter import EXACT, Builder, Value, memory_type
from graphc.backends.llvm.kernel import Kernel, Site, fail_if
from graphc.backends.llvm.kernels.around import lanes_for
from graphc.backends.llvm.kernels.joining import byte_count, copy_bytes
from graphc.backends.llvm.target import host_target

from graphc.ir import dims
from graphc.ir.dims import Size
from graphc.ir.tensor import Tensor


class PointAxis(NamedTuple):
    """A loop over points: how many, and which operands of indices advance along it."""

    extent: Size
    advances: tuple[bool, ...]


def point_axes(points: tuple[Size, ...], shapes: Sequence[tuple[Size, ...]]) -> list[PointAxis]:
    """The loops over the joint shape `points` of indices of these shapes, neighbours of a kind made one.

    >>> point_axes((2, 3, 4), [(3, 4), (2, 1, 1)])
    [PointAxis(extent=2, advances=(False, True)), PointAxis(extent=12, advances=(True, False))]
    """
    axes: list[PointAxis] = []
    for place, extent in enumerate(points, -len(points)):
        if extent == 1:
            continue
        advances = tuple(-place <= len(shape) and shape[place] != 1 for shape in shapes)
        if axes and axes[-1].advances == advances:
            axes[-1] = PointAxis(axes[-1].extent * extent, advances)
        else:
            axes.append(PointAxis(extent, advances))
    return axes


def build_scatter_add(tensor: Tensor) -> Kernel:
    """The kernel of a `scatter_add` tensor; site number i is index operand i."""
    return _scatter_kernel(tensor, adds=True)


def build_scatter_set(tensor: Tensor) -> Kernel:
    """The kernel of a `scatter_set` tensor; site number i is index operand i."""
    return _scatter_kernel(tensor, adds=False)


def _scatter_kernel(tensor: Tensor, *, adds: bool) -> Kernel:
    x, updates, *indices = tensor.inputs
    ways = range(len(indices))
    inner = x.shape[len(indices) :]
    axes = point_axes(updates.shape[: updates.ndim - len(inner)], [index.shape for index in indices])
    b = Builder(
        "scatter",
        [("x", "ptr"), ("updates", "ptr"), *((f"index{i}", "ptr") for i in ways), ("y", "ptr"),
         *((f"extent{i}", "i64") for i in ways), ("inner", "i64"), *((f"count{i}", "i64") for i in ways),
         *((f"points{i}", "i64") for i in range(len(axes))), ("error", "ptr")],
        "i64",
        target=host_target(),
    )  # fmt: skip
    extents = [b.param(f"extent{i}") for i in ways]
    for i, index in enumerate(indices):
        _check(b, i, index.dtype, extents[i])
    element, count = memory_type(x.dtype), b.param("inner")
    total = count
    for extent in extents:
        total = b.mul(total, extent)
    b.memcpy(b.param("y"), b.param("x"), b.mul(total, x.dtype.itemsize))
    row_elements = dims.product(inner)
    row_bytes = byte_count(row_elements, x.dtype.itemsize, b.mul(count, x.dtype.itemsize))
    with ExitStack() as loops:
        point, numbers = b.i64(0), [b.i64(0) for _ in ways]
        for place, axis in enumerate(axes):
            extent = b.param(f"points{place}")
            index = loops.enter_context(b.loop(0, extent)).index
            point = b.add(b.mul(point, extent), index)
            numbers = [
                b.add(b.mul(number, extent), index) if moves else number for number, moves in zip(numbers, axis.advances)
            ]
        row = b.i64(0)
        for i, operand in enumerate(indices):
            position = _position(b, b.param(f"index{i}"), numbers[i], operand.dtype)
            wrapped = b.select(b.icmp("slt", position, 0), b.add(position, extents[i]), position)
            row = b.add(b.mul(row, extents[i]), wrapped)
        to = b.gep(b.param("y"), b.mul(row, count), element)
        source = b.gep(b.param("updates"), b.mul(point, count), element)
        if adds:
            _add_row(b, to, source, count, x.dtype, single=row_elements == 1)
        else:
            copy_bytes(b, to, source, row_bytes)
    b.ret(b.i64(0))
    sizes = (
        *(x.shape[i] for i in ways), row_elements, *(dims.product(i.shape) for i in indices), *(a.extent for a in axes)
    )  # fmt: skip
    return Kernel(b, sizes, sites=tuple(Site(tensor, i) for i in ways))


def _position(b: Builder, indices: Value, number: Value, dtype: np.dtype) -> Value:
    """One index as an i64."""
    value = b.load(memory_type(dtype), b.gep(indices, number, memory_type(dtype)))
    return b.sext(value, "i64") if dtype.kind == "i" else b.zext(value, "i64")


def _check(b: Builder, operand: int, dtype: np.dtype, extent: Value) -> None:
    """Fail at the first index of an operand that is outside -extent .. extent-1."""
    with b.loop(0, b.param(f"count{operand}")) as loop:
        position = _position(b, b.param(f"index{operand}"), loop.index, dtype)
        if dtype.kind == "i":
            outside = b.or_(b.icmp("sge", position, extent), b.icmp("slt", position, b.sub(b.i64(0), extent)))
        else:
            outside = b.icmp("uge", position, extent)
        fail_if(b, outside, b.param("error"), operand, position, extent)


def _add_row(b: Builder, to: Value, source: Value, count: Value, dtype: np.dtype, *, single: bool) -> None:
    """Add a row of `count` updates; a single one without a loop."""
    element = memory_type(dtype)

    def add(index: Value, lanes: int) -> None:
        place = b.gep(to, index, element)
        update, before = b.load_dtype(dtype, b.gep(source, index, element), lanes), b.load_dtype(dtype, place, lanes)
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
