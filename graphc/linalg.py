"""`gc.linalg`: linear algebra under the names of `numpy.linalg` and the array API standard.

Invariant: nothing is defined here; each name is that of `graphc.ops`.
"""

from graphc.ops.diagonals import diagonal, trace
from graphc.ops.factorizing import cholesky, eigh, eigvalsh, qr, svd, svdvals
from graphc.ops.matmul import matmul, outer, tensordot, vecdot
from graphc.ops.movement import matrix_transpose
from graphc.ops.solving import det, inv, slogdet, solve

__all__ = [
    "cholesky",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "matmul",
    "matrix_transpose",
    "outer",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
]
