"""sin, cos, tan and their inverses.

Method: x = n pi/2 + r by Cody and Waite's scheme, pi/2 in parts; then the polynomials of sine and cosine on
abs(r) <= pi/4, swapped and negated by n's two low bits. Floats are reduced in double, where fewer parts do.
Lanes beyond 2^20 go through libm, in a branch that is rarely taken.

Invariant: full range; sin(-0.0) = -0.0; infinity gives NaN; r comes with what its rounding lost, so that
errors stay below 1 ULP for sin and cos, and 1.5 ULP for the others.
"""

from __future__ import annotations

import math
import struct
from typing import NamedTuple

from graphc.backends.llvm.emitter import Builder, Value, constant, lanes_of
from graphc.backends.llvm.vector_math import coefficients
from graphc.backends.llvm.vector_math.formats import exact, format_of, polynomial, remainder_of, two_sum
from graphc.backends.llvm.vector_math.hyperbolic import odd_polynomial
from graphc.backends.llvm.vector_math.lanes import per_lane

_TWO_OVER_PI = 0.6366197723675814
#: pi/2 in three parts of 33 bits and the rest, so that n * part is exact for n < 2^20 (as in Sun's fdlibm).
_HALF_PI_PARTS = (
    1.57079632673412561417e00,
    6.07710050630396597660e-11,
    2.02226624871116645580e-21,
    8.47842766036889956997e-32,
)
_LIMIT = 2.0**20

#: Constants as doubles, each with what a double leaves out.
_HALF_PI = math.pi / 2
_HALF_PI_LOW = 6.123233995736766e-17
#: atan(1/2) and atan(1).
_ARCTANGENTS = ((0.4636476090008061, 2.2698777452961687e-17), (math.pi / 4, 3.061616997868383e-17))


class _Reduced(NamedTuple):
    r: Value
    error: Value  # what rounding r lost
    quadrant: Value  # n as integers of the value's own width; only the two low bits matter


def _reduce(b: Builder, x: Value) -> _Reduced:
    """r and the quadrant of abs(x) <= limit."""
    wide = b.fpcast(x, "double")
    magic = 1.5 * 2.0**52
    total = b.fma(wide, _TWO_OVER_PI, constant(wide.type, magic))
    n = b.fsub(total, magic)
    first, second, third, fourth = _HALF_PI_PARTS
    r = b.fsub(wide, b.fmul(n, first))  # exact
    if format_of(x).element == "float":
        r = b.fsub(r, b.fmul(n, second + third))
        narrow = b.fpcast(r, "float")
        error = b.fpcast(b.fsub(r, b.fpcast(narrow, "double")), "float")
        return _Reduced(narrow, error, b.trunc(b.bits(total), "i32"))
    high, error = _subtracted(b, r, b.fmul(n, second))
    high, more = _subtracted(b, high, b.fmul(n, third))
    error = b.fsub(b.fadd(error, more), b.fmul(n, fourth))
    r = b.fadd(high, error)
    return _Reduced(r, b.fadd(b.fsub(high, r), error), b.bits(total))


def _subtracted(b: Builder, x: Value, y: Value) -> tuple[Value, Value]:
    """(d, e): d + e = x - y exactly, in any order of size (Knuth's TwoSum)."""
    d = b.fsub(x, y)
    back = b.fsub(d, x)
    return d, b.fsub(b.fsub(x, b.fsub(d, back)), b.fadd(back, y))


def _sine_parts(b: Builder, r: Value, error: Value) -> tuple[Value, Value]:
    """sin(r + error) as r and a small rest."""
    z = b.fmul(r, r)
    cube = b.fmul(r, z)
    p = polynomial(b, z, coefficients.SIN[format_of(r).element])
    return r, b.fma(cube, p, error)


def _sine(b: Builder, r: Value, error: Value) -> Value:
    return b.fadd(*_sine_parts(b, r, error))


def _cosine(b: Builder, r: Value, error: Value) -> Value:
    return b.fadd(*_cosine_parts(b, r, error))


