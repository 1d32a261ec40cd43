"""Matrix multiplication of floats: which algorithm for which extents, and the blocked one.

    integers and bool     a plain loop                                        integer_matmul.py
    few rows or columns   a dot product for each element                      dots.py
    everything else       blocks, packed where that pays, and a micro-kernel  here, microkernel.py, packing.py

The blocked algorithm (after Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM
TOMS 34(3), 2008, with the roles of the operands exchanged) cuts the product so that each cache holds what is
used again soonest:

    for each block of columns                         y block: depth x width, second-level cache
      for each block of k                                  +------+------+-- panels, a tile wide
        pack the y block into panels                       |      |      |
        for each group of rows                    x sliver |      |      |
          copy the rows' sliver, first-level cache  [====] x      |      |
          for each panel: one tile of the product          +------+------+

A y that is used for few rows is read where it lies; only its ragged last panel is packed then.

Invariant: how an element is summed depends on the extents alone, never on the machine's load or on threads.
"""

from __future__ import annotations

from graphc.backends.llvm.emitter import Builder, Value
from graphc.backends.llvm.kernel import Kernel
from graphc.backends.llvm.kernels.batches import batch_loops
from graphc.backends.llvm.kernels.dots import dots_kernel, suits_dots
from graphc.backends.llvm.kernels.integer_matmul import integer_matmul_kernel
from graphc.backends.llvm.kernels.microkernel import Blocking, blocking, tiles
from graphc.backends.llvm.kernels.packing import add_lines, copy_rows, pack_lines, pack_transposed
from graphc.backends.llvm.kernels.product import Product, canonical
from graphc.backends.llvm.target import Target, host_target

from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType

#: From so many rows on, a packed copy of y costs less than the cache misses of reading it where it lies.
PACKED_ROWS = 48


def matmul_kernel(
    x: TensorType,
    y: TensorType,
    result: TensorType,
    *,
    transpose_x: bool = False,
    transpose_y: bool = False,
    target: Target | None = None,
) -> Kernel:
    """The kernel of a matmul; extents are run-time arguments, so equal layouts of any extents share its code.

    What depends on extents that are numbers: whether there is one row or column, up to one vector of columns,
    ragged edges at all, few rows; and the row groups.

    Args:
        x: the left operand: m by k; k by m if `transpose_x`. Axes in front are a batch.
        y: the right operand: k by n; n by k if `transpose_y`.
        result: m by n, with the broadcast batch.
        transpose_x, transpose_y: the buffer holds the transpose of the last two axes.
        target: the machine; by default this one.
    """
    product = canonical(x, y, result, transpose_x, transpose_y)
    machine = target or host_target()
    if product.dtype.kind != "f":
        return integer_matmul_kernel(product, machine)
    if suits_dots(product):
        return dots_kernel(product, machine)
    shape = blocking(product.dtype, machine, product.m, product.n, by_column=product.transposed_x)
    return blocked_kernel(product, shape, machine)


def build_matmul(tensor: Tensor) -> Kernel:
    """The kernel of a `matmul` tensor."""
    x, y = tensor.inputs
    return matmul_kernel(x.tensor_type, y.tensor_type, tensor.tensor_type)


def blocked_kernel(product: Product, shape: Blocking, target: Target) -> Kernel:
    """The blocked algorithm with these block sizes."""
    b = product.builder(target, scratch=True)
    body = _BlockedBody(b, product, shape, target)
    with batch_loops(b, product.axes, product.batch_extents(b)) as (x, y, c):
        body.multiply(x, y, c)
    scratch = shape.sliver_bytes + shape.panel_bytes(product.k, product.n)
    return Kernel(b, product.sizes, scratch, helpers=tuple(body.helpers.values()))


