"""Floating-point functions: exponentials, logarithms, roots, circular and hyperbolic functions, erf.

A table of calculus: each op stands with its derivative. Where the textbook form overflows or cancels, the
rule is written in the form that does not.

Invariant: every op here takes and returns float32 or float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.ir.build import TensorLike, apply
from graphc.ir.opdef import FUNCTIONS, NOT_DIFFERENTIABLE, GradientRule, define, public
from graphc.ir.tensor import Tensor
from graphc.ops import special_functions
from graphc.ops.elementwise import (
    COMMUTATIVE,
    ELEMENTWISE,
    FLOAT_TO_FLOAT,
    as_array,
    as_floats,
    document,
    zeros_of,
)

Unary = Callable[[TensorLike], Tensor]
Binary = Callable[[TensorLike, TensorLike], Tensor]

_UNARY_DOC = """{summary}, elementwise.

    Args:
        x: floats; 16-bit integers are cast to float32 and wider ones to float64, as NumPy does.

    Returns:
        A float tensor of x's shape.

    Raises:
        DTypeError: x holds booleans or 8-bit integers, which NumPy would turn into float16.

    >>> import graphc as gc
    >>> gc.{name}(gc.placeholder((2, 3), "float32")).type
    f32[2,3]
    """


def _unary(
    name: str,
    evaluate: Callable[..., Any],
    derivative: Callable[..., Tensor],
    summary: str,
    expand: Callable[..., Tensor] | None = None,
) -> Unary:
    """Define the op `name` and its public function; `derivative(y, x)` is dy/dx."""
    op = define(
        name, operands=("x",), infer=FLOAT_TO_FLOAT, eval=as_array(evaluate), traits=ELEMENTWISE, doc=summary,
        vjp=lambda g, y, x: (g * derivative(y, x),), expand=expand,
    )

    def function(x: TensorLike) -> Tensor:
        return apply(op, *as_floats(name, x))

    return public(document(function, name, _UNARY_DOC.format(name=name, summary=summary)))


_LN2, _LN10 = math.log(2.0), math.log(10.0)

exp: Unary = _unary("exp", np.exp, lambda y, x: y, "e to the power x")
exp2: Unary = _unary("exp2", np.exp2, lambda y, x: y * _LN2, "2 to the power x")
expm1: Unary = _unary("expm1", np.expm1, lambda y, x: exp(x), "exp(x) - 1, exact near zero")
log: Unary = _unary("log", np.log, lambda y, x: 1 / x, "The natural logarithm")
log2: Unary = _unary("log2", np.log2, lambda y, x: 1 / (x * _LN2), "The logarithm to base 2")
log10: Unary = _unary("log10", np.log10, lambda y, x: 1 / (x * _LN10), "The logarithm to base 10")
log1p: Unary = _unary("log1p", np.log1p, lambda y, x: 1 / (1 + x), "log(1 + x), exact near zero")

sqrt: Unary = _unary("sqrt", np.sqrt, lambda y, x: 0.5 / y, "The square root")
rsqrt: Unary = _unary("rsqrt", special_functions.rsqrt, lambda y, x: -0.5 * y / x, "1 / sqrt(x)",
                      expand=lambda x: 1 / sqrt(x))
cbrt: Unary = _unary("cbrt", np.cbrt, lambda y, x: 1 / (3 * y * y), "The cube root")

sin: Unary = _unary("sin", np.sin, lambda y, x: cos(x), "The sine of x in radians")
cos: Unary = _unary("cos", np.cos, lambda y, x: -sin(x), "The cosine of x in radians")
tan: Unary = _unary("tan", np.tan, lambda y, x: 1 + y * y, "The tangent of x in radians")
# (1-x)(1+x) instead of 1-x*x: exact where x is near 1.
asin: Unary = _unary("asin", np.arcsin, lambda y, x: 1 / sqrt((1 - x) * (1 + x)), "The angle whose sine is x")
acos: Unary = _unary("acos", np.arccos, lambda y, x: -1 / sqrt((1 - x) * (1 + x)),
                     "The angle whose cosine is x")
atan: Unary = _unary("atan", np.arctan, lambda y, x: 1 / (1 + x * x), "The angle whose tangent is x")

sinh: Unary = _unary("sinh", np.sinh, lambda y, x: cosh(x), "The hyperbolic sine")
cosh: Unary = _unary("cosh", np.cosh, lambda y, x: sinh(x), "The hyperbolic cosine")
tanh: Unary = _unary("tanh", np.tanh, lambda y, x: 1 - y * y, "The hyperbolic tangent")
# hypot and the product of roots instead of sqrt(x*x + 1) and sqrt(x*x - 1), which overflow.
asinh: Unary = _unary("asinh", np.arcsinh, lambda y, x: 1 / hypot(x, 1), "The inverse hyperbolic sine")
acosh: Unary = _unary("acosh", np.arccosh, lambda y, x: 1 / (sqrt(x - 1) * sqrt(x + 1)),
                      "The inverse hyperbolic cosine")
atanh: Unary = _unary("atanh", np.arctanh, lambda y, x: 1 / ((1 - x) * (1 + x)),
                      "The inverse hyperbolic tangent")

_BELL = 2 / math.sqrt(math.pi)
erf: Unary = _unary("erf", special_functions.erf, lambda y, x: _BELL * exp(-(x * x)), "The error function")
erfc: Unary = _unary("erfc", special_functions.erfc, lambda y, x: -_BELL * exp(-(x * x)),
                     "1 - erf(x), exact where erf(x) is near 1")

# y * (1 - y) is 0 as soon as y rounds to 1; sigmoid(-x) is 1 - y to full precision.
sigmoid: Unary = _unary("sigmoid", special_functions.sigmoid, lambda y, x: y * sigmoid(-x),
                        "1 / (1 + exp(-x)), without overflow")
softplus: Unary = _unary("softplus", special_functions.softplus, lambda y, x: sigmoid(x),
                         "log(1 + exp(x)), without overflow",
                         expand=lambda x: FUNCTIONS["maximum"](x, 0) + log1p(exp(-abs(x))))


_BINARY_DOC = """{summary}, elementwise with broadcasting.

    Args:
        {a}, {b}: floats; integers are cast as by `gc.exp`.

    Returns:
        A float tensor of the broadcast shape.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: the operands promote to booleans or 8-bit integers.

    >>> import graphc as gc
    >>> gc.{name}(gc.placeholder((2, 3), "float32"), gc.placeholder((3,), "float64")).type
    f64[2,3]
    """


def _binary(
    name: str,
    operands: tuple[str, str],
    evaluate: Callable[..., Any],
    vjp: GradientRule | str,
    summary: str,
    commutative: bool = False,
    expand: Callable[..., Tensor] | None = None,
) -> Binary:
    """Define the op `name` and its public function."""
    op = define(
        name, operands=operands, infer=FLOAT_TO_FLOAT, eval=as_array(evaluate), vjp=vjp, expand=expand,
        traits=COMMUTATIVE if commutative else ELEMENTWISE, doc=summary,
    )

    def function(a: TensorLike, b: TensorLike) -> Tensor:
        return apply(op, *as_floats(name, a, b))

    doc = _BINARY_DOC.format(name=name, summary=summary, a=operands[0], b=operands[1])
    return public(document(function, name, doc))


def _nonzero(x: Tensor) -> Tensor:
    """`x` with its zeros replaced by 1: a denominator whose numerator is zero there too."""
    return FUNCTIONS["where"](FUNCTIONS["equal"](x, 0), 1, x)


def _hypot_gradient(g: Tensor, r: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    safe = _nonzero(r)  # at the origin: 0, as for abs
    return g * (x / safe), g * (y / safe)


def _atan2_gradient(g: Tensor, angle: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    r = _nonzero(hypot(x, y))  # x / r / r instead of x / (x*x + y*y), which overflows
    return g * (x / r / r), -g * (y / r / r)


def _copysign_gradient(g: Tensor, z: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    flipped = FUNCTIONS["not_equal"](FUNCTIONS["signbit"](x), FUNCTIONS["signbit"](y))
    return FUNCTIONS["where"](flipped, -g, g), zeros_of(y)


def _difference(x: Tensor, y: Tensor) -> Tensor:
    """x - y, but 0 and not NaN where both are the same infinity; differentiable where they are finite."""
    same_infinity = FUNCTIONS["equal"](x, y) & FUNCTIONS["isinf"](x)
    return FUNCTIONS["where"](same_infinity, 0, x - y)


def _logaddexp_gradient(g: Tensor, z: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    difference = _difference(x, y)
    return g * sigmoid(difference), g * sigmoid(-difference)


def _logaddexp_expansion(x: Tensor, y: Tensor) -> Tensor:
    return FUNCTIONS["maximum"](x, y) + log1p(exp(-abs(_difference(x, y))))


hypot: Binary = _binary("hypot", ("x", "y"), np.hypot, _hypot_gradient,
                        "sqrt(x*x + y*y), without overflow", commutative=True)
atan2: Binary = _binary("atan2", ("y", "x"), np.arctan2, _atan2_gradient,
                        "The angle of the point (x, y), from -pi to pi")
copysign: Binary = _binary("copysign", ("x", "y"), np.copysign, _copysign_gradient,
                           "The magnitude of x with the sign of y")
nextafter: Binary = _binary("nextafter", ("x", "y"), np.nextafter, NOT_DIFFERENTIABLE,
                            "The float next to x in the direction of y")
logaddexp: Binary = _binary("logaddexp", ("x", "y"), np.logaddexp, _logaddexp_gradient,
                            "log(exp(x) + exp(y)), without overflow", commutative=True,
                            expand=_logaddexp_expansion)