def _cosine_parts(b: Builder, r: Value, error: Value) -> tuple[Value, Value]:
    """cos(r + error) as 1 - r^2/2 and a small rest."""
    z = b.fmul(r, r)
    half = b.fmul(z, 0.5)
    top = b.fsub(1.0, half)
    lost = b.fsub(b.fsub(1.0, top), half)
    lost = b.fma(b.fneg(r), error, lost)
    p = polynomial(b, z, coefficients.COS[format_of(r).element])
    return top, b.fma(b.fmul(z, z), p, lost)


def _with_slow_path(b: Builder, stem: str, x: Value, fast: Value) -> Value:
    """libm's answer for finite lanes that the reduction cannot take."""
    a = b.fabs(x)
    huge = b.and_(b.fcmp("ogt", a, _LIMIT), b.fcmp("olt", a, math.inf))
    if lanes_of(x.type) == 1:
        return per_lane(b, stem, x, where=huge, otherwise=fast)
    with b.if_(b.any(huge), default=[fast], likely=False) as rare:
        rare.give(per_lane(b, stem, x, where=huge, otherwise=fast))
    return rare.results[0]


def _odd(b: Builder, quadrant: Value) -> Value:
    return b.icmp("ne", b.and_(quadrant, 1), 0)


def _negated(b: Builder, y: Value, quadrant: Value) -> Value:
    """-y where the quadrant's second bit is set."""
    fmt = format_of(y)
    width = 31 if fmt.element == "float" else 63
    sign = b.and_(b.shl(quadrant, width - 1), fmt.sign_bit)
    return b.from_bits(b.xor(b.bits(y), sign))


@exact
def sin(b: Builder, x: Value) -> Value:
    """The sine."""
    r, error, quadrant = _reduce(b, x)
    y = b.select(_odd(b, quadrant), _cosine(b, r, error), _sine(b, r, error))
    y = _negated(b, y, quadrant)
    # The reduction turns -0.0 into 0.0.
    y = b.select(b.fcmp("oeq", x, 0.0), x, y)
    return _with_slow_path(b, "sin", x, y)


@exact
def cos(b: Builder, x: Value) -> Value:
    """The cosine."""
    r, error, quadrant = _reduce(b, x)
    y = b.select(_odd(b, quadrant), _sine(b, r, error), _cosine(b, r, error))
    y = _negated(b, y, b.add(quadrant, 1))
    return _with_slow_path(b, "cos", x, y)


@exact
def tan(b: Builder, x: Value) -> Value:
    """The tangent: sine / cosine, or -cosine / sine in odd quadrants; what either lost is put back."""
    r, error, quadrant = _reduce(b, x)
    s, s_lost = two_sum(b, *_sine_parts(b, r, error))
    c, c_lost = two_sum(b, *_cosine_parts(b, r, error))
    odd = _odd(b, quadrant)
    top, bottom = b.select(odd, c, s), b.select(odd, b.fneg(s), c)
    top_lost, bottom_lost = b.select(odd, c_lost, s_lost), b.select(odd, b.fneg(s_lost), c_lost)
    reciprocal = b.fdiv(1.0, bottom)
    y = b.fmul(top, reciprocal)
    lost = b.fma(b.fneg(y), bottom_lost, b.fadd(remainder_of(b, top, y, bottom), top_lost))
    y = b.fma(lost, reciprocal, y)
    y = b.select(b.fcmp("oeq", x, 0.0), x, y)
    return _with_slow_path(b, "tan", x, y)


def _arctangent(b: Builder, numerator: Value, denominator: Value) -> Value:
    """atan(numerator / denominator) for 0 <= numerator <= denominator.

    atan(c) + atan((n - c d) / (d + c n)) with c = 0, 1/2 or 1, so that what the division rounds off is
    small beside the result (the break points are those of Sun's fdlibm).
    """
    n, d = numerator, denominator
    zero = constant(n.type, 0.0)
    middle, far = b.fcmp("ogt", n, b.fmul(d, 7 / 16)), b.fcmp("ogt", n, b.fmul(d, 11 / 16))
    top = b.select(far, b.fsub(n, d), b.select(middle, b.fsub(b.fadd(n, n), d), n))
    bottom = b.select(far, b.fadd(n, d), b.select(middle, b.fadd(b.fadd(d, d), n), d))
    high, low = [], []
    for angle, tail in _ARCTANGENTS:
        rounded = _nearest(n, angle)
        high.append(rounded)
        low.append((angle - rounded) + tail)
    w = b.fdiv(top, bottom)
    z = b.fmul(w, w)
    p = polynomial(b, z, coefficients.ATAN[format_of(w).element])
    rest = b.select(far, constant(n.type, low[1]), b.select(middle, constant(n.type, low[0]), zero))
    base = b.select(far, constant(n.type, high[1]), b.select(middle, constant(n.type, high[0]), zero))
    return b.fadd(base, b.fadd(w, b.fma(b.fmul(w, z), p, rest)))


