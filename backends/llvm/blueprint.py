"""The blueprint of a program: all that a call must know of its plan, as plain data that the disk cache can keep.

Invariant: it names no tensor and no kernel, and `from_text(to_text())` is the same blueprint.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphc.ir import dims
from graphc.ir.dims import Size
from graphc.ir.size_text import parse_size
from graphc.ir.types import DTYPES, SHORT_NAMES, TensorType


@dataclass(frozen=True, slots=True)
class Place:
    """One buffer.

    Attributes:
        kind: whose memory it is: "input", "variable", "constant", "output" or "arena".
        number: which input, variable, ... it is.
        type: dtype and shape.
        life: the first and the last step that need it, for those of the arena.
        copies: how many there are, at distances of whole cache lines.
    """

    kind: str
    number: int
    type: TensorType
    life: tuple[int, int] | None = None
    copies: int = 1

    @property
    def nbytes(self) -> Size:
        """How many bytes it has, with all copies."""
        one = self.type.size * self.type.dtype.itemsize
        return one if self.copies == 1 else copy_stride(one) * self.copies


@dataclass(frozen=True, slots=True)
class Scratch:
    """What one step needs of scratch memory.

    Attributes:
        nbytes: how much.
        is_shared: whether each thread needs that much.
    """

    nbytes: Size
    is_shared: bool


@dataclass(frozen=True, slots=True)
class Blueprint:
    """The tables that a program's entries read.

    Attributes:
        places: the buffers, in the order of the entries' table; the address of scratch memory follows them.
        scratch: the needs of the steps.
        sizes: the numbers that kernels and copies take, in the order of the entries' table.
        work: about how much a call does, in bytes moved.
        uses_pool: whether threads may share a step.
    """

    places: tuple[Place, ...]
    scratch: tuple[Scratch, ...]
    sizes: tuple[Size, ...]
    work: Size
    uses_pool: bool

    def slots(self, kind: str) -> dict[int, int]:
        """Where in the table the buffers of a kind are, by their number."""
        return {place.number: slot for slot, place in enumerate(self.places) if place.kind == kind}

    def to_text(self) -> str:
        """The blueprint as JSON."""
        places = [
            [p.kind, p.number, SHORT_NAMES[p.type.dtype], _plain(p.type.shape), p.life, p.copies] for p in self.places
        ]
        scratch = [[*_plain((s.nbytes,)), s.is_shared] for s in self.scratch]
        return json.dumps([places, scratch, _plain(self.sizes), *_plain((self.work,)), self.uses_pool])

    @classmethod
    def from_text(cls, text: str) -> Blueprint:
        """The blueprint that `to_text` made this of."""
        known: dict[Any, Size] = {}

        def size(plain: int | str) -> Size:
            if plain not in known:
                known[plain] = plain if isinstance(plain, int) else parse_size(plain)
            return known[plain]

        places, scratch, sizes, work, uses_pool = json.loads(text)
        return cls(
            tuple(
                Place(kind, number, TensorType(DTYPES[dtype], tuple(map(size, shape))), life and tuple(life), copies)
                for kind, number, dtype, shape, life, copies in places
            ),
            tuple(Scratch(size(nbytes), is_shared) for nbytes, is_shared in scratch),
            tuple(map(size, sizes)),
            size(work),
            uses_pool,
        )

    def numbers(self, values: Mapping[str, int]) -> list[int]:
        """What the entries' table of sizes holds for these values of the symbols."""
        return [dims.evaluate(size, values) for size in self.sizes]


def copy_stride(nbytes: Size) -> Size:
    """How far apart the copies of a buffer are."""
    return (nbytes + 63) // 64 * 64


def _plain(sizes: tuple[Size, ...]) -> list[int | str]:
    return [size if isinstance(size, int) else str(size) for size in sizes]
