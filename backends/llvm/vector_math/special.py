"""erf, erfc, cbrt, pow, hypot.

Invariant: errors stay below 1.5 ULP for erf, 2 ULP for cbrt and hypot; pow in double is libm's.
"""

from __future__ import annotations

import math

from graphc.backends.llvm.emitter import Builder, Value, constant
from graphc.backends.llvm.vector_math import coefficients
from graphc.backends.llvm.vector_math.exponential import exp, exp2
from graphc.backends.llvm.vector_math.formats import (
    clamp,
    exact,
    format_of,
    polynomial,
    power_of_two,
    round_by_magic,
)
from graphc.backends.llvm.vector_math.lanes import per_lane
from graphc.backends.llvm.vector_math.logarithm import log2

# From here on erf is 1 to the last bit.
_ERF_ONE = {"float": 3.95, "double": 5.95}


@exact
def erf(b: Builder, x: Value) -> Value:
    """The error function: x + x P(x^2) up to 1, then 1 - exp(-a^2) Q((a - 2.5) / (a + 2.5)).

    Beyond 1 the second term is below 0.16, so its rounding errors count a sixth. The variable of Q is that of
    Schonfelder, "Chebyshev expansions for the error and related functions", Math. Comp. 32 (1978).
    """
    element = format_of(x).element
    a = b.fabs(x)
    z = b.fmul(x, x)
    near = b.fma(x, polynomial(b, z, coefficients.ERF[element]), x)
    t = clamp(b, a, None, _ERF_ONE[element])
    w = b.fdiv(b.fsub(t, 2.5), b.fadd(t, 2.5))
    rest = b.fmul(exp(b, b.fneg(b.fmul(t, t))), polynomial(b, w, coefficients.ERFC[element]))
    far = b.copysign(b.fsub(1.0, rest), x)
    return b.select(b.fcmp("olt", a, 1.0), near, far)


@exact
def erfc(b: Builder, x: Value) -> Value:
    """1 - erf(x), by libm: its tail below the normal range needs more than vector code gains."""
    return per_lane(b, "erfc", x)


@exact
def hypot(b: Builder, x: Value, y: Value) -> Value:
    """sqrt(x^2 + y^2) without overflow or underflow; infinity beats NaN."""
    if format_of(x).element == "float":
        wide_x, wide_y = b.fpcast(x, "double"), b.fpcast(y, "double")
        result = b.fpcast(b.sqrt(b.fma(wide_x, wide_x, b.fmul(wide_y, wide_y))), "float")
    else:
        result = _scaled_hypot(b, b.fabs(x), b.fabs(y))
    infinite = b.or_(b.fcmp("oeq", b.fabs(x), math.inf), b.fcmp("oeq", b.fabs(y), math.inf))
    return b.select(infinite, math.inf, result)


def _scaled_hypot(b: Builder, x: Value, y: Value) -> Value:
    """Both are brought near 1 by a power of two, which the larger one decides."""
    larger = b.select(b.fcmp("ogt", x, y), x, y)
    big, small = b.fcmp("ogt", larger, 2.0**500), b.fcmp("olt", larger, 2.0**-400)
    down = b.select(big, constant(x.type, 2.0**-600), b.select(small, constant(x.type, 2.0**600), 1.0))
    up = b.select(big, constant(x.type, 2.0**600), b.select(small, constant(x.type, 2.0**-600), 1.0))
    x, y = b.fmul(x, down), b.fmul(y, down)
    return b.fmul(b.sqrt(b.fma(x, x, b.fmul(y, y))), up)


