"""Kernels of concat and pad: blocks of bytes, copied to where they belong.

Invariant: every element of the result is written, whatever extents are 0; nothing is read but the operands.
"""

from __future__ import annotations

import functools
from contextlib import ExitStack

from graphc.backends.llvm.emitter import Builder, Value
from graphc.backends.llvm.kernel import Kernel
from graphc.backends.llvm.target import host_target
from graphc.ir import dims
from graphc.ir.dims import Size
from graphc.ir.tensor import Tensor

#: Blocks of up to so many bytes are copied by a few instructions; a call would cost more than the copy.
_INLINE_BYTES = 64


def build_concat(tensor: Tensor) -> Kernel:
    """The kernel of a `concat` tensor: for each block of the result, one piece from each operand."""
    axis, itemsize = tensor.attrs["axis"], tensor.dtype.itemsize
    pieces = [dims.product(x.shape[axis:]) for x in tensor.inputs]
    operands, extents = [f"x{i}" for i in range(len(pieces))], [f"n{i}" for i in range(len(pieces))]
    pointers, sizes = [(name, "ptr") for name in [*operands, "y"]], [(name, "i64") for name in extents]
    b = Builder("concat", [*pointers, ("blocks", "i64"), *sizes], target=host_target())
    counts = [b.mul(b.param(name), itemsize) for name in extents]
    with b.loop(0, b.param("blocks"), carried=[b.param(name) for name in ["y", *operands]]) as block:
        place, *sources = block.carried
        for i, piece in enumerate(pieces):
            copy_bytes(b, place, sources[i], byte_count(piece, itemsize, counts[i]))
            place, sources[i] = b.offset(place, counts[i]), b.offset(sources[i], counts[i])
        block.next(place, *sources)
    return Kernel(b, (dims.product(tensor.shape[:axis]), *pieces))


def build_pad(tensor: Tensor) -> Kernel:
    """The kernel of a `pad` tensor: the value everywhere, then the operand's rows over it."""
    x, itemsize = tensor.inputs[0], tensor.dtype.itemsize
    axes = _merged(list(zip(tensor.attrs["before"], x.shape, tensor.shape)))
    b = Builder(
        "pad",
        [("x", "ptr"), ("value", "ptr"), ("y", "ptr"),
         *((f"{what}{i}", "i64") for i in range(len(axes)) for what in ("before", "extent", "total"))],
        target=host_target(),
    )  # fmt: skip
    befores, extents, totals = (
        [b.param(f"{what}{i}") for i in range(len(axes))] for what in ("before", "extent", "total")
    )
    element = f"i{8 * itemsize}"
    _fill(b, b.param("y"), b.load(element, b.param("value")), functools.reduce(b.mul, totals))
    row_bytes = byte_count(axes[-1][1], itemsize, b.mul(extents[-1], itemsize))
    with ExitStack() as loops:
        source, place = b.i64(0), b.i64(0)
        for before, extent, total in list(zip(befores, extents, totals))[:-1]:
            index = loops.enter_context(b.loop(0, extent)).index
            source = b.add(b.mul(source, extent), index)
            place = b.add(b.mul(place, total), b.add(index, before))
        source = b.gep(b.param("x"), b.mul(source, extents[-1]), element)
        place = b.gep(b.param("y"), b.add(b.mul(place, totals[-1]), befores[-1]), element)
        copy_bytes(b, place, source, row_bytes)
    return Kernel(b, tuple(size for axis in axes for size in axis))


def _merged(axes: list[tuple[Size, Size, Size]]) -> list[tuple[Size, Size, Size]]:
    """(before, extent, total) of each axis, with axes that are not padded made part of the one in front.

    >>> _merged([(1, 4, 6), (0, 2, 2), (0, 3, 3)])
    [(6, 24, 36)]
    """
    merged: list[tuple[Size, Size, Size]] = [(0, 1, 1)] if not axes else []
    for axis in axes:
        if merged and axis[0] == 0 and axis[1] == axis[2]:
            merged[-1] = tuple(size * axis[1] for size in merged[-1])  # type: ignore[assignment]
        else:
            merged.append(axis)
    return merged


def byte_count(elements: Size, itemsize: int, count: Value) -> int | Value:
    """The bytes of a block: a number where it is small enough to copy inline, else the run-time value."""
    small = isinstance(elements, int) and elements * itemsize <= _INLINE_BYTES
    return elements * itemsize if isinstance(elements, int) and small else count


def copy_bytes(b: Builder, to: Value, source: Value, count: int | Value) -> None:
    """Copy a block; a number of bytes is copied by loads and stores of falling width."""
    if isinstance(count, Value):
        b.memcpy(to, source, count)
        return
    place = 0
    for width in (8, 4, 2, 1):
        while count - place >= width:
            value = b.load(f"i{8 * width}", b.offset(source, place), align=1)
            b.store(value, b.offset(to, place), align=1)
            place += width


def _fill(b: Builder, place: Value, value: Value, count: Value) -> None:
    """Store a value `count` times."""
    lanes = max(1, b.target.native_lanes(f"u{int(value.type[1:]) // 8}"))
    wide, even = b.splat(value, lanes), b.sub(count, b.urem(count, lanes))
    with b.loop(0, even, lanes) as loop:
        b.store(wide, b.gep(place, loop.index, value.type))
    with b.loop(even, count) as loop:
        b.store(value, b.gep(place, loop.index, value.type))
