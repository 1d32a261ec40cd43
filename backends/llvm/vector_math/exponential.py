"""exp, exp2, expm1, and what is made of them: sigmoid, softplus, logaddexp.

Method: x = n ln2 + r with abs(r) <= ln2 / 2, ln2 in two parts of which the first has trailing zeros so that
n * high is exact (Cody and Waite 1980); a polynomial for exp(r); then 2^n, in one step or as two factors, so
that results below the normal range are rounded once and overflow gives infinity.

Invariant: exact at 0, and 0, 1 or infinity at the ends; errors stay below 1.4 ULP for the exponentials, 2.5
for the others.
"""

from __future__ import annotations

from graphc.backends.llvm.emitter import Builder, Value, constant
from graphc.backends.llvm.vector_math import avx512, coefficients
from graphc.backends.llvm.vector_math.formats import (
    clamp,
    exact,
    format_of,
    horner,
    polynomial,
    power_of_two,
    round_by_magic,
    two_sum,
)
from graphc.backends.llvm.vector_math.logarithm import LN2, log1p, log1p_of_share

LOG2_E = 1.4426950408889634
# Beyond these the results are infinity and 0, whatever the argument.
_EXP_RANGE = {"float": (-105.0, 90.0), "double": (-747.0, 711.0)}
_EXP2_RANGE = {"float": (-151.0, 130.0), "double": (-1076.0, 1026.0)}
# Below the first, expm1 is -1 to the last bit; below the second in size, it is x.
_EXPM1_RANGE = {"float": (-17.5, 89.0), "double": (-38.0, 710.0)}
_EXPM1_TINY = {"float": 2.0**-26, "double": 2.0**-55}

_OFFSET = 4096  # makes n positive, so that a logical shift halves it (AVX2 has no arithmetic one for i64)


def _reduced(b: Builder, x: Value) -> tuple[Value, Value, Value]:
    """(r, its rounding error, t): x = n ln2 + r, where t holds n as ``round_by_magic`` says."""
    high, low = LN2[format_of(x).element]
    n, total = round_by_magic(b, x, LOG2_E)
    first = b.fma(n, -high, x)
    second = b.fmul(n, low)
    r = b.fsub(first, second)
    return r, b.fsub(b.fsub(first, r), second), total


