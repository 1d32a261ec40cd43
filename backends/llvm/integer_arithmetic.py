"""Integer arithmetic that is not one instruction: division, remainders, shifts, powers.

All wraps. By NumPy's definitions x // 0 = x % 0 = 0, MIN // -1 = MIN, and a shift by a negative count, or by
the whole width or more, shifts everything out.

Machines have no vector division, and the scalar one traps. Up to 32 bits the quotient is taken in floats that
hold the operands exactly. With p significant bits, x / y is either an integer, and then exact, or at least
1 / abs(y) away from the next one; rounding moves it by at most abs(x / y) 2^-p, less than that: abs(x) < 2^p.

Invariant: nothing here traps for any operands, and no poison is selected.
"""

from __future__ import annotations

from graphc.backends.llvm.emitter import Builder, Value, constant, element_type

#: The float in which quotients of these integers are exact after truncation; 64 bits have none.
_EXACT_IN = {"i8": "float", "i16": "float", "i32": "double"}
_WIDTH = {"i8": 8, "i16": 16, "i32": 32, "i64": 64}


def _signed_quotient(b: Builder, x: Value, y: Value) -> Value:
    """x / y towards zero; y is neither 0 nor -1."""
    element = element_type(x.type)
    wide = _EXACT_IN.get(element)
    if wide is None:
        return b.sdiv(x, y)
    return b.fptosi(b.fdiv(b.sitofp(x, wide), b.sitofp(y, wide)), element)


def _unsigned_quotient(b: Builder, x: Value, y: Value) -> Value:
    """x / y rounded down; y is not 0."""
    element = element_type(x.type)
    wide = _EXACT_IN.get(element)
    if wide is None:
        return b.udiv(x, y)
    return b.fptoui(b.fdiv(b.uitofp(x, wide), b.uitofp(y, wide)), element)


def _signed_division(b: Builder, x: Value, y: Value) -> tuple[Value, Value, Value]:
    """(is y 0 or -1?, quotient towards zero, remainder), the latter two for y = 1 where it is."""
    special = b.icmp("ult", b.add(y, 1), 2)
    divisor = b.select(special, 1, y)
    quotient = _signed_quotient(b, x, divisor)
    return special, quotient, b.sub(x, b.mul(quotient, divisor))


def _opposed(b: Builder, remainder: Value, y: Value) -> Value:
    """Does a remainder with x's sign, other than 0, need a step towards y's sign?"""
    return b.and_(b.icmp("ne", remainder, 0), b.icmp("slt", b.xor(remainder, y), 0))


def signed_floor_divide(b: Builder, x: Value, y: Value) -> Value:
    """x // y, rounded down. For y = 0 and y = -1 it is x * y, which wraps at MIN as it should."""
    special, quotient, remainder = _signed_division(b, x, y)
    lower = b.select(_opposed(b, remainder, y), b.sub(quotient, 1), quotient)
    return b.select(special, b.mul(x, y), lower)


def signed_remainder(b: Builder, x: Value, y: Value) -> Value:
    """x - y * (x // y), which has y's sign; 0 for y = 0."""
    special, _, remainder = _signed_division(b, x, y)
    moved = b.select(_opposed(b, remainder, y), b.add(remainder, y), remainder)
    return b.select(special, 0, moved)


def signed_fmod(b: Builder, x: Value, y: Value) -> Value:
    """C's remainder, which has x's sign; 0 for y = 0."""
    special, _, remainder = _signed_division(b, x, y)
    return b.select(special, 0, remainder)


def unsigned_floor_divide(b: Builder, x: Value, y: Value) -> Value:
    """x // y; 0 for y = 0."""
    zero = b.icmp("eq", y, 0)
    return b.select(zero, 0, _unsigned_quotient(b, x, b.select(zero, 1, y)))


def unsigned_remainder(b: Builder, x: Value, y: Value) -> Value:
    """x - y * (x // y); 0 for y = 0."""
    zero = b.icmp("eq", y, 0)
    divisor = b.select(zero, 1, y)
    return b.select(zero, 0, b.sub(x, b.mul(_unsigned_quotient(b, x, divisor), divisor)))


def left_shift(b: Builder, x: Value, count: Value) -> Value:
    """x << count; a negative count is a large one when read without its sign."""
    return b.select(b.icmp("ult", count, _WIDTH[element_type(x.type)]), b.shl(x, count), 0)


def signed_right_shift(b: Builder, x: Value, count: Value) -> Value:
    """x >> count, filled with the sign."""
    return b.ashr(x, b.intrinsic("umin", count, _WIDTH[element_type(x.type)] - 1))


def unsigned_right_shift(b: Builder, x: Value, count: Value) -> Value:
    """x >> count, filled with zeros."""
    return b.select(b.icmp("ult", count, _WIDTH[element_type(x.type)]), b.lshr(x, count), 0)


def unsigned_power(b: Builder, x: Value, exponent: Value) -> Value:
    """x ** exponent by squaring; as many steps as the largest exponent of the lanes has bits."""
    one = constant(x.type, 1)
    with b.forever(carried=[one, x, exponent]) as loop:
        result, square, rest = loop.carried
        odd = b.icmp("ne", b.and_(rest, 1), 0)
        result = b.select(odd, b.mul(result, square), result)
        rest = b.lshr(rest, 1)
        loop.exit_if(b.not_(b.any(b.icmp("ne", rest, 0))), result, square, rest)
        loop.next(result, b.mul(square, square), rest)
    return loop.results[0]


def signed_power(b: Builder, x: Value, exponent: Value) -> Value:
    """x ** exponent; for a negative exponent 1 / x**-exponent towards zero, and 0 for x = 0.

    That is 0 unless x is 1 or -1, whose powers depend on the exponent's last bit alone.
    """
    inverse = b.icmp("slt", exponent, 0)
    result = unsigned_power(b, x, b.select(inverse, b.and_(exponent, 1), exponent))
    unit = b.icmp("ult", b.add(x, 1), 3)  # -1, 0 or 1
    vanishes = b.and_(inverse, b.or_(b.not_(unit), b.icmp("eq", x, 0)))
    return b.select(vanishes, 0, result)


def absolute(b: Builder, x: Value) -> Value:
    """abs(x); MIN stays."""
    return b.intrinsic("smax", x, b.sub(0, x))


def negative(b: Builder, x: Value) -> Value:
    """0 - x; MIN stays."""
    return b.sub(0, x)


def signed_maximum(b: Builder, x: Value, y: Value) -> Value:
    """The larger one."""
    return b.intrinsic("smax", x, y)


def unsigned_maximum(b: Builder, x: Value, y: Value) -> Value:
    """The larger one."""
    return b.intrinsic("umax", x, y)


def signed_minimum(b: Builder, x: Value, y: Value) -> Value:
    """The smaller one."""
    return b.intrinsic("smin", x, y)


def unsigned_minimum(b: Builder, x: Value, y: Value) -> Value:
    """The smaller one."""
    return b.intrinsic("umin", x, y)


def signed_sign(b: Builder, x: Value) -> Value:
    """-1, 0 or 1."""
    return b.intrinsic("smin", b.intrinsic("smax", x, -1), 1)


def unsigned_sign(b: Builder, x: Value) -> Value:
    """0 or 1."""
    return b.intrinsic("umin", x, 1)
