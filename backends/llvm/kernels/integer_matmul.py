"""Products of integers, which wrap, and of bools, where a product is `and` and a sum is `or`.

Addition wraps and `or` is associative, so any order of summation gives the same bits: the loops take lanes
along the columns of the result where y lies in rows, along k where both operands run along k, else none.

Invariant: a lane is one element of the result (or one partial sum of it), in the operands' own dtype.
"""

from __future__ import annotations

from collections.abc import Callable

from graphc.backends.llvm.emitter import Builder, Value, memory_type, register_type, vector
from graphc.backends.llvm.kernel import Kernel
from graphc.backends.llvm.kernels.product import Product, Run
from graphc.backends.llvm.target import Target

#: Lanes of one vector at most: narrow integers would fill more, but then most products were all tail.
_LANES = 16

Combine = Callable[[Value, Value], Value]


def integer_matmul_kernel(product: Product, target: Target) -> Kernel:
    """The kernel of a product of an integer dtype or bool."""
    b = product.builder(target)
    lanes = min(_LANES, target.native_lanes(product.dtype))
    body = _IntegerBody(b, product, lanes)
    n = b.param("n")
    along_k = product.transposed_y and not product.transposed_x
    along_n = 1 if product.transposed_y else lanes
    with product.runs(b, b.i64(1), b.param("m")) as run, b.loop(run.first, run.last) as row:
        body.select_matrices(run)
        if along_k:
            with b.loop(0, n) as column:
                body.dot(row.index, column.index)
        else:
            even = b.sub(n, b.urem(n, along_n))
            with b.loop(0, even, along_n) as column:
                body.columns(row.index, column.index, along_n)
            with b.loop(even, n) as column:
                body.columns(row.index, column.index, 1)
    return Kernel(b, product.sizes, split=product.split((product.m,), product.n * product.k * 4))


class _IntegerBody:
    """The innermost loops, over k."""

    def __init__(self, b: Builder, product: Product, lanes: int) -> None:
        self.b, self.dtype, self.lanes = b, product.dtype, lanes
        self.memory, self.register = memory_type(product.dtype), register_type(product.dtype)
        self.m, self.k, self.n = b.param("m"), b.param("k"), b.param("n")
        one = b.i64(1)
        self.x_row, self.x_k = (one, self.m) if product.transposed_x else (self.k, one)
        self.y_k, self.y_column = (one, self.k) if product.transposed_y else (self.n, one)
        is_bool = self.register == "i1"
        self.times: Combine = b.and_ if is_bool else b.mul
        self.plus: Combine = b.or_ if is_bool else b.add

    def select_matrices(self, run: Run) -> None:
        """The run's matrices are the ones to multiply."""
        b = self.b
        extents = (b.mul(self.m, self.k), b.mul(self.k, self.n), b.mul(self.m, self.n))
        self.x, self.y, self.c = (
            b.gep(b.param(name), b.mul(number, extent), self.memory)
            for name, number, extent in zip("xyc", (run.x, run.y, run.c), extents)
        )

    def columns(self, row: Value, column: Value, lanes: int) -> None:
        """`lanes` neighbouring elements of the result."""
        b = self.b
        x = b.gep(self.x, b.mul(row, self.x_row), self.memory)
        y = b.gep(self.y, b.mul(column, self.y_column), self.memory)
        with b.loop(0, self.k, carried=[b.const(vector(self.register, lanes), 0)]) as loop:
            left = b.load_dtype(self.dtype, b.gep(x, b.mul(loop.index, self.x_k), self.memory))
            right = b.load_dtype(self.dtype, b.gep(y, b.mul(loop.index, self.y_k), self.memory), lanes)
            loop.next(self.plus(loop.carried[0], self.times(b.splat(left, lanes), right)))
        self._store(loop.results[0], row, column)

    def dot(self, row: Value, column: Value) -> None:
        """One element of the result, of operands that both run along k."""
        b, lanes = self.b, self.lanes
        x = b.gep(self.x, b.mul(row, self.k), self.memory)
        y = b.gep(self.y, b.mul(column, self.k), self.memory)
        even = b.sub(self.k, b.urem(self.k, lanes))

        def sums(start: int | Value, stop: Value, lanes: int, total: Value) -> Value:
            with b.loop(start, stop, lanes, carried=[total]) as loop:
                left = b.load_dtype(self.dtype, b.gep(x, loop.index, self.memory), lanes)
                right = b.load_dtype(self.dtype, b.gep(y, loop.index, self.memory), lanes)
                loop.next(self.plus(loop.carried[0], self.times(left, right)))
            return loop.results[0]

        wide = sums(0, even, lanes, b.const(vector(self.register, lanes), 0))
        self._store(sums(even, self.k, 1, b.reduce(wide, self.plus)), row, column)

    def _store(self, value: Value, row: Value, column: Value) -> None:
        b = self.b
        place = b.gep(self.c, b.add(b.mul(row, self.n), column), self.memory)
        b.store_dtype(value, place, self.dtype)
