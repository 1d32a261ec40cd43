"""A matmul in canonical form: what the kernels multiply, whatever the operands' axes were called.

Invariant: `canonical` only renames: the buffers that it describes are the operands' own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from graphc.backends.llvm.emitter import Builder, Value
from graphc.backends.llvm.kernel import Split
from graphc.backends.llvm.kernels.broadcasting import BroadcastAxis, broadcast_axes, broadcast_numbers
from graphc.backends.llvm.target import Target
from graphc.ir import dims
from graphc.ir.dims import Size
from graphc.ir.types import TensorType


class Run(NamedTuple):
    """Turns that follow one another inside one matrix, and inside one group of its turns.

    Attributes:
        x, y, c: the numbers of the matrices.
        group: the number of the group.
        first, last: which of the group's turns: first <= turn < last.
    """

    x: Value
    y: Value
    c: Value
    group: Value
    first: Value
    last: Value


@dataclass(frozen=True)
class Product:
    """What a matmul kernel computes: for each matrix of a batch, `c = x @ y`.

    Attributes:
        dtype: of all three matrices.
        m, k, n: the extents; x is m by k, y k by n.
        axes: the batch loops around.
        transposed_x, transposed_y: whether the buffer holds the transpose.
        swapped: the kernel's first argument is y and its second x.
    """

    dtype: np.dtype
    m: Size
    k: Size
    n: Size
    axes: tuple[BroadcastAxis, ...] = ()
    transposed_x: bool = False
    transposed_y: bool = False
    swapped: bool = False

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The run-time arguments of the kernel."""
        return (self.m, self.k, self.n, *(axis.extent for axis in self.axes))

    def builder(
        self, target: Target, *, scratch: bool = False, further: Sequence[str] = (), arrays: Sequence[str] = ("c",)
    ) -> Builder:
        """A function with the kernel's arguments.

        They are x, y, `arrays`, scratch, m, k, n, batch0, batch1 ..., `further` sizes, low and high.
        """
        pointers = [*(["y", "x"] if self.swapped else ["x", "y"]), *arrays]
        names = ["m", "k", "n", *(f"batch{i}" for i in range(len(self.axes))), *further, "low", "high"]
        return Builder(
            "matmul",
            [(name, "ptr") for name in pointers + ["scratch"] * scratch] + [(name, "i64") for name in names],
            target=target,
        )

    def split(self, turns: tuple[Size, ...], weight: Size, granule: int = 1) -> Split:
        """How threads share the product, of whose matrices each has so many turns."""
        return Split((*(axis.extent for axis in self.axes), *turns), granule, weight)

    @contextmanager
    def runs(self, b: Builder, groups: Value, turns: Value) -> Iterator[Run]:
        """The loop over the kernel's turns, `low` to `high`: each matrix has `groups` groups of `turns` turns.

        It takes as many turns at once as lie in one group, so what a group's turns need is made once for them.
        """
        extents = [b.param(f"batch{i}") for i in range(len(self.axes))]
        with b.forever([b.param("low")]) as loop:
            (turn,) = loop.carried
            left = b.sub(b.param("high"), turn)
            loop.exit_if(b.icmp("sle", left, 0))
            groups_before = b.udiv(turn, turns)
            matrix = b.udiv(groups_before, groups)
            first = b.sub(turn, b.mul(groups_before, turns))
            last = b.intrinsic("smin", b.add(first, left), turns)
            x, y, c = broadcast_numbers(b, self.axes, extents, matrix, 2)
            yield Run(x, y, c, b.sub(groups_before, b.mul(matrix, groups)), first, last)
            loop.next(b.add(turn, b.sub(last, first)))


def canonical(
    x: TensorType, y: TensorType, result: TensorType, transpose_x: bool = False, transpose_y: bool = False
) -> Product:
    """The product to compute: a stack times one matrix is one tall product, a single column a single row.

    >>> from graphc.ir.types import DTYPES
    >>> stack, matrix = TensorType(DTYPES["f32"], (5, 2, 3)), TensorType(DTYPES["f32"], (3, 7))
    >>> tall = canonical(stack, matrix, TensorType(DTYPES["f32"], (5, 2, 7)))
    >>> tall.m, tall.axes
    (10, ())
    """
    m, n = result.shape[-2:]
    k = x.shape[-2] if transpose_x else x.shape[-1]
    axes = broadcast_axes(result.shape[:-2], [x.shape[:-2], y.shape[:-2]])
    if not transpose_x and not any(axis.advances[1] for axis in axes):
        m, axes = dims.product([axis.extent for axis in axes]) * m, ()
    if n == 1 and m != 1:  # (x @ y).T = y.T @ x.T, and a column of y lies in memory as a row does
        exchanged = tuple(BroadcastAxis(axis.extent, axis.advances[::-1]) for axis in axes)
        return Product(x.dtype, 1, k, m, exchanged, False, not transpose_x, True)
    # A single row or column lies as its transpose does; along k is the better way to read it.
    return Product(x.dtype, m, k, n, axes, transpose_x and m != 1, transpose_y or n == 1)
