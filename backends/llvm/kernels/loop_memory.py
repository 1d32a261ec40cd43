"""Arrays in the memory that a loop nest works on: what is read and written at an index, as vectors where it can be.

As the offset of an index turns out, it is one contiguous vector, the same backwards, vectors of which every second to
fourth element is picked, a scalar, or a gather. Of the tail of a row, which is no whole vector, only what is there is
touched: it goes by way of a buffer on the stack, or under a mask (see `LoopShape.masks_tails`).

Invariant: nothing outside the elements that an index names is ever read or written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from graphc.analysis.layouts import NEAR
from graphc.backends.llvm.emitter import Builder, Value, element_bytes, memory_type, vector
from graphc.backends.llvm.kernels.loop_frames import Frames, Leveled
from graphc.backends.llvm.kernels.part_copies import copy_some
from graphc.backends.llvm.values import constant_lanes
from graphc.errors import CodegenError
from graphc.ir.dims import Dim, Size


@dataclass(frozen=True, slots=True)
class Index:
    """Where one axis is read: `base + inner * (i + lane)`, or `lanes` if a gather says so lane by lane."""

    base: Leveled
    inner: int = 0
    lanes: Leveled | None = None


class Absorbed:
    """The axis is part of a loop that runs over it and the axes before it as one."""


#: Which caches a line is asked into, as LLVM counts them: all but the first.
_SECOND_LEVEL = 2
ABSORBED = Absorbed()
At = tuple[Index | Absorbed | None, ...]

ZERO = Leveled(Value("i64", "0"), 0)
#: The index that runs along the vector loop from its first element.
ALONG = Index(ZERO, 1)


@dataclass(frozen=True, slots=True)
class Array:
    """A C-contiguous array in memory that leaves are read from: its address, and its shape for strides."""

    pointer: Leveled
    shape: tuple[Size, ...]
    dtype: np.dtype


@dataclass(slots=True)
class VectorLoop:
    """The vector loop that is being written.

    Attributes:
        index: `i`, the first lane's turn.
        stop: where this run of the loop ends.
        tail: i1: is this the run over the last, incomplete vector?
        full: where the complete vectors end.
        left: how many lanes the incomplete vector has.
        level: the frame number of its inside.
        stores: (buffer, where its lanes go, LLVM's type of one) for each store; copied out after the tail.
    """

    index: Value
    stop: Value
    tail: Value
    full: Value
    left: Value
    level: int
    stores: list[tuple[Value, Value, str]]


class Memory:
    """Reads and writes arrays inside the frames of one kernel."""

    def __init__(
        self, b: Builder, frames: Frames, sizes: dict[Size, Value], lanes: int, *, masks_tails: bool, has_tails: bool
    ) -> None:
        self.b = b
        self.frames = frames
        self.sizes = sizes
        self.lanes = lanes
        self.masks_tails = masks_tails
        self.has_tails = has_tails
        self.loop: VectorLoop | None = None
        self._buffers: dict[object, Value] = {}

    # ---- sizes -------------------------------------------------------------------------------------------

    def size(self, size: Size) -> Leveled:
        """The number that a size is in this call."""
        known = self.sizes.get(size)
        if known is None and isinstance(size, Dim):
            raise CodegenError(f"loops: the size {size} is not among the kernel's")
        return Leveled(known or self.b.i64(size), 0)  # type: ignore[arg-type]

    def product(self, sizes: Sequence[Size]) -> Leveled:
        """The product of sizes."""
        known = [s for s in sizes if s != 1]
        if not known:
            return Leveled(self.b.i64(1), 0)
        if len(known) == 1:
            return self.size(known[0])
        key = ("product", *known)
        found = self.frames.cached(key)
        if found is None:
            found = self.frames.compute(self.b.mul, self.product(known[:-1]), self.size(known[-1]))
            self.frames.put(key, found)
        return found

    # ---- indices -----------------------------------------------------------------------------------------

    def _as_lanes(self, index: Index) -> Leveled:
        """The index of each lane, or a scalar where all have the same."""
        if index.lanes is not None:
            return index.lanes
        if index.inner == 0:
            return index.base
        b, loop = self.b, self._vector_loop()
        key = ("lanes", index)
        found = self.frames.cached(key)
        if found is None:
            first = self.frames.compute(
                lambda base, i: b.add(base, b.mul(i, index.inner)), index.base, Leveled(loop.index, loop.level)
            )
            steps = [lane * index.inner for lane in range(self.lanes)]
            found = self.frames.compute(lambda v: b.add(b.splat(v, self.lanes), _lanes_of_i64(steps)), first)
            self.frames.put(key, found)
        return found

    # ---- memory ------------------------------------------------------------------------------------------

    def load(self, array: Array, at: At) -> Leveled:
        """The elements of an array at an index."""
        terms = self._terms(array, at)
        moving = [(index, stride) for index, stride in terms if index.inner or index.lanes]
        base = self._offset([(Index(i.base), stride) for i, stride in terms if i.lanes is None])
        if not moving:
            return self._load_scalar(array, base)
        outside = base.level < self._vector_loop().level  # else each turn of a loop inside has an address of its own
        if len(moving) == 1 and moving[0][0].lanes is None and not moving[0][1]:
            inner = moving[0][0].inner
            if inner == 1 and self.masks_tails:
                return self._load_masked(array, base)
            if not outside:
                return self._gather(array, base, moving)
            if inner == 1:
                return self._load_contiguous(array, base)
            if inner == -1:
                return self._load_reversed(array, base)
            if 1 < abs(inner) <= min(NEAR, self.lanes):
                return self._load_spaced(array, base, inner)
        return self._gather(array, base, moving)

    def _terms(self, array: Array, at: At) -> list[tuple[Index, tuple[Size, ...]]]:
        """(index, what its stride is the product of) for each loop that the array moves with."""
        terms: list[tuple[Index, tuple[Size, ...]]] = []
        stride: tuple[Size, ...] = ()
        merged: tuple[Size, ...] | None = None  # the stride of a merged loop is that of its last axis
        for entry, size in zip(reversed(at), reversed(array.shape)):
            if entry is ABSORBED:
                merged = stride if merged is None else merged
            elif isinstance(entry, Index):
                terms.append((entry, stride if merged is None else merged))
                merged = None
            if size != 1:
                stride = (size, *stride)
        return terms

    def _offset(self, terms: list[tuple[Index, tuple[Size, ...]]]) -> Leveled:
        """The sum of base * stride, outer loops first, so that each part is computed where it changes."""
        zero = Leveled(self.b.i64(0), 0)
        total = zero
        for index, stride in sorted(terms, key=lambda term: term[0].base.level):
            if index.base.value == zero.value:
                continue
            part = index.base
            if stride:
                part = self._memo(("scaled", part, stride), self.b.mul, part, self.product(stride))
            total = part if total is zero else self._memo(("sum", total, part), self.b.add, total, part)
        return total

    def _memo(self, key: object, make: object, *operands: Leveled) -> Leveled:
        return self.frames.cached(key) or self.frames.put(key, self.frames.compute(make, *operands))  # type: ignore[arg-type]

    def address_at(self, array: Array, at: At) -> Leveled:
        """The address of the element at an index that does not move with the vector loop."""
        return self.address(array, self._offset(self._terms(array, at)))

    def address(self, array: Array, offset: Leveled) -> Leveled:
        """The address of the element at a scalar offset."""
        element = memory_type(array.dtype)
        if offset.value == self.b.i64(0):
            return array.pointer
        return self._memo(
            ("address", array.pointer, offset), lambda p, o: self.b.gep(p, o, element), array.pointer, offset
        )

    def _load_scalar(self, array: Array, offset: Leveled) -> Leveled:
        address = self.address(array, offset)
        return self.frames.compute(lambda p: self.b.load_dtype(array.dtype, p), address)

    def _vector_loop(self) -> VectorLoop:
        if self.loop is None:
            raise CodegenError("loops: a vector is read outside the vector loop")
        return self.loop

    def _load_contiguous(self, array: Array, offset: Leveled) -> Leveled:
        loop = self._vector_loop()
        pointer = self._row(array, offset)
        element = memory_type(array.dtype)
        with self.frames.at(loop.level):
            address = self.b.gep(pointer, loop.index, element)
            return Leveled(self.b.load_dtype(array.dtype, address, self.lanes), loop.level)

    def _load_masked(self, array: Array, offset: Leveled) -> Leveled:
        """As `_load_contiguous`, at whatever address: lanes beyond the end are not read."""
        loop, b = self._vector_loop(), self.b
        element = memory_type(array.dtype)
        mask = self.valid("i32")

        def load(pointer: Value, index: Value) -> Value:
            loaded = b.masked_load(vector(element, self.lanes), b.gep(pointer, index, element), mask)
            return b.icmp("ne", loaded, 0) if array.dtype == np.bool_ else loaded

        return self.frames.compute(load, self.address(array, offset), Leveled(loop.index, loop.level))

    def _row(self, array: Array, offset: Leveled) -> Value:
        """The address that `i` counts from: the array's, or in the tail a buffer with its last elements."""
        loop, b, element = self._vector_loop(), self.b, memory_type(array.dtype)

        def fill(row: Value, buffer: Value) -> None:
            copy_some(b, element, self.lanes, b.gep(row, loop.full, element), buffer, loop.left)

        return self._row_or_buffer("row", array, offset, 1, fill, lambda: b.sub(0, loop.full))

    def _row_or_buffer(
        self, kind: object, array: Array, offset: Leveled, vectors: int,
        fill: Callable[[Value, Value], None], first: Callable[[], Value],
    ) -> Value:  # fmt: skip
        """The address of a row or, in the tail, of element `first()` of a buffer that `fill(row, buffer)` fills."""
        loop, b, element = self._vector_loop(), self.b, memory_type(array.dtype)
        row = self.address(array, offset)
        if not self.has_tails:
            return row.value
        key = (kind, row)
        found = self.frames.cached(key)
        if found is None:
            buffer = self.buffer(key, element, vectors)
            with self.frames.at(loop.level - 1):
                with b.if_(b.and_(loop.tail, b.icmp("ne", loop.left, 0))):
                    fill(row.value, buffer)
                start = b.select(loop.tail, b.gep(buffer, first(), element), row.value)
            found = self.frames.put(key, Leveled(start, loop.level - 1))
        return found.value

    def buffer(self, key: object, element: str, vectors: int = 1) -> Value:
        """Room on the stack for vectors; some for each key, for it outlives the preheader it is filled in."""
        if key not in self._buffers:
            self._buffers[key] = self.b.alloca(element, vectors * self.lanes)
        return self._buffers[key]

    def _load_reversed(self, array: Array, offset: Leveled) -> Leveled:
        """Lanes that run backwards: one load that ends at the first lane, turned round.

        The processor foresees what is read upwards. Down a row it does not soon enough, so the next row is asked for.
        """
        loop, b = self._vector_loop(), self.b
        if self.lanes == 1:
            return self._gather(array, offset, [(Index(Leveled(b.i64(0), 0), -1), ())])
        element = memory_type(array.dtype)
        pointer = self._reversed_row(array, offset)
        with self.frames.at(loop.level):
            address = b.gep(pointer, b.sub(1 - self.lanes, loop.index), element)
            if any(size != 1 for size in array.shape[:-1]):
                b.prefetch(b.gep(address, self.size(array.shape[-1]).value, element), locality=_SECOND_LEVEL)
            return Leveled(b.reverse(b.load_dtype(array.dtype, address, self.lanes)), loop.level)

    def _reversed_row(self, array: Array, offset: Leveled) -> Value:
        """As `_row`; the last elements lie before the first ones, and at the end of the buffer."""
        loop, b, element = self._vector_loop(), self.b, memory_type(array.dtype)

        def fill(row: Value, buffer: Value) -> None:
            last = b.gep(row, b.sub(b.sub(1, loop.full), loop.left), element)
            place = b.gep(buffer, b.sub(self.lanes, loop.left), element)
            b.memcpy(place, last, b.mul(loop.left, element_bytes(element)))

        return self._row_or_buffer("reversed", array, offset, 1, fill, lambda: b.add(loop.full, self.lanes - 1))

    def _load_spaced(self, array: Array, offset: Leveled, inner: int) -> Leveled:
        """Lanes a few elements apart: vectors that hold all that lies between, and shuffles that pick.

        The last vector ends at the last lane's element, so nothing beyond is read.
        """
        loop, b, lanes, space = self._vector_loop(), self.b, self.lanes, abs(inner)
        element = memory_type(array.dtype)
        pointer = self._spaced_row(array, offset, inner)
        starts = [lanes * number for number in range(space - 1)] + [(lanes - 1) * (space - 1)]
        with self.frames.at(loop.level):
            first = loop.index if inner > 0 else b.add(loop.index, lanes - 1)
            place = b.gep(pointer, b.mul(first, inner), element)
            vectors = [b.load(vector(element, lanes), b.gep(place, start, element)) for start in starts]
            picked = [min(lane * space // lanes, space - 1) for lane in range(lanes)]  # the vector that has each lane
            found = vectors[0]
            for number in range(1, space):
                held = [lane * space if number == 1 else lane for lane in range(lanes)]  # so far
                taken = [lanes + lane * space - starts[number] for lane in range(lanes)]
                lines = [taken[lane] if picked[lane] == number else held[lane] for lane in range(lanes)]
                found = b.shuffle(found, vectors[number], [line if line < 2 * lanes else 0 for line in lines])
            found = b.reverse(found) if inner < 0 else found
            found = b.icmp("ne", found, 0) if array.dtype == np.bool_ else found
            return Leveled(found, loop.level)

    def _spaced_row(self, array: Array, offset: Leveled, inner: int) -> Value:
        """As `_row`, for elements that are `inner` apart; backwards they lie at the end of the buffer."""
        loop, b, lanes, space = self._vector_loop(), self.b, self.lanes, abs(inner)
        element = memory_type(array.dtype)

        def fill(row: Value, buffer: Value) -> None:
            size = b.mul(b.add(b.mul(b.sub(loop.left, 1), space), 1), element_bytes(element))
            last = b.sub(b.add(loop.full, loop.left), 1)
            source = b.gep(row, b.mul(loop.full if inner > 0 else last, inner), element)
            skipped = 0 if inner > 0 else b.mul(b.sub(lanes, loop.left), space)
            b.memcpy(b.gep(buffer, skipped, element), source, size)

        end = 0 if inner > 0 else space * (lanes - 1)
        start = lambda: b.sub(end, b.mul(loop.full, inner))  # noqa: E731
        return self._row_or_buffer(("spaced", inner), array, offset, space, fill, start)

    def _gather(self, array: Array, base: Leveled, moving: list[tuple[Index, tuple[Size, ...]]]) -> Leveled:
        b, loop = self.b, self._vector_loop()
        offsets = base
        for index, stride in moving:
            lanes = self._as_lanes(Index(Leveled(b.i64(0), 0), index.inner, index.lanes))
            part = self._memo(("scaled", lanes, stride), b.mul, lanes, self.product(stride)) if stride else lanes
            offsets = self.frames.compute(b.add, offsets, part)
        element = memory_type(array.dtype)

        def gather(pointer: Value, offset: Value) -> Value:
            addresses = b.gep(Value("ptr", pointer.name), offset, element)
            if self.lanes == 1:
                return b.load_dtype(array.dtype, addresses)
            loaded = b.gather(element, addresses, self.valid("i64"))
            return b.icmp("ne", loaded, 0) if array.dtype == np.bool_ else loaded

        wide = self.frames.splat(offsets, self.lanes)
        return self.frames.compute(lambda v: gather(array.pointer.value, v), wide, level=loop.level)

    def valid(self, element: str) -> Value:
        """Which lanes are inside the array: all of them but in the tail. It is compared in integers of this width."""
        loop, b = self._vector_loop(), self.b
        if not self.has_tails:
            return b.const(vector("i1", self.lanes), 1)
        key = ("valid", element)
        found = self.frames.cached(key)
        if found is None:
            with self.frames.at(loop.level - 1):
                count = b.splat(b.trunc(b.select(loop.tail, loop.left, self.lanes), element), self.lanes)
                mask = b.icmp("ult", b.iota(element, self.lanes), count)
            found = self.frames.put(key, Leveled(mask, loop.level - 1))
        return found.value

    def store(self, array: Array, at: At, value: Leveled) -> None:
        """Write a vector to elements along the vector loop, or a scalar to one."""
        b = self.b
        terms = self._terms(array, at)
        offset = self._offset([(Index(i.base), stride) for i, stride in terms])
        strides = [self.product(stride) for index, stride in terms if index.inner]
        if not strides:
            address = self.address(array, offset)
            b.store_dtype(value.value, address.value, array.dtype)
            return
        loop, element = self._vector_loop(), memory_type(array.dtype)
        wide = self.frames.splat(value, self.lanes).value
        if strides[0].value == b.i64(1) and self.masks_tails:
            stored = b.zext(wide, element) if array.dtype == np.bool_ else wide
            b.masked_store(stored, b.gep(self.address(array, offset).value, loop.index, element), self.valid("i32"))
            return
        if strides[0].value == b.i64(1) and offset.level < loop.level:
            row = self._store_row(array, offset)
            b.store_dtype(wide, b.gep(row, loop.index, element), array.dtype)
            return
        steps = self.frames.compute(b.mul, self._as_lanes(ALONG), strides[0])
        places = self.frames.splat(self.frames.compute(b.add, steps, offset), self.lanes).value
        stored = b.zext(wide, element) if array.dtype == np.bool_ else wide
        b.scatter(stored, b.gep(array.pointer.value, places, element), self.valid("i64") if self.lanes > 1 else None)

    def _store_row(self, array: Array, offset: Leveled) -> Value:
        """The address that `i` counts from for stores; the tail's lanes are copied out of a buffer later."""
        loop, b = self._vector_loop(), self.b
        address = self.address(array, offset)
        if not self.has_tails:
            return address.value
        element = memory_type(array.dtype)
        buffer = self.buffer(("store", address), element)
        with self.frames.at(loop.level - 1):
            row = b.select(loop.tail, b.gep(buffer, b.sub(0, loop.full), element), address.value)
        loop.stores.append((buffer, address.value, element))
        return row


def _lanes_of_i64(values: list[int]) -> Value:
    return constant_lanes("i64", values) if len(values) > 1 else Value("i64", str(values[0]))
