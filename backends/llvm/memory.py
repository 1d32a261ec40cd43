"""The arena: where each intermediate lies for given sizes, and the memory of one call in flight.

Invariant: two buffers share bytes only if no step needs both; the arena's size is known before a call runs.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from graphc.backends.llvm.blueprint import Blueprint, Scratch
from graphc.ir import dims
from graphc.ir.dims import Size

ALIGNMENT = 64
#: Buffers at exact power-of-two distances share cache sets; each one starts some lines further on.
_STAGGER = 3 * ALIGNMENT


class Layout(NamedTuple):
    """Byte offsets of the arena's buffers, by slot, for one set of sizes; that of scratch memory; and the total."""

    offsets: Mapping[int, int]
    scratch: int
    total: int


def layout(blueprint: Blueprint, sizes: Mapping[str, int], threads: int = 1) -> Layout:
    """Place the arena's buffers: in order of their first step, each in the lowest gap that is free as long."""
    lives = {slot: place.life for slot, place in enumerate(blueprint.places) if place.life is not None}
    offsets: dict[int, int] = {}
    ending: dict[int, list[int]] = {}
    for slot, (_, last) in lives.items():
        ending.setdefault(last, []).append(slot)
    free = _FreeSpace()
    placed: dict[int, tuple[int, int]] = {}
    done = 0
    for slot, (first, _) in sorted(lives.items(), key=lambda item: item[1][0]):
        while done < first:
            for finished in ending.get(done, ()):
                free.give(*placed[finished])
            done += 1
        size = _rounded(dims.evaluate(blueprint.places[slot].nbytes, sizes)) + _STAGGER
        offset = free.take(size)
        offsets[slot] = offset
        placed[slot] = (offset, size)
    scratch = max((_needed(need, sizes, threads) for need in blueprint.scratch), default=0)
    return Layout(offsets, free.end, free.end + _rounded(scratch) + ALIGNMENT)


def scratch_stride(nbytes: Size) -> Size:
    """How far apart the scratch of two threads lies: whole cache lines."""
    return (nbytes + 127) // 64 * 64


def _needed(need: Scratch, sizes: Mapping[str, int], threads: int) -> int:
    """Scratch of one step: for each thread that may share it."""
    if need.nbytes == 0:
        return 0
    one = dims.evaluate(scratch_stride(need.nbytes), sizes)
    return one * threads if need.is_shared else one


def _rounded(size: int) -> int:
    return (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


class _FreeSpace:
    """Gaps below `end`, in address order, joined where they touch."""

    def __init__(self) -> None:
        self.end = 0
        self._gaps: list[tuple[int, int]] = []

    def take(self, size: int) -> int:
        """The start of a stretch of `size` bytes: the smallest gap that holds it, else the end."""
        best = min((gap for gap in self._gaps if gap[1] >= size), key=lambda gap: gap[1], default=None)
        if best is None:
            start = self.end
            if self._gaps and sum(self._gaps[-1]) == self.end:  # a last gap that is too small grows
                start = self._gaps.pop()[0]
            self.end = start + size
            return start
        self._gaps.remove(best)
        if best[1] > size:
            self.give(best[0] + size, best[1] - size)
        return best[0]

    def give(self, start: int, size: int) -> None:
        """A stretch is free again."""
        position = bisect.bisect(self._gaps, (start, size))
        if position < len(self._gaps) and self._gaps[position][0] == start + size:
            size += self._gaps.pop(position)[1]
        if position > 0 and sum(self._gaps[position - 1]) == start:
            before = self._gaps.pop(position - 1)
            start, size = before[0], before[1] + size
            position -= 1
        self._gaps.insert(position, (start, size))


def aligned_bytes(count: int) -> np.ndarray:
    """Fresh memory whose address is a multiple of `ALIGNMENT`.

    Raises:
        MemoryError: there is not that much.
    """
    raw = np.empty(count + ALIGNMENT, np.uint8)
    start = -raw.__array_interface__["data"][0] % ALIGNMENT
    return raw[start : start + count]
