"""The two float formats, and the building steps that several functions share.

Invariant: every public function of vector_math runs without fast-math flags (``exact``), with each fused
multiply-add written as such, so its rounding is the same in any kernel, at any lane count, on any target with
fused multiply-add; and NaN lanes come out as NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

from graphc.backends.llvm.emitter import EXACT, Builder, Value, constant, element_type, like

_Function = TypeVar("_Function", bound=Callable[..., Value])


@dataclass(frozen=True)
class Format:
    """IEEE binary32 or binary64, as its bits are laid out."""

    element: str
    integer: str
    mantissa: int
    bias: int

    @property
    def magic(self) -> float:
        """1.5 * 2^mantissa: adding it rounds to an integer, which the low bits of the sum then hold."""
        return 1.5 * 2.0**self.mantissa

    @property
    def magic_bits(self) -> int:
        """The bits of ``magic``."""
        return ((self.bias + self.mantissa) << self.mantissa) | (1 << (self.mantissa - 1))

    @property
    def tiny(self) -> float:
        """The smallest normal number."""
        return 2.0 ** (1 - self.bias)

    @property
    def one_bits(self) -> int:
        """The bits of 1.0."""
        return self.bias << self.mantissa

    @property
    def sign_bit(self) -> int:
        """The sign, as a signed integer constant."""
        return -1 << (self.mantissa + (8 if self.mantissa == 23 else 11))


FORMATS = {
    "float": Format("float", "i32", 23, 127),
    "double": Format("double", "i64", 52, 1023),
}


def format_of(x: Value) -> Format:
    """The format of a value's elements."""
    return FORMATS[element_type(x.type)]


def exact(function: _Function) -> _Function:
    """Run a function of (builder, ...) without fast-math flags, whatever the kernel around it uses."""

    @wraps(function)
    def run(b: Builder, *arguments: Any, **options: Any) -> Value:
        with b.flags(EXACT):
            return function(b, *arguments, **options)

    return cast(_Function, run)


def horner(b: Builder, x: Value, coefficients: Sequence[float]) -> Value:
    """c0 + c1 x + c2 x^2 ... by Horner's scheme: the fewest instructions, and the sum is rounded once at the end."""
    result = constant(x.type, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = b.fma(result, x, constant(x.type, coefficient))
    return result


def polynomial(b: Builder, x: Value, coefficients: Sequence[float]) -> Value:
    """c0 + c1 x + c2 x^2 ...: Horner's scheme when short, else Estrin's, whose chains are shorter."""
    if len(coefficients) <= 5:
        return horner(b, x, coefficients)
    terms = [constant(x.type, c) for c in coefficients]
    power = x
    while len(terms) > 1:
        pairs = [b.fma(power, high, low) for low, high in zip(terms[::2], terms[1::2])]
        terms = pairs + ([terms[-1]] if len(terms) % 2 else [])
        if len(terms) > 1:
            power = b.fmul(power, power)
    return terms[0]


def halves(b: Builder, x: Value, square: Value, coefficients: Sequence[float]) -> Value:
    """c0 + c1 x + c2 x^2 ..., the even terms and the odd ones apart: as few instructions as Horner's scheme where
    the square is there already, in half the time."""
    even, odd = (horner(b, square, coefficients[start::2]) for start in (0, 1))
    return b.fma(odd, x, even)


def clamp(b: Builder, x: Value, low: float | None, high: float | None) -> Value:
    """x between the bounds; a NaN passes, since both comparisons are then false."""
    if high is not None:
        x = b.select(b.fcmp("ogt", x, high), constant(x.type, high), x)
    if low is not None:
        x = b.select(b.fcmp("olt", x, low), constant(x.type, low), x)
    return x


def round_by_magic(b: Builder, x: Value, factor: float) -> tuple[Value, Value]:
    """(n, t): n = x * factor rounded to an integer, and the sum t = n + magic whose low bits hold n."""
    magic = format_of(x).magic
    total = b.fma(x, factor, constant(x.type, magic))
    return b.fsub(total, magic), total


def power_of_two(b: Builder, n: Value) -> Value:
    """2^n for integers n (of the float's width) within the range of normal numbers."""
    fmt = FORMATS["float" if element_type(n.type) == "i32" else "double"]
    return b.from_bits(b.shl(b.add(n, fmt.bias), fmt.mantissa))


def times_power_of_two(b: Builder, p: Value, total: Value) -> Value:
    """p * 2^n for normal 2^n, where total = n + magic; NaN stays NaN, as it would not if n joined p's bits."""
    fmt = format_of(p)
    return b.fmul(p, b.from_bits(b.add(b.shl(b.bits(total), fmt.mantissa), fmt.one_bits)))


def high_half(b: Builder, x: Value) -> Value:
    """x with the lower half of its significand cleared: products of two such numbers are exact."""
    mask = -1 << (format_of(x).mantissa // 2 + 1)
    return b.from_bits(b.and_(b.bits(x), mask))


def two_sum(b: Builder, large: Value, small: Value) -> tuple[Value, Value]:
    """(s, e): s + e = large + small exactly, for abs(large) >= abs(small) (Dekker 1971)."""
    total = b.fadd(large, small)
    return total, b.fadd(b.fsub(large, total), small)


def two_product(b: Builder, x: Value, y: Value) -> tuple[Value, Value]:
    """(p, e): p + e = x * y, exactly with fused multiply-add; else by halves (Dekker 1971), e nearly so."""
    product = b.fmul(x, y)
    if b.has_fma:
        return product, b.fma(x, y, b.fneg(product))
    x_high, y_high = high_half(b, x), high_half(b, y)
    x_low, y_low = b.fsub(x, x_high), b.fsub(y, y_high)
    error = b.fsub(b.fmul(x_high, y_high), product)
    error = b.fadd(b.fadd(error, b.fmul(x_high, y_low)), b.fmul(x_low, y_high))
    return product, b.fadd(error, b.fmul(x_low, y_low))


def remainder_of(b: Builder, dividend: Value, quotient: Value, divisor: Value) -> Value:
    """dividend - quotient * divisor, which is small, to all its bits."""
    if b.has_fma:
        return b.fma(b.fneg(quotient), divisor, dividend)
    product, error = two_product(b, quotient, divisor)
    return b.fsub(b.fsub(dividend, product), error)


def integer_like(x: Value) -> str:
    """The integer type with x's lanes and width."""
    return like(x.type, format_of(x).integer)