@exact
def cbrt(b: Builder, x: Value) -> Value:
    """The cube root: a polynomial guess for m of 2^(3k) m, Newton steps, the last with an exact residue."""
    fmt = format_of(x)
    a = b.fabs(x)
    shift = 3 * ((fmt.mantissa + 3) // 3)
    subnormal = b.fcmp("olt", a, fmt.tiny)
    a = b.select(subnormal, b.fmul(a, 2.0**shift), a)
    # a = 2^(3k) m: k is the exponent's third, rounded to nearest, so 1/2 <= m < 4
    i = b.bits(a)
    mantissa = b.from_bits(b.or_(b.and_(i, (1 << fmt.mantissa) - 1), fmt.one_bits))
    e = _exponent_field(b, i, fmt.element, fmt.bias)
    third, total = round_by_magic(b, e, 1.0 / 3.0)
    left = b.fsub(e, b.fmul(third, 3.0))  # -1, 0 or 1
    doubled = b.select(b.fcmp("ogt", left, 0.0), constant(a.type, 2.0), 1.0)
    factor = b.select(b.fcmp("olt", left, 0.0), 0.5, doubled)
    m = b.fmul(mantissa, factor)
    y = polynomial(b, b.fmul(m, 0.7071067811865476), coefficients.CBRT[fmt.element])
    y = b.fmul(y, 1.122462048309373)  # the polynomial is of m / sqrt2
    for _ in range(1 if fmt.element == "float" else 2):
        square = b.fmul(y, y)
        y = b.fsub(y, b.fdiv(b.fsub(b.fmul(square, y), m), b.fmul(square, 3.0)))
    square = b.fmul(y, y)
    residue = b.fma(square, y, b.fneg(m))
    residue = b.fma(y, b.fma(y, y, b.fneg(square)), residue)
    y = b.fsub(y, b.fdiv(residue, b.fmul(square, 3.0)))
    third_bits = b.sub(b.bits(total), fmt.magic_bits)
    y = b.fmul(y, power_of_two(b, third_bits))
    y = b.select(subnormal, b.fmul(y, 2.0 ** -(shift // 3)), y)
    unchanged = b.or_(b.fcmp("oeq", x, 0.0), b.fcmp("ueq", b.fabs(x), math.inf))
    return b.select(unchanged, x, b.copysign(y, x))


def _exponent_field(b: Builder, i: Value, element: str, bias: int) -> Value:
    """The unbiased exponent as a float."""
    if element == "float":
        return b.sitofp(b.sub(b.lshr(i, 23), bias), "float")
    field = b.or_(b.lshr(i, 52), 0x4330000000000000)
    return b.fsub(b.from_bits(field), 2.0**52 + bias)


@exact
def pow(b: Builder, x: Value, y: Value) -> Value:
    """x to the power y, with C's (IEEE 754's) results for zeros, infinities, NaN and negative bases.

    A float is 2^(y log2 abs(x)) in double, whose spare 29 bits cover the exponent's size. A double would need
    its logarithm to 65 bits, so it goes through libm.
    """
    if format_of(x).element == "double":
        return per_lane(b, "pow", x, y)
    exponent = b.fmul(b.fpcast(y, "double"), log2(b, b.fpcast(b.fabs(x), "double")))
    # 0 * infinity is NaN above, but x^0 is 1 and 1^y is 1, for NaN too.
    result = b.fpcast(exp2(b, exponent), "float")
    # y is an integer if rounding keeps it; an odd one if half of it is none (above 2^24 all are even).
    half = b.fmul(y, 0.5)
    integer = b.fcmp("oeq", b.intrinsic("trunc", y), y)
    odd = b.and_(integer, b.fcmp("one", b.intrinsic("trunc", half), half))
    result = b.copysign(result, b.select(odd, x, 1.0))
    impossible = b.and_(b.and_(b.fcmp("olt", x, 0.0), b.not_(integer)), b.fcmp("one", x, -math.inf))
    result = b.select(impossible, math.nan, result)
    # abs(x) = 1 to an infinite power
    unit = b.and_(b.fcmp("oeq", b.fabs(x), 1.0), b.fcmp("oeq", b.fabs(y), math.inf))
    unit = b.or_(unit, b.or_(b.fcmp("oeq", x, 1.0), b.fcmp("oeq", y, 0.0)))
    return b.select(unit, 1.0, result)
