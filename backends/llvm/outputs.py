"""Memory for large results: an array that the caller has dropped is given out again.

Fresh memory costs a page fault for every 4 KiB, which takes longer than much of what is computed into it.

Invariant: an array is given out again only when nothing but this file refers to it, and it looks as it did.
"""

from __future__ import annotations

import math
import sys
import weakref
from collections import deque

import numpy as np

#: Results of at least this many bytes are kept, ...
SMALLEST = 1 << 20
#: ... if each of them has at most this many: more is too much to hold on to unasked.
LARGEST = 1 << 28
#: How many of each: the caller as a rule still has the last result while the next one is computed.
_KEPT = 2
#: The references to an array that nobody else has: `array` in `Outputs.__call__`, and the argument of `getrefcount`.
_ALONE = 2


class Outputs:
    """The arrays of one output for calls with the same sizes; called, it gives one, uninitialised."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._shape = shape
        self._dtype = dtype
        self._kept: deque[np.ndarray] = deque()

    def __call__(self) -> np.ndarray:
        """An array that nobody else has."""
        for _ in range(len(self._kept)):
            try:
                array = self._kept.popleft()
            except IndexError:  # another thread was faster
                break
            if sys.getrefcount(array) == _ALONE and self._is_as_it_was(array):
                self._kept.append(array)
                return array
            if len(self._kept) < _KEPT:
                self._kept.append(array)
        array = np.empty(self._shape, self._dtype)
        while len(self._kept) >= _KEPT:
            self._kept.popleft()
        self._kept.append(array)
        return array

    def _is_as_it_was(self, array: np.ndarray) -> bool:
        flags = array.flags
        return (
            array.shape == self._shape
            and array.dtype is self._dtype
            and flags.c_contiguous
            and flags.owndata
            and flags.writeable
            and weakref.getweakrefcount(array) == 0
        )


def outputs_for(shape: tuple[int, ...], dtype: np.dtype) -> Outputs | None:
    """What gives arrays of this kind; None where fresh ones are cheap, or where keeping them is dear."""
    size = math.prod(shape) * dtype.itemsize
    return Outputs(shape, dtype) if SMALLEST <= size <= LARGEST else None


__all__ = ["LARGEST", "SMALLEST", "Outputs", "outputs_for"]
