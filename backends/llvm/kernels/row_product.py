"""A single row times a matrix: the rows of y, each times its element of x, are added up in the result.

    x  [a b c d ...]        y  [a: ----------->]      Several rows at once, so that the result is loaded and
                               [b: ----------->]      stored once for them, and memory streams along rows as it
    c  [----------->]  +=      [c: ----------->]      lies: y is read once, and that is what takes the time.
                               [d: ----------->]

The sums of few columns stay in registers; there, rows are added one by one. A turn, of which threads share the loop,
is one stretch of columns.

Invariant: an element is the sum over k in ascending order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.backends.llvm.emitter import EXACT, Builder, Value, memory_type, vector
from graphc.backends.llvm.kernel import Kernel
from graphc.backends.llvm.kernels.packing import load_some, mask_below, store_some
from graphc.backends.llvm.kernels.product import Product
from graphc.backends.llvm.target import Target
from graphc.ir import dims

#: Columns of one turn.
_TURN = 256
#: Columns that are summed at once: as long as possible, for memory's sake, but the sums stay in the first-level cache.
_STRETCH = 2048
#: Rows of y that are added at once. More of them, and the processor no longer foresees what is read.
_ROWS = 4
#: Sums of so many vectors of columns stay in registers, where they wait for nothing but the multiply-add before.
_REGISTERS = 8


def suits_row_product(product: Product) -> bool:
    """Whether the product is of one row, and y is stored as it is."""
    return product.m == 1 and not product.transposed_x and not product.transposed_y


def row_product_kernel(product: Product, target: Target) -> Kernel:
    """The kernel of a product that `suits_row_product`."""
    element, lanes = memory_type(product.dtype), target.native_lanes(product.dtype)
    b = product.builder(target)
    k, n = b.param("k"), b.param("n")
    with b.at(b.entry):
        turns = b.udiv(b.add(n, _TURN - 1), _TURN)
    with product.runs(b, b.i64(1), turns) as run:
        x = b.gep(b.param("x"), b.mul(run.x, k), element)
        y = b.gep(b.param("y"), b.mul(run.y, b.mul(k, n)), element)
        c = b.gep(b.param("c"), b.mul(run.c, n), element)
        if isinstance(product.n, int) and product.n <= _REGISTERS * lanes:
            _sum_in_registers(b, element, lanes, product.n, (x, y, c))
        else:
            end = b.intrinsic("smin", b.mul(run.last, _TURN), n)
            with b.loop(b.mul(run.first, _TURN), end, _STRETCH) as stretch:
                width = b.intrinsic("smin", b.sub(end, stretch.index), _STRETCH)
                _sum_in_memory(b, element, lanes, width, x, *(b.gep(a, stretch.index, element) for a in (y, c)))
    itemsize = product.dtype.itemsize
    split = product.split((-(-product.n // _TURN),), dims.minimum(product.n, _TURN) * product.k * itemsize // 4)
    return Kernel(b, product.sizes, split=split)


def _sum_in_registers(b: Builder, element: str, lanes: int, n: int, arrays: tuple[Value, Value, Value]) -> None:
    """All of few columns."""
    x, y, c = arrays
    type_, places = vector(element, lanes), range(0, n, lanes)
    masks = [None if place + lanes <= n else mask_below(b, b.i64(n - place), 0, lanes) for place in places]
    with b.loop(0, b.param("k"), carried=[y, *(b.const(type_, 0) for _ in places)]) as loop:
        line, *sums = loop.carried
        factor = b.splat(b.load(element, b.gep(x, loop.index, element)), lanes)
        loaded = [load_some(b, type_, b.gep(line, place, element), mask) for place, mask in zip(places, masks)]
        loop.next(b.gep(line, n, element), *(b.fma(factor, row, total) for row, total in zip(loaded, sums)))
    _, *sums = loop.results
    for place, mask, total in zip(places, masks, sums):
        value, to = b.fadd(total, 0.0, flags=EXACT), b.gep(c, place, element)
        if mask is None:
            b.store(value, to)
        else:
            store_some(b, value, to, mask)


def _sum_in_memory(b: Builder, element: str, lanes: int, width: Value, x: Value, y: Value, c: Value) -> None:
    """A stretch of columns."""
    k = b.param("k")
    sums = _RowSums(b, element, lanes, width, b.param("n"), c)
    sums.clear()
    many = b.sub(k, b.urem(k, _ROWS))
    with b.loop(0, many, _ROWS) as loop:
        sums.add_rows(x, y, [b.add(loop.index, i) for i in range(_ROWS)])
    with b.loop(many, k) as loop:
        sums.add_rows(x, y, [loop.index])
    sums.finish()


class _RowSums:
    """The sums of one stretch of columns, in the result's memory."""

    def __init__(self, b: Builder, element: str, lanes: int, width: Value, n: Value, c: Value) -> None:
        self.b, self.element, self.n, self.c = b, element, n, c
        self.lanes, self.type = lanes, vector(element, lanes)
        self.even = b.sub(width, b.urem(width, lanes))
        self.width, self.mask = width, mask_below(b, b.sub(width, self.even), 0, lanes)

    def clear(self) -> None:
        """Begin with zeros."""
        self._sweep(lambda place, mask: self.b.const(self.type, 0))

    def finish(self) -> None:
        """A sum begins at 0.0: one of products that vanish below zero is not -0.0."""
        b = self.b

        def positive(place: Value, mask: Value | None) -> Value:
            return b.fadd(load_some(b, self.type, b.gep(self.c, place, self.element), mask), 0.0, flags=EXACT)

        self._sweep(positive)

    def add_rows(self, x: Value, y: Value, rows: Sequence[Value]) -> None:
        """Add these rows of y, times their elements of x."""
        b = self.b
        lines = [b.gep(y, b.mul(row, self.n), self.element) for row in rows]
        factors = [b.splat(b.load(self.element, b.gep(x, row, self.element)), self.lanes) for row in rows]

        def add(place: Value, mask: Value | None) -> Value:
            total = load_some(b, self.type, b.gep(self.c, place, self.element), mask)
            for factor, line in zip(factors, lines):
                total = b.fma(factor, load_some(b, self.type, b.gep(line, place, self.element), mask), total)
            return total

        self._sweep(add)

    def _sweep(self, value: Callable[[Value, Value | None], Value]) -> None:
        """Store a value to each place of the stretch; the last ones under a mask."""
        b = self.b
        with b.loop(0, self.even, self.lanes) as loop:
            b.store(value(loop.index, None), b.gep(self.c, loop.index, self.element))
        with b.if_(b.icmp("slt", self.even, self.width)):
            store_some(b, value(self.even, self.mask), b.gep(self.c, self.even, self.element), self.mask)
