"""Matrix factorizations: the ops cholesky, qr, eigh, svd.

Invariant: results are LAPACK's, through NumPy, signs and order included. `cholesky` and `eigh` read the lower
triangle of their operand only and take it for a symmetric matrix; their gradient is that symmetric matrix's.

A gradient by eigenvectors or singular vectors does not exist where two eigenvalues or singular values are
equal; such a pair adds nothing here instead of an infinity.
"""

from __future__ import annotations

import numpy as np

from graphc.errors import ShapeError
from graphc.ir import dims
from graphc.ir.build import TensorLike, apply, unpack
from graphc.ir.dims import Size
from graphc.ir.location import here
from graphc.ir.opdef import OPS, define
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType, TupleType
from graphc.ops.joining import concat
from graphc.ops.library import (
    LIBRARY,
    as_columns,
    as_matrices,
    as_rows,
    identity_like,
    lapack,
    masked,
    reciprocal_gaps,
    require_matrix,
    scaled,
    symmetric,
    times,
    transposed,
)
from graphc.ops.movement import zeros_of
from graphc.ops.slicing import narrowed

Cotangents = tuple[Tensor | None, ...]


# cholesky -------------------------------------------------------------------------------------------------


def _square_type(x: TensorType) -> TensorType:
    stack, rows, _ = require_matrix(x, square=True)
    return x.with_shape((*stack, rows, rows))


def _cholesky_gradient(g: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor]:
    """I. Murray, "Differentiation of the Cholesky decomposition" (2016), equation 10: L^-T P(L^T L') L^-1.

    P keeps the lower triangle and halves the diagonal.
    """
    inner = times(transposed(y), masked(g, "greater_equal"))
    halved = masked(inner, "greater") + scaled(masked(inner, "equal"), 0.5)
    left = apply(OPS["solve"], transposed(y), halved)
    return (symmetric(transposed(apply(OPS["solve"], transposed(y), transposed(left)))),)


define(
    "cholesky",
    operands=("x",),
    infer=_square_type,
    eval=lapack(np.linalg.cholesky),
    vjp=_cholesky_gradient,
    traits=LIBRARY,
    doc="the lower triangular L with L @ L^T equal to a positive definite matrix",
)


def cholesky(x: TensorLike, upper: bool = False) -> Tensor:
    """The triangular factor of each symmetric positive definite matrix `(..., n, n)`.

    Args:
        x: the matrices; only their lower triangle is read.
        upper: give `U = L^T` with `U^T U = x`, instead of `L` with `L L^T = x`.

    Raises:
        ShapeError: a matrix is not square.
        LinearAlgebraError: at the call: a matrix is not positive definite.

    >>> import graphc as gc
    >>> gc.linalg.cholesky(gc.placeholder(("n", "n"))).type
    f32[n,n]
    """
    lower = apply(OPS["cholesky"], as_matrices("cholesky", x))
    return transposed(lower) if upper else lower


# qr -------------------------------------------------------------------------------------------------------


def _qr_type(x: TensorType) -> TupleType:
    stack, rows, columns = require_matrix(x)
    inner = dims.minimum(rows, columns)
    return TupleType((x.with_shape((*stack, rows, inner)), x.with_shape((*stack, inner, columns))))


def _qr_gradient(g: Cotangents, y: tuple[Tensor, ...], x: Tensor) -> tuple[Tensor]:
    """Tall: M. Seeger et al., "Auto-differentiating linear algebra" (2017). Wide, x = [a | b] with a square:
    D. Roberts and L. Roberts, "QR and LQ decomposition matrix backpropagation algorithms" (2020).
    """
    q, r = y
    gq, gr = (c if c is not None else zeros_of(t.shape, t.dtype) for c, t in zip(g, y))
    rows, columns = x.shape[-2:]
    if dims.never_negative(rows - columns):
        return (_tall_qr_gradient(gq, gr, q, r),)
    if not dims.never_negative(columns - rows):
        raise ShapeError(f"whether a matrix of {rows} by {columns} has more rows or more columns must be known")
    rest = columns - rows
    b, gb = narrowed(x, x.ndim - 1, rows, rest), narrowed(gr, x.ndim - 1, rows, rest)
    square, g_square = narrowed(r, x.ndim - 1, 0, rows), narrowed(gr, x.ndim - 1, 0, rows)
    ga = _tall_qr_gradient(gq + times(b, transposed(gb)), g_square, q, square)
    return (concat([ga, times(q, gb)], axis=-1),)


def _tall_qr_gradient(gq: Tensor, gr: Tensor, q: Tensor, r: Tensor) -> Tensor:
    m = times(r, transposed(gr)) - times(transposed(gq), q)
    lower = masked(m, "greater_equal") + transposed(masked(m, "greater"))  # the lower triangle, mirrored
    right = gq + times(q, lower)
    return transposed(apply(OPS["solve"], r, transposed(right)))  # right @ r^-T


define(
    "qr",
    operands=("x",),
    infer=_qr_type,
    eval=lapack(lambda x: tuple(np.linalg.qr(x))),
    vjp=_qr_gradient,
    traits=LIBRARY,
    doc="orthonormal columns q and upper triangular r with q @ r = x",
)


def qr(x: TensorLike) -> tuple[Tensor, Tensor]:
    """The reduced QR factorization of each matrix `(..., m, n)`.

    Returns:
        `(q, r)` of shapes `(..., m, k)` and `(..., k, n)` with k = min(m, n).

    Raises:
        ShapeError: `x` has fewer than two axes.

    >>> import graphc as gc
    >>> [t.type for t in gc.linalg.qr(gc.placeholder((5, 3)))]
    [f32[5,3], f32[3,3]]
    """
    q, r = unpack(apply(OPS["qr"], as_matrices("qr", x)))
    return q, r


