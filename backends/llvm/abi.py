"""Where CPython and NumPy keep what native code looks at: struct offsets, addresses of functions and types.

Native calls read array structs directly. The offsets are those of every NumPy 2 on 64-bit CPython with the
GIL; they are tested once per process on real arrays, and if anything is not where it should be, calls go
through ctypes instead.

Invariant: nothing here is trusted before `native_calls_work()` has seen it hold.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

# PyObject and PyArrayObject_fields, in bytes.
OB_TYPE = 8
ARRAY_DATA = 16
ARRAY_NDIM = 24
ARRAY_DIMS = 32
ARRAY_DESCR = 56
ARRAY_FLAGS = 64
C_CONTIGUOUS_ALIGNED = 0x1 | 0x100

# PyMethodDef flags.
METH_FASTCALL_KEYWORDS = 0x80 | 0x02

# NumPy's C API table.
_NDARRAY_TYPE = 2
_NEW_FROM_DESCR = 94

_PYTHON_FUNCTIONS = (
    "PyObject_Vectorcall", "PyEval_SaveThread", "PyEval_RestoreThread", "PyList_New", "PyList_SetItem",
    "PyTuple_New", "PyTuple_SetItem", "PyObject_CallNoArgs", "Py_IncRef", "Py_DecRef",
)  # fmt: skip


class MethodDef(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


def _numpy_table() -> Any:
    # The module of the capsule that C extensions import too; NumPy's stubs leave it out.
    from numpy._core import _multiarray_umath  # type: ignore[attr-defined]

    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    address = pointer(_multiarray_umath._ARRAY_API, None)
    return (ctypes.c_void_p * (_NEW_FROM_DESCR + 1)).from_address(address)


@cache
def symbols() -> Mapping[str, int]:
    """The address of each function and type that native calls use, by the name that the IR gives it."""
    found = {
        name: ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0 for name in _PYTHON_FUNCTIONS
    }
    found["numpy_ndarray"] = id(np.ndarray)
    found["numpy_new_from_descr"] = _numpy_table()[_NEW_FROM_DESCR] or 0
    return found


def descr_symbol(dtype: np.dtype) -> tuple[str, int]:
    """The symbol and address of NumPy's one object for a native dtype."""
    return f"numpy_{dtype.name}", id(np.dtype(dtype.name))


@cache
def native_calls_work() -> bool:
    """Whether this interpreter lays arrays out as the offsets say."""
    if sys.implementation.name != "cpython" or struct.calcsize("P") != 8:
        return False
    # Objects of a Python without the GIL, or with tracing of references, begin otherwise.
    if object.__basicsize__ != 2 * struct.calcsize("P") or hasattr(sys, "gettotalrefcount"):
        return False
    try:
        return _numpy_table()[_NDARRAY_TYPE] == id(np.ndarray) and all(map(_laid_out_as_expected, _samples()))
    except (ImportError, AttributeError, ValueError, OSError):
        return False


def _samples() -> list[np.ndarray]:
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    return [base, base[:, ::2], np.zeros((), np.int64), np.zeros((2, 0, 3), np.bool_), base.T]


def _laid_out_as_expected(array: np.ndarray) -> bool:
    address = id(array)

    def word(offset: int, kind: Any = ctypes.c_int64) -> int:
        return kind.from_address(address + offset).value

    dims = [ctypes.c_int64.from_address(word(ARRAY_DIMS) + 8 * axis).value for axis in range(array.ndim)]
    flags = word(ARRAY_FLAGS, ctypes.c_int32)
    return (
        word(OB_TYPE) == id(np.ndarray)
        and word(ARRAY_DATA) == array.__array_interface__["data"][0]
        and word(ARRAY_NDIM, ctypes.c_int32) == array.ndim
        and dims == list(array.shape)
        and word(ARRAY_DESCR) == id(np.dtype(array.dtype.name))
        and bool(flags & 0x1) == array.flags.c_contiguous
        and bool(flags & 0x100) == array.flags.aligned
    )
