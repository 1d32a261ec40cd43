"""Pages of LLVM's library that nobody needs any more, given back to the system.

The library is 160 MB long, and what its 700 initialisers touch when it is loaded stays in the process's memory: 35 MB,
of which little is needed again. Who needs such a page after all gets it again, in a microsecond, from the system's
cache of files. (To give all back after each program costs the next one 8 ms.)

Invariant: only pages that are as they are in the file are given back: those of segments that are never written.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import sys
from functools import cache
from pathlib import Path
from typing import Any

_NAME = "libllvmlite.so"
#: See the System V ABI, chapter 5: of the file's header, where its program headers are; then what we read of those.
_HEADER, _HEADER_SIZE = struct.Struct("<4s28xQ14xHH"), 64
_PROGRAM_HEADER = struct.Struct("<II8xQ8x8xQ8x")
_LOADED, _WRITABLE = 1, 2


def give_back() -> None:
    """Let the system have the library's pages that are as they are in the file; it may be in use meanwhile."""
    for start, size in _stretches():
        _madvise()(start, size, mmap.MADV_DONTNEED)  # advice: that it is not taken is no trouble


@cache
def _stretches() -> list[tuple[int, int]]:
    """Where in memory such pages are: first addresses and bytes. Nowhere, where systems do this otherwise."""
    if sys.platform != "linux" or struct.calcsize("P") != 8:
        return []
    base = _base()
    return [] if base is None else segments_never_written(base)


def _base() -> int | None:
    """The address at which the library's file begins, if the system tells."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        addresses, _, offset, *_ = line.split(maxsplit=3)
        if os.path.basename(line) == _NAME and int(offset, 16) == 0:
            return int(addresses.partition("-")[0], 16)
    return None


def segments_never_written(base: int) -> list[tuple[int, int]]:
    """The whole pages in memory, as first addresses and bytes, of the segments that nobody writes.

    Args:
        base: where an ELF file of 64 bits is mapped.
    """
    magic, first, size, count = _HEADER.unpack(ctypes.string_at(base, _HEADER_SIZE)[: _HEADER.size])
    if magic != b"\x7fELF":
        return []
    headers = ctypes.string_at(base + first, size * count)
    found = []
    for number in range(count):
        kind, flags, address, length = _PROGRAM_HEADER.unpack_from(headers, size * number)
        if kind == _LOADED and not flags & _WRITABLE:
            start = -(-(base + address) // mmap.PAGESIZE) * mmap.PAGESIZE
            end = (base + address + length) // mmap.PAGESIZE * mmap.PAGESIZE
            found.append((start, max(0, end - start)))
    return found


@cache
def _madvise() -> Any:
    function = ctypes.CDLL(None).madvise
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return function


__all__ = ["give_back", "segments_never_written"]