class _BlockedBody:
    """The loops of the blocked algorithm; each method is one level of the drawing above."""

    def __init__(self, b: Builder, product: Product, shape: Blocking, target: Target) -> None:
        self.b, self.product, self.shape = b, product, shape
        self.m, self.k, self.n = b.param("m"), b.param("k"), b.param("n")
        self.size = shape.bytes
        self.tiles = tiles(shape, product.m, target)
        copy_x = pack_lines(shape, -(-shape.rows // shape.lanes), target) if shape.by_column else copy_rows(shape, target)
        copy_y = pack_transposed(shape, target) if product.transposed_y else pack_lines(shape, shape.vectors, target)
        self.copy_x, self.copy_y, self.add_lines = copy_x, copy_y, add_lines(shape, target)
        functions = [*self.tiles.values(), copy_x, copy_y, self.add_lines]
        self.helpers = {function.name: function for function in functions}
        with b.at(b.entry):
            self.sliver = b.param("scratch")
            self.panels = b.offset(self.sliver, shape.sliver_bytes)
            self.edge = b.alloca(shape.vector, shape.rows * shape.vectors)
            self.zeros = b.table(shape.element, [0.0] * shape.columns)
            self.x_step = b.mul(self.m if product.transposed_x else self.k, self.size)
            self.y_step = b.mul(self.k if product.transposed_y else self.n, self.size)
            self.c_step = b.mul(self.n, self.size)
            self.packs = self._packs()

    def _packs(self) -> Value:
        """Whether all panels are packed: known where the rows are, except that a transposed y always is."""
        if self.product.transposed_y:
            return Value("i1", "true")
        if isinstance(self.product.m, int):
            return Value("i1", "true" if self.product.m >= PACKED_ROWS else "false")
        return self.b.icmp("sge", self.m, PACKED_ROWS)

    def multiply(self, x: Value, y: Value, c: Value) -> None:
        """One product, of the matrices with these numbers."""
        b, shape = self.b, self.shape
        self.x = b.offset(b.param("x"), b.mul(x, b.mul(b.mul(self.m, self.k), self.size)))
        self.y = b.offset(b.param("y"), b.mul(y, b.mul(b.mul(self.k, self.n), self.size)))
        self.c = b.offset(b.param("c"), b.mul(c, b.mul(self.m, self.c_step)))
        with b.loop(0, self.n, shape.width) as columns:
            width = b.intrinsic("smin", b.sub(self.n, columns.index), shape.width)
            # Once even where k is 0: the tiles then store their base, zeros.
            with b.loop(0, self.k, shape.depth, at_least_once=True) as depths:
                depth = b.intrinsic("smin", b.sub(self.k, depths.index), shape.depth)
                self._block(columns.index, width, depths.index, depth)

    def _block(self, column: Value, width: Value, first: Value, depth: Value) -> None:
        """All rows times one block of y."""
        b = self.b
        y_row, y_column = (self.size, self.y_step) if self.product.transposed_y else (self.y_step, self.size)
        corner = b.offset(self.y, b.add(b.mul(first, y_row), b.mul(column, y_column)))
        with b.loop(0, width, self.shape.columns) as panel:
            across = b.intrinsic("smin", b.sub(width, panel.index), self.shape.columns)
            with b.if_(b.or_(self.packs, b.icmp("slt", across, self.shape.columns))):
                source = b.offset(corner, b.mul(panel.index, y_column))
                b.call("void", self.copy_y.name, source, self.y_step, self._packed(panel.index, depth), across, depth)
        fresh = b.icmp("eq", first, 0)
        c = b.offset(self.c, b.mul(column, self.size))
        with b.forever([b.i64(0)]) as group:
            (row,) = group.carried
            left = b.sub(self.m, row)
            group.exit_if(b.icmp("sle", left, 0))
            rows, function = self._row_group(left)
            self._copy_sliver(row, rows, first, depth)
            c_rows = b.offset(c, b.mul(row, self.c_step))
            with b.loop(0, width, self.shape.columns) as panel:
                self._tile(function, rows, panel.index, b.sub(width, panel.index), depth, corner, c_rows, fresh)
            group.next(b.add(row, rows))

    def _packed(self, column: Value, depth: Value) -> Value:
        return self.b.offset(self.panels, self.b.mul(column, self.b.mul(depth, self.size)))

    def _row_group(self, left: Value) -> tuple[Value, Value]:
        """How many of the rows that are left come next, and the function of their tiles."""
        b = self.b
        options = [(b.i64(rows), Value("ptr", f"@{tile.name}")) for rows, tile in self.tiles.items()]
        rows, function = options[-1]
        for more, other in reversed(options[:-1]):
            enough = b.icmp("sge", left, more)
            rows, function = b.select(enough, more, rows), b.select(enough, other, function)
        return rows, function

    def _copy_sliver(self, row: Value, rows: Value, first: Value, depth: Value) -> None:
        b = self.b
        x_row, x_k = (self.size, self.x_step) if self.shape.by_column else (self.x_step, self.size)
        source = b.offset(self.x, b.add(b.mul(row, x_row), b.mul(first, x_k)))
        b.call("void", self.copy_x.name, source, self.x_step, self.sliver, rows, depth)

    def _tile(
        self, function: Value, rows: Value, column: Value, left: Value, depth: Value, corner: Value, c_rows: Value,
        fresh: Value,
    ) -> None:  # fmt: skip
        """One tile; where the product's columns end inside it, by way of a whole one beside."""
        b, shape = self.b, self.shape
        ragged = b.icmp("slt", left, shape.columns)
        packed = b.or_(self.packs, ragged)
        in_place = b.offset(corner, b.mul(column, self.size))
        panel = b.select(packed, self._packed(column, depth), in_place)
        panel_step = b.select(packed, b.i64(shape.panel_step), self.y_step)
        c = b.offset(c_rows, b.mul(column, self.size))
        base, base_step = b.select(fresh, self.zeros, c), b.select(fresh, b.i64(0), self.c_step)
        operands = (self.sliver, panel, panel_step)
        with b.if_else(ragged) as edge:
            with edge.then:
                whole = (self.edge, b.i64(shape.panel_step), self.zeros, b.i64(0), depth)
                b.call_pointer("void", function, *operands, *whole)
                b.call("void", self.add_lines.name, self.edge, c, self.c_step, base, base_step, rows, left)
            with edge.otherwise:
                b.call_pointer("void", function, *operands, c, self.c_step, base, base_step, depth)
