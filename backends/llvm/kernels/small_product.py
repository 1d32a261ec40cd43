"""A small product of extents that are numbers: every tile reads both operands where they lie, and nothing is packed.

    y   [====|====|====|=]      Rows and columns are cut evenly, and the last vector of a row is the narrowest that
      +----------+-------+      takes what is left, under a mask: of 50 columns, three vectors of 16 and one of 4.
    x |   tile   |       |      Distances between rows are constants of the code, so a tile needs a single address
      +----------+-------+      of each operand.
      |          |       |
      +----------+-------+

Of large operands, copies bring near what is read again and again; these are near anyway, and the copies took as long
as a quarter of the product. A turn, of which threads share the loop, is one tile; those of the same columns follow one
another.

Invariant: an element is the sum over k in ascending order, as that of one block of `matmul.blocked_kernel`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from graphc.backends.llvm.emitter import EXACT, Builder, Value, vector
from graphc.backends.llvm.kernel import Kernel, Split, named_by_content
from graphc.backends.llvm.kernels.finishing import Finish
from graphc.backends.llvm.kernels.microkernel import Blocking, blocking
from graphc.backends.llvm.kernels.packing import load_some, mask_below, store_some
from graphc.backends.llvm.kernels.part_copies import MASKED_BITS
from graphc.backends.llvm.kernels.product import Product
from graphc.backends.llvm.target import Target
from graphc.ir.graph import Graph

#: With more rows than this, or more bytes of y, it pays to pack.
_MOST_ROWS, _MOST_BYTES = 64, 1 << 18
#: Registers that are left for broadcasts of x.
_SPARE = 4
#: Cycles from one multiply-add of a sum to the next, and about those that a tile takes besides.
_LATENCY, _AROUND = 4, 40
#: The bytes of the narrowest vector.
_NARROWEST = 16


def suits_small_product(product: Product, target: Target) -> bool:
    """Whether extents are known and small, and registers have masks."""
    m, k, n = product.m, product.k, product.n
    if target.vector_bits < MASKED_BITS or product.dtype.kind != "f" or product.axes or product.swapped:
        return False
    if product.transposed_y or not (isinstance(m, int) and isinstance(k, int) and isinstance(n, int)):
        return False
    depth = blocking(product.dtype, target, m, n, by_column=product.transposed_x).depth
    is_small = 1 < m <= _MOST_ROWS and k * n * product.dtype.itemsize <= _MOST_BYTES
    return is_small and 0 < k <= depth and n > target.native_lanes(product.dtype)


def small_product_kernel(product: Product, target: Target, body: Graph | None = None) -> Kernel:
    """The kernel of a product that `suits_small_product`; with a `finishing.finished_body`, finished by it."""
    tiling = _Tiling.of(product, target)
    finish = Finish(body, tiling.shape, target) if body else None
    pointers = ["x", "y", *(finish.arrays if finish else ("c",))]
    b = Builder("matmul", [*((p, "ptr") for p in pointers), ("low", "i64"), ("high", "i64")], target=target)
    tiles = {
        (rows, columns): _Tile(tiling, rows, columns, body, target).function()
        for rows in dict.fromkeys(tiling.rows)
        for columns in dict.fromkeys(tiling.columns)
    }
    element, size = tiling.shape.element, tiling.shape.bytes
    with b.loop(b.param("low"), b.param("high")) as turn:
        across = b.udiv(turn.index, len(tiling.rows))
        down = b.sub(turn.index, b.mul(across, len(tiling.rows)))
        row = _start(b, down, tiling.rows)
        column = b.mul(_start(b, across, [len(columns) for columns in tiling.columns]), tiling.shape.lanes)
        functions = [
            _choose(b, down, tiling.rows, [b.function(tiles[rows, columns].name) for rows in tiling.rows])
            for columns in tiling.columns
        ]
        function = _choose(b, across, tiling.columns, functions)
        x = b.offset(b.param("x"), b.mul(row, tiling.x_row))
        y = b.gep(b.param("y"), column, element)
        if finish:
            corners = finish.corners(b, row, column, b.i64(tiling.n * size))
        else:
            corners = [b.gep(b.param("c"), b.add(b.mul(row, tiling.n), column), element)]
        b.call_pointer("void", function, x, y, *corners)
    turns = len(tiling.rows) * len(tiling.columns)
    split = Split((turns,), 1, int(4 * tiling.cycles) // turns)
    return Kernel(b, helpers=tuple(tiles.values()), split=split, is_product=True)


def _start(b: Builder, number: Value, sizes: Sequence[int]) -> Value:
    """How many come before a group with this number; sizes differ by 1 at most, larger ones first."""
    larger = sum(size > sizes[-1] for size in sizes)
    return b.add(b.mul(number, sizes[-1]), b.intrinsic("smin", number, larger))


def _choose(b: Builder, number: Value, kinds: Sequence[object], values: Sequence[Value]) -> Value:
    """The value with this number, of which those of equal kinds are equal and follow one another."""
    chosen = values[0]
    for i in range(1, len(kinds)):
        if kinds[i] != kinds[i - 1]:
            chosen = b.select(b.icmp("sge", number, i), values[i], chosen)
    return chosen


@dataclass(frozen=True)
class _Tiling:
    """How a product is cut into tiles.

    Attributes:
        shape: the element, and the lanes of a whole vector.
        rows: the rows of each group.
        columns: for each group of columns, how many of them each of its vectors holds.
        k, n: extents.
        x_row, x_k: bytes from row to row of x, and from k to k.
    """

    shape: Blocking
    rows: tuple[int, ...]
    columns: tuple[tuple[int, ...], ...]
    k: int
    n: int
    x_row: int
    x_k: int

    @classmethod
    def of(cls, product: Product, target: Target) -> _Tiling:
        """The tiling that takes the fewest cycles."""
        m, k, n = product.m, product.k, product.n
        assert isinstance(m, int) and isinstance(k, int) and isinstance(n, int)
        shape = blocking(product.dtype, target, m, n, by_column=product.transposed_x)
        shape = replace(shape, lanes=target.native_lanes(product.dtype))
        whole, rest = divmod(n, shape.lanes)
        vectors = (shape.lanes,) * whole + (rest,) * (rest > 0)
        steps = (shape.bytes, m * shape.bytes) if product.transposed_x else (k * shape.bytes, shape.bytes)
        found = []
        for across in range(1, 5):
            ends = list(accumulate(_even(len(vectors), across), initial=0))
            columns = tuple(vectors[first:last] for first, last in pairwise(ends))
            rows = _even(m, (target.vector_registers - _SPARE - across) // across)
            found.append(cls(shape, rows, columns, k, n, *steps))
        return min(found, key=lambda tiling: tiling.cycles)

    @property
    def cycles(self) -> float:
        """About how long the product takes: to multiply, to load, and around the tiles."""
        total = 0.0
        for rows in self.rows:
            for columns in self.columns:
                sums = rows * sum(1.0 if 2 * count > self.shape.lanes else 0.5 for count in columns)
                total += self.k * (max(sums, _LATENCY) + (rows + len(columns)) / 8) + _AROUND
        return total

    def lanes(self, count: int) -> int:
        """Of the narrowest vector that holds so many columns."""
        return max(_NARROWEST // self.shape.bytes, 1 << (count - 1).bit_length())


def _even(total: int, most: int) -> tuple[int, ...]:
    """The fewest groups of so many at most, of sizes that differ by 1 at most, larger ones first."""
    count = -(-total // most)
    return tuple((total + i) // count for i in reversed(range(count)))


class _Tile:
    """A function for a tile: it gets the corners of x and y, and of the product or all that finishes it."""

    def __init__(
        self, tiling: _Tiling, rows: int, columns: tuple[int, ...], body: Graph | None, target: Target
    ) -> None:
        self.tiling, self.rows = tiling, rows
        self.lanes = [tiling.lanes(count) for count in columns]
        shapes = {lanes: replace(tiling.shape, lanes=lanes) for lanes in self.lanes}
        self.finishes = {lanes: Finish(body, shape, target) for lanes, shape in shapes.items()} if body else {}
        arrays = self.finishes[self.lanes[0]].arrays if body else ["c"]
        self.b = Builder("small_tile", [(p, "ptr") for p in ("x", "y", *arrays)], target=target, linkage="internal")
        self.masks = [
            None if count == lanes else mask_below(self.b, self.b.i64(count), 0, lanes)
            for count, lanes in zip(columns, self.lanes)
        ]
        self.places = [tiling.shape.lanes * j for j in range(len(columns))]  # the first column of each vector

    def function(self) -> Builder:
        """The function, named by what it does."""
        b, size = self.b, self.tiling.shape.bytes
        sums = iter(self._sums())
        known = {lanes: finish.numbers(b) for lanes, finish in self.finishes.items()}
        for row in range(self.rows):
            down = row * self.tiling.n * size
            for lanes, place, mask in zip(self.lanes, self.places, self.masks):
                value = b.fadd(next(sums), 0.0, flags=EXACT)  # of products that vanish below zero, not -0.0
                if lanes in known:
                    number = place // lanes
                    self.finishes[lanes].apply(b, value, number, mask, b.i64(row), b.i64(down), known[lanes])
                elif mask is None:
                    b.store(value, b.offset(b.param("c"), down + place * size))
                else:
                    store_some(b, value, b.offset(b.param("c"), down + place * size), mask)
        return named_by_content(b)

    def _sums(self) -> list[Value]:
        """The accumulators, row after row, when the inner dimension has run."""
        b, tiling, element = self.b, self.tiling, self.tiling.shape.element
        types = [vector(element, lanes) for lanes in self.lanes]
        zeros = [b.const(type_, 0) for type_ in types] * self.rows
        with b.loop(0, tiling.k, carried=[b.param("x"), b.param("y"), *zeros]) as loop:
            x, y, *sums = loop.carried
            right = [load_some(b, t, b.gep(y, p, element), m) for t, p, m in zip(types, self.places, self.masks)]
            for row in range(self.rows):
                left = b.splat(b.load(element, b.offset(x, row * tiling.x_row)), self.lanes[0])
                for j, (lanes, line) in enumerate(zip(self.lanes, right)):
                    factor = left if lanes == self.lanes[0] else b.part(left, 0, lanes)
                    place = row * len(right) + j
                    sums[place] = b.fma(factor, line, sums[place])
            loop.next(b.offset(x, tiling.x_k), b.gep(y, tiling.n, element), *sums)
        return list(loop.results[2:])
