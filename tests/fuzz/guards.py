"""Memory with guards around it, for compiled programs: a write outside a buffer is found when the call ends.

    | 0xA5 ... | output or arena | 0xA5 ... |

What a program allocates is also filled with 0xA5 first, so that what is read before it was written is the same
garbage each time and no zeros.

Invariant: only allocations of `backends.llvm.program` are guarded; what they hold is not changed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from graphc.backends.llvm import frames

_GUARD = 512
_BYTE = 0xA5


class Guards:
    """The guarded allocations made so far."""

    def __init__(self) -> None:
        self._blocks: list[tuple[np.ndarray, int, int, str]] = []

    def take(self, count: int, what: str) -> np.ndarray:
        """So many bytes, at a multiple of 64, with guards on both sides."""
        raw = np.full(count + 2 * _GUARD + 64, _BYTE, np.uint8)
        start = _GUARD + -(raw.__array_interface__["data"][0] + _GUARD) % 64
        self._blocks.append((raw, start, count, what))
        return raw[start : start + count]

    def empty(self, shape: Any, dtype: Any = np.float64) -> np.ndarray:
        """`numpy.empty` in guarded memory."""
        extents = (shape,) if np.ndim(shape) == 0 else tuple(shape)
        count = int(np.prod(extents, dtype=np.int64)) * np.dtype(dtype).itemsize
        return self.take(count, f"output {np.dtype(dtype)}{list(extents)}").view(dtype).reshape(extents)

    def broken(self) -> str | None:
        """Which allocation was written around, and where; None if none was."""
        for raw, start, count, what in self._blocks:
            for first, part in ((0, raw[:start]), (start + count, raw[start + count :])):
                wrong = np.flatnonzero(part != _BYTE)
                if wrong.size:
                    place = int(wrong[0]) + first - start
                    return f"{what} of {count} bytes: {wrong.size} bytes around it were written, one at {place}"
        return None


class _Numpy:
    """The module `numpy` with another `empty`."""

    def __init__(self, guards: Guards) -> None:
        self.empty = guards.empty

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


@contextlib.contextmanager
def guarded() -> Iterator[Guards]:
    """Give the programs that run inside guarded memory."""
    guards = Guards()
    before = frames.np, frames.aligned_bytes
    frames.np = _Numpy(guards)  # type: ignore[attr-defined]
    frames.aligned_bytes = lambda count: guards.take(count, "arena")  # type: ignore[attr-defined]
    try:
        yield guards
    finally:
        frames.np, frames.aligned_bytes = before  # type: ignore[attr-defined]
