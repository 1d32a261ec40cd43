"""A product that is finished by the loop nest that alone reads it: a bias is added, a weight moves along its gradient.

    body(p0, p1, p2):  %0 = matmul p0, p1               when a tile's sums are done, its accumulators go through the
                       %1 = multiply 0.1, %0            rest of the body and into the results: the product itself is
                       return subtract p2, %1           never stored

What the rest reads lies as the product does, or is a row, a column or a number that serves all of it.

Invariant: an element of a result has the bits that the product and a loop nest of its own would give it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from graphc.analysis.loops import EXPENSIVE
from graphc.backends.llvm.elementwise import LOWERINGS, lower
from graphc.backends.llvm.emitter import Builder, Value, register_type, vector
from graphc.backends.llvm.kernel import named_by_content
from graphc.backends.llvm.kernels.microkernel import Blocking, multiplied
from graphc.backends.llvm.kernels.packing import load_some, mask_below, store_some
from graphc.backends.llvm.target import Target
from graphc.ir.graph import Graph, with_inputs
from graphc.ir.opdef import OPS, Trait
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType

#: How many arrays the rest of a body may read and write: each takes a register for its address.
_ARRAYS = 8


def finished_body(product: Tensor, body: Graph, operands: Sequence[Tensor]) -> Graph | None:
    """The body of a loop nest on these operands, with the product among them made inside it.

    Its parameters are the product's factors, then the other operands. None if it is not for `Finish`: it
    folds or moves elements, needs functions that longer vectors are better for, or other dtypes.
    """
    inside = dict(zip(body.inputs, operands))
    parameters = [t for t in body.inputs if inside[t] is not product]
    members = [t for t in body.tensors if t not in inside]
    types = [t.tensor_type for t in parameters]
    if product.ndim != 2 or len(parameters) + len(body.outputs) > _ARRAYS or len(operands) != len(parameters) + 1:
        return None
    if not all(map(_is_taken, members)) or any(t.dtype != product.dtype for t in types):
        return None
    if any(t.type != product.type or t in inside for t in body.outputs):
        return None
    if any(_lies(t, product.tensor_type) is None for t in types):
        return None
    factors = [Tensor(OPS["placeholder"], (), {}, t.type, t.location, f"f{i}") for i, t in enumerate(product.inputs)]
    new = {t: with_inputs(product, tuple(factors)) if inside[t] is product else t for t in body.inputs}
    for member in members:
        new[member] = with_inputs(member, tuple(new[i] for i in member.inputs))
    return Graph(body.name, (*factors, *parameters), tuple(new[t] for t in dict.fromkeys(body.outputs)))


def product_in(body: Graph) -> Tensor:
    """The product of a `finished_body`."""
    return next(t for t in body.tensors if t.op.name == "matmul")


def overwrites(body: Graph, parameter: Tensor) -> bool:
    """Whether a `finished_body` may write a result over this operand: each element is read where it is written."""
    product = product_in(body)
    return parameter not in product.inputs and parameter.type == product.type


def _is_taken(tensor: Tensor) -> bool:
    name = tensor.op.name
    if name == "const":
        return tensor.tensor_type.size == 1
    return tensor.op.has(Trait.ELEMENTWISE) and name in LOWERINGS and name not in EXPENSIVE


def _lies(operand: TensorType, product: TensorType) -> tuple[bool, bool] | None:
    """Whether there is a line of the operand for each row of the product, and an element for each column."""
    if len(operand.shape) > 2:
        return None
    shape = (1,) * (2 - len(operand.shape)) + operand.shape
    lies = tuple(size == extent for size, extent in zip(shape, product.shape))
    if any(not one and size != 1 for one, size in zip(lies, shape)):
        return None
    return lies[0], lies[1]


class Finish:
    """How the rest of a `finished_body` is applied to tiles.

    Attributes:
        operands, results: what the rest reads and writes.
        arrays: names for them, of the kernel's parameters.
        lines: a function `(tile, step, rows, width, array...)` for a tile that is ragged, and so made beside, in lines
            that are as far apart as a packed panel's.

    Functions get a pointer to the tile's corner in each array, and the bytes from one row of the product to the next,
    `step`.
    """

    def __init__(self, body: Graph, shape: Blocking, target: Target) -> None:
        self.body, self.shape, self.product = body, shape, product_in(body)
        self.operands, self.results = body.inputs[2:], body.outputs
        self.members = [t for t in body.tensors if t not in body.inputs and t is not self.product]
        self.arrays = [f"operand{i}" for i in range(len(self.operands))]
        self.arrays += [f"result{i}" for i in range(len(self.results))]
        self.target = target

    def corners(self, b: Builder, row: Value, column: Value, step: Value) -> list[Value]:
        """Where a tile begins in each array; its corner is this element of the product."""
        down, across = b.mul(row, step), b.mul(column, self.shape.bytes)
        found = []
        for name, tensor in zip(self.arrays, (*self.operands, *self.results)):
            by_row, by_column = self._lies(tensor)
            lines = down if by_column else b.mul(row, self.shape.bytes)
            corner = b.offset(b.param(name), lines) if by_row else b.param(name)
            found.append(b.offset(corner, across) if by_column else corner)
        return found

    def _lies(self, tensor: Tensor) -> tuple[bool, bool]:
        lies = _lies(tensor.tensor_type, self.product.tensor_type)
        assert lies is not None
        return lies

    def tile(self, rows: int, target: Target) -> Builder:
        """A function `(a, b, b_step, k, step, array...)`: a tile of so many rows, finished on the accumulators."""
        params = [("a", "ptr"), ("b", "ptr"), ("b_step", "i64"), ("k", "i64"), ("step", "i64")]
        b = self._builder("finished_tile", params, target)
        sliver, panel, b_step, k, step, *_ = b.params
        sums = multiplied(b, self.shape, rows, sliver, panel, b_step, k)
        known, down = self.numbers(b), b.i64(0)
        for row in range(rows):
            for j in range(self.shape.vectors):
                self.apply(b, sums[row * self.shape.vectors + j], j, None, b.i64(row), down, known)
            down = b.add(down, step)
        return named_by_content(b)

    @cached_property
    def lines(self) -> Builder:
        """The function `lines`."""
        target = self.target
        params = [("tile", "ptr"), ("step", "i64"), ("rows", "i64"), ("width", "i64")]
        b, shape = self._builder("finish_lines", params, target), self.shape
        masks = [mask_below(b, b.param("width"), j, shape.lanes) for j in range(shape.vectors)]
        known = self.numbers(b)
        with b.loop(0, b.param("rows"), carried=[b.param("tile"), b.i64(0)]) as loop:
            line, down = loop.carried
            for j, mask in enumerate(masks):
                value = b.load(shape.vector, b.offset(line, j * shape.lanes * shape.bytes))
                self.apply(b, value, j, mask, loop.index, down, known)
            loop.next(b.offset(line, shape.panel_step), b.add(down, b.param("step")))
        return named_by_content(b)

    def _builder(self, name: str, params: list[tuple[str, str]], target: Target) -> Builder:
        return Builder(name, params + [(array, "ptr") for array in self.arrays], target=target, linkage="internal")

    def numbers(self, b: Builder) -> dict[Tensor, Value]:
        """The values that serve all of the product."""
        known = {
            operand: b.splat(b.load(self.shape.element, b.param(name)), self.shape.lanes)
            for name, operand in zip(self.arrays, self.operands)
            if self._lies(operand) == (False, False)
        }
        self._compute(b, [t for t in self.members if t.tensor_type.size == 1 and t not in self.results], known)
        return known

    def apply(
        self, b: Builder, value: Value, j: int, mask: Value | None, row: Value, down: Value, known: dict[Tensor, Value]
    ) -> None:
        """Finish vector `j` of a row, which lies so many bytes below the corner."""
        across = j * self.shape.lanes * self.shape.bytes
        values = {**known, self.product: value}
        for name, operand in zip(self.arrays, self.operands):
            if operand not in known:
                values[operand] = self._loaded(b, operand, b.param(name), row, down, across, mask)
        self._compute(b, self.members, values)
        for name, result in zip(self.arrays[len(self.operands) :], self.results):
            place = b.offset(b.offset(b.param(name), down), across)
            if mask is None:
                b.store(values[result], place)
            else:
                store_some(b, values[result], place, mask)

    def _loaded(
        self, b: Builder, operand: Tensor, corner: Value, row: Value, down: Value, across: int, mask: Value | None
    ) -> Value:
        """A vector of an operand, in this row."""
        by_row, by_column = self._lies(operand)
        if not by_column:
            return b.splat(b.load(self.shape.element, b.gep(corner, row, self.shape.element)), self.shape.lanes)
        line = b.offset(corner, down) if by_row else corner
        return load_some(b, self.shape.vector, b.offset(line, across), mask)

    def _compute(self, b: Builder, members: Sequence[Tensor], values: dict[Tensor, Value]) -> None:
        """Add the values of these members, on vectors."""
        for tensor in members:
            if tensor in values:
                continue
            if tensor.op.name == "const":
                value = tensor.attrs["value"].reshape(()).item()
                values[tensor] = b.const(vector(register_type(tensor.dtype), self.shape.lanes), value)
                continue
            operands, dtypes = [values[t] for t in tensor.inputs], [t.dtype for t in tensor.inputs]
            values[tensor] = lower(b, tensor.op.name, operands, dtypes, tensor.dtype, tensor.attrs)
