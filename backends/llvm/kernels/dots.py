"""Products with few rows or few columns: a dot product along k for each element.

            lines: many, along k       All lines are read once for a group of four (or eight) few vectors: a
    vector  [==================]       step along k loads a piece of each and multiplies all pairs, and the
    vector  [==================]       pairs' accumulators hide each other's latency. In the end the lanes of
            [==================]       all accumulators are added up together, in a tree of shuffles.

A turn, of which threads share the loop, is one group of lines.

Invariant: an element is the sum of `lanes * unroll` interleaved partial sums, combined in a fixed order that
does not depend on its place in a group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from graphc.backends.llvm.emitter import EXACT, Builder, Value, element_bytes, lanes_of, memory_type, vector
from graphc.backends.llvm.kernel import Kernel, named_by_content, remembered
from graphc.backends.llvm.kernels.lines import Lines
from graphc.backends.llvm.kernels.packing import mask_below
from graphc.backends.llvm.kernels.product import Product, Run
from graphc.backends.llvm.target import Target
from graphc.ir.dims import Size

#: So many rows are few: more of them pay for packing.
FEW_ROWS = 4
#: With fewer vectors of products to sum, adding up the lanes at the end costs more than whole tiles.
_LEAST_VECTORS = 2
#: Threads share the turns in parcels of this many, so that gathering the few vectors for each costs little.
_GRANULE = 16


def suits_dots(product: Product, target: Target) -> bool:
    """Whether dot products are the way: few rows or columns, the other operand along k, and k not tiny.

    Columns are few if one vector holds them.
    """
    if product.transposed_x:
        return False
    lanes = target.native_lanes(product.dtype)
    tiny = isinstance(product.k, int) and product.k < _LEAST_VECTORS * lanes
    by_columns = _is_few(product.n, max(FEW_ROWS, lanes)) and not tiny
    return by_columns or (_is_few(product.m, FEW_ROWS) and product.transposed_y)


def _is_few(extent: Size, few: int) -> bool:
    return isinstance(extent, int) and 1 <= extent <= few


def dots_kernel(product: Product, target: Target, lying: Lines | None = None) -> Kernel:
    """The kernel of a product that `suits_dots`; the lines may lie otherwise, if there is one product.

    The few vectors are the rows of x, or else the columns of y, which are gathered in scratch memory if they
    do not run along k.
    """
    few_rows = _is_few(product.m, FEW_ROWS) and product.transposed_y
    gathers = not few_rows and not product.transposed_y
    few, many = (product.m, product.n) if few_rows else (product.n, product.m)
    assert isinstance(few, int)
    shape = _Shape.of(product.dtype, few, target, one=product.m == product.n == 1)
    # Never 0 bytes where it is there, not even for extents of the number 0: the function has the parameter.
    scratch = (product.n * product.k + 1) * shape.bytes if gathers else 0
    b = product.builder(target, scratch=gathers, further=("pitch",) if lying else ())
    body = _DotsBody(b, shape, few_rows=few_rows, gathers=gathers, lying=lying)
    extent = b.param("n" if few_rows else "m")
    with b.at(b.entry):
        turns = b.udiv(b.add(extent, shape.lines - 1), shape.lines)
    with product.runs(b, b.i64(1), turns) as run:
        body.multiply(run)
    weight = product.k * (shape.lines * few * shape.bytes) // 4
    split = product.split(((many + (shape.lines - 1)) // shape.lines,), weight, _GRANULE)
    return Kernel(b, product.sizes, scratch, split=split)


def lying_lines_kernel(product: Product, pitch: Size, lying: Lines, target: Target) -> Kernel | None:
    """The kernel of a product whose first operand lies in such lines, of a base with rows of length `pitch`.

    None unless its lines are what `dots_kernel` reads, and there is one product.
    """
    by_lines = product.swapped or not (_is_few(product.m, FEW_ROWS) and product.transposed_y)
    if product.axes or product.dtype.kind != "f" or not suits_dots(product, target) or not by_lines:
        return None
    kernel = dots_kernel(product, target, lying)
    return replace(kernel, sizes=(*kernel.sizes, pitch))


@remembered
def dot_lines(dtype: np.dtype, target: Target) -> Builder:
    """A function `(x, y, c, c_step, m, k, n)`: c = x @ y.T for m rows of x and n lines of y, all of k elements.

    `c_step`: bytes between rows of c. Each group of lines serves all rows while the cache holds it.
    """
    params = [(name, "ptr") for name in "xyc"] + [(name, "i64") for name in ("c_step", "m", "k", "n")]
    b = Builder("dot_lines", params, target=target, linkage="internal")
    x, y, c, c_step, m, k, n = b.params
    shape = _Shape.of(dtype, 1, target)
    body = _DotsBody(b, shape, few_rows=True)
    with b.loop(0, n, shape.lines) as lines, b.loop(0, m) as row:
        vector_ = b.gep(x, b.mul(row.index, k), shape.element)
        body.group(vector_, y, b.offset(c, b.mul(row.index, c_step)), lines.index)
    return named_by_content(b)


class _Shape(NamedTuple):
    """How the products are grouped.

    Attributes:
        groups: how many of the few vectors are multiplied at once, one group after the other.
        lines: how many of the many lines.
        unroll: accumulators of one pair.
    """

    element: str
    lanes: int
    groups: tuple[int, ...]
    lines: int
    unroll: int

    @classmethod
    def of(cls, dtype: np.dtype, few: int, target: Target, *, one: bool = False) -> _Shape:
        """As many accumulators as hide the latency of a multiply-add and fit into the registers.

        `one`: there is one product in all.
        """
        lanes, more = target.native_lanes(dtype), max(1, target.vector_registers // 16)
        count = -(-few // (4 * more))
        groups = tuple((few + i) // count for i in reversed(range(count)))
        if one:
            lines, unroll = 1, 4
        elif few == 1:
            lines, unroll = 4, 2
        else:
            lines, unroll = next(n for n in (8, 4, 2) if n * groups[0] <= 12 * more), 1
        return cls(memory_type(dtype), lanes, groups, lines, unroll)

    @property
    def bytes(self) -> int:
        """Bytes of one element."""
        return element_bytes(self.element)


class _DotsBody:
    """The loops over groups of lines, and inside, along k."""

    def __init__(
        self, b: Builder, shape: _Shape, *, few_rows: bool, gathers: bool = False, lying: Lines | None = None
    ) -> None:
        self.b, self.shape, self.few_rows, self.gathers = b, shape, few_rows, gathers
        self.k, self.n = b.param("k"), b.param("n")
        self.few, self.many = sum(shape.groups), b.param("n" if few_rows else "m")
        self.lying = lying or Lines()
        self.pitch = b.param("pitch") if lying else self.k
        self.beside = b.alloca(shape.element, self.few * shape.lines)

    def multiply(self, run: Run) -> None:
        """Some groups of lines of one product."""
        b, element = self.b, self.shape.element
        m = b.param("m")
        x = b.gep(b.param("x"), b.mul(run.x, b.mul(m, self.k)), element)
        y = b.gep(b.param("y"), b.mul(run.y, b.mul(self.n, self.k)), element)
        c = b.gep(b.param("c"), b.mul(run.c, b.mul(m, self.n)), element)
        if self.gathers:
            y = self._gathered(y, b.param("scratch"))
        vectors, lines = (x, y) if self.few_rows else (y, x)
        lines = self.lying.first(b, lines, element, self.many, self.k, self.pitch)
        with b.loop(run.first, run.last) as turn:
            self.group(vectors, lines, c, b.mul(turn.index, self.shape.lines))

    def _gathered(self, y: Value, copy: Value) -> Value:
        """The columns of y, one after another."""
        b, element = self.b, self.shape.element
        with b.loop(0, self.k) as row, b.loop(0, self.n) as column:
            value = b.load(element, b.gep(y, b.add(b.mul(row.index, self.n), column.index), element))
            b.store(value, b.gep(copy, b.add(b.mul(column.index, self.k), row.index), element))
        return copy

    def group(self, vectors: Value, lines: Value, c: Value, first: Value) -> None:
        """The products of one group of lines with all vectors."""
        b, shape, element = self.b, self.shape, self.shape.element
        # Beyond the last line, the last is read again and its sums go beside the product.
        numbers = [b.intrinsic("smin", b.add(first, i), b.sub(self.many, 1)) for i in range(shape.lines)]
        line_length = b.mul(self.pitch, self.lying.step)
        left = [b.gep(lines, b.mul(number, line_length), element) for number in numbers]
        whole = b.icmp("sle", b.add(first, shape.lines), self.many)
        target = b.gep(c, first if self.few_rows else b.mul(first, self.few), element)
        place = b.select(whole, target, self.beside)
        line_step: int | Value = 1 if self.few_rows else self.few
        vector_step: int | Value = b.select(whole, self.n, shape.lines) if self.few_rows else 1
        done = 0
        for count in shape.groups:
            right = [b.gep(vectors, b.mul(self.k, done + j), element) for j in range(count)]
            inner = [(i, j) for j in range(count) for i in range(shape.lines)]
            if not self.few_rows:
                inner.sort()
            sums = iter(self._dots([(left[i], right[j]) for i, j in inner]))
            for i, j in inner:
                to = b.add(b.mul(b.i64(i), line_step), b.mul(b.i64(done + j), vector_step))
                b.store(next(sums), b.gep(place, to, element))
            done += count
        with b.if_(b.not_(whole), likely=False):
            self._copy_back(target, b.sub(self.many, first))

    def _copy_back(self, target: Value, lines: Value) -> None:
        """The products of so many lines, from beside to where they belong."""
        b, size = self.b, self.shape.bytes
        if not self.few_rows:
            b.memcpy(target, self.beside, b.mul(lines, self.few * size))
            return
        for j in range(self.few):
            to = b.offset(target, b.mul(self.n, j * size))
            b.memcpy(to, b.offset(self.beside, j * self.shape.lines * size), b.mul(lines, size))

    def _dots(self, pairs: Sequence[tuple[Value, Value]]) -> list[Value]:
        """The dot product of each of the pairs of vectors, over k elements."""
        b, lanes, unroll = self.b, self.shape.lanes, self.shape.unroll
        type_ = vector(self.shape.element, lanes)
        sources = list(dict.fromkeys(source for pair in pairs for source in pair))
        lines = {line for line, _ in pairs}

        def step(place: Value, sums: Sequence[Value], mask: Value | None = None) -> list[Value]:
            loaded = {s: (self.lying if s in lines else Lines()).load(b, type_, s, place, mask) for s in sources}
            return [b.fma(loaded[x], loaded[y], total) for (x, y), total in zip(pairs, sums)]

        rest, wide = b.urem(self.k, lanes), b.urem(self.k, lanes * unroll)
        even, unrolled = b.sub(self.k, rest), b.sub(self.k, wide)
        with b.loop(0, unrolled, lanes * unroll, carried=[b.const(type_, 0)] * (len(pairs) * unroll)) as loop:
            parts = [loop.carried[i :: unroll] for i in range(unroll)]
            stepped = [step(b.add(loop.index, i * lanes), parts[i]) for i in range(unroll)]
            loop.next(*(value for group in zip(*stepped) for value in group))
        totals = [
            _sum_in_pairs(b, loop.results[i * unroll : (i + 1) * unroll]) for i in range(len(pairs))
        ]
        if unroll > 1:
            with b.loop(unrolled, even, lanes, carried=totals) as loop:
                loop.next(*step(loop.index, loop.carried))
            totals = list(loop.results)
        if lanes > 1:
            with b.if_(b.icmp("ne", rest, 0), totals) as tail:
                tail.give(*step(even, totals, mask_below(b, rest, 0, lanes)))
            totals = list(tail.results)
        return lane_sums(b, totals)


def _sum_in_pairs(b: Builder, values: Sequence[Value]) -> Value:
    while len(values) > 1:
        values = [b.fadd(first, second) for first, second in zip(values[::2], values[1::2])]
    return values[0]


def lane_sums(b: Builder, values: Sequence[Value]) -> list[Value]:
    """The sum of the lanes of each vector; up to `lanes` vectors share the work.

        a0 a1 a2 a3     a0+a1 b0+b1 a2+a3 b2+b3     a b c d     each round halves what is left of a vector
        b0 b1 b2 b3  ->                          ->             and puts two vectors' halves together; one
        c0 c1 ...       c0+c1 ...                               that is left over goes with itself
    """  # fmt: skip
    lanes = lanes_of(values[0].type)
    sums: list[Value] = []
    for start in range(0, len(values), lanes):
        some, span = list(values[start : start + lanes]), 1
        count = len(some)
        while span < lanes:
            first = [i if i % (2 * span) < span else lanes + i - span for i in range(lanes)]
            second = [i + span for i in first]
            pairs = [(some[i], some[min(i + 1, len(some) - 1)]) for i in range(0, len(some), 2)]
            some = [b.fadd(b.shuffle(x, y, first), b.shuffle(x, y, second)) for x, y in pairs]
            span *= 2
        # A sum begins at 0.0: one of products that vanish below zero is not -0.0.
        total = b.fadd(some[0], 0.0, flags=EXACT)
        sums += [b.extract(total, i) for i in range(count)]
    return sums