@exact
def atan(b: Builder, x: Value) -> Value:
    """The angle whose tangent is x."""
    a = b.fabs(x)
    steep = b.fcmp("ogt", a, 1.0)
    one = constant(x.type, 1.0)
    t = _arctangent(b, b.select(steep, one, a), b.select(steep, a, one))
    return b.copysign(b.select(steep, _complement(b, t, _HALF_PI, _HALF_PI_LOW), t), x)


@exact
def atan2(b: Builder, y: Value, x: Value) -> Value:
    """The angle of the point (x, y): atan of the smaller coordinate over the larger, then the octant."""
    width, height = b.fabs(x), b.fabs(y)
    steep = b.fcmp("ogt", height, width)
    small, large = b.select(steep, width, height), b.select(steep, height, width)
    # Both 0: the angle 0. Both infinite: the diagonal. A NaN stays, in either place.
    large = b.select(b.fcmp("oeq", large, 0.0), 1.0, large)
    diagonal = b.fcmp("oeq", small, math.inf)
    one = constant(x.type, 1.0)
    t = _arctangent(b, b.select(diagonal, one, small), b.select(diagonal, one, large))
    t = b.select(steep, _complement(b, t, _HALF_PI, _HALF_PI_LOW), t)
    left = b.icmp("slt", b.bits(x), 0)
    t = b.select(left, _complement(b, t, math.pi, 2 * _HALF_PI_LOW), t)
    t = b.select(b.fcmp("uno", x, y), math.nan, t)
    return b.copysign(t, y)


def _complement(b: Builder, t: Value, whole: float, rest: float) -> Value:
    """(whole + rest) - t, the constant being longer than a double."""
    rounded = _nearest(t, whole)
    return b.fsub(rounded, b.fsub(t, (whole - rounded) + rest))


def _nearest(like_this: Value, number: float) -> float:
    """The number in the value's precision."""
    if format_of(like_this).element == "double":
        return number
    return float(struct.unpack("f", struct.pack("f", number))[0])


@exact
def asin(b: Builder, x: Value) -> Value:
    """The angle whose sine is x: a polynomial up to 1/2, beyond pi/2 - 2 asin(sqrt((1 - a) / 2))."""
    a = b.fabs(x)
    far = b.fcmp("ogt", a, 0.5)
    root = b.sqrt(b.fmul(b.fsub(1.0, a), 0.5))
    s = b.select(far, root, a)
    z = b.fmul(s, s)
    rest = b.fmul(b.fmul(s, z), polynomial(b, z, coefficients.ASIN[format_of(x).element]))
    # pi/2 - 2s with its rounding error, which the small rest takes along.
    half_pi = _nearest(x, _HALF_PI)
    rest_of_pi = (_HALF_PI - half_pi) + _HALF_PI_LOW
    beyond, lost = two_sum(b, constant(x.type, half_pi), b.fneg(b.fadd(s, s)))
    beyond = b.fsub(beyond, b.fsub(b.fadd(rest, rest), b.fadd(lost, rest_of_pi)))
    return b.copysign(b.select(far, beyond, b.fadd(s, rest)), x)


@exact
def acos(b: Builder, x: Value) -> Value:
    """The angle whose cosine is x."""
    a = b.fabs(x)
    far = b.fcmp("ogt", a, 0.5)
    root = b.sqrt(b.fmul(b.fsub(1.0, a), 0.5))
    t = odd_polynomial(b, b.select(far, root, a), coefficients.ASIN)
    twice = b.fadd(t, t)
    negative = b.fcmp("olt", x, 0.0)
    beyond = b.select(negative, _complement(b, twice, math.pi, 2 * _HALF_PI_LOW), twice)
    near = _complement(b, b.copysign(t, x), _HALF_PI, _HALF_PI_LOW)
    return b.select(far, beyond, near)
