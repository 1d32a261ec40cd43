"""The memory of calls in flight: one frame for each, laid out for the sizes of its arrays.

Invariant: a frame is used by one call at a time; all frames of the same sizes are alike.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.backends.llvm.blueprint import Blueprint
from graphc.backends.llvm.memory import aligned_bytes, layout
from graphc.backends.llvm.outputs import outputs_for
from graphc.ir import dims
from graphc.ir.tensor import Variable
from graphc.ir.types import TensorType

#: From this much work on (see `Blueprint.work`; about 400 us) a call lets other Python threads run. Python itself lets
#: a thread keep them waiting for 5 ms.
RELEASE_WORK = 1 << 23


class Frames:
    """The frames of calls with the same sizes: idle ones are kept.

    Args:
        blueprint: what the program's tables hold.
        outputs: the types of the results.
        variables, constants: whose memory the program reads and writes in place.
        sizes: the values of the symbols.
        threads: how many may need scratch memory at once.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        outputs: Sequence[TensorType],
        variables: Sequence[Variable],
        constants: Sequence[np.ndarray],
        sizes: Mapping[str, int],
        threads: int,
    ) -> None:
        self.blueprint = blueprint
        self.sizes = sizes
        self.layout = layout(blueprint, sizes, threads)
        self.numbers = blueprint.numbers(sizes)
        slots = blueprint.slots("output")
        self.outputs = [
            (slots[number], tuple(dims.evaluate(s, sizes) for s in type_.shape), type_.dtype)
            for number, type_ in enumerate(outputs)
        ]
        self.large = [outputs_for(shape, dtype) for _, shape, dtype in self.outputs]
        self.inputs = sorted((slot, number) for number, slot in blueprint.slots("input").items())
        self.is_big = dims.evaluate(blueprint.work, sizes) > RELEASE_WORK
        self.fixed: list[tuple[int, np.ndarray]] = [
            (slot, array)
            for slot, place in enumerate(blueprint.places)
            for array in _memory_of(place.kind, place.number, variables, constants)
        ]
        self._idle: deque[Frame] = deque()

    def take(self) -> Frame:
        """An idle frame, or a new one.

        Raises:
            MemoryError: there is not enough for the arena.
        """
        try:
            return self._idle.pop()
        except IndexError:
            return Frame(self)

    def give(self, frame: Frame) -> None:
        """Keep a frame for the next call."""
        self._idle.append(frame)


def _memory_of(
    kind: str, number: int, variables: Sequence[Variable], constants: Sequence[np.ndarray]
) -> list[np.ndarray]:
    if kind == "constant":
        return [constants[number]]
    return [variables[number].storage] if kind == "variable" else []


class Frame:
    """The memory of one call in flight: arena, scratch, and the tables that the entries read.

    Attributes:
        table: the address of each buffer, by slot, and of scratch memory.
        numbers: the sizes that the entries read.
        error: what a step that failed says of it.
    """

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        places = frames.blueprint.places
        self.arena = aligned_bytes(frames.layout.total)
        base = address_of(self.arena)
        self.table = (ctypes.c_void_p * (len(places) + 1))()
        self.numbers = (ctypes.c_int64 * max(1, len(frames.numbers)))(*frames.numbers)
        self.error = (ctypes.c_int64 * 3)()
        for slot, offset in frames.layout.offsets.items():
            self.table[slot] = base + offset
        for slot, array in frames.fixed:
            self.table[slot] = address_of(array)
        self.table[len(places)] = base + frames.layout.scratch

    def bind(self, arrays: Sequence[np.ndarray], out: Sequence[np.ndarray | None] | None = None) -> list[np.ndarray]:
        """Arrays for the outputs, whose addresses are in the table now, as are those of the inputs.

        Those of `out` where it has one, else fresh ones.
        """
        for slot, number in self.frames.inputs:
            self.table[slot] = address_of(arrays[number])
        outputs = []
        for number, (slot, shape, dtype) in enumerate(self.frames.outputs):
            output = out[number] if out is not None else None
            if output is None:
                large = self.frames.large[number]
                output = np.empty(shape, dtype) if large is None else large()
            self.table[slot] = address_of(output)
            outputs.append(output)
        return outputs

    def view(self, slot: int) -> np.ndarray:
        """A buffer's memory as an array."""
        type_ = self.frames.blueprint.places[slot].type
        shape = tuple(dims.evaluate(s, self.frames.sizes) for s in type_.shape)
        count = int(np.prod(shape, dtype=np.int64)) * type_.dtype.itemsize
        if count == 0:
            return np.empty(shape, type_.dtype)
        memory = (ctypes.c_uint8 * count).from_address(self.table[slot] or 0)
        return np.frombuffer(memoryview(memory), type_.dtype).reshape(shape)


def address_of(array: Any) -> int:
    """Where an array's data begins."""
    address: int = array.__array_interface__["data"][0]
    return address


__all__ = ["RELEASE_WORK", "Frame", "Frames", "address_of"]
