"""The functions that are one or a few exact instructions: roots, rounding, signs, classes, neighbours.

Invariant: each gives the correctly rounded or exact result (rsqrt: two roundings).
"""

from __future__ import annotations

import math

from graphc.backends.llvm.emitter import Builder, Value, constant
from graphc.backends.llvm.vector_math.formats import exact, format_of


@exact
def sqrt(b: Builder, x: Value) -> Value:
    """The square root; NaN for negative numbers, -0.0 for -0.0."""
    return b.sqrt(x)


@exact
def rsqrt(b: Builder, x: Value) -> Value:
    """1 / sqrt(x), with the precise division and root."""
    return b.fdiv(1.0, b.sqrt(x))


@exact
def floor(b: Builder, x: Value) -> Value:
    """The largest integer not above x."""
    return b.intrinsic("floor", x)


@exact
def ceil(b: Builder, x: Value) -> Value:
    """The smallest integer not below x."""
    return b.intrinsic("ceil", x)


@exact
def trunc(b: Builder, x: Value) -> Value:
    """x without its fraction."""
    return b.intrinsic("trunc", x)


@exact
def round_half_even(b: Builder, x: Value) -> Value:
    """The nearest integer, ties to even: NumPy's rint and round.

    ``rint`` rather than ``roundeven``: both are one instruction where there is one, but only the first is in
    every libm, for where there is none.
    """
    return b.intrinsic("rint", x)


@exact
def copysign(b: Builder, x: Value, y: Value) -> Value:
    """abs(x) with y's sign."""
    return b.copysign(x, y)


def signbit(b: Builder, x: Value) -> Value:
    """Is the sign bit set (of -0.0 and NaN too)?"""
    return b.icmp("slt", b.bits(x), 0)


def isnan(b: Builder, x: Value) -> Value:
    """Is it NaN?"""
    return b.fcmp("uno", x, x)


def isinf(b: Builder, x: Value) -> Value:
    """Is it an infinity?"""
    return b.fcmp("oeq", b.fabs(x), math.inf)


def isfinite(b: Builder, x: Value) -> Value:
    """Is it neither NaN nor an infinity?"""
    return b.fcmp("olt", b.fabs(x), math.inf)


@exact
def fmod(b: Builder, x: Value, y: Value) -> Value:
    """C's fmod: exact, with x's sign; NumPy's fmod."""
    return b.frem(x, y)


@exact
def nextafter(b: Builder, x: Value, y: Value) -> Value:
    """The neighbour of x towards y: one step of the bits, away from 0 or towards it."""
    fmt = format_of(x)
    i = b.bits(x)
    away = b.icmp("eq", b.fcmp("ogt", y, x), b.fcmp("ogt", x, 0.0))
    step = b.select(away, constant(i.type, 1), constant(i.type, -1))
    moved = b.from_bits(b.add(i, step))
    smallest = b.from_bits(b.or_(b.and_(b.bits(y), fmt.sign_bit), 1))
    moved = b.select(b.fcmp("oeq", x, 0.0), smallest, moved)
    moved = b.select(b.fcmp("oeq", x, y), y, moved)
    return b.select(b.fcmp("uno", x, y), b.fadd(x, y), moved)
