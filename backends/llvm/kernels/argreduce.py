"""Kernels of argmax and argmin.

    last axis    two passes over a row: the extremum (and whether there is a NaN), in lanes; then a search for
                 the first element that equals it (or is NaN), which stops where it finds it
    other axes   one pass with a column in each lane, carrying the best value and its row

Invariant: of equal elements the first is chosen, and the first NaN before any number, as NumPy chooses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphc.backends.llvm.emitter import Builder, Value, element_type, lanes_of, like, vector
from graphc.backends.llvm.kernel import Kernel
from graphc.backends.llvm.kernels.around import Around, Column, lanes_for, start_of
from graphc.backends.llvm.target import Target, host_target
from graphc.ir.tensor import Tensor

_INT64 = np.dtype(np.int64)


@dataclass(frozen=True)
class Extremum:
    """What to look for: the largest or the smallest element of a dtype."""

    dtype: np.dtype
    largest: bool

    @property
    def is_float(self) -> bool:
        """Whether NaN needs care."""
        return self.dtype.kind == "f"

    def worst(self) -> float | int:
        """A value that no element is worse than: what an empty search starts from."""
        if self.is_float:
            return -np.inf if self.largest else np.inf
        if self.dtype.kind == "b":
            return 0 if self.largest else 1
        bounds = np.iinfo(self.dtype)
        return int(bounds.min if self.largest else bounds.max)

    def better(self, b: Builder, x: Value, best: Value) -> Value:
        """Whether x is strictly better; a NaN is better than a number, but not than another NaN."""
        if self.is_float:
            return b.and_(b.fcmp("ugt" if self.largest else "ult", x, best), b.fcmp("ord", best, best))
        signed = self.dtype.kind == "i"
        return b.icmp(("s" if signed else "u") + ("gt" if self.largest else "lt"), x, best)

    def best(self, b: Builder, x: Value, y: Value) -> Value:
        """The better of two numbers."""
        if self.is_float:
            return b.select(b.fcmp("ogt" if self.largest else "olt", x, y), x, y)
        return b.select(self.better(b, x, y), x, y)


def build_argmax(tensor: Tensor) -> Kernel:
    """The kernel of an `argmax` tensor."""
    return argreduce_kernel(tensor, largest=True)


def build_argmin(tensor: Tensor) -> Kernel:
    """The kernel of an `argmin` tensor."""
    return argreduce_kernel(tensor, largest=False)


def argreduce_kernel(tensor: Tensor, *, largest: bool, target: Target | None = None) -> Kernel:
    """The kernel that finds the place of the extremum along the tensor's `axis`; 0 along an empty one."""
    x = tensor.inputs[0].tensor_type
    around, machine = Around.axis(x, tensor.attrs["axis"]), target or host_target()
    b = around.builder("argreduce", machine)
    extremum, lanes = Extremum(x.dtype, largest), lanes_for(x.dtype, machine)
    (_along_rows if around.is_last else _along_columns)(b, extremum, lanes)
    return Kernel(b, around.sizes)


def _along_columns(b: Builder, extremum: Extremum, lanes: int) -> None:
    x, y, outer, extent, inner = b.params
    even = b.sub(inner, b.urem(inner, lanes))

    def columns(block: Value, first: Value, lanes: int) -> None:
        base = start_of(b, x, block, extent, inner, first, extremum.dtype)
        column = Column(b, base, inner, extremum.dtype, lanes)
        best, place = b.const(_comparable(column.type), extremum.worst()), b.const(vector("i64", lanes), 0)
        with b.loop(0, extent, carried=[best, place]) as row:
            best, place = row.carried
            value = _comparably(b, column.load(row.index))
            better = extremum.better(b, value, best)
            row.next(b.select(better, value, best), b.select(better, b.splat(row.index, lanes), place))
        b.store(row.results[1], start_of(b, y, block, b.i64(1), inner, first, _INT64))

    with b.loop(0, outer) as block:
        with b.loop(0, even, lanes) as first:
            columns(block.index, first.index, lanes)
        with b.loop(even, inner) as first:
            columns(block.index, first.index, 1)


def _along_rows(b: Builder, extremum: Extremum, lanes: int) -> None:
    x, y, outer, extent, _ = b.params
    even = b.sub(extent, b.urem(extent, lanes))
    with b.loop(0, outer) as block:
        base = start_of(b, x, block.index, extent, b.i64(1), b.i64(0), extremum.dtype)
        wide, single = (Column(b, base, b.i64(1), extremum.dtype, count) for count in (lanes, 1))
        best, any_nan = _row_extremum(b, extremum, wide, single, even, extent)

        def found(value: Value) -> Value:
            if not extremum.is_float:
                return b.icmp("eq", value, b.splat(best, lanes_of(value.type)))
            equal = b.fcmp("oeq", value, b.splat(best, lanes_of(value.type)))
            return b.select(any_nan, b.fcmp("uno", value, value), equal)

        with b.loop(0, even, lanes, carried=[b.i64(0)]) as search:
            search.exit_if(b.any(found(_comparably(b, wide.load(search.index)))), search.index)
            search.next(b.add(search.index, lanes))
        with b.loop(search.results[0], extent, carried=[b.i64(0)]) as last:
            last.exit_if(found(_comparably(b, single.load(last.index))), last.index)
            last.next(b.i64(0))
        b.store(last.results[0], b.gep(y, block.index, "i64"))


def _row_extremum(
    b: Builder, extremum: Extremum, wide: Column, single: Column, even: Value, extent: Value
) -> tuple[Value, Value]:
    """The extremum of a row's numbers, and whether there is a NaN beside them."""

    def scan(column: Column, start: int | Value, stop: Value, best: Value, nan: Value) -> tuple[Value, ...]:
        with b.loop(start, stop, column.lanes, carried=[best, nan]) as loop:
            best, nan = loop.carried
            value = _comparably(b, column.load(loop.index))
            seen = b.or_(nan, b.fcmp("uno", value, value)) if extremum.is_float else nan
            loop.next(extremum.best(b, value, best), seen)
        return loop.results

    type_ = _comparable(wide.type)
    best, nan = scan(wide, 0, even, b.const(type_, extremum.worst()), b.const(like(type_, "i1"), 0))
    best, nan = b.reduce(best, lambda one, other: extremum.best(b, one, other)), b.any(nan)
    best, nan = scan(single, even, extent, best, nan)
    return best, nan


def _comparable(type_: str) -> str:
    """The type that values are compared in: bytes for bools."""
    return like(type_, "i8") if element_type(type_) == "i1" else type_


def _comparably(b: Builder, value: Value) -> Value:
    return b.zext(value, "i8") if element_type(value.type) == "i1" else value
