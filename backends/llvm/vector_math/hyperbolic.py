"""tanh, sinh, cosh and their inverses.

Method: odd polynomials near 0, elsewhere exp and log1p in forms that neither cancel nor overflow.

Invariant: the sign is taken off first and put back last, so the odd ones are exactly odd and keep -0.0;
errors stay below 1.5 ULP.
"""

from __future__ import annotations

import math

from graphc.backends.llvm.emitter import Builder, Value, constant
from graphc.backends.llvm.vector_math import coefficients
from graphc.backends.llvm.vector_math.exponential import normal_exp, quarter_exp_parts
from graphc.backends.llvm.vector_math.formats import (
    clamp,
    exact,
    format_of,
    polynomial,
    remainder_of,
    two_product,
    two_sum,
)
from graphc.backends.llvm.vector_math.logarithm import log1p

_LN2 = math.log(2.0)
# From here on tanh is 1 to the last bit.
_TANH_ONE = {"float": 10.0, "double": 20.0}


def odd_polynomial(b: Builder, x: Value, table: dict[str, tuple[float, ...]]) -> Value:
    """x + x^3 P(x^2)."""
    z = b.fmul(x, x)
    return b.fma(b.fmul(x, z), polynomial(b, z, table[format_of(x).element]), x)


@exact
def tanh(b: Builder, x: Value) -> Value:
    """1 - 2 / (e^2a + 1) for a = abs(x) >= 5/8, where the subtraction costs little; below, a polynomial."""
    a = b.fabs(x)
    t = clamp(b, a, None, _TANH_ONE[format_of(x).element])
    far = b.fsub(1.0, b.fdiv(2.0, b.fadd(normal_exp(b, b.fadd(t, t)), 1.0)))
    near = odd_polynomial(b, a, coefficients.TANH)
    return b.copysign(b.select(b.fcmp("olt", a, 0.625), near, far), x)


@exact
def sinh(b: Builder, x: Value) -> Value:
    """2 (e^a/4 - 1 / (16 e^a/4)); below 1 a polynomial."""
    a = b.fabs(x)
    quarter, quarter_lost = quarter_exp_parts(b, a)
    far, lost = two_sum(b, quarter, b.fneg(b.fdiv(1 / 16, quarter)))
    # Once infinite, nothing is lost: the difference of infinities is no error term.
    far = b.select(b.fcmp("oeq", quarter, math.inf), quarter, b.fadd(far, b.fadd(lost, quarter_lost)))
    near = odd_polynomial(b, a, coefficients.SINH)
    return b.copysign(b.select(b.fcmp("olt", a, 1.0), near, b.fadd(far, far)), x)


@exact
def cosh(b: Builder, x: Value) -> Value:
    """2 (e^a/4 + 1 / (16 e^a/4))."""
    quarter, _ = quarter_exp_parts(b, b.fabs(x))
    half = b.fadd(quarter, b.fdiv(1 / 16, quarter))
    return b.fadd(half, half)


def _log1p_or_far(b: Builder, far: Value, x: Value, whole: Value, lost: Value) -> Value:
    """log(1 + whole + lost); where far, log(x) + ln2, by way of log(1 + x - 1)."""
    logarithm = log1p(b, b.select(far, x, whole), b.select(far, -1.0, lost))
    return b.fadd(logarithm, b.select(far, constant(x.type, _LN2), 0.0))


@exact
def asinh(b: Builder, x: Value) -> Value:
    """log1p(a + a^2 / (1 + sqrt(a^2 + 1))); log(a) + ln2 where a^2 would swamp the 1 or overflow."""
    a = b.fabs(x)
    far = b.fcmp("ogt", a, 2.0**28)
    inside = b.select(far, 1.0, a)
    square = b.fmul(inside, inside)
    rest = b.fdiv(square, b.fadd(b.sqrt(b.fadd(square, 1.0)), 1.0))
    return b.copysign(_log1p_or_far(b, far, a, *two_sum(b, inside, rest)), x)


@exact
def acosh(b: Builder, x: Value) -> Value:
    """log1p(t + sqrt(2t + t^2)) with t = x - 1; NaN below 1; log(x) + ln2 for large x."""
    far = b.fcmp("ogt", x, 2.0**28)
    t = b.fsub(b.select(far, 1.0, x), 1.0)
    # 2t + t^2 with its rounding error, so that the root loses nothing near 1
    linear = b.fadd(t, t)
    square, square_lost = two_product(b, t, t)
    inside, inside_lost = two_sum(
        b, b.select(b.fcmp("ogt", t, 2.0), square, linear), b.select(b.fcmp("ogt", t, 2.0), linear, square)
    )
    root = b.sqrt(inside)
    root_lost = b.fadd(remainder_of(b, inside, root, root), b.fadd(inside_lost, square_lost))
    root_lost = b.fdiv(root_lost, b.select(b.fcmp("ogt", root, 0.0), b.fadd(root, root), 1.0))
    whole, lost = two_sum(b, root, t)
    result = _log1p_or_far(b, far, x, whole, b.fadd(lost, root_lost))
    return b.select(b.fcmp("olt", x, 1.0), math.nan, result)


@exact
def atanh(b: Builder, x: Value) -> Value:
    """log1p(2a / (1 - a)) / 2; infinity at 1, NaN beyond."""
    a = b.fabs(x)
    top = b.fadd(a, a)
    bottom, bottom_lost = two_sum(b, constant(x.type, 1.0), b.fneg(a))
    quotient = b.fdiv(top, bottom)
    back = b.fneg(quotient)
    lost = b.fma(back, bottom_lost, b.fma(back, bottom, top))
    # At 1 the quotient is infinite and nothing about it was lost.
    lost = b.select(b.fcmp("olt", a, 1.0), b.fdiv(lost, bottom), 0.0)
    return b.copysign(b.fmul(log1p(b, quotient, lost), 0.5), x)
