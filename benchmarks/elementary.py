"""How long do elementary functions take per element, and how much longer NumPy? One process, one thread, by turns.

    python -m benchmarks.elementary [--only erfc] [--size 8192]

Each function is a program of its own on contiguous operands that lie in the inner caches, so the time is that of
its arithmetic. What NumPy lacks comes from SciPy where that is installed, else from a formula in NumPy. A line per
function and type: nanoseconds per element of each, the ratio NumPy / graphc, and what compiling took.
"""

from __future__ import annotations

import argparse
import importlib
import math
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import graphc as gc
from benchmarks.odd_sizes import alternating

DTYPES = ("float32", "float64")
_WIDE = (-10.0, 10.0)
_UNIT = (-1.0, 1.0)
_POSITIVE = (0.01, 100.0)

try:
    _special: Any = importlib.import_module("scipy.special")
except ImportError:
    _special = None


def _special_function(name: str) -> Callable[..., np.ndarray]:
    """SciPy's function, or the C library's by way of Python."""
    if _special is not None:
        return getattr(_special, name)
    return np.vectorize(getattr(math, name))


def _gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * _special_function("erfc")(x * np.asarray(-math.sqrt(0.5), x.dtype))


#: Function -> (what NumPy computes, the range of each operand).
CASES: dict[str, tuple[Callable[..., np.ndarray], tuple[tuple[float, float], ...]]] = {
    "exp": (np.exp, (_WIDE,)),
    "exp2": (np.exp2, (_WIDE,)),
    "expm1": (np.expm1, (_WIDE,)),
    "log": (np.log, (_POSITIVE,)),
    "log2": (np.log2, (_POSITIVE,)),
    "log10": (np.log10, (_POSITIVE,)),
    "log1p": (np.log1p, (_POSITIVE,)),
    "sqrt": (np.sqrt, (_POSITIVE,)),
    "rsqrt": (lambda x: 1 / np.sqrt(x), (_POSITIVE,)),
    "cbrt": (np.cbrt, (_WIDE,)),
    "sin": (np.sin, (_WIDE,)),
    "cos": (np.cos, (_WIDE,)),
    "tan": (np.tan, (_WIDE,)),
    "asin": (np.arcsin, (_UNIT,)),
    "acos": (np.arccos, (_UNIT,)),
    "atan": (np.arctan, (_WIDE,)),
    "sinh": (np.sinh, (_WIDE,)),
    "cosh": (np.cosh, (_WIDE,)),
    "tanh": (np.tanh, (_WIDE,)),
    "asinh": (np.arcsinh, (_WIDE,)),
    "acosh": (np.arccosh, ((1.0, 100.0),)),
    "atanh": (np.arctanh, ((-0.99, 0.99),)),
    "erf": (_special_function("erf"), ((-4.0, 4.0),)),
    "erfc": (_special_function("erfc"), ((-4.0, 4.0),)),
    "gelu": (_gelu, ((-4.0, 4.0),)),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), (_WIDE,)),
    "softplus": (partial(np.logaddexp, 0.0), (_WIDE,)),
    "pow": (np.power, (_POSITIVE, (-5.0, 5.0))),
    "hypot": (np.hypot, (_WIDE, _WIDE)),
    "atan2": (np.arctan2, (_WIDE, _WIDE)),
    "logaddexp": (np.logaddexp, (_WIDE, _WIDE)),
    "fmod": (np.fmod, (_WIDE, (0.5, 3.0))),
    "remainder": (np.remainder, (_WIDE, (0.5, 3.0))),
    "floor_divide": (np.floor_divide, (_WIDE, (0.5, 3.0))),
    "nextafter": (np.nextafter, (_WIDE, _WIDE)),
}


def measure(name: str, dtype: str, size: int) -> tuple[float, float, float]:
    """(graphc's nanoseconds per element, NumPy's, seconds until graphc's first result)."""
    peer, ranges = CASES[name]
    rng = np.random.default_rng(0)
    operands = [rng.uniform(low, high, size).astype(dtype) for low, high in ranges]
    symbols = [gc.placeholder((size,), dtype) for _ in operands]
    start = time.perf_counter()
    compiled = gc.function(symbols, getattr(gc, name)(*symbols))
    result = compiled(*operands)
    first = time.perf_counter() - start
    np.testing.assert_allclose(result, peer(*operands), rtol=1e-4 if dtype == "float32" else 1e-12, err_msg=name)
    mine, theirs = alternating([partial(compiled, *operands), partial(peer, *operands)])
    return 1e9 * mine / size, 1e9 * theirs / size, first


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this function")
    parser.add_argument("--size", type=int, default=8192, help="elements (default: %(default)s)")
    options = parser.parse_args()
    os.environ["GRAPHC_NUM_THREADS"] = "1"
    print(f"{'':22s} {'graphc':>8s} {'NumPy':>8s} {'ratio':>7s} {'compile':>8s}")
    for name in options.only or CASES:
        for dtype in DTYPES:
            mine, theirs, first = measure(name, dtype, options.size)
            print(
                f"{name:13s} {dtype:8s} {mine:5.2f} ns {theirs:5.2f} ns {theirs / mine:7.2f} {1e3 * first:5.1f} ms",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
