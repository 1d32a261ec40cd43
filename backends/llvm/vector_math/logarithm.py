"""log, log2, log10, log1p.

Method: x = 2^e (1 + f) with 3/4 <= 1 + f < 3/2, found by integer arithmetic on the bits, and
log(1 + f) = f + bend. In double the bend is s (f^2/2 + R(s^2)) - f^2/2 with s = f / (2 + f), as in Sun's
fdlibm (1993); in float it is f^2 P(f), which saves the division.

Invariant: subnormals are scaled, not flushed; 0 gives -infinity, negative numbers NaN, infinity itself;
errors stay below 1.25 ULP.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from graphc.backends.llvm.emitter import Builder, Value, constant
from graphc.backends.llvm.vector_math import avx512, coefficients
from graphc.backends.llvm.vector_math.formats import exact, format_of, halves, polynomial, two_product, two_sum

#: The bits of 3/4, and those of sqrt(1/2), rounded up a little: where one power of two may end and the next begin.
THREE_QUARTERS = {"float": 0x3F400000, "double": 0x3FE8000000000000}
SQRT_HALF = {"float": 0x3F3504F3, "double": 0x3FE6A09E667F3BCD}
#: ln2 in two parts of one sign; the first has 15 (33) significant bits, so its product with an exponent is exact.
LN2 = {
    "float": (0.693145751953125, 1.428606820309417e-06),
    "double": (0.6931471803691238, 1.9082149292705877e-10),
}
#: log2(e) and log10(e), each with what its precision leaves out.
_LOG2_E = {
    "float": (1.4426950216293335, 1.925963033500011e-08),
    "double": (1.4426950408889634, 2.0355273740931033e-17),
}
_LOG10_E = {
    "float": (0.4342944920063019, -1.0103049952192578e-08),
    "double": (0.4342944819032518, 1.098319650216765e-17),
}
#: log10(2) in two parts, as ln2 above.
_LOG10_2 = {
    "float": (0.301025390625, 4.605039066518657e-06),
    "double": (0.3010299956640665, -8.532344317057107e-14),
}


def split(b: Builder, x: Value, start: Mapping[str, int] = THREE_QUARTERS) -> tuple[Value, Value]:
    """(e, m): x = 2^e m, both floats, with m from ``start`` on; x > 0 and finite, subnormals included."""
    fmt = format_of(x)
    shift = fmt.mantissa + 1
    subnormal = b.fcmp("olt", x, fmt.tiny)
    x = b.select(subnormal, b.fmul(x, 2.0**shift), x)
    pivot = start[fmt.element]
    i = b.sub(b.bits(x), pivot)
    m = b.from_bits(b.add(b.and_(i, (1 << fmt.mantissa) - 1), pivot))
    return b.fsub(_exponent(b, i, fmt.element), b.select(subnormal, _number(b, x, shift), 0.0)), m


def _number(b: Builder, x: Value, value: float) -> Value:
    return b.const(x.type, value)


def _exponent(b: Builder, i: Value, element: str) -> Value:
    """i >> mantissa as a float; in double without the 64-bit instructions that AVX2 lacks, where it must be."""
    if element == "float":
        return b.sitofp(b.ashr(i, 23), "float")
    if avx512.has(b):
        return b.sitofp(b.ashr(i, 52), "double")
    # i + 2048 * 2^52 is positive; its upper bits, put below those of 2^52, are e + 2048 + 2^52 as a double.
    biased = b.lshr(b.add(i, 2048 << 52), 52)
    return b.fsub(b.from_bits(b.or_(biased, 0x4330000000000000)), 2.0**52 + 2048.0)


def _near_one(b: Builder, f: Value, extra: Value | None) -> Value:
    """log(1 + f), plus something small."""
    if extra is None and format_of(f).element == "float":
        return _bend(b, f, f)
    return b.fadd(f, _bend(b, f, extra))


def _bend(b: Builder, f: Value, extra: Value | None = None) -> Value:
    """log(1 + f) - f, plus something else."""
    square = b.fmul(f, f)
    if format_of(f).element == "float":
        p = b.fma(f, halves(b, f, square, coefficients.LOG["float"]), constant(f.type, -0.5))
        return b.fmul(square, p) if extra is None else b.fma(square, p, extra)
    half_square = b.fmul(square, 0.5)
    s = b.fdiv(f, b.fadd(f, 2.0))
    z = b.fmul(s, s)
    r = b.fmul(z, polynomial(b, z, coefficients.LOG_RATIO["double"]))
    rest = b.fneg(half_square) if extra is None else b.fsub(extra, half_square)
    return b.fma(s, b.fadd(half_square, r), rest)


def _edges(b: Builder, x: Value, result: Value) -> Value:
    """The logarithm of 0, of negative numbers, of infinity and of NaN."""
    if avx512.has(b):
        return avx512.log_ends(b, result, x)
    result = b.select(b.fcmp("oeq", x, 0.0), -math.inf, result)
    result = b.select(b.fcmp("ult", x, 0.0), math.nan, result)
    return b.select(b.fcmp("oeq", x, math.inf), x, result)


def _assembled(b: Builder, e: Value, unit: float, f: Value, correction: Value | None = None) -> Value:
    """e unit ln2 + log(1 + f) + correction, smallest terms first; the exponent's part is exact, or nearly so."""
    if format_of(f).element == "float" and b.has_fma:  # the product is not rounded, and ln2 as a float is close
        return b.fma(e, unit * math.log(2.0), _near_one(b, f, correction))
    high, low = (unit * part for part in LN2[format_of(f).element])
    small = b.fmul(e, low) if correction is None else b.fma(e, low, correction)
    return b.fma(e, high, _near_one(b, f, small))