# eigh -----------------------------------------------------------------------------------------------------


def _eigh_type(x: TensorType) -> TupleType:
    stack, rows, _ = require_matrix(x, square=True)
    return TupleType((x.with_shape((*stack, rows)), x.with_shape((*stack, rows, rows))))


def _eigh_gradient(g: Cotangents, y: tuple[Tensor, ...], x: Tensor) -> tuple[Tensor]:
    """M. Giles, "Collected matrix derivative results" (2008), section 3.1: V (diag(w') + F * (V^T V')) V^T.

    F_ij is 1 / (w_j - w_i) off the diagonal.
    """
    w, v = y
    inner = None
    if g[0] is not None:
        inner = identity_like(v) * as_rows(g[0])
    if g[1] is not None:
        turn = reciprocal_gaps(w) * times(transposed(v), g[1])
        inner = turn if inner is None else inner + turn
    assert inner is not None  # the walk asks only where some result has a cotangent
    return (symmetric(times(v, inner, transposed(v))),)


define(
    "eigh",
    operands=("x",),
    infer=_eigh_type,
    eval=lapack(lambda x: tuple(np.linalg.eigh(x))),
    vjp=_eigh_gradient,
    traits=LIBRARY,
    doc="eigenvalues, ascending, and eigenvectors of a symmetric matrix",
)


def eigh(x: TensorLike) -> tuple[Tensor, Tensor]:
    """The eigenvalues and eigenvectors of each symmetric matrix; only the lower triangle is read.

    Returns:
        `(values, vectors)`: values `(..., n)`, ascending; vectors `(..., n, n)`, as columns.

    Raises:
        ShapeError: a matrix is not square.
        LinearAlgebraError: at the call: the iteration does not converge.

    >>> import graphc as gc
    >>> [t.type for t in gc.linalg.eigh(gc.placeholder((3, 3)))]
    [f32[3], f32[3,3]]
    """
    values, vectors = unpack(apply(OPS["eigh"], as_matrices("eigh", x)))
    return values, vectors


def eigvalsh(x: TensorLike) -> Tensor:
    """The eigenvalues of `eigh` alone.

    >>> import graphc as gc
    >>> gc.linalg.eigvalsh(gc.placeholder((3, 3))).type
    f32[3]
    """
    return eigh(x)[0]


# svd ------------------------------------------------------------------------------------------------------


def _svd_type(x: TensorType) -> TupleType:
    stack, rows, columns = require_matrix(x)
    inner: Size = dims.minimum(rows, columns)
    shapes = ((rows, inner), (inner,), (inner, columns))
    return TupleType(tuple(x.with_shape((*stack, *shape)) for shape in shapes))


def _svd_gradient(g: Cotangents, y: tuple[Tensor, ...], x: Tensor) -> tuple[Tensor]:
    """J. Townsend, "Differentiating the singular value decomposition" (2016), equations 35 to 37.

    With F_ij = 1 / (s_j^2 - s_i^2) off the diagonal, and P = I - U U^T the part of space outside U:

        U [F * (U^T U' - U'^T U)] S V^T + P U' S^-1 V^T + U diag(s') V^T
          + U S [F * (V^T V' - V'^T V)] V^T + U S^-1 V'^T (I - V V^T)
    """
    u, s, vh = y
    gu, gs, gvh = g
    gaps = reciprocal_gaps(s * s) if gu is not None or gvh is not None else None
    terms: list[Tensor] = []
    if gs is not None:
        terms.append(times(u * as_rows(gs), vh))
    if gu is not None and gaps is not None:
        inner = times(transposed(u), gu)
        terms.append(times(u, gaps * (inner - transposed(inner)) * as_rows(s), vh))
        terms.append(times((gu - times(u, inner)) / as_rows(s), vh))
    if gvh is not None and gaps is not None:
        gv = transposed(gvh)
        inner = times(vh, gv)
        terms.append(times(u, as_columns(s) * gaps * (inner - transposed(inner)), vh))
        terms.append(times(u / as_rows(s), gvh - times(transposed(inner), vh)))
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return (total,)


define(
    "svd",
    operands=("x",),
    infer=_svd_type,
    eval=lapack(lambda x: tuple(np.linalg.svd(x, full_matrices=False))),
    vjp=_svd_gradient,
    traits=LIBRARY,
    doc="orthonormal u and vh, and descending s, with (u * s) @ vh = x",
)


def svd(x: TensorLike, full_matrices: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """The reduced singular value decomposition of each matrix `(..., m, n)`.

    Args:
        x: the matrices.
        full_matrices: must be False: the reduced form is the only one that graphc has.

    Returns:
        `(u, s, vh)` of shapes `(..., m, k)`, `(..., k)`, `(..., k, n)` with k = min(m, n); `s` is descending.

    Raises:
        ShapeError: `x` has fewer than two axes, or full matrices are asked for.
        LinearAlgebraError: at the call: the iteration does not converge (NaN among the elements, say).

    >>> import graphc as gc
    >>> [t.type for t in gc.linalg.svd(gc.placeholder((5, 3)))]
    [f32[5,3], f32[3], f32[3,3]]
    """
    if full_matrices:
        raise ShapeError("svd: only the reduced form is available: full_matrices must be False", location=here())
    u, s, vh = unpack(apply(OPS["svd"], as_matrices("svd", x)))
    return u, s, vh


def svdvals(x: TensorLike) -> Tensor:
    """The singular values of `svd` alone.

    >>> import graphc as gc
    >>> gc.linalg.svdvals(gc.placeholder((5, 3))).type
    f32[3]
    """
    return svd(x)[1]
