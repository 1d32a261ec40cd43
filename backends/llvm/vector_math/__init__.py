"""Mathematical functions as vector code: ``exp(b, x)`` appends instructions to a builder, gives the result.

Lane-generic: the same bits for scalars and for vectors of any width, of float or double. Subnormals are kept,
in and out; NaN passes; infinities and -0.0 come out as NumPy's.

Invariant: ``FUNCTIONS`` names every function that a kernel may ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from graphc.backends.llvm.emitter import Value
from graphc.backends.llvm.vector_math.error_function import erf, erfc
from graphc.backends.llvm.vector_math.exponential import exp, exp2, expm1, logaddexp, sigmoid, softplus
from graphc.backends.llvm.vector_math.hyperbolic import acosh, asinh, atanh, cosh, sinh, tanh
from graphc.backends.llvm.vector_math.lanes import per_lane
from graphc.backends.llvm.vector_math.logarithm import log, log1p, log2, log10
from graphc.backends.llvm.vector_math.ordinary import (
    ceil,
    copysign,
    floor,
    fmod,
    isfinite,
    isinf,
    isnan,
    nextafter,
    round_half_even,
    rsqrt,
    signbit,
    sqrt,
    trunc,
)
from graphc.backends.llvm.vector_math.power import pow
from graphc.backends.llvm.vector_math.roots import cbrt, hypot
from graphc.backends.llvm.vector_math.trigonometric import acos, asin, atan, atan2, cos, sin, tan

FUNCTIONS: Mapping[str, Callable[..., Value]] = {
    function.__name__: function
    for function in (
        exp, exp2, expm1, log, log2, log10, log1p, sigmoid, softplus, logaddexp,
        sin, cos, tan, asin, acos, atan, atan2,
        sinh, cosh, tanh, asinh, acosh, atanh,
        erf, erfc, sqrt, rsqrt, cbrt, pow, hypot,
        floor, ceil, trunc, round_half_even, copysign, signbit, isnan, isinf, isfinite, fmod, nextafter,
    )
}  # fmt: skip

__all__ = [
    "FUNCTIONS",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cbrt",
    "ceil",
    "copysign",
    "cos",
    "cosh",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "fmod",
    "hypot",
    "isfinite",
    "isinf",
    "isnan",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "nextafter",
    "per_lane",
    "pow",
    "round_half_even",
    "rsqrt",
    "sigmoid",
    "signbit",
    "sin",
    "sinh",
    "softplus",
    "sqrt",
    "tan",
    "tanh",
    "trunc",
]
