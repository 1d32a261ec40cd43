"""Linear systems: the ops solve, inv, det, slogdet.

Gradients: M. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic
differentiation" (2008), section 2. Those of `det` and `slogdet` need the inverse, so they raise at a singular
matrix.

Invariant: a singular matrix raises `LinearAlgebraError` when it is met, as in NumPy; `det` of it is 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import DTypeError
from graphc.ir.broadcast import broadcast_shapes
from graphc.ir.build import TensorLike, apply, promote, unpack
from graphc.ir.opdef import OPS, define
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType, TupleType
from graphc.ir.verify import require_equal
from graphc.ops.library import LIBRARY, as_matrices, as_scalars, lapack, require_matrix, times, transposed
from graphc.ops.movement import expand_dims, reshape, sum_to_shape

# solve ----------------------------------------------------------------------------------------------------


def _solve_type(a: TensorType, b: TensorType) -> TensorType:
    if a.dtype != b.dtype:
        raise DTypeError("the operands have different dtypes")
    stack, rows, _ = require_matrix(a, square=True)
    other, right_rows, columns = require_matrix(b)
    require_equal(rows, right_rows, "the right-hand side has another number of rows than the matrix")
    return a.with_shape((*broadcast_shapes(stack, other, rule="the stacks do not broadcast"), rows, columns))


def _solve_gradient(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    # x = a^-1 b:  b' = a^-T g,  a' = -b' x^T
    right = apply(OPS["solve"], transposed(a), g)
    return sum_to_shape(-times(right, transposed(y)), a.shape), sum_to_shape(right, b.shape)


define(
    "solve",
    operands=("a", "b"),
    infer=_solve_type,
    eval=lapack(np.linalg.solve),
    vjp=_solve_gradient,
    traits=LIBRARY,
    doc="the solution x of a @ x = b",
)


def solve(a: TensorLike, b: TensorLike) -> Tensor:
    """The solution `x` of `a @ x = b`.

    Args:
        a: square matrices `(..., n, n)`.
        b: a vector `(n,)`, or matrices `(..., n, k)`; the axes in front broadcast.

    Returns:
        A tensor `(..., n)` where `b` is a vector, else `(..., n, k)`. Integers are computed in float64.

    Raises:
        ShapeError: `a` is not square, or the sizes do not fit.
        LinearAlgebraError: at the call: a matrix is singular.

    >>> import graphc as gc
    >>> gc.linalg.solve(gc.placeholder((3, 3)), gc.placeholder((3,))).type
    f32[3]
    """
    left, right = promote(as_matrices("solve", a), as_matrices("solve", b, least=1))
    if right.ndim > 1:
        return apply(OPS["solve"], left, right)
    solution = apply(OPS["solve"], left, expand_dims(right, -1))
    return reshape(solution, solution.shape[:-1])


# inv ------------------------------------------------------------------------------------------------------


def _square_type(x: TensorType) -> TensorType:
    stack, rows, _ = require_matrix(x, square=True)
    return x.with_shape((*stack, rows, rows))


def _inv_gradient(g: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor]:
    return (-times(transposed(y), g, transposed(y)),)


define(
    "inv",
    operands=("x",),
    infer=_square_type,
    eval=lapack(np.linalg.inv),
    vjp=_inv_gradient,
    traits=LIBRARY,
    doc="the inverse of a matrix",
)


def inv(x: TensorLike) -> Tensor:
    """The inverse of each square matrix `(..., n, n)`.

    Raises:
        ShapeError: a matrix is not square.
        LinearAlgebraError: at the call: a matrix is singular.

    >>> import graphc as gc
    >>> gc.linalg.inv(gc.placeholder(("batch", 3, 3))).type
    f32[batch,3,3]
    """
    return apply(OPS["inv"], as_matrices("inv", x))


# det, slogdet ---------------------------------------------------------------------------------------------


def _det_type(x: TensorType) -> TensorType:
    return x.with_shape(require_matrix(x, square=True)[0])


def _det_gradient(g: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor]:
    return (as_scalars(g * y) * transposed(apply(OPS["inv"], x)),)


define(
    "det",
    operands=("x",),
    infer=_det_type,
    eval=lapack(np.linalg.det),
    vjp=_det_gradient,
    traits=LIBRARY,
    doc="the determinant of a matrix",
)


def det(x: TensorLike) -> Tensor:
    """The determinant of each square matrix `(..., n, n)`. Its gradient needs the inverse.

    Raises:
        ShapeError: a matrix is not square.

    >>> import graphc as gc
    >>> gc.linalg.det(gc.placeholder(("batch", 3, 3))).type
    f32[batch]
    """
    return apply(OPS["det"], as_matrices("det", x))


def _slogdet_gradient(g: tuple[Tensor | None, ...], y: Any, x: Tensor) -> tuple[Tensor | None]:
    # The sign is constant wherever the logarithm is finite.
    return (None if g[1] is None else as_scalars(g[1]) * transposed(apply(OPS["inv"], x)),)


define(
    "slogdet",
    operands=("x",),
    infer=lambda x: TupleType((_det_type(x), _det_type(x))),
    eval=lapack(lambda x: tuple(np.linalg.slogdet(x))),
    vjp=_slogdet_gradient,
    traits=LIBRARY,
    doc="the sign of the determinant, and the logarithm of its absolute value",
)


def slogdet(x: TensorLike) -> tuple[Tensor, Tensor]:
    """The sign of the determinant of each square matrix, and the logarithm of its absolute value.

    Raises:
        ShapeError: a matrix is not square.

    >>> import graphc as gc
    >>> sign, logabsdet = gc.linalg.slogdet(gc.placeholder(("batch", 3, 3)))
    >>> logabsdet.type
    f32[batch]
    """
    sign, logarithm = unpack(apply(OPS["slogdet"], as_matrices("slogdet", x)))
    return sign, logarithm
