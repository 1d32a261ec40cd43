"""Float arithmetic that is not one instruction: division with floor, remainders, maximum, sign.

Invariant: bit for bit NumPy's results, zeros' signs included; only a NaN's own sign and payload are free.
"""

from __future__ import annotations

from graphc.backends.llvm.emitter import Builder, Value, constant, element_type
from graphc.backends.llvm.vector_math import per_lane

# Up to here every integer is a float, so a truncated quotient is exact or one too large.
_INTEGERS_END = {"float": 2.0**24, "double": 2.0**53}


def fmod(b: Builder, x: Value, y: Value) -> Value:
    """C's fmod, which is exact: x - y * trunc(x / y), with x's sign.

    Let q = trunc(x / y) be below 2^24 (2^53). Rounding x / y carries it past at most one integer, and upwards
    only, as integers are floats themselves. So x - q y lies between -y and y, on the grid of the operands'
    last bits: one fused multiply-add gives it exactly, and adding y where q was too large is exact as well.
    Larger quotients go through libm.
    """
    if not b.has_fma:
        return per_lane(b, "fmod", x, y)
    dividend, divisor = b.fabs(x), b.fabs(y)
    quotient = b.intrinsic("trunc", b.fdiv(dividend, divisor))
    rest = b.fma(b.fneg(quotient), divisor, dividend)
    rest = b.select(b.fcmp("olt", rest, 0.0), b.fadd(rest, divisor), rest)
    # A smaller dividend stays as it is, below an infinity too, where the product above is NaN.
    rest = b.copysign(b.select(b.fcmp("oeq", quotient, 0.0), dividend, rest), x)
    large = b.fcmp("oge", quotient, _INTEGERS_END[element_type(x.type)])
    with b.if_(b.any(large), default=[rest], likely=False) as rare:
        rare.give(per_lane(b, "fmod", x, y))
    return rare.results[0]


def _opposed(b: Builder, remainder: Value, y: Value) -> Value:
    """Does a remainder with x's sign, other than 0, need a step towards y's sign?"""
    differ = b.xor(b.fcmp("olt", remainder, 0.0), b.fcmp("olt", y, 0.0))
    return b.and_(b.fcmp("one", remainder, 0.0), differ)


def floor_divide(b: Builder, x: Value, y: Value) -> Value:
    """x // y as in NumPy's npy_divmod, which follows Python's float_divmod: from the exact remainder.

    (x - remainder) / y is nearly an integer, so it is rounded to the nearest one. An infinite x gives NaN.
    """
    remainder = fmod(b, x, y)
    quotient = b.fdiv(b.fsub(x, remainder), y)
    quotient = b.select(_opposed(b, remainder, y), b.fsub(quotient, 1.0), quotient)
    whole = b.intrinsic("floor", quotient)
    whole = b.select(b.fcmp("ogt", b.fsub(quotient, whole), 0.5), b.fadd(whole, 1.0), whole)
    ratio = b.fdiv(x, y)
    whole = b.select(b.fcmp("oeq", quotient, 0.0), b.copysign(constant(x.type, 0.0), ratio), whole)
    return b.select(b.fcmp("oeq", y, 0.0), ratio, whole)


def remainder(b: Builder, x: Value, y: Value) -> Value:
    """x % y as in npy_divmod: fmod's, moved to y's sign; a zero has y's sign too; NaN for y = 0."""
    rest = fmod(b, x, y)
    moved = b.select(_opposed(b, rest, y), b.fadd(rest, y), rest)
    return b.select(b.fcmp("oeq", rest, 0.0), b.copysign(rest, y), moved)


def maximum(b: Builder, x: Value, y: Value) -> Value:
    """The larger one; NaN if either is; of two zeros the second, as SSE's maxps has it."""
    larger = b.select(b.fcmp("ogt", x, y), x, y)
    return b.select(b.fcmp("uno", x, x), x, larger)


def minimum(b: Builder, x: Value, y: Value) -> Value:
    """The smaller one; NaN if either is; of two zeros the second."""
    smaller = b.select(b.fcmp("olt", x, y), x, y)
    return b.select(b.fcmp("uno", x, x), x, smaller)


def sign(b: Builder, x: Value) -> Value:
    """-1, 0 or 1; NaN stays; 0.0 for -0.0."""
    one = constant(x.type, 1.0)
    nonzero = b.select(b.fcmp("oeq", x, 0.0), 0.0, b.copysign(one, x))
    return b.select(b.fcmp("uno", x, x), x, nonzero)
