"""erf and erfc.

Method: up to 1 the polynomial erf(x) = x + x P(x^2); beyond, exp(-t^2) times a polynomial in a variable that
maps the whole range onto a short interval, as in Schonfelder, "Chebyshev expansions for the error and related
functions", Math. Comp. 32 (1978).

Invariant: errors stay below 1.25 ULP for erf, 2 ULP for erfc, whose tail runs into the subnormal numbers and
then to 0; erf is exactly odd.
"""

from __future__ import annotations

from graphc.backends.llvm.emitter import Builder, Value, constant
from graphc.backends.llvm.vector_math import coefficients
from graphc.backends.llvm.vector_math.exponential import exp, exp_parts, scaled
from graphc.backends.llvm.vector_math.formats import (
    clamp,
    exact,
    format_of,
    polynomial,
    remainder_of,
    two_product,
    two_sum,
)

# From here on erf is 1 to the last bit, and erfc 0.
_ERF_ONE = {"float": 3.95, "double": 5.95}
_ERFC_ZERO = {"float": 10.2, "double": 27.4}

# Beyond this erfc is its tail; the tail's polynomial has its variable's origin here.
_ERFC_TAIL = 27 / 32
_TAILS = {
    "float": (231 / 1024, coefficients.ERFC_TAIL_TO_10["float"]),
    "double": (21 / 128, coefficients.ERFC_TAIL_TO_27["double"]),
}

# How erfc's tail, without exp(-t^2), answers to r = 1 / (t + 2): its relative change over that of r.
_SENSITIVITY = (0.976, 2.82)


@exact
def erf(b: Builder, x: Value) -> Value:
    """The error function: x + x P(x^2) up to 1, then 1 - exp(-a^2) Q((a - 2.5) / (a + 2.5)).

    Beyond 1 the second term is below 0.16, so its rounding errors count a sixth.
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
    """1 - erf(x): 1 - x - x P(x^2) up to 27/32 in size; beyond, the tail, or 2 less the tail."""
    element = format_of(x).element
    a = b.fabs(x)
    whole, lost = two_sum(b, constant(x.type, 1.0), b.fneg(clamp(b, x, -1.0, 1.0)))
    z = b.fmul(x, x)
    # The largest terms last: near 27/32, where they cancel, each rounding counts.
    first, second, *others = coefficients.ERF[element]
    p = b.fma(z, b.fma(z, polynomial(b, z, others), constant(x.type, second)), constant(x.type, first))
    near = b.fadd(whole, b.fma(b.fneg(x), p, lost))
    tail = _erfc_tail(b, clamp(b, a, None, _ERFC_ZERO[element]))
    far = b.select(b.fcmp("olt", x, 0.0), b.fsub(2.0, tail), tail)
    return b.select(b.fcmp("olt", a, _ERFC_TAIL), near, far)


def _erfc_tail(b: Builder, t: Value) -> Value:
    """exp(-t^2) r Q(r - centre) with r = 1 / (t + 2).

    Every rounding that counts is made good: those of t^2, of exp, of r, of Q's last step and of the product
    with r come together in one small correction, so that the last one remains.
    """
    centre, (first, second, *others) = _TAILS[format_of(t).element]
    square, square_lost = two_product(b, t, t)
    power, power_lost, total = exp_parts(b, b.fneg(square))
    bottom = b.fadd(t, 2.0)
    bottom_lost = b.fsub(t, b.fsub(bottom, 2.0))
    r = b.fdiv(1.0, bottom)
    r_lost = b.fma(b.fneg(r), bottom_lost, remainder_of(b, constant(t.type, 1.0), r, bottom))
    u = b.fsub(r, centre)
    slope = b.fma(u, polynomial(b, u, others), constant(t.type, second))
    q = b.fma(u, slope, constant(t.type, first))
    q_lost = b.fma(u, slope, b.fsub(first, q))
    product, lost = two_product(b, r, q)
    lost = b.fma(r, q_lost, lost)
    base, change = _SENSITIVITY
    correction = b.fma(r_lost, b.fma(r, change, constant(t.type, base)), b.fneg(square_lost))
    small = b.fma(product, correction, lost)
    significand = b.fma(power, product, b.fma(power_lost, product, b.fmul(power, small)))
    return scaled(b, significand, total, 0)
