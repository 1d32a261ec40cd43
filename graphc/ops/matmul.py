"""The `matmul` op and the products made of it: matmul, dot, vecdot, outer, tensordot.

Invariant: the op itself takes stacks of matrices only (rank 2 or more); the public functions see to vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir import dims
from graphc.ir.broadcast import broadcast_shapes
from graphc.ir.build import TensorLike, apply, promote
from graphc.ir.dims import Size
from graphc.ir.location import here
from graphc.ir.opdef import FUNCTIONS, OPS, define, public
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType
from graphc.ir.verify import require_equal
from graphc.ops.arguments import as_axes, as_axis, as_integer, is_integer
from graphc.ops.movement import expand_dims, matrix_transpose, permuted, reshape, sum_to_shape


def _matmul_type(x: TensorType, y: TensorType) -> TensorType:
    if x.dtype != y.dtype:
        raise DTypeError("the operands have different dtypes")
    if x.rank < 2 or y.rank < 2:
        raise ShapeError("the operands need at least two axes")
    require_equal(x.shape[-1], y.shape[-2], "inner dimensions differ")
    batch = broadcast_shapes(x.shape[:-2], y.shape[:-2], rule="batch dimensions do not broadcast")
    return x.with_shape((*batch, x.shape[-2], y.shape[-1]))


def _matmul_gradient(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    product = OPS["matmul"]
    return (
        sum_to_shape(apply(product, g, matrix_transpose(b)), a.shape),
        sum_to_shape(apply(product, matrix_transpose(a), g), b.shape),
    )


define(
    "matmul",
    operands=("x", "y"),
    infer=_matmul_type,
    eval=np.matmul,
    vjp=_matmul_gradient,
    doc="the matrix product of the last two axes; the axes before them broadcast",
)


@public
def matmul(x: TensorLike, y: TensorLike) -> Tensor:
    """The matrix product `x @ y`, as NumPy defines it.

    Args:
        x: a vector `(k,)`, a matrix `(m, k)`, or a stack of matrices `(..., m, k)`.
        y: likewise `(k,)`, `(k, n)` or `(..., k, n)`; the axes in front broadcast. Integers wrap; of bools
            the product is `any(x and y)`.

    Returns:
        A tensor of shape `(..., m, n)`, without `m` or `n` where that operand is a vector.

    Raises:
        ShapeError: an operand is a scalar, the inner sizes differ, or the stacks do not broadcast.

    >>> import graphc as gc
    >>> gc.matmul(gc.placeholder(("batch", 784)), gc.placeholder((784, 10))).type
    f32[batch,10]
    """
    a, b = promote(x, y)
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError(f"matmul: {a.type!r} @ {b.type!r}: a scalar has no inner dimension", location=here())
    rows, columns = a.ndim > 1, b.ndim > 1
    product = apply(OPS["matmul"], a if rows else expand_dims(a, 0), b if columns else expand_dims(b, 1))
    kept = product.shape[:-2] + (product.shape[-2],) * rows + (product.shape[-1],) * columns
    return reshape(product, kept)


@public
def vecdot(x: TensorLike, y: TensorLike, axis: int = -1) -> Tensor:
    """The dot products of the vectors along `axis` of two tensors; the other axes broadcast.

    Raises:
        ShapeError: the sizes of the axis differ, or there is no such axis.

    >>> import graphc as gc
    >>> gc.vecdot(gc.placeholder(("batch", 3)), gc.placeholder((3,))).type
    f32[batch]
    """
    a, b = promote(x, y)
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError(f"vecdot: {a.type!r} and {b.type!r}: a scalar has no axis", location=here())
    a = FUNCTIONS["moveaxis"](a, as_axis("vecdot", axis, a.ndim), -1)
    b = FUNCTIONS["moveaxis"](b, as_axis("vecdot", axis, b.ndim), -1)
    product = apply(OPS["matmul"], expand_dims(a, -2), expand_dims(b, -1))
    return reshape(product, product.shape[:-2])


@public
def dot(x: TensorLike, y: TensorLike) -> Tensor:
    """NumPy's `dot`: a product by a scalar, else a sum over the last axis of `x` and the second-last of `y`.

    Up to two dimensions it equals `matmul`; above, the free axes of `x` come before those of `y`.

    Raises:
        ShapeError: the sizes of the summed axes differ.

    >>> import graphc as gc
    >>> gc.dot(gc.placeholder((2, 3)), gc.placeholder((3,))).type
    f32[2]
    """
    a, b = promote(x, y)
    if a.ndim == 0 or b.ndim == 0:
        return FUNCTIONS["multiply"](a, b)
    if b.ndim <= 2:
        return matmul(a, b) if a.ndim <= 2 else tensordot(a, b, (-1, 0))
    return tensordot(a, b, (-1, -2))


@public
def outer(x: TensorLike, y: TensorLike) -> Tensor:
    """The products of every element of `x` with every element of `y`, both flattened.

    >>> import graphc as gc
    >>> gc.outer(gc.placeholder(("n",)), gc.placeholder((3,))).type
    f32[n,3]
    """
    a, b = promote(x, y)
    return FUNCTIONS["multiply"](reshape(a, (a.size, 1)), reshape(b, (1, b.size)))


@public
def tensordot(x: TensorLike, y: TensorLike, axes: Any = 2) -> Tensor:
    """The sum of products over pairs of axes, by one matrix product.

    Args:
        x, y: any tensors.
        axes: a number `k`, which pairs the last `k` axes of `x` with the first `k` of `y`; or two sequences
            of as many axes each.

    Returns:
        A tensor with the axes of `x` that are not summed, then those of `y`.

    Raises:
        ShapeError: paired axes differ in size, or do not exist.

    >>> import graphc as gc
    >>> gc.tensordot(gc.placeholder((2, 3, 4)), gc.placeholder((4, 3, 5)), ((1, 2), (1, 0))).type
    f32[2,5]
    """
    a, b = promote(x, y)
    left, right = _paired_axes(axes, a.ndim, b.ndim)
    for i, j in zip(left, right):
        require_same("tensordot", f"axis {i} of x and axis {j} of y", a.shape[i], b.shape[j])
    a_free = tuple(i for i in range(a.ndim) if i not in left)
    b_free = tuple(i for i in range(b.ndim) if i not in right)
    a_sizes, b_sizes = [a.shape[i] for i in a_free], [b.shape[i] for i in b_free]
    rows = reshape(permuted(a, a_free + left), (dims.product(a_sizes), dims.product([a.shape[i] for i in left])))
    columns = reshape(permuted(b, right + b_free), (dims.product([b.shape[i] for i in right]), dims.product(b_sizes)))
    return reshape(apply(OPS["matmul"], rows, columns), (*a_sizes, *b_sizes))


def require_same(function: str, what: str, first: Size, second: Size) -> Size:
    """Two sizes that a public function needs equal.

    Raises:
        ShapeError: they can never be.
    """
    try:
        return require_equal(first, second, f"{function}: {what} differ: {first} and {second}")
    except ShapeError as error:
        raise ShapeError(error.message, location=here()) from None


def _paired_axes(axes: Any, left_rank: int, right_rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if is_integer(axes):
        count = as_integer("tensordot", "axes", axes, least=0)
        if count > min(left_rank, right_rank):
            raise ShapeError(f"tensordot: {count} axes of arrays of rank {left_rank} and {right_rank}", location=here())
        return tuple(range(left_rank - count, left_rank)), tuple(range(count))
    if not isinstance(axes, (tuple, list)) or len(axes) != 2:
        raise ShapeError(f"tensordot: axes {axes!r} is neither a number nor a pair of sequences", location=here())
    left, right = (
        as_axes("tensordot", axes[0], left_rank, "axes"),
        as_axes("tensordot", axes[1], right_rank, "axes"),
    )
    if len(left) != len(right):
        raise ShapeError(f"tensordot: {len(left)} axes of x, {len(right)} axes of y", location=here())
    return left, right
