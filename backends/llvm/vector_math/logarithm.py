"""log, log2, log10, log1p.

Method: x = 2^e (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2), found by integer arithmetic on the bits, and
log(1 + f) = f - f^2/2 + tail. In double the tail is s (f^2/2 + R(s^2)) with s = f / (2 + f), as in Sun's
fdlibm (1993); in float it is f^3 P(f), which saves the division.

Invariant: subnormals are scaled, not flushed; 0 gives -infinity, negative numbers NaN, infinity itself;
errors stay below 1 ULP.
"""

from __future__ import annotations

import math

from graphc.backends.llvm.emitter import Builder, Value
from graphc.backends.llvm.vector_math import coefficients
from graphc.backends.llvm.vector_math.formats import exact, format_of, high_half, polynomial

# The bits of sqrt(1/2), rounded up a little: where one power of two ends and the next begins.
_SQRT_HALF_BITS = {"float": 0x3F3504F3, "double": 0x3FE6A09E667F3BCD}
#: ln2 in two parts; the first leaves the exponent (11 bits) room, so e * high is exact.
LN2 = {
    "float": (0.693359375, -2.12194440e-4),
    "double": (0.6931471803691238, 1.9082149292705877e-10),
}
_LOG2_E = math.log2(math.e)
_LOG10_E = math.log10(math.e)


def _split(b: Builder, x: Value) -> tuple[Value, Value]:
    """(e, m): x = 2^e m, both floats; x > 0 and finite, subnormals included."""
    fmt = format_of(x)
    shift = fmt.mantissa + 1
    subnormal = b.fcmp("olt", x, fmt.tiny)
    x = b.select(subnormal, b.fmul(x, 2.0**shift), x)
    pivot = _SQRT_HALF_BITS[fmt.element]
    i = b.sub(b.bits(x), pivot)
    m = b.from_bits(b.add(b.and_(i, (1 << fmt.mantissa) - 1), pivot))
    return b.fsub(_exponent(b, i, fmt.element), b.select(subnormal, _number(b, x, shift), 0.0)), m


def _number(b: Builder, x: Value, value: float) -> Value:
    return b.const(x.type, value)


def _exponent(b: Builder, i: Value, element: str) -> Value:
    """i >> mantissa as a float; in double without the 64-bit instructions that AVX2 lacks."""
    if element == "float":
        return b.sitofp(b.ashr(i, 23), "float")
    # i + 2048 * 2^52 is positive; its upper bits, put below those of 2^52, are e + 2048 + 2^52 as a double.
    biased = b.lshr(b.add(i, 2048 << 52), 52)
    return b.fsub(b.from_bits(b.or_(biased, 0x4330000000000000)), 2.0**52 + 2048.0)


def _tail(b: Builder, f: Value, half_square: Value) -> Value:
    """log(1 + f) - f + f^2 / 2."""
    if format_of(f).element == "float":
        p = polynomial(b, f, coefficients.LOG["float"])
        return b.fmul(b.fmul(b.fmul(f, f), f), p)
    s = b.fdiv(f, b.fadd(f, 2.0))
    z = b.fmul(s, s)
    r = b.fmul(z, polynomial(b, z, coefficients.LOG_RATIO["double"]))
    return b.fmul(s, b.fadd(half_square, r))


def _edges(b: Builder, x: Value, result: Value) -> Value:
    """The logarithm of 0, of negative numbers and of infinity."""
    result = b.select(b.fcmp("oeq", x, 0.0), -math.inf, result)
    result = b.select(b.fcmp("ult", x, 0.0), math.nan, result)
    return b.select(b.fcmp("oeq", x, math.inf), x, result)


def _assembled(b: Builder, e: Value, f: Value, correction: Value | None) -> Value:
    """e ln2 + log(1 + f) + correction, smallest terms first."""
    high, low = LN2[format_of(f).element]
    half_square = b.fmul(b.fmul(f, f), 0.5)
    small = b.fmul(e, low) if correction is None else b.fma(e, low, correction)
    small = b.fadd(_tail(b, f, half_square), small)
    # f - f^2/2 + small, then the exponent's part, which is exact.
    rest = b.fsub(b.fsub(half_square, small), f)
    return b.fma(e, high, b.fneg(rest))


@exact
def log(b: Builder, x: Value) -> Value:
    """The natural logarithm."""
    e, m = _split(b, x)
    return _edges(b, x, _assembled(b, e, b.fsub(m, 1.0), None))


@exact
def log1p(b: Builder, x: Value, x_lost: Value | None = None) -> Value:
    """log(1 + x), accurate near 0: what rounding 1 + x lost comes back as a first-order correction.

    ``x_lost`` is what a caller's own rounding of x left out.
    """
    u = b.fadd(x, 1.0)
    e, m = _split(b, u)
    lost = b.select(b.fcmp("ogt", x, 1.0), b.fsub(1.0, b.fsub(u, x)), b.fsub(x, b.fsub(u, 1.0)))
    if x_lost is not None:
        lost = b.fadd(lost, x_lost)
    result = _edges(b, u, _assembled(b, e, b.fsub(m, 1.0), b.fdiv(lost, u)))
    return b.select(b.fcmp("oeq", x, 0.0), x, result)


def _in_base(b: Builder, x: Value, scale: float, exponent: tuple[float, float]) -> Value:
    """e log(2) + log(1 + f) * scale, with f - f^2/2 split so that its product with the scale is exact."""
    fmt = format_of(x)
    e, m = _split(b, x)
    f = b.fsub(m, 1.0)
    half_square = b.fmul(b.fmul(f, f), 0.5)
    high = high_half(b, b.fsub(f, half_square))
    low = b.fadd(b.fsub(b.fsub(f, high), half_square), _tail(b, f, half_square))
    bits = 11 if fmt.element == "float" else 21
    scale_high = _with_bits(scale, bits)
    scale_low = scale - scale_high
    product = b.fmul(high, scale_high)
    small = b.fma(b.fadd(low, high), scale_low, b.fmul(low, scale_high))
    whole = b.fmul(e, exponent[0])
    small = b.fma(e, exponent[1], small) if exponent[1] else small
    total = b.fadd(whole, product)
    lost = b.fadd(b.fsub(whole, total), product)
    return _edges(b, x, b.fadd(total, b.fadd(small, lost)))


def _with_bits(value: float, bits: int) -> float:
    """The value with only this many significant bits."""
    fraction, exponent = math.frexp(value)
    return math.ldexp(round(math.ldexp(fraction, bits)), exponent - bits)


@exact
def log2(b: Builder, x: Value) -> Value:
    """The logarithm to base 2, exact at powers of two."""
    return _in_base(b, x, _LOG2_E, (1.0, 0.0))


@exact
def log10(b: Builder, x: Value) -> Value:
    """The logarithm to base 10."""
    high = _with_bits(math.log10(2.0), 13 if format_of(x).element == "float" else 40)
    # log10(2) to 30 digits, in two parts: the second from the decimal expansion beyond double precision.
    low = (0.301029995663981195 - high) + 2.13739e-19
    return _in_base(b, x, _LOG10_E, (high, low))
