"""Which Python and NumPy values may stand in for a tensor of some dtype: feeds, assignments, updates, givens.

| value | is taken where |
|---|---|
| Python numbers, and lists of them | the dtype is of their kind or a later one (bool, integer, float), and holds them |
| arrays and NumPy scalars | NumPy casts their dtype by the given rule, "safe" or "same_kind" |

Invariant: a Python number is never truncated or wrapped around.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from graphc.errors import DTypeError

_KINDS = {"b": 0, "i": 1, "u": 1, "O": 1, "f": 2}  # O: Python integers of any size


def accept(value: Any, dtype: np.dtype[Any], casting: Literal["safe", "same_kind"]) -> np.ndarray:
    """`value` as an array of `dtype`; a copy only where it must be.

    Raises:
        DTypeError: the table above does not take it; the message says why, in words without a subject.
        TypeError, ValueError: NumPy makes no array of it.

    >>> accept([1, 2], np.dtype("float32"), "safe")
    array([1., 2.], dtype=float32)
    """
    array = np.asarray(value)
    if array.dtype == dtype:
        return np.asarray(array, dtype)
    if not hasattr(value, "dtype") and (array.dtype == object or (array.dtype.kind == "f" and dtype.kind in "iu")):
        array = _python_integers(value, array)
    if hasattr(value, "dtype"):
        if not np.can_cast(array.dtype, dtype, casting):
            raise DTypeError(f"cannot take an array of {array.dtype} without losing values")
    elif array.size and _KINDS.get(array.dtype.kind, 3) > _KINDS[dtype.kind]:
        raise DTypeError(f"cannot take values of {array.dtype} without losing them")
    elif array.size and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        for extreme in (array.min(), array.max()):
            if not limits.min <= int(extreme) <= limits.max:
                raise DTypeError(f"cannot hold {extreme}")
    with np.errstate(over="ignore"):  # 1e300 as float32 is infinite, as NumPy has it
        return array.astype(dtype)


def _python_integers(value: Any, array: np.ndarray) -> np.ndarray:
    """`value` as Python integers if it consists of those: NumPy makes floats of `[2**63, -1]`.

    Raises:
        DTypeError: it is made of neither numbers that NumPy has a dtype for nor Python integers.
    """
    elements = np.asarray(value, object)
    if all(isinstance(element, int) for element in elements.flat):
        return elements
    if array.dtype == object:
        raise DTypeError("cannot take Python objects")
    return array
