"""Typed SSA values and the type strings of LLVM IR: what a value is, how a constant is spelt.

Invariant: a type is LLVM's own spelling (``"float"``, ``"<32 x i1>"``, ``"ptr"``), so a value prints as the
operand that it is, and two types are the same type exactly when the strings are equal.
"""

from __future__ import annotations

import math
import struct
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from graphc.errors import CodegenError


class Value(NamedTuple):
    """A typed operand: an SSA register, a parameter, a global, or a constant written in place."""

    type: str
    name: str

    def __str__(self) -> str:
        return f"{self.type} {self.name}"


#: What the instructions accept: a value, or a Python number that takes the other operand's type.
Operand = Value | int | float

NULL = Value("ptr", "null")

#: Fast-math flags that keep NaN, infinities and rounding order: ordinary arithmetic uses these.
FAST = "contract nsz"
#: No flag at all: for steps whose very rounding is the point (magic-number rounding, compensated sums).
EXACT = ""

# dtype -> (type in memory, type in a register). NumPy stores bool as a byte; LLVM computes with i1.
_DTYPES = {
    "bool": ("i8", "i1"),
    "int8": ("i8", "i8"), "uint8": ("i8", "i8"),
    "int16": ("i16", "i16"), "uint16": ("i16", "i16"),
    "int32": ("i32", "i32"), "uint32": ("i32", "i32"),
    "int64": ("i64", "i64"), "uint64": ("i64", "i64"),
    "float32": ("float", "float"), "float64": ("double", "double"),
}  # fmt: skip

# element type -> (bytes, spelling inside an intrinsic's mangled name)
_ELEMENTS = {
    "i1": (1, "i1"), "i8": (1, "i8"), "i16": (2, "i16"), "i32": (4, "i32"), "i64": (8, "i64"),
    "i128": (16, "i128"), "float": (4, "f32"), "double": (8, "f64"), "ptr": (8, "p0"),
}  # fmt: skip

FLOATS = ("float", "double")
#: The integer type as wide as a float type: for looking at its bits.
BITS_OF = {"float": "i32", "double": "i64"}


def memory_type(dtype: np.dtype | type | str) -> str:
    """The element type that an array of this dtype holds in memory."""
    return _dtype_entry(dtype)[0]


def register_type(dtype: np.dtype | type | str) -> str:
    """The element type that values of this dtype have in registers."""
    return _dtype_entry(dtype)[1]


def _dtype_entry(dtype: np.dtype | type | str) -> tuple[str, str]:
    name = np.dtype(dtype).name
    try:
        return _DTYPES[name]
    except KeyError:
        raise CodegenError(f"emitter: no machine type for dtype {name}") from None


def vector(element: str, lanes: int) -> str:
    """The type of ``lanes`` elements; one lane is the element itself, so code stays lane-generic."""
    return element if lanes == 1 else f"<{lanes} x {element}>"


@lru_cache(maxsize=1024)
def split_type(type_: str) -> tuple[str, int]:
    """(element type, lanes) of a scalar or vector type."""
    if not type_.startswith("<"):
        return type_, 1
    lanes, _, element = type_[1:-1].partition(" x ")
    return element, int(lanes)


def element_type(type_: str) -> str:
    """The element type of a scalar or vector type."""
    return split_type(type_)[0]


def lanes_of(type_: str) -> int:
    """How many lanes a type has; 1 for a scalar."""
    return split_type(type_)[1]


def like(type_: str, element: str) -> str:
    """The type with as many lanes as ``type_`` and another element."""
    return vector(element, split_type(type_)[1])


def element_bytes(type_: str) -> int:
    """Bytes of one element in memory, which is also its natural alignment."""
    element = split_type(type_)[0]
    try:
        return _ELEMENTS[element][0]
    except KeyError:
        raise CodegenError(f"emitter: {type_} is not a type of fixed size") from None


def mangled(type_: str) -> str:
    """The type's spelling inside an intrinsic's name: ``<8 x float>`` is ``v8f32``."""
    element, lanes = split_type(type_)
    short = _ELEMENTS[element][1]
    return short if lanes == 1 else f"v{lanes}{short}"


def constant(type_: str, value: int | float) -> Value:
    """A constant of the type; every lane of a vector holds it. Floats are exact, NaN and -0.0 included."""
    element, lanes = split_type(type_)
    literal = _literal(element, value)
    return Value(type_, literal if lanes == 1 else f"splat ({element} {literal})")


def constant_lanes(element: str, values: list[int] | list[float]) -> Value:
    """A constant vector with these lanes."""
    body = ", ".join(f"{element} {_literal(element, value)}" for value in values)
    return Value(vector(element, len(values)), f"<{body}>")


def literal(element: str, value: int | float) -> str:
    """How a constant of a scalar type is spelt."""
    return _literal(element, value)


def _literal(element: str, value: int | float) -> str:
    if element in FLOATS:
        return _float_literal(element, float(value))
    if element == "i1":
        return "true" if value else "false"
    if element == "ptr":
        return "null" if value == 0 else f"inttoptr (i64 {int(value)} to ptr)"
    if isinstance(value, float) and not value.is_integer():
        raise CodegenError(f"emitter: {value!r} is not a constant of type {element}")
    return str(int(value))


def _float_literal(element: str, value: float) -> str:
    """LLVM writes both floats as the bits of a double; a float's must be exactly representable."""
    if element == "float" and not math.isnan(value):
        try:
            value = struct.unpack("f", struct.pack("f", value))[0]
        except OverflowError:  # struct refuses what rounding to float would send to infinity
            value = math.copysign(math.inf, value)
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"
