"""Casts between dtypes, as NumPy's ``astype`` does them.

What fits is exact or rounded once, to nearest; integers keep their low bits; true is 1, and everything but
zero is true, NaN too. What becomes of a float that does not fit is the machine's choice in C, so in NumPy:

    x86-64: the conversion instructions give the most negative int32 or int64 for NaN and out of range. Narrow
            integers are the low bits of an int32, uint32 those of an int64. uint64 is the signed conversion
            of x or, from 2^63 on, of x less that, which flipping the top bit adds again.
    others: the nearest integer that fits, 0 for NaN (what ARM's and WebAssembly's instructions do).

NumPy 2.4 on x86-64 is of two minds about floats outside (-2^31, 2^32) as uint32: the full vectors of a
contiguous array convert as above; 0-d and strided arrays, and what is left over after the last full vector,
by way of int64. A value must not depend on where its element stands, so the `cast` op is defined by way of
int64 throughout, and so is the rule here.

Invariant: no conversion is poison: its value is selected only where LLVM defines it.
"""

from __future__ import annotations

import numpy as np

from graphc.backends.llvm.emitter import Builder, Value, constant, element_type, like, register_type
from graphc.backends.llvm.values import mangled

_BITS = {"i1": 1, "i8": 8, "i16": 16, "i32": 32, "i64": 64}


def from_boolean(b: Builder, x: Value, *, dtype: np.dtype) -> Value:
    """0 or 1."""
    element = register_type(dtype)
    return b.uitofp(x, element) if dtype.kind == "f" else b.zext(x, element)


def from_signed(b: Builder, x: Value, *, dtype: np.dtype) -> Value:
    """A signed integer in another dtype."""
    if dtype.kind == "f":
        return b.sitofp(x, register_type(dtype))
    return _resized(b, x, dtype, "sext")


def from_unsigned(b: Builder, x: Value, *, dtype: np.dtype) -> Value:
    """An unsigned integer in another dtype."""
    if dtype.kind == "f":
        return b.uitofp(x, register_type(dtype))
    return _resized(b, x, dtype, "zext")


def _resized(b: Builder, x: Value, dtype: np.dtype, extend: str) -> Value:
    if dtype.kind == "b":
        return b.icmp("ne", x, 0)
    element = register_type(dtype)
    grows = _BITS[element] > _BITS[element_type(x.type)]
    return b.cast(extend if grows else "trunc", x, element)


def from_float(b: Builder, x: Value, *, dtype: np.dtype) -> Value:
    """A float in another dtype, integers towards zero."""
    if dtype.kind == "b":
        return b.fcmp("une", x, 0.0)
    element = register_type(dtype)
    if dtype.kind == "f":
        return b.fpcast(x, element)
    wide = "i64" if dtype.itemsize > 4 or dtype == np.uint32 else "i32"
    unsigned = dtype.kind == "u" and dtype.itemsize > 4
    if b.target.triple.startswith(("x86_64", "amd64")):
        whole = _unsigned(b, x, wide) if unsigned else _signed(b, x, wide)
    else:
        whole = _saturated(b, x, wide, "fptoui" if unsigned else "fptosi")
    return b.trunc(whole, element)


def _signed(b: Builder, x: Value, element: str) -> Value:
    """What cvttss2si and its kin give. A negative x that just does not fit has the default's value anyway."""
    half = _BITS[element] - 1
    fits = b.fcmp("olt", b.fabs(x), 2.0**half)
    return b.select(fits, b.fptosi(x, element), -1 << half)


def _unsigned(b: Builder, x: Value, element: str) -> Value:
    half = _BITS[element] - 1
    upper = b.fcmp("oge", x, 2.0**half)
    low = _signed(b, b.select(upper, b.fsub(x, 2.0**half), x), element)
    return b.xor(low, b.select(upper, constant(low.type, -1 << half), 0))


def _saturated(b: Builder, x: Value, element: str, conversion: str) -> Value:
    result = like(x.type, element)
    return b.call(result, f"llvm.{conversion}.sat.{mangled(result)}.{mangled(x.type)}", x)
