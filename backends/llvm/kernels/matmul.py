"""Matrix multiplication of floats: which algorithm for which extents, and the blocked one.

    integers and bool     a plain loop                                        integer_matmul.py
    few rows or columns   a dot product for each element                      dots.py
    one row               a sum of y's rows                                   row_product.py
    small, known extents  tiles that read operands where they lie             small_product.py
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

A y that is used for few rows is read where it lies; only its ragged last panel is packed then. Where k is one block
and a loop nest alone reads the product, tiles go through the nest on their way out of the registers (`finishing.py`).

A turn, of which threads share the loop, is one block of the product: some rows of one block of columns. The
turns of one block of columns follow one another, and a thread packs the y block once for those that it gets;
so y is packed again only where a thread's share ends inside a block of columns. Rows of x are copied once for
each block of columns, by whoever does it.

Invariant: how an element is summed depends on the kernel and k (and, for a y that lies along k, on whether there
are fewer than FEW_ROWS rows), never on its place in the product or on threads.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar, cast

from graphc.backends.llvm.emitter import Builder, Value
from graphc.backends.llvm.kernel import Kernel, remembered
from graphc.backends.llvm.kernels.dots import FEW_ROWS, dot_lines, dots_kernel, lying_lines_kernel, suits_dots
from graphc.backends.llvm.kernels.finishing import Finish
from graphc.backends.llvm.kernels.integer_matmul import integer_matmul_kernel
from graphc.backends.llvm.kernels.lines import lines_of
from graphc.backends.llvm.kernels.microkernel import Blocking, blocking, tiles
from graphc.backends.llvm.kernels.packing import add_lines, copy_x, copy_y
from graphc.backends.llvm.kernels.product import Product, Run, canonical
from graphc.backends.llvm.kernels.row_product import row_product_kernel, suits_row_product
from graphc.backends.llvm.kernels.small_product import small_product_kernel, suits_small_product
from graphc.backends.llvm.target import Target, host_target
from graphc.ir import dims
from graphc.ir.dims import Size
from graphc.ir.graph import Graph
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType

#: From so many rows on, a packed copy of y costs less than the cache misses of reading it where it lies:
#: measured, about 50 with a second-level cache of 512 KiB, more than 180 with one of 1 MiB.
PACKED_ROWS = 192

Values = TypeVar("Values", tuple[Value, Value], tuple[Value, Value, Value])


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

    What depends on extents that are numbers: whether there are few rows or columns, whether a tile is one
    vector wide or more, and the row groups.

    Args:
        x: the left operand: m by k; k by m if `transpose_x`. Axes in front are a batch.
        y: the right operand: k by n; n by k if `transpose_y`.
        result: m by n, with the broadcast batch.
        transpose_x, transpose_y: the buffer holds the transpose of the last two axes.
        target: the machine; by default this one.
    """
    return _product_kernel(canonical(x, y, result, transpose_x, transpose_y), target or host_target())


def build_matmul(tensor: Tensor) -> Kernel:
    """The kernel of a `matmul` tensor."""
    x, y = tensor.inputs
    return matmul_kernel(x.tensor_type, y.tensor_type, tensor.tensor_type)


@remembered
def _product_kernel(product: Product, machine: Target) -> Kernel:
    """The kernel of a product; layers that are alike share it."""
    if product.dtype.kind != "f":
        return integer_matmul_kernel(product, machine)
    if suits_row_product(product):
        return row_product_kernel(product, machine)
    if suits_dots(product, machine):
        return dots_kernel(product, machine)
    if suits_small_product(product, machine):
        return small_product_kernel(product, machine)
    shape = _blocking(product, machine)
    return blocked_kernel(product, shape, machine)


def lying_product_kernel(body: Graph, target: Target | None = None) -> Kernel | None:
    """The kernel of a body that multiplies a matrix, as `Layout.view_of` made it of a base, by another one.

    None if it is another body, or the matrix is not read in lines as it is where it is C-contiguous.
    """
    (product,) = body.outputs[:1]
    if product.op.name != "matmul" or len(body.inputs) != 2 or product.inputs[1] is not body.inputs[1]:
        return None
    x, y = product.inputs
    lying = lines_of(x)
    if lying is None:
        return None
    plain = canonical(x.tensor_type, y.tensor_type, product.tensor_type)
    return lying_lines_kernel(plain, body.inputs[0].shape[-1], lying, target or host_target())


