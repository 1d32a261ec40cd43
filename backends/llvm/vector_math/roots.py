"""cbrt and hypot: roots beside the hardware's square root.

Invariant: errors stay below 1 ULP for cbrt, 1.25 ULP for hypot; nothing overflows or underflows on the way.
"""

from __future__ import annotations

import math

from graphc.backends.llvm.emitter import Builder, Value, constant
from graphc.backends.llvm.vector_math import coefficients
from graphc.backends.llvm.vector_math.formats import exact, format_of, polynomial, power_of_two, round_by_magic


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
    """The cube root of 2^(3k) m: 2^k m t^2, where t = 1 / cbrt(m), and a Newton step with an exact residue.

    t is a polynomial guess, made better by Halley's iteration t (1 + h/3 + 2 h^2 / 9) with h = 1 - m t^3, which
    has no division and cubes the error: to 4e-6, then 3e-16.
    """
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
    t = polynomial(b, m, coefficients.CBRT[fmt.element])
    for _ in range(1 if fmt.element == "float" else 2):
        h = b.fma(b.fneg(b.fmul(m, t)), b.fmul(t, t), constant(m.type, 1.0))
        t = b.fma(b.fmul(t, h), b.fma(h, 2 / 9, constant(m.type, 1 / 3)), t)
    inverse_square = b.fmul(t, t)
    y = b.fmul(m, inverse_square)
    square = b.fmul(y, y)
    residue = b.fma(square, y, b.fneg(m))
    residue = b.fma(y, b.fma(y, y, b.fneg(square)), residue)
    y = b.fsub(y, b.fmul(residue, b.fmul(inverse_square, 1 / 3)))
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