@exact
def log(b: Builder, x: Value) -> Value:
    """The natural logarithm."""
    e, m = split(b, x)
    return _edges(b, x, _assembled(b, e, 1.0, b.fsub(m, 1.0)))


@exact
def log1p(b: Builder, x: Value, x_lost: Value | None = None) -> Value:
    """log(1 + x), accurate near 0.

    ``x_lost`` is what a caller's own rounding of x left out.
    """
    u = b.fadd(x, 1.0)
    correction = None if x_lost is None else b.fdiv(x_lost, u)
    return _edges(b, u, _log1p(b, x, u, correction))


def log1p_of_share(b: Builder, x: Value) -> Value:
    """log(1 + x) for 0 <= x <= 1; anything where x is NaN."""
    return _log1p(b, x, b.fadd(x, 1.0), None)


def _log1p(b: Builder, x: Value, u: Value, correction: Value | None) -> Value:
    """log(1 + x), where u is 1 + x rounded, positive and finite.

    With 1 + x = 2^e (1 + f), f is x 2^-e - (1 - 2^-e), and nothing of that is rounded where it counts, as 1 + f is
    between 3/4 and 3/2. (Norbert Juffa's log1pf is made like this.) The signs are such that zeros keep theirs: e is
    counted downwards, so that 0 ln2 is -0.0.
    """
    fmt = format_of(x)
    # -e, shifted as an exponent is: what it takes from the bits of u to some below those of 3/2
    top = THREE_QUARTERS[fmt.element] + (1 << fmt.mantissa) - 1
    shifted = b.and_(b.sub(top, b.bits(u)), -1 << fmt.mantissa)
    product = b.from_bits(b.add(b.bits(x), shifted))
    # 2^(2-e), which is a normal number for the largest u too
    scale = b.from_bits(b.add(shifted, fmt.one_bits + (2 << fmt.mantissa)))
    f = b.fsub(product, b.fma(scale, -0.25, constant(x.type, 1.0)))
    # A whole number of units that ln2's parts are multiplied by: as it is, where that is one instruction.
    as_it_is = fmt.element == "float" or avx512.has(b)
    minus_e = b.sitofp(shifted, fmt.element) if as_it_is else _exponent(b, shifted, fmt.element)
    unit = 2.0**-fmt.mantissa if as_it_is else 1.0
    return _assembled(b, minus_e, -unit, f, correction)


def _in_base(b: Builder, x: Value, scale: tuple[float, float], exponent: tuple[float, float]) -> Value:
    """e log(2) + log(1 + f) * scale, both constants in two parts; what the large terms round off comes back."""
    e, m = split(b, x)
    f = b.fsub(m, 1.0)
    product, product_lost = two_product(b, f, constant(f.type, scale[0]))
    small = b.fma(f, scale[1], product_lost)
    small = b.fma(e, exponent[1], small) if exponent[1] else small
    small = b.fma(_bend(b, f), scale[0], small)
    whole = b.fmul(e, exponent[0]) if exponent[0] != 1 else e
    total, lost = two_sum(b, whole, product)
    return _edges(b, x, b.fadd(total, b.fadd(lost, small)))


@exact
def log2(b: Builder, x: Value) -> Value:
    """The logarithm to base 2, exact at powers of two."""
    return _in_base(b, x, _LOG2_E[format_of(x).element], (1.0, 0.0))


@exact
def log10(b: Builder, x: Value) -> Value:
    """The logarithm to base 10."""
    element = format_of(x).element
    return _in_base(b, x, _LOG10_E[element], _LOG10_2[element])
