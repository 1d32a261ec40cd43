"""The types of tensors: a dtype and a shape, or a tuple of such for an op with several results.

Invariant: dtypes are native-endian `np.dtype`s out of `DTYPES`; a shape is a tuple of sizes (`int` or `Dim`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.errors import DTypeError, nearest
from graphc.ir.dims import Size, product

#: Short name in the textual IR -> dtype. float16 and bfloat16 would be two more lines here.
DTYPES: dict[str, np.dtype[Any]] = {
    "bool": np.dtype(np.bool_),
    "i8": np.dtype(np.int8),
    "i16": np.dtype(np.int16),
    "i32": np.dtype(np.int32),
    "i64": np.dtype(np.int64),
    "u8": np.dtype(np.uint8),
    "u16": np.dtype(np.uint16),
    "u32": np.dtype(np.uint32),
    "u64": np.dtype(np.uint64),
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
}
SHORT_NAMES = {dtype: name for name, dtype in DTYPES.items()}

BOOL = DTYPES["bool"]
SIGNED = tuple(DTYPES[n] for n in ("i8", "i16", "i32", "i64"))
UNSIGNED = tuple(DTYPES[n] for n in ("u8", "u16", "u32", "u64"))
INTEGERS = SIGNED + UNSIGNED
FLOATS = (DTYPES["f32"], DTYPES["f64"])
NUMERIC = INTEGERS + FLOATS
ALL_DTYPES = (BOOL, *NUMERIC)


def as_dtype(dtype: Any) -> np.dtype[Any]:
    """The native-endian dtype that `dtype` names.

    >>> as_dtype("float32"), as_dtype("f32"), as_dtype(bool)
    (dtype('float32'), dtype('float32'), dtype('bool'))

    Raises:
        DTypeError: it is not a dtype, or one that graphc has no arithmetic for (complex, strings, objects).
    """
    if isinstance(dtype, str) and dtype in DTYPES:
        return DTYPES[dtype]
    try:
        found = np.dtype(dtype).newbyteorder("=")
    except TypeError:
        known = [d.name for d in ALL_DTYPES]
        raise DTypeError(f"{dtype!r} is not a dtype", hint=nearest(str(dtype), known)) from None
    if found not in SHORT_NAMES:
        names = ", ".join(d.name for d in ALL_DTYPES)
        raise DTypeError(f"dtype {found} is not supported; supported are {names}")
    # NumPy's own object: native calls know an array's dtype by its address, and arrays inherit that of `found`.
    return DTYPES[SHORT_NAMES[found]]


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether `dtype` is a floating-point one."""
    return dtype.kind == "f"


@dataclass(frozen=True, slots=True)
class TensorType:
    """The dtype and shape of one array.

    >>> TensorType(as_dtype("f32"), (2, 3))
    f32[2,3]
    """

    dtype: np.dtype[Any]
    shape: tuple[Size, ...]

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> Size:
        """The number of elements."""
        return product(self.shape)

    def with_shape(self, shape: tuple[Size, ...]) -> TensorType:
        """The same dtype with another shape."""
        return TensorType(self.dtype, shape)

    def with_dtype(self, dtype: np.dtype[Any]) -> TensorType:
        """The same shape with another dtype."""
        return TensorType(dtype, self.shape)

    def __repr__(self) -> str:
        return f"{SHORT_NAMES[self.dtype]}[{','.join(map(str, self.shape))}]"


@dataclass(frozen=True, slots=True)
class TupleType:
    """The types of the results of an op that has several; `get` picks one."""

    items: tuple[TensorType, ...]

    def __repr__(self) -> str:
        return f"({', '.join(map(repr, self.items))})"


Type = TensorType | TupleType
