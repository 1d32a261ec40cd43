"""pow, and the exact rules for its zeros, infinities, NaN and negative bases.

Method: x^y = 2^(y log2 abs(x)). With x = 2^e m and s = (m - 1) / (m + 1), log2 m = s (C1 + C3 s^2 + ...). An
error of the exponent counts up to 1075 times, so its logarithm needs 11 bits beyond the result's precision: a
float is computed in double; a double in pairs of doubles (Dekker 1971) up to the term with s^4, which is
12 bits smaller than the first. 2^(n + r) is a polynomial in r, scaled by 2^n.

Invariant: errors stay below 0.6 ULP in float, 1 ULP in double, so a power that is itself a float comes out exact;
special values are those of C99, annex F.
"""

from __future__ import annotations

import math

from graphc.backends.llvm.emitter import Builder, Value, constant
from graphc.backends.llvm.vector_math import coefficients
from graphc.backends.llvm.vector_math.exponential import scaled
from graphc.backends.llvm.vector_math.formats import (
    clamp,
    exact,
    format_of,
    horner,
    polynomial,
    remainder_of,
    round_by_magic,
    times_power_of_two,
    two_product,
    two_sum,
)
from graphc.backends.llvm.vector_math.logarithm import SQRT_HALF, split

# The first terms of log2((1+s)/(1-s)) / s: 2 log2(e) and a third of it, each with what a double leaves out.
_FIRST = (2.8853900817779268, 4.0710547481862066e-17)
_SECOND = (0.9617966939259756, 5.0577616648125907e-17)

# What ln2 is more than a double.
_LN2_LOST = 2.3190468138462996e-17

# Beyond this size of y the result is 0, 1 or infinity for every x; products with it are finite.
_LARGEST_Y = 2.0**64
# Beyond these exponents of 2 the result is 0 or infinity.
_EXPONENT_RANGE = {"float": (-160.0, 130.0), "double": (-1080.0, 1030.0)}


@exact
def pow(b: Builder, x: Value, y: Value) -> Value:
    """x to the power y, with C's (IEEE 754's) results for zeros, infinities, NaN and negative bases."""
    fmt = format_of(x)
    magnitude = (_of_floats if fmt.element == "float" else _of_doubles)(b, b.fabs(x), y)
    # y is an integer if rounding keeps it; an odd one if half of it is none (beyond 2^mantissa all are even).
    half = b.fmul(y, 0.5)
    integer = b.fcmp("oeq", b.intrinsic("trunc", y), y)
    odd = b.and_(integer, b.fcmp("one", b.intrinsic("trunc", half), half))
    result = b.copysign(magnitude, b.select(odd, x, 1.0))
    impossible = b.and_(b.and_(b.fcmp("olt", x, 0.0), b.not_(integer)), b.fcmp("one", x, -math.inf))
    result = b.select(impossible, math.nan, result)
    # 1^y and x^0 are 1, of NaN too.
    return b.select(b.or_(b.fcmp("oeq", x, 1.0), b.fcmp("oeq", y, 0.0)), 1.0, result)


def _ends(b: Builder, a: Value, logarithm: Value) -> Value:
    """The logarithm also of 0, infinity and NaN."""
    logarithm = b.select(b.fcmp("olt", a, math.inf), logarithm, a)
    return b.select(b.fcmp("oeq", a, 0.0), -math.inf, logarithm)


def _of_floats(b: Builder, a: Value, y: Value) -> Value:
    """a^y for a >= 0, in double."""
    e, m = split(b, a, SQRT_HALF)
    m = b.fpcast(m, "double")
    s = b.fdiv(b.fsub(m, 1.0), b.fadd(m, 1.0))
    p = horner(b, b.fmul(s, s), coefficients.POWER_LOG2["double"])
    logarithm = b.fma(s, p, b.fpcast(_ends(b, a, e), "double"))
    exponent = clamp(b, b.fmul(b.fpcast(_finite(b, y), "double"), logarithm), *_EXPONENT_RANGE["float"])
    n, total = round_by_magic(b, exponent, 1.0)
    power = horner(b, b.fsub(exponent, n), coefficients.POWER_EXP2["double"])
    return b.fpcast(times_power_of_two(b, power, total), "float")


def _finite(b: Builder, y: Value) -> Value:
    """y, finite."""
    return clamp(b, y, -_LARGEST_Y, _LARGEST_Y)


def _of_doubles(b: Builder, a: Value, y: Value) -> Value:
    """a^y for a >= 0, through pairs of doubles."""
    logarithm, logarithm_lost = _log2_parts(b, a)
    y = _finite(b, y)
    product, lost = two_product(b, y, logarithm)
    lost = b.fma(y, logarithm_lost, lost)
    exponent = clamp(b, product, *_EXPONENT_RANGE["double"])
    lost = b.select(b.fcmp("oeq", exponent, product), lost, 0.0)
    n, total = round_by_magic(b, exponent, 1.0)
    r, lost = two_sum(b, b.fsub(exponent, n), lost)
    # 1 + r ln2 + r^2 Q(r), where what r ln2 and the sum with 1 lose comes back: so exact powers are exact.
    first, *others = coefficients.EXP2["double"]
    linear, linear_lost = two_product(b, r, constant(r.type, first))
    linear_lost = b.fma(lost, first, b.fma(r, constant(r.type, _LN2_LOST), linear_lost))
    whole, whole_lost = two_sum(b, constant(r.type, 1.0), linear)
    small = b.fma(polynomial(b, r, others), b.fmul(r, r), b.fadd(linear_lost, whole_lost))
    return scaled(b, b.fadd(whole, small), total, 0)


def _log2_parts(b: Builder, a: Value) -> tuple[Value, Value]:
    """(high, low): log2(a) to 65 bits; the ends are in high, and low is nothing to go by there."""
    e, m = split(b, a, SQRT_HALF)
    # s = (m - 1) / (m + 1), where m - 1 is exact
    top, bottom = b.fsub(m, 1.0), b.fadd(m, 1.0)
    bottom_lost = b.fsub(m, b.fsub(bottom, 1.0))
    reciprocal = b.fdiv(1.0, bottom)
    s = b.fmul(top, reciprocal)
    s_lost = b.fma(b.fneg(s), bottom_lost, remainder_of(b, top, s, bottom))
    s_lost = b.fmul(s_lost, reciprocal)
    z, z_lost = two_product(b, s, s)
    z_lost = b.fma(b.fadd(s, s), s_lost, z_lost)
    # w = C1 + z (C3 + tail)
    tail = b.fmul(z, polynomial(b, z, coefficients.POWER_LOG2_TAIL["double"]))
    u, u_lost = two_sum(b, constant(a.type, _SECOND[0]), tail)
    u_lost = b.fadd(u_lost, _SECOND[1])
    v, v_lost = two_product(b, z, u)
    v_lost = b.fma(z, u_lost, b.fma(z_lost, u, v_lost))
    w, w_lost = two_sum(b, constant(a.type, _FIRST[0]), v)
    w_lost = b.fadd(w_lost, b.fadd(v_lost, _FIRST[1]))
    # e + s w, where e is 0 or the larger one
    product, lost = two_product(b, s, w)
    lost = b.fma(s, w_lost, b.fma(s_lost, w, lost))
    high, high_lost = two_sum(b, e, product)
    return _ends(b, a, high), b.fadd(high_lost, lost)
