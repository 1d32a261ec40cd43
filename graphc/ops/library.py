"""What the LAPACK ops share: type rules, NumPy calls that fail as `LinearAlgebraError`, and matrix algebra.

Invariant: the last two axes are the matrix, those in front are a stack; float32 or float64, no other dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.errors import DTypeError, LinearAlgebraError, ShapeError
from graphc.ir.build import TensorLike, apply, as_tensor, cast, constant
from graphc.ir.dims import Size
from graphc.ir.location import here
from graphc.ir.opdef import OPS, Trait
from graphc.ir.tensor import Tensor
from graphc.ir.types import BOOL, DTYPES, FLOATS, TensorType
from graphc.ir.verify import require_equal
from graphc.ops.movement import expand_dims, matrix_transpose, reshape

LIBRARY = frozenset({Trait.LIBRARY, Trait.FALLIBLE})


def lapack(call: Callable[..., Any]) -> Callable[..., Any]:
    """`call` with NumPy's `LinAlgError` as ours, and arrays as results: a tuple where there are several."""

    def evaluate(*arrays: np.ndarray, **attrs: Any) -> Any:
        try:
            result = call(*arrays, **attrs)
        except np.linalg.LinAlgError as error:
            text = str(error)
            raise LinearAlgebraError(text[:1].lower() + text[1:] if text[1:2].islower() else text) from None
        return tuple(map(np.asarray, result)) if isinstance(result, tuple) else np.asarray(result)

    return evaluate


# type rules -----------------------------------------------------------------------------------------------


def require_matrix(x: TensorType, *, square: bool = False) -> tuple[tuple[Size, ...], Size, Size]:
    """The stack's axes, the rows and the columns of a type that must be one of float matrices."""
    if x.dtype not in FLOATS:
        raise DTypeError("needs float32 or float64")
    if x.rank < 2:
        raise ShapeError("needs at least two axes")
    rows, columns = x.shape[-2:]
    if square:
        rows = require_equal(rows, columns, "the last two axes must be a square matrix")
    return x.shape[:-2], rows, columns


# public arguments -----------------------------------------------------------------------------------------


def as_matrices(function: str, x: TensorLike, *, least: int = 2) -> Tensor:
    """A float tensor of at least `least` axes; integers become float64, as in NumPy.

    Raises:
        ShapeError: it has fewer axes.
    """
    tensor = as_tensor(x)
    if tensor.ndim < least:
        raise ShapeError(f"{function}: {tensor.type!r} has fewer than {least} axes", location=here())
    return cast(tensor, DTYPES["f64"]) if tensor.dtype == BOOL or tensor.dtype.kind in "iu" else tensor


# matrix algebra -------------------------------------------------------------------------------------------


def times(*factors: Tensor) -> Tensor:
    """The product of matrices, from the left."""
    product = factors[0]
    for factor in factors[1:]:
        product = apply(OPS["matmul"], product, factor)
    return product


def transposed(x: Tensor) -> Tensor:
    """Each matrix transposed."""
    return matrix_transpose(x)


def symmetric(x: Tensor) -> Tensor:
    """The symmetric part, `(x + x^T) / 2`."""
    return scaled(x + transposed(x), 0.5)


def scaled(x: Tensor, factor: float) -> Tensor:
    """`x` times a number, in its own dtype."""
    return apply(OPS["multiply"], x, constant(factor, x.dtype))


def as_rows(v: Tensor) -> Tensor:
    """A vector as a matrix of one row: times it, the columns of a matrix are scaled."""
    return expand_dims(v, -2)


def as_columns(v: Tensor) -> Tensor:
    """A vector as a matrix of one column: times it, the rows of a matrix are scaled."""
    return expand_dims(v, -1)


def as_scalars(v: Tensor) -> Tensor:
    """Numbers, one for each matrix of a stack, as matrices of one element."""
    return reshape(v, (*v.shape, 1, 1))


def numbers_below(size: Size) -> tuple[Tensor, Tensor]:
    """Row and column numbers that broadcast to a square matrix."""
    iota = apply(OPS["iota"], size=size, dtype=DTYPES["i64"])
    return reshape(iota, (size, 1)), reshape(iota, (1, size))


def masked(x: Tensor, relation: str) -> Tensor:
    """The elements whose row and column number are in a relation, zero elsewhere.

    "greater" keeps what is strictly below the diagonal of square matrices.
    """
    row, column = numbers_below(x.shape[-1])
    return apply(OPS["where"], apply(OPS[relation], row, column), x, constant(0, x.dtype))


def identity_like(x: Tensor) -> Tensor:
    """Identity matrices of the size of the columns of `x`, that broadcast against it."""
    row, column = numbers_below(x.shape[-1])
    return cast(apply(OPS["equal"], row, column), x.dtype)


def reciprocal_gaps(v: Tensor) -> Tensor:
    """`1 / (v_j - v_i)` for the pairs of a vector's elements; 0 where they are equal, so on the diagonal."""
    gap = as_rows(v) - as_columns(v)
    equal = apply(OPS["equal"], gap, constant(0, v.dtype))
    one = constant(1, v.dtype)
    return apply(
        OPS["where"],
        equal,
        constant(0, v.dtype),
        apply(OPS["divide"], one, apply(OPS["where"], equal, one, gap)),
    )
