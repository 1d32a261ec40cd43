"""NumPy evaluation of elementary functions that NumPy has no ufunc for.

Invariant: the value is within 2 ULP of the true one in float64 (1 for `erf`), and float32 is computed in
float64 and rounded once; no intermediate overflows or cancels.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Function = Callable[[np.ndarray], np.ndarray]


def through_float64(function: Function) -> Function:
    """`function`, written for float64, for float32 arrays too: computed in float64 and rounded."""

    def evaluate(x: np.ndarray) -> np.ndarray:
        return np.asarray(function(x.astype(np.float64))).astype(x.dtype)

    return evaluate


# The C library's erf and erfc, one element at a time: slow, but right to the last bit or two.
erf = through_float64(np.vectorize(math.erf, otypes=[np.float64]))
erfc = through_float64(np.vectorize(math.erfc, otypes=[np.float64]))
rsqrt = through_float64(lambda x: 1.0 / np.sqrt(x))


@through_float64
def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), by exp of -abs(x) alone so that nothing overflows."""
    decay = np.exp(-np.abs(x))
    return np.where(x < 0, decay, 1.0) / (1.0 + decay)


@through_float64
def softplus(x: np.ndarray) -> np.ndarray:
    """log(1 + exp(x)) = max(x, 0) + log1p(exp(-abs(x)))."""
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))