def scaled(b: Builder, p: Value, total: Value, lowered: int) -> Value:
    """p * 2^(n - lowered), rounded once: by one instruction, or in two steps."""
    fmt = format_of(p)
    if avx512.has(b):
        return avx512.scalef(b, p, b.fsub(total, fmt.magic + lowered))
    n = b.sub(b.bits(total), fmt.magic_bits - _OFFSET + lowered)
    half = b.lshr(n, 1)
    rest = b.sub(n, half)
    first = power_of_two(b, b.sub(half, _OFFSET // 2))
    second = power_of_two(b, b.sub(rest, _OFFSET // 2))
    return b.fmul(b.fmul(p, first), second)


def _significand(b: Builder, x: Value) -> tuple[Value, Value]:
    """(p, t): e^x = 2^n p, where t holds n."""
    element = format_of(x).element
    high, low = LN2[element]
    n, total = round_by_magic(b, x, LOG2_E)
    r = b.fma(n, -low, b.fma(n, -high, x))
    if element == "float" and b.has_fma:  # one instruction less than the other way, at a tenth of an ULP
        return horner(b, r, (1.0, 1.0, *coefficients.EXP[element])), total
    q = polynomial(b, r, coefficients.EXP[element])
    return b.fadd(b.fma(q, b.fmul(r, r), r), 1.0), total


@exact
def exp(b: Builder, x: Value) -> Value:
    """e^x."""
    p, total = _significand(b, clamp(b, x, *_EXP_RANGE[format_of(x).element]))
    return scaled(b, p, total, 0)


def exp_of_negative(b: Builder, x: Value) -> Value:
    """e^x for x <= 0."""
    p, total = _significand(b, clamp(b, x, _EXP_RANGE[format_of(x).element][0], None))
    return scaled(b, p, total, 0)


def exp_parts(b: Builder, x: Value) -> tuple[Value, Value, Value]:
    """(p, lost, t): e^x = 2^n (p + lost) to about an eighth ULP, where t holds n; p is between 0.7 and 1.42."""
    fmt = format_of(x)
    r, error, total = _reduced(b, clamp(b, x, *_EXP_RANGE[fmt.element]))
    q = polynomial(b, r, coefficients.EXP[fmt.element])
    whole, lost = two_sum(b, constant(x.type, 1.0), r)
    p, lost = two_sum(b, whole, b.fadd(b.fma(q, b.fmul(r, r), error), lost))
    return p, lost, total


def quarter_exp_parts(b: Builder, x: Value) -> tuple[Value, Value]:
    """(high, low): e^x / 4 for x >= 0, to about an eighth ULP: sums that overflow no earlier are made of it.

    Where high is infinite, low is nothing to go by.
    """
    p, lost, total = exp_parts(b, x)
    scale = power_of_two(b, b.sub(b.bits(total), format_of(x).magic_bits + 2))
    return b.fmul(p, scale), b.fmul(lost, scale)


@exact
def exp2(b: Builder, x: Value) -> Value:
    """2^x."""
    fmt = format_of(x)
    x = clamp(b, x, *_EXP2_RANGE[fmt.element])
    n, total = round_by_magic(b, x, 1.0)
    r = b.fsub(x, n)
    first, *others = coefficients.EXP2[fmt.element]
    q = polynomial(b, r, others)
    p = b.fadd(b.fma(q, b.fmul(r, r), b.fmul(r, first)), 1.0)
    return scaled(b, p, total, 0)


@exact
def expm1(b: Builder, x: Value) -> Value:
    """e^x - 1, accurate near 0.

    2^n (r + e) + (2^n - 1), where e is small: the two large terms are added exactly, then e joins the error.
    """
    fmt = format_of(x)
    argument = x
    x = clamp(b, x, *_EXPM1_RANGE[fmt.element])
    r, error, total = _reduced(b, x)
    q = polynomial(b, r, coefficients.EXP[fmt.element])
    small = b.fma(q, b.fmul(r, r), b.fma(error, r, error))
    # One power of two is held back: 2^n alone would overflow for the largest arguments.
    scale = power_of_two(b, b.sub(b.bits(total), fmt.magic_bits + 1))
    large, lost = two_sum(b, b.fsub(scale, 0.5), b.fmul(scale, r))
    result = b.fmul(b.fadd(large, b.fma(scale, small, lost)), 2.0)
    is_tiny = b.fcmp("olt", b.fabs(argument), _EXPM1_TINY[fmt.element])
    return b.select(is_tiny, argument, result)


@exact
def sigmoid(b: Builder, x: Value) -> Value:
    """1 / (1 + e^-x), through e^-abs(x), which cannot overflow and keeps the small results exact.

    The quotient is the same for x and -x, both of which a gradient needs: it is written so that LLVM's code
    generator makes it once.
    """
    e = exp_of_negative(b, b.fneg(b.fabs(x)))
    quotient = b.fdiv(1.0, b.fadd(e, 1.0))
    return b.select(b.fcmp("olt", x, 0.0), b.fmul(e, quotient), quotient)


@exact
def softplus(b: Builder, x: Value) -> Value:
    """log(1 + e^x) = max(x, 0) + log1p(e^-abs(x))."""
    positive = b.select(b.fcmp("olt", x, 0.0), 0.0, x)
    return b.fadd(positive, log1p_of_share(b, exp_of_negative(b, b.fneg(b.fabs(x)))))


@exact
def logaddexp(b: Builder, x: Value, y: Value) -> Value:
    """log(e^x + e^y) = max + log1p(e^-abs(x - y)); equal infinities have no difference to speak of."""
    larger = b.select(b.fcmp("ogt", x, y), x, y)
    distance = b.select(b.fcmp("oeq", x, y), 0.0, b.fsub(x, y))
    return b.fadd(larger, log1p(b, exp_of_negative(b, b.fneg(b.fabs(distance)))))