def finished_kernel(product: Product, body: Graph, target: Target | None = None) -> Kernel | None:
    """The kernel of a `finishing.finished_body`; None unless each tile is the sum of one block along k."""
    machine = target or host_target()
    is_plain = not product.axes and not product.swapped and product.dtype.kind == "f"
    if not is_plain or suits_row_product(product) or suits_dots(product, machine) or _may_be_few(product):
        return None
    if suits_small_product(product, machine):
        return small_product_kernel(product, machine, body)
    shape = _blocking(product, machine)
    if not isinstance(product.k, int) or product.k > shape.depth:
        return None
    return blocked_kernel(product, shape, machine, Finish(body, shape, machine))


def blocked_kernel(product: Product, shape: Blocking, target: Target, finish: Finish | None = None) -> Kernel:
    """The blocked algorithm with these block sizes; the product is stored, or finished."""
    arrays = finish.arrays if finish else ("c",)
    b = product.builder(target, scratch=True, further=("width", "height"), arrays=arrays)
    body = _BlockedBody(b, product, shape, target, finish)
    with product.runs(b, body.column_blocks, body.row_blocks) as run:
        body.multiply(run)
    scratch = shape.sliver_bytes + shape.panel_bytes(product.k, product.n)
    blocks = -(-product.n // shape.width), -(-product.m // shape.height)
    sizes = (*product.sizes, shape.width, shape.height)
    split = product.split(blocks, _weight(product, shape))
    return Kernel(b, sizes, scratch, helpers=body.helpers, split=split, is_product=True)


def _blocking(product: Product, target: Target) -> Blocking:
    x, y = product.transposed_x, product.transposed_y
    return blocking(product.dtype, target, product.m, product.n, by_column=x, transposed_y=y)


def _may_be_few(product: Product) -> bool:
    """Whether there may turn out to be few rows, each times lines along k.

    A transposed y has to be packed, which does not pay for them.
    """
    return product.transposed_y and not product.transposed_x and not isinstance(product.m, int)


def _weight(product: Product, shape: Blocking) -> Size:
    """About how long one block takes, in sixteenths of a nanosecond.

    Two vectors are done in a cycle, and to read y takes as long as six rows more would.
    """
    rows, columns = dims.minimum(product.m, shape.height), dims.minimum(product.n, shape.width)
    return dims.product([rows + 6, columns, product.k]) * 5 // (2 * shape.lanes)


class _Block(NamedTuple):
    """One block of y: where it lies, whether it is packed, where in the product it belongs, and its extents."""

    corner: Value
    packs: Value
    column: Value
    width: Value
    first: Value
    depth: Value


class _BlockedBody:
    """The loops of the blocked algorithm; each method is one level of the drawing above."""

    def __init__(
        self, b: Builder, product: Product, shape: Blocking, target: Target, finish: Finish | None = None
    ) -> None:
        self.b, self.product, self.shape, self.size, self.finish = b, product, shape, shape.bytes, finish
        self.m, self.k, self.n = b.param("m"), b.param("k"), b.param("n")
        self.tiles = tiles(shape, product.m, target)
        self.copy_x = copy_x(shape, target)
        self.copy_y = copy_y(shape, target, transposed=product.transposed_y)
        self.add_lines = add_lines(shape, target)
        self.dot_lines = dot_lines(product.dtype, target) if _may_be_few(product) else None
        self.finished = {rows: finish.tile(rows, target) for rows in self.tiles} if finish else self.tiles
        functions = (*self.tiles.values(), *self.finished.values(), self.copy_x, self.copy_y)
        functions += (finish.lines if finish else self.add_lines,)
        functions += (self.dot_lines,) if self.dot_lines else ()
        self.helpers = tuple({function.name: function for function in functions}.values())
        with b.at(b.entry):
            self.sliver = b.param("scratch")
            self.panels = b.offset(self.sliver, shape.sliver_bytes)
            self.edge = b.alloca(shape.vector, shape.rows * shape.vectors)
            self.zeros = b.table(shape.element, [0.0] * shape.columns)
            self.x_step = b.mul(self.m if product.transposed_x else self.k, self.size)
            self.y_step = b.mul(self.k if product.transposed_y else self.n, self.size)
            self.c_step = b.mul(self.n, self.size)
            self.width = b.param("width")
            self.column_blocks = _ceiling(b, self.n, self.width)
            self.row_blocks = _ceiling(b, self.m, b.param("height"))
            self.height = self._height()

    def _height(self) -> Value:
        """The rows of each block but the last: even shares, in whole tiles. It is not used where m is 0."""
        b, rows = self.b, self.shape.rows
        share = _ceiling(b, self.m, b.intrinsic("smax", self.row_blocks, 1))
        return b.mul(_ceiling(b, share, b.i64(rows)), rows)

    def _packs(self, rows: Value) -> Value:
        """Whether all panels are packed, not only ragged ones: of a transposed y, and for many rows."""
        if self.product.transposed_y:
            return Value("i1", "true")
        if isinstance(self.product.m, int) and self.product.m < PACKED_ROWS:
            return Value("i1", "false")
        return self.b.icmp("sge", rows, PACKED_ROWS)

    def multiply(self, run: Run) -> None:
        """Some blocks of rows times one block of columns, in the matrices with these numbers."""
        b = self.b
        self.x = b.offset(b.param("x"), b.mul(run.x, b.mul(b.mul(self.m, self.k), self.size)))
        self.y = b.offset(b.param("y"), b.mul(run.y, b.mul(b.mul(self.k, self.n), self.size)))
        if self.finish is None:
            self.c = b.offset(b.param("c"), b.mul(run.c, b.mul(self.m, self.c_step)))
        column = b.mul(run.group, self.width)
        width = b.intrinsic("smin", b.sub(self.n, column), self.width)
        if self.dot_lines is None:
            self._blocks(run, column, width)
            return
        with b.if_else(b.icmp("slt", self.m, FEW_ROWS)) as choice:
            with choice.then:
                self._dots(self.dot_lines, column, width)
            with choice.otherwise:
                self._blocks(run, column, width)

    def _dots(self, function: Builder, column: Value, width: Value) -> None:
        """All of the few rows times one block of columns, which lie along k."""
        b = self.b
        lines, c = b.offset(self.y, b.mul(column, self.y_step)), b.offset(self.c, b.mul(column, self.size))
        b.call("void", function.name, self.x, lines, c, self.c_step, self.m, self.k, width)

    def _blocks(self, run: Run, column: Value, width: Value) -> None:
        """Some blocks of rows times one block of columns."""
        b, shape = self.b, self.shape
        y_row, y_column = (self.size, self.y_step) if self.product.transposed_y else (self.y_step, self.size)
        self.first_row = b.mul(run.first, self.height)
        self.last_row = b.intrinsic("smin", b.mul(run.last, self.height), self.m)
        packs = self._packs(b.sub(self.last_row, self.first_row))
        # Once even where k is 0: the tiles then store their base, zeros.
        with b.loop(0, self.k, shape.depth, at_least_once=True) as depths:
            depth = b.intrinsic("smin", b.sub(self.k, depths.index), shape.depth)
            corner = b.offset(self.y, b.add(b.mul(depths.index, y_row), b.mul(column, y_column)))
            block = _Block(corner, packs, column, width, depths.index, depth)
            self._pack(block, y_column)
            self._rows(block)

    def _pack(self, block: _Block, y_column: int | Value) -> None:
        """Copy the block's panels, or the ragged last one only."""
        b, columns = self.b, self.shape.columns
        with b.loop(0, block.width, columns) as panel:
            across = b.intrinsic("smin", b.sub(block.width, panel.index), columns)
            with b.if_(b.or_(block.packs, b.icmp("slt", across, columns))):
                source = b.offset(block.corner, b.mul(panel.index, y_column))
                copy = self._packed(block, panel.index)
                b.call("void", self.copy_y.name, source, self.y_step, copy, across, block.depth)

    def _packed(self, block: _Block, column: Value) -> Value:
        """Where the copy of the panel with this first column is."""
        return self.b.offset(self.panels, self.b.mul(column, self.b.mul(block.depth, self.size)))

    def _rows(self, block: _Block) -> None:
        """The run's rows of x times one block of y."""
        b = self.b
        x_row, x_k = (self.size, self.x_step) if self.shape.by_column else (self.x_step, self.size)
        with b.forever([self.first_row]) as group:
            (row,) = group.carried
            left = b.sub(self.last_row, row)
            group.exit_if(b.icmp("sle", left, 0))
            rows, function, finished = self._row_group(left)
            source = b.offset(self.x, b.add(b.mul(row, x_row), b.mul(block.first, x_k)))
            b.call("void", self.copy_x.name, source, self.x_step, self.sliver, rows, block.depth)
            with b.loop(0, block.width, self.shape.columns) as panel:
                self._tile(block, panel.index, function, finished, row, rows)
            group.next(b.add(row, rows))

    def _row_group(self, left: Value) -> tuple[Value, Value, Value]:
        """How many of the rows that are left come next, the function of their tiles, and that of finished ones."""
        b = self.b
        options = [
            (b.i64(rows), b.function(tile.name), b.function(self.finished[rows].name))
            for rows, tile in self.tiles.items()
        ]
        chosen = options[-1]
        for option in reversed(options[:-1]):
            chosen = _choose(b, b.icmp("sge", left, option[0]), option, chosen)
        return chosen

    def _tile(
        self, block: _Block, column: Value, function: Value, finished: Value, row: Value, rows: Value
    ) -> None:
        """One tile; where it is finished, or the product's columns end inside it, by way of one beside."""
        b, shape = self.b, self.shape
        left = b.sub(block.width, column)
        ragged = b.icmp("slt", left, shape.columns)
        packed = b.or_(block.packs, ragged)
        in_place = b.offset(block.corner, b.mul(column, self.size))
        panel = b.select(packed, self._packed(block, column), in_place)
        panel_step = b.select(packed, b.i64(shape.panel_step), self.y_step)
        zeros, beside = (self.zeros, b.i64(0)), (self.edge, b.i64(shape.panel_step))
        column = b.add(block.column, column)
        operands = (self.sliver, panel, panel_step)
        if self.finish is not None:
            corners = self.finish.corners(b, row, column, self.c_step)
            with b.if_else(ragged) as way:
                with way.then:
                    b.call_pointer("void", function, *operands, *beside, *zeros, block.depth)
                    b.call("void", self.finish.lines.name, self.edge, self.c_step, rows, left, *corners)
                with way.otherwise:
                    b.call_pointer("void", finished, *operands, block.depth, self.c_step, *corners)
            return
        c = b.offset(self.c, b.add(b.mul(row, self.c_step), b.mul(column, self.size)))
        base = _choose(b, self._is_fresh(block), zeros, (c, self.c_step))
        tile = _choose(b, ragged, beside, (c, self.c_step))
        tile_base = _choose(b, ragged, zeros, base)
        b.call_pointer("void", function, *operands, *tile, *tile_base, block.depth)
        with b.if_(ragged, likely=False):
            b.call("void", self.add_lines.name, self.edge, c, self.c_step, *base, rows, left)

    def _is_fresh(self, block: _Block) -> Value:
        """Whether the block is the first along k, so that there are no sums to add to."""
        return self.b.icmp("eq", block.first, 0)


def _ceiling(b: Builder, value: Value, divisor: Value) -> Value:
    """The quotient of numbers above 0, rounded up."""
    return b.udiv(b.add(value, b.sub(divisor, 1)), divisor)


def _choose(b: Builder, condition: Value, one: Values, other: Values) -> Values:
    return cast("Values", tuple(b.select(condition, x, y) for x, y in zip(one, other)))
