"""The register-blocked core of matrix multiplication, and the block sizes that fit a machine.

A tile of the product, `rows` by `vectors * lanes`, stays in registers while the inner dimension runs:

                 b: a row of the panel, `vectors` loads     Each step of k broadcasts `rows` numbers of a,
                 +--------+--------+                        loads `vectors` vectors of b, and does as many
      a: one     | acc    | acc    |  each acc += a * b     multiply-adds as there are accumulators. On
      broadcast  +--------+--------+                        AVX-512 that is 12 x 2 = 24: they take 24 + 2 of
      a row      | acc    | acc    |                        32 registers, and hide each other's latency.

Layouts that it reads (see packing.py): `a` is a *sliver*, a copy of `rows` rows of the left operand in which
both distances, from row to row and from k to k, are constants; `b` is a *panel*, whose rows are `b_step`
bytes apart, so it may be a packed copy or lie in the right operand itself.

Invariant: an element of the product is the sum over k in ascending order within a block of `depth`, and of
the blocks in ascending order, whatever tile, row group or panel it falls into.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from graphc.backends.llvm.emitter import Builder, Value, element_bytes, memory_type, vector
from graphc.backends.llvm.kernel import named_by_content, remembered
from graphc.backends.llvm.target import Target
from graphc.ir.dims import Size

#: k per block, times bytes of an element. A sliver of 12 rows then takes 18 KiB of the first-level cache,
#: which it shares with the panel that streams through.
_DEPTH_BYTES = 1536
#: Columns per block: a packed block takes 384 KiB, of a second-level cache of 512 KiB or more. Of a product
#: with fewer columns than _WIDE, maybe less: so that threads find blocks to share.
_WIDTH = 256
_WIDE = 1024
#: Rows per block; fewer where threads had better share rows than columns.
_HEIGHT, _LOW = 192, 24


@dataclass(frozen=True)
class Blocking:
    """How a product is cut into pieces.

    Attributes:
        element: LLVM's type of one element.
        lanes: elements of one vector register.
        rows: rows of a full tile.
        vectors: vectors across a tile.
        depth: k of one block.
        width: columns of one block.
        height: rows of one block, which threads take as a whole.
        by_column: the left operand is stored transposed, so slivers keep all rows of one k together.
    """

    element: str
    lanes: int
    rows: int
    vectors: int
    depth: int
    width: int
    by_column: bool = False
    height: int = 192

    @cached_property
    def bytes(self) -> int:
        """Bytes of one element."""
        return element_bytes(self.element)

    @property
    def columns(self) -> int:
        """Columns of a tile, which is also a panel's width."""
        return self.lanes * self.vectors

    @property
    def vector(self) -> str:
        """LLVM's type of a register of elements."""
        return vector(self.element, self.lanes)

    @property
    def panel_step(self) -> int:
        """Bytes from one k to the next in a packed panel."""
        return self.columns * self.bytes

    @property
    def row_step(self) -> int:
        """Bytes from row to row of a sliver. The extra vector keeps rows off the same cache sets."""
        return self.bytes if self.by_column else (self.depth + self.lanes) * self.bytes

    @property
    def k_step(self) -> int:
        """Bytes from k to k of a sliver."""
        return -(-self.rows // self.lanes) * self.lanes * self.bytes if self.by_column else self.bytes

    @property
    def sliver_bytes(self) -> int:
        """Bytes of a sliver, a multiple of 64."""
        used = self.depth * self.k_step if self.by_column else self.rows * self.row_step
        return -(-used // 64) * 64

    def panel_bytes(self, k: Size, n: Size) -> int:
        """Bytes of the packed panels of one block, for extents that may be known to be small."""
        depth = min(self.depth, k) if isinstance(k, int) else self.depth
        width = min(self.width, n) if isinstance(n, int) else self.width
        return max(1, -(-width // self.columns)) * depth * self.panel_step

    def row_groups(self, m: Size) -> tuple[int, ...]:
        """The row counts of the tiles that cover `m` rows by taking, again and again, the largest that fits.

        For a symbolic `m`, all that may come up: `rows` and the powers of two below. On AVX-512 12, 8, 4, 2,
        1: any remainder is up to three tiles, and five functions serve every number of rows.
        """
        counts = [self.rows, *(1 << p for p in reversed(range(self.rows.bit_length())) if 1 << p < self.rows)]
        if not isinstance(m, int):
            return tuple(counts)
        used = []
        for count in counts:
            if m >= count:
                used.append(count)
                m %= count
        return tuple(used) or (1,)


def blocking(
    dtype: np.dtype, target: Target, m: Size, n: Size, *, by_column: bool, transposed_y: bool = False
) -> Blocking:
    """The block sizes for m by n products of this dtype on a machine.

    The accumulators are two vectors wide, since a tile near to square loads least, and as many rows as leave
    registers for a row of the panel and a few broadcasts: 12 x 2 of 32 registers, 6 x 2 of 16. Of a product
    with fewer rows, all are one tile, and it is as wide as the registers allow; but never wider than the
    product.

    Of a product that is not wide, threads share the columns: then each line of y, mostly a weight, comes into the
    caches of one of them only, whoever changes it later. But a product of a transposed x is the gradient of a weight
    with few lines in y, and they share its rows: of those that both wrote a part of, each line of memory would go back
    and forth, with what the processor fetches ahead.
    """
    element, lanes = memory_type(dtype), target.native_lanes(dtype)
    registers = max(1, target.vector_registers // 16)
    rows, vectors = 6 * registers, 2
    if isinstance(n, int):
        while lanes * element_bytes(element) > 16 and n <= lanes // 2:  # narrow vectors, rather than half empty ones
            lanes //= 2
        if n <= lanes:
            rows *= 2
    if isinstance(m, int) and m < rows:
        rows = max(1, m)
        while vectors < 8 and 2 * vectors * (rows + 1) < target.vector_registers:
            vectors *= 2
    if isinstance(n, int):
        while vectors > 1 and n <= lanes * vectors // 2:
            vectors //= 2
    width, height = _WIDTH, _HEIGHT
    if isinstance(n, int) and by_column:  # a line of memory for each k of a sliver: the fewer copies, the better
        width = 2 * _WIDTH
    if isinstance(n, int) and n < _WIDE:
        if by_column and not transposed_y and isinstance(m, int) and m >= 2 * _LOW:
            height = _LOW
        else:
            width = _WIDTH if n >= 2 * _WIDTH else _WIDTH // 2 if n >= _WIDTH else _WIDTH // 4
            height = _LOW if n <= width else height
    if isinstance(m, int) and isinstance(n, int) and m <= height:  # blocks of columns alone are what threads share
        width = min(range(width, width // 2 - 1, -lanes * vectors), key=lambda width: _longest_share(n, width))
    return Blocking(element, lanes, rows, vectors, _DEPTH_BYTES // element_bytes(element), width, by_column, height)


def _longest_share(n: int, width: int) -> int:
    """The columns that one of two threads has to do at least: whole blocks in turn, and the ragged last one.

    To copy x for a block costs what two columns more would.
    """
    whole, ragged = divmod(n, width)
    return -(-whole // 2) * width + (ragged if whole % 2 == 0 else 0) + 2 * -(-n // width)


@remembered
def tile(shape: Blocking, rows: int, target: Target) -> Builder:
    """A function for one tile of `rows` rows: `c = base + a @ b`.

    Its arguments: the sliver `a`, the panel `b` and the bytes `b_step` between its rows, the tile `c` and the
    bytes `c_step` between its rows, `base` and `base_step` likewise (`c` itself, to add to it; a single row
    of zeros or of biases with a step of 0), and the number `k` of products to sum.
    """
    b = Builder(
        "tile",
        [("a", "ptr"), ("b", "ptr"), ("b_step", "i64"), ("c", "ptr"), ("c_step", "i64"),
         ("base", "ptr"), ("base_step", "i64"), ("k", "i64")],
        target=target,
        linkage="internal",
    )  # fmt: skip
    sliver, panel, b_step, c, c_step, base, base_step, k = b.params
    places = [j * shape.lanes * shape.bytes for j in range(shape.vectors)]
    sums = multiplied(b, shape, rows, sliver, panel, b_step, k)
    for row in range(rows):
        for j, place in enumerate(places):
            before = b.load(shape.vector, b.offset(base, place))
            b.store(b.fadd(sums[row * shape.vectors + j], before), b.offset(c, place))
        c, base = b.offset(c, c_step), b.offset(base, base_step)
    return named_by_content(b)


def multiplied(
    b: Builder, shape: Blocking, rows: int, sliver: Value, panel: Value, b_step: Value, k: Value
) -> list[Value]:
    """The accumulators of a tile, row after row, when the inner dimension has run."""
    places = [j * shape.lanes * shape.bytes for j in range(shape.vectors)]
    zeros = [b.const(shape.vector, 0)] * (rows * shape.vectors)
    with b.loop(0, k, carried=[sliver, panel, *zeros]) as loop:
        sliver, panel, *sums = loop.carried
        right = [b.load(shape.vector, b.offset(panel, place)) for place in places]
        for row in range(rows):
            left = b.splat(b.load(shape.element, b.offset(sliver, row * shape.row_step)), shape.lanes)
            for j, vector_ in enumerate(right):
                sums[row * shape.vectors + j] = b.fma(left, vector_, sums[row * shape.vectors + j])
        loop.next(b.offset(sliver, shape.k_step), b.offset(panel, b_step), *sums)
    _, _, *sums = loop.results
    return sums


def tiles(shape: Blocking, m: Size, target: Target) -> dict[int, Builder]:
    """The tile functions that `m` rows need, by their number of rows, the largest first."""
    return {rows: tile(shape, rows, target) for rows in shape.row_groups(m)}
