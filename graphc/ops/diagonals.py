"""Diagonals of matrices: diagonal and trace, by a gather along equal row and column numbers.

Invariant: the result is NumPy's for every offset, empty diagonals and symbolic sizes included.
"""

from __future__ import annotations

from typing import Any

from graphc.errors import ShapeError
from graphc.ir import dims
from graphc.ir.build import TensorLike, apply, as_tensor, constant
from graphc.ir.location import here
from graphc.ir.opdef import FUNCTIONS, OPS, public
from graphc.ir.tensor import Tensor
from graphc.ir.types import DTYPES
from graphc.ops.arguments import as_axis, as_integer
from graphc.ops.movement import moveaxis


@public
def diagonal(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The diagonal of each matrix that two axes of `x` make, as the last axis of the result.

    Args:
        x: a tensor of at least two axes.
        offset: which diagonal: above the main one if positive, below if negative.
        axis1, axis2: the rows' and the columns' axis.

    Raises:
        ShapeError: `x` has fewer than two axes, or `axis1` and `axis2` are the same.

    >>> import graphc as gc
    >>> gc.diagonal(gc.placeholder((3, 4, "n")), 1).type
    f32[n,3]
    """
    tensor = as_tensor(x)
    if tensor.ndim < 2:
        raise ShapeError(f"diagonal: {tensor.type!r} has fewer than two axes", location=here())
    rows = as_axis("diagonal", axis1, tensor.ndim, "axis1")
    columns = as_axis("diagonal", axis2, tensor.ndim, "axis2")
    if rows == columns:
        raise ShapeError(f"diagonal: axis1 and axis2 are both {rows}", location=here())
    shift = as_integer("diagonal", "offset", offset)
    below, right = max(-shift, 0), max(shift, 0)
    size = dims.maximum(dims.minimum(tensor.shape[rows] - below, tensor.shape[columns] - right), 0)
    number = apply(OPS["iota"], size=size, dtype=DTYPES["i64"])
    places = [apply(OPS["add"], number, constant(start, "int64")) if start else number for start in (below, right)]
    picked = apply(OPS["gather"], moveaxis(tensor, (rows, columns), (0, 1)), *places)
    return moveaxis(picked, 0, -1)


@public
def trace(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Tensor:
    """The sum along the diagonal of each matrix that two axes of `x` make.

    Args: as of `diagonal`; `dtype` as of `sum`.

    Raises:
        ShapeError: `x` has fewer than two axes, or `axis1` and `axis2` are the same.

    >>> import graphc as gc
    >>> gc.trace(gc.placeholder((3, 3, "n"))).type
    f32[n]
    """
    return FUNCTIONS["sum"](diagonal(x, offset, axis1, axis2), axis=-1, dtype=dtype)
