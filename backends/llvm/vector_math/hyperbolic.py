"""tanh, sinh, cosh and their inverses.

Method: odd polynomials near 0; elsewhere exp and log1p in forms that neither cancel nor overflow, and for tanh the
theorem of addition.

Invariant: the sign is taken off first and put back last, so the odd ones are exactly odd and keep -0.0;
errors stay below 1.6 ULP.
"""

from __future__ import annotations

import math

from graphc.backends.llvm.emitter import Builder, Value, constant
from graphc.backends.llvm.vector_math import coefficients
from graphc.backends.llvm.vector_math.exponential import quarter_exp_parts
from graphc.backends.llvm.vector_math.formats import (
    clamp,
    exact,
    format_of,
    polynomial,
    remainder_of,
    round_by_magic,
    two_product,
    two_sum,
)
from graphc.backends.llvm.vector_math.logarithm import log1p

_LN2 = math.log(2.0)
_ATANH_HALF = math.atanh(0.5)
# From here on tanh is 1 to the last bit.
_TANH_ONE = {"float": 10.0, "double": 20.0}


def odd_polynomial(b: Builder, x: Value, table: dict[str, tuple[float, ...]]) -> Value:
    """x + x^3 P(x^2)."""
    z = b.fmul(x, x)
    return b.fma(b.fmul(x, z), polynomial(b, z, table[format_of(x).element]), x)


@exact
def tanh(b: Builder, x: Value) -> Value:
    """tanh(k ln2 + y) for a = abs(x), with T = tanh(y) from a polynomial and s = 4^-k, by the theorem of addition:

        (1 - s + (1 + s) T) / (1 + s + (1 - s) T)

    The difference of the two is 2s (1 - T). Made of the numerator and that, the denominator has the numerator's
    rounding error, which the quotient then hardly feels; and where k is 0, it is 2 and nothing is lost. From k = 1 on
    results are at least 1/2, so that the errors of the division's operands are no large part of them.
    """
    fmt = format_of(x)
    a = clamp(b, b.fabs(x), None, _TANH_ONE[fmt.element])
    k, total = round_by_magic(b, b.fsub(a, _ATANH_HALF - _LN2 / 2), 1 / _LN2)
    t = odd_polynomial(b, b.fma(k, -_LN2, a), coefficients.TANH)
    exponent = b.shl(b.bits(total), fmt.mantissa + 1)
    s = b.from_bits(b.sub(fmt.one_bits, exponent))
    top = b.fma(b.fadd(s, 1.0), t, b.fsub(1.0, s))
    # A NaN may get lost here, but not in the numerator.
    rest = b.from_bits(b.sub(b.bits(b.fma(t, -2.0, constant(x.type, 2.0))), exponent))
    return b.copysign(b.fdiv(top, b.fadd(top, rest)), x)


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
