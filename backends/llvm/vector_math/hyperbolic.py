"""tanh, sinh, cosh and their inverses.

Method: odd polynomials near 0, elsewhere exp and log1p in forms that neither cancel nor overflow.

Invariant: the sign is taken off first and put back last, so the odd ones are exactly odd and keep -0.0;
errors stay below 1.5 ULP.
"""

from __future__ import annotations

import math

from graphc.backends.llvm.emitter import Builder, Value, constant
from graphc.backends.llvm.vector_math import coefficients
from graphc.backends.llvm.vector_math.exponential import exp, half_exp_parts
from graphc.backends.llvm.vector_math.formats import exact, format_of, polynomial, two_sum
from graphc.backends.llvm.vector_math.logarithm import log, log1p

_LN2 = math.log(2.0)


def odd_polynomial(b: Builder, x: Value, table: dict[str, tuple[float, ...]]) -> Value:
    """x + x^3 P(x^2)."""
    z = b.fmul(x, x)
    return b.fma(b.fmul(x, z), polynomial(b, z, table[format_of(x).element]), x)


@exact
def tanh(b: Builder, x: Value) -> Value:
    """1 - 2 / (e^2a + 1) for a = abs(x) >= 5/8, where the subtraction costs little; below, a polynomial."""
    a = b.fabs(x)
    far = b.fsub(1.0, b.fdiv(2.0, b.fadd(exp(b, b.fadd(a, a)), 1.0)))
    near = odd_polynomial(b, a, coefficients.TANH)
    return b.copysign(b.select(b.fcmp("olt", a, 0.625), near, far), x)


@exact
def sinh(b: Builder, x: Value) -> Value:
    """e^a/2 - 1 / (4 e^a/2); below 1 a polynomial."""
    a = b.fabs(x)
    half, half_lost = half_exp_parts(b, a)
    far, lost = two_sum(b, half, b.fneg(b.fdiv(0.25, half)))
    # Once infinite, nothing is lost: the difference of infinities is no error term.
    far = b.select(b.fcmp("oeq", half, math.inf), half, b.fadd(far, b.fadd(lost, half_lost)))
    near = odd_polynomial(b, a, coefficients.SINH)
    return b.copysign(b.select(b.fcmp("olt", a, 1.0), near, far), x)


@exact
def cosh(b: Builder, x: Value) -> Value:
    """e^a/2 + 1 / (4 e^a/2)."""
    half, _ = half_exp_parts(b, b.fabs(x))
    return b.fadd(half, b.fdiv(0.25, half))


@exact
def asinh(b: Builder, x: Value) -> Value:
    """log1p(a + a^2 / (1 + sqrt(a^2 + 1))); log(a) + ln2 where a^2 would swamp the 1 or overflow."""
    a = b.fabs(x)
    big = b.fcmp("ogt", a, 2.0**28)
    inside = b.select(big, 1.0, a)
    square = b.fmul(inside, inside)
    rest = b.fdiv(square, b.fadd(b.sqrt(b.fadd(square, 1.0)), 1.0))
    near = log1p(b, *two_sum(b, inside, rest))
    far = b.fadd(log(b, a), _LN2)
    return b.copysign(b.select(big, far, near), x)


@exact
def acosh(b: Builder, x: Value) -> Value:
    """log1p(t + sqrt(2t + t^2)) with t = x - 1; NaN below 1; log(x) + ln2 for large x."""
    big = b.fcmp("ogt", x, 2.0**28)
    t = b.fsub(b.select(big, 1.0, x), 1.0)
    # 2t + t^2 with its rounding error, so that the root loses nothing near 1
    linear, square = b.fadd(t, t), b.fmul(t, t)
    square_lost = b.fma(t, t, b.fneg(square))
    inside, inside_lost = two_sum(
        b, b.select(b.fcmp("ogt", t, 2.0), square, linear), b.select(b.fcmp("ogt", t, 2.0), linear, square)
    )
    root = b.sqrt(inside)
    root_lost = b.fadd(b.fma(b.fneg(root), root, inside), b.fadd(inside_lost, square_lost))
    root_lost = b.fdiv(root_lost, b.select(b.fcmp("ogt", root, 0.0), b.fadd(root, root), 1.0))
    argument, lost = two_sum(b, root, t)
    near = log1p(b, argument, b.fadd(lost, root_lost))
    result = b.select(big, b.fadd(log(b, x), _LN2), near)
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
