"""Products with few rows or few columns: a dot product along k for each element.

            rows: many, along k        All rows are read once for each of the few vectors, in groups, so that
    vector  [==================]       a piece of the vector serves several dot products, and so that their
    [====]  [==================]       accumulators hide each other's latency.

Invariant: an element is the sum of `lanes * unroll` interleaved partial sums, combined in a fixed order.
"""

from __future__ import annotations

import numpy as np

from graphc.backends.llvm.emitter import Builder, Value, memory_type, vector
from graphc.backends.llvm.kernel import Kernel
from graphc.backends.llvm.kernels.packing import load_some, mask_below
from graphc.backends.llvm.kernels.product import Product
from graphc.backends.llvm.target import Target
from graphc.ir.dims import Size

#: So many rows or columns are few: more of them pay for packing.
FEW = 4
#: With fewer products to sum, adding up the lanes at the end costs more than whole tiles.
_LEAST_K = 32


def suits_dots(product: Product) -> bool:
    """Whether dot products are the way: few rows or columns, the other operand along k, and k not tiny."""
    if product.transposed_x:
        return False
    return (_is_few(product.m) and product.transposed_y) or (_is_few(product.n) and not _is_tiny(product.k))


def _is_few(extent: Size) -> bool:
    return isinstance(extent, int) and 1 <= extent <= FEW


def _is_tiny(k: Size) -> bool:
    return isinstance(k, int) and k < _LEAST_K


def dots_kernel(product: Product, target: Target) -> Kernel:
    """The kernel of a product that `suits_dots`.

    The few vectors are the rows of x, or else the columns of y, which are gathered in scratch memory if they
    do not run along k.
    """
    few_rows = _is_few(product.m) and product.transposed_y
    gathers = not few_rows and not product.transposed_y
    element, lanes = memory_type(product.dtype), target.native_lanes(product.dtype)
    # Never 0 bytes where it is there, not even for extents of the number 0: the function has the parameter.
    scratch = (product.n * product.k + 1) * np.dtype(product.dtype).itemsize if gathers else 0
    b = product.builder(target, scratch=gathers)
    m, k, n = b.param("m"), b.param("k"), b.param("n")
    one = b.i64(1)
    group, unroll = (1, 4) if product.m == product.n == 1 else (4, 2)
    with product.batch_loops(b) as (x_number, y_number, c_number):
        x = b.gep(b.param("x"), b.mul(x_number, b.mul(m, k)), element)
        y = b.gep(b.param("y"), b.mul(y_number, b.mul(n, k)), element)
        c = b.gep(b.param("c"), b.mul(c_number, b.mul(m, n)), element)
        if gathers:
            y = _gathered(b, y, b.param("scratch"), k, n, element)
        few, many = (m, n) if few_rows else (n, m)
        few_step, many_step = (n, one) if few_rows else (one, n)
        vectors, rows = (x, y) if few_rows else (y, x)
        with b.loop(0, many, group) as row, b.loop(0, few) as column:
            left = b.gep(vectors, b.mul(column.index, k), element)
            # Beyond the last row, the last is read again and its sums are not stored.
            numbers = [b.intrinsic("smin", b.add(row.index, i), b.sub(many, 1)) for i in range(group)]
            lines = [b.gep(rows, b.mul(number, k), element) for number in numbers]
            place = b.gep(c, b.mul(column.index, few_step), element)
            for i, total in enumerate(_dots(b, left, lines, k, lanes, element, unroll)):
                number = b.add(row.index, i)
                with b.if_(b.icmp("slt", number, many)):
                    b.store(total, b.gep(place, b.mul(number, many_step), element))
    return Kernel(b, product.sizes, scratch)


def _gathered(b: Builder, y: Value, copy: Value, k: Value, n: Value, element: str) -> Value:
    """The columns of y, one after another."""
    with b.loop(0, k) as row, b.loop(0, n) as column:
        value = b.load(element, b.gep(y, b.add(b.mul(row.index, n), column.index), element))
        b.store(value, b.gep(copy, b.add(b.mul(column.index, k), row.index), element))
    return copy


def _dots(
    b: Builder, left: Value, rows: list[Value], k: Value, lanes: int, element: str, unroll: int
) -> list[Value]:
    """The dot products of `left` with each of the rows, over k elements."""
    type_ = vector(element, lanes)

    def step(place: Value, sums: list[Value], mask: Value | None = None) -> list[Value]:
        x, *others = (load_some(b, type_, b.gep(line, place, element), mask) for line in (left, *rows))
        return [b.fma(x, other, total) for other, total in zip(others, sums)]

    rest, wide = b.urem(k, lanes), b.urem(k, lanes * unroll)
    even, unrolled = b.sub(k, rest), b.sub(k, wide)
    with b.loop(0, unrolled, lanes * unroll, carried=[b.const(type_, 0)] * (len(rows) * unroll)) as loop:
        parts = [list(loop.carried[i :: unroll]) for i in range(unroll)]
        for i in range(unroll):
            parts[i] = step(b.add(loop.index, i * lanes), parts[i])
        loop.next(*(value for group in zip(*parts) for value in group))
    sums = [loop.results[i * unroll : (i + 1) * unroll] for i in range(len(rows))]
    totals = [_sum_in_pairs(b, list(parts)) for parts in sums]
    with b.loop(unrolled, even, lanes, carried=totals) as loop:
        loop.next(*step(loop.index, list(loop.carried)))
    totals = list(loop.results)
    if lanes > 1:
        with b.if_(b.icmp("ne", rest, 0), totals) as tail:
            tail.give(*step(even, totals, mask_below(b, rest, 0, lanes)))
        totals = list(tail.results)
    return [b.reduce(total, b.fadd) for total in totals]


def _sum_in_pairs(b: Builder, values: list[Value]) -> Value:
    while len(values) > 1:
        values = [b.fadd(first, second) for first, second in zip(values[::2], values[1::2])]
    return values[0]
