"""The value of a body's tensor at an index: walk down to the leaves, each op mapping the index it is read at.

An index is, for one axis, `base + inner * (i + lane)`, where `i` counts the vector loop; or, after a gather, a
value of its own in each lane. Movement ops are therefore free: a slice adds to `base`, a flip negates `inner`,
and a leaf is one contiguous load, a broadcast scalar, or a gather, as its offset turns out.

Invariant: what is loaded or computed at an index does not depend on the order in which values are asked for,
and nothing outside an array is ever read: lanes beyond the end come from a buffer on the stack or are masked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphc.analysis.loops import INDEXED, REDUCTIONS, Mapped, folds, index_operand, operand_positions
from graphc.backends.llvm.elementwise import lower
from graphc.backends.llvm.emitter import EXACT, Builder, Value, element_bytes, lanes_of, like, memory_type
from graphc.backends.llvm.kernel import Site, named_by_content
from graphc.backends.llvm.kernels.loop_frames import Frames, Leveled
from graphc.backends.llvm.values import constant_lanes
from graphc.errors import CodegenError
from graphc.ir.dims import Dim, Size
from graphc.ir.tensor import Tensor


@dataclass(frozen=True, slots=True)
class Index:
    """Where one axis is read: `base + inner * (i + lane)`, or `lanes` if a gather says so lane by lane."""

    base: Leveled
    inner: int = 0
    lanes: Leveled | None = None


class Absorbed:
    """The axis is part of a loop that runs over it and the axes before it as one."""


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
        stores: (buffer, where its lanes go) for each store; copied out after the tail.
    """

    index: Value
    stop: Value
    tail: Value
    full: Value
    left: Value
    level: int
    stores: list[tuple[Value, Value, int]]


class Values:
    """Computes the values of one body's tensors inside the frames of one kernel."""

    def __init__(
        self,
        b: Builder,
        frames: Frames,
        sizes: dict[Size, Value],
        arrays: dict[Tensor, Array],
        lanes: int,
        error: Value | None,
        outlined: frozenset[str],
    ) -> None:
        self.b = b
        self.frames = frames
        self.sizes = sizes
        self.arrays = arrays
        self.lanes = lanes
        self.error = error
        self.outlined = outlined
        self.helpers: dict[str, Builder] = {}
        self.sites: list[Site] = []
        self.loop: VectorLoop | None = None
        self.results: dict[Tensor, Leveled] = {}  # of reductions: one value for this turn of the kept loops
        self.rows: dict[Tensor, Array] = {}  # of reductions: a row of values along the vector loop
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

    # ---- values ------------------------------------------------------------------------------------------

    def value(self, tensor: Tensor, at: At) -> Leveled:
        """The value of `tensor` at an index: a vector where the index moves with the vector loop."""
        if tensor in self.results:
            return self.results[tensor]
        if tensor in self.rows:
            return self.load(self.rows[tensor], (ALONG,))
        key = (tensor, at)
        found = self.frames.cached(key)
        if found is None:
            if tensor in self.arrays:
                found = self.load(self.arrays[tensor], at)
            else:
                found = self._computed(tensor, at)
            self.frames.put(key, found)
        return found

    def _computed(self, tensor: Tensor, at: At) -> Leveled:
        name, b = tensor.op.name, self.b
        if name == "const":
            value = tensor.attrs["value"].reshape(()).item()
            return Leveled(b.const(_register(tensor.dtype), value), 0)
        if name == "dim":
            return self.size(tensor.attrs["size"])
        if name == "iota":
            return self._iota(tensor, at[0])
        if folds(tensor):
            raise CodegenError(f"loops: {name} is read before it is reduced")
        positions = operand_positions(tensor, at, ())  # type: ignore[arg-type]
        if tensor.inputs and not _computes(tensor):
            moved = self.value(tensor.inputs[0], self._resolved(positions[0]))
            if name == "sum" and tensor.dtype.kind == "f":  # of one element; it began at 0.0, so -0.0 is lost
                return self.frames.compute(lambda v: b.fadd(v, 0.0, flags=EXACT), moved)
            return moved
        operands = [self.value(t, self._resolved(p)) for t, p in zip(tensor.inputs, positions)]
        return self.frames.compute(lambda *values: self._lowered(tensor, values), *operands)

    def _lowered(self, tensor: Tensor, values: Sequence[Value]) -> Value:
        """An elementwise op on values: in place, or as a call of a function that holds its instructions."""
        name, dtypes = tensor.op.name, [t.dtype for t in tensor.inputs]
        if name not in self.outlined:
            return lower(self.b, name, values, dtypes, tensor.dtype, tensor.attrs)
        result = like(values[0].type, _register(tensor.dtype))
        function = Builder(
            name, [(f"x{i}", v.type) for i, v in enumerate(values)], result,
            target=self.b.target, linkage="internal", attributes="nounwind noinline",
        )  # fmt: skip
        function.ret(lower(function, name, function.params, dtypes, tensor.dtype, tensor.attrs))
        helper = named_by_content(function)
        self.helpers.setdefault(helper.name, helper)
        return self.b.call(result, helper.name, *values)

    def _resolved(self, position: Sequence[object]) -> At:
        """A position with its derived entries turned into indices."""
        return tuple(self.mapped(e) if isinstance(e, Mapped) else e for e in position)  # type: ignore[misc]

    def mapped(self, mapped: Mapped) -> Index:
        """The index that a slice or gather computes; a gathered one is checked."""
        if mapped.via.op.name == "slice":
            return self._sliced(mapped)
        key = ("index", mapped.via, mapped.axis, mapped.entries)
        found = self.frames.cached(key)
        if found is None:
            indices, position = index_operand(mapped)
            value = self.value(indices, position)  # type: ignore[arg-type]
            found = self.frames.put(key, self._checked(mapped, indices, value, self._level(position)))
        if lanes_of(found.value.type) == 1:
            return Index(found)
        return Index(Leveled(self.b.i64(0), 0), 0, found)

    def _sliced(self, mapped: Mapped) -> Index:
        start = self.size(mapped.via.attrs["start"][mapped.axis])
        step: int = mapped.via.attrs["step"][mapped.axis]
        entry = mapped.entries[0]
        if entry is None:
            return Index(start)
        if not isinstance(entry, Index):
            raise CodegenError("loops: a slice of an axis that is merged with another")
        compute, b = self.frames.compute, self.b
        if entry.lanes is not None:
            scaled = compute(lambda v: b.mul(v, step), entry.lanes)
            return Index(entry.base, 0, compute(b.add, scaled, start))
        scaled = entry.base if step == 1 else compute(lambda v: b.mul(v, step), entry.base)
        return Index(scaled if start.value == b.i64(0) else compute(b.add, scaled, start), entry.inner * step)

    def _iota(self, tensor: Tensor, entry: object) -> Leveled:
        b, dtype = self.b, tensor.dtype
        index = self._as_lanes(entry) if isinstance(entry, Index) else Leveled(b.i64(0), 0)
        return self.frames.compute(lambda v: lower(b, "cast", (v,), (_I64,), dtype, {"dtype": dtype}), index)

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

    # ---- gathered indices --------------------------------------------------------------------------------

    def _level(self, position: Sequence[object]) -> int:
        """The outermost frame whose code runs only if the loops that a position moves with have turns."""
        entries = [e for e in position if isinstance(e, Index)]
        levels = [self._vector_loop().level if e.inner else e.base.level for e in entries]
        return max([1, *levels]) - 1

    def _checked(self, mapped: Mapped, indices: Tensor, raw: Leveled, level: int) -> Leveled:
        """Indices as i64, negative ones from the end; leaves the kernel if one is out of bounds.

        They are checked in the frame `level` or further in: of an empty index tensor no element is wrong.
        """
        b = self.b
        extent = self.size(mapped.via.inputs[0].shape[mapped.axis])
        site = self._site(mapped)

        def check(value: Value, size: Value) -> Value:
            wide = b.sext(value, "i64") if indices.dtype.kind == "i" else b.zext(value, "i64")
            if indices.dtype.kind == "i":
                wrapped = b.select(b.icmp("slt", wide, 0), b.add(wide, size), wide)
            else:
                wrapped = wide
            bad = b.icmp("uge", wrapped, size)
            if lanes_of(bad.type) > 1:
                bad = b.and_(bad, self.valid("i64"))
            self._leave_if(bad, site, wide, extent.value)
            return wrapped

        return self.frames.compute(check, raw, extent, level=level)

    def _site(self, mapped: Mapped) -> int:
        self.sites.append(Site(mapped.via, mapped.axis))
        return len(self.sites) - 1

    def _leave_if(self, bad: Value, site: int, indices: Value, extent: Value) -> None:
        """Return 1 with an error record if a lane is bad: the first such lane is the one that is named."""
        b = self.b
        if self.error is None:
            raise CodegenError("loops: a kernel that may fail has no error record")
        with b.if_(b.any(bad), likely=False):
            index = indices
            if lanes_of(bad.type) > 1:
                bits = b.bitcast(bad, f"i{self.lanes}")
                first = b.call(bits.type, f"llvm.cttz.{bits.type}", bits, Value("i1", "true"))
                index = b.extract(indices, first)
            for slot, value in enumerate((b.i64(site), index, extent)):
                b.store(value, b.gep(self.error, slot, "i64"))
            b.ret(b.i64(1))

    # ---- memory ------------------------------------------------------------------------------------------

    def load(self, array: Array, at: At) -> Leveled:
        """The elements of an array at an index."""
        terms = self._terms(array, at)
        moving = [(index, stride) for index, stride in terms if index.inner or index.lanes]
        base = self._offset([(Index(i.base), stride) for i, stride in terms if i.lanes is None])
        if not moving:
            return self._load_scalar(array, base)
        outside = base.level < self._vector_loop().level  # else each turn of a loop inside has an address of its own
        if len(moving) == 1 and moving[0][0].lanes is None and not moving[0][1] and outside:
            inner = moving[0][0].inner
            if inner == 1:
                return self._load_contiguous(array, base)
            if inner == -1:
                return self._load_reversed(array, base)
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

    def _row(self, array: Array, offset: Leveled) -> Value:
        """The address that `i` counts from: the array's, or in the tail a buffer with its last elements."""
        loop, b = self._vector_loop(), self.b
        address = self.address(array, offset)
        if self.lanes == 1:
            return address.value
        key = ("row", address)
        found = self.frames.cached(key)
        if found is None:
            element = memory_type(array.dtype)
            buffer = self.buffer(key, element)
            with self.frames.at(loop.level - 1):
                end = b.gep(address.value, loop.full, element)
                with b.if_(loop.tail):
                    b.memcpy(buffer, end, b.mul(loop.left, element_bytes(element)))
                start = b.gep(buffer, b.sub(0, loop.full), element)
                row = b.select(loop.tail, start, address.value)
            found = self.frames.put(key, Leveled(row, loop.level - 1))
        return found.value

    def buffer(self, key: object, element: str) -> Value:
        """Room on the stack for one vector; one for each key, for it outlives the preheader it is filled in."""
        if key not in self._buffers:
            self._buffers[key] = self.b.alloca(element, self.lanes)
        return self._buffers[key]

    def _load_reversed(self, array: Array, offset: Leveled) -> Leveled:
        """Lanes that run backwards: one load that ends at the first lane, turned round."""
        loop, b = self._vector_loop(), self.b
        if self.lanes == 1:
            return self._gather(array, offset, [(Index(Leveled(b.i64(0), 0), -1), ())])
        element = memory_type(array.dtype)
        pointer = self._reversed_row(array, offset)
        with self.frames.at(loop.level):
            address = b.gep(pointer, b.sub(1 - self.lanes, loop.index), element)
            return Leveled(b.reverse(b.load_dtype(array.dtype, address, self.lanes)), loop.level)

    def _reversed_row(self, array: Array, offset: Leveled) -> Value:
        """As `_row`; the last elements lie before the first ones, and at the end of the buffer."""
        loop, b = self._vector_loop(), self.b
        address = self.address(array, offset)
        key = ("reversed row", address)
        found = self.frames.cached(key)
        if found is None:
            element = memory_type(array.dtype)
            buffer = self.buffer(key, element)
            with self.frames.at(loop.level - 1):
                first = b.gep(address.value, b.sub(b.sub(1, loop.full), loop.left), element)
                with b.if_(loop.tail):
                    place = b.gep(buffer, b.sub(self.lanes, loop.left), element)
                    b.memcpy(place, first, b.mul(loop.left, element_bytes(element)))
                start = b.gep(buffer, b.add(loop.full, self.lanes - 1), element)
                row = b.select(loop.tail, start, address.value)
            found = self.frames.put(key, Leveled(row, loop.level - 1))
        return found.value

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
        """Which lanes are inside the array; the mask is made of integers of the given width."""
        loop, b = self._vector_loop(), self.b
        if self.lanes == 1:
            return b.const("i1", 1)
        key = ("valid", element)
        found = self.frames.cached(key)
        if found is None:
            with self.frames.at(loop.level):
                left = b.intrinsic("smin", b.sub(loop.stop, loop.index), self.lanes)
                count = b.splat(b.trunc(left, element), self.lanes)
                mask = b.icmp("ult", b.iota(element, self.lanes), count)
            found = self.frames.put(key, Leveled(mask, loop.level))
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
        if self.lanes == 1:
            return address.value
        element = memory_type(array.dtype)
        buffer = self.buffer(("store", address), element)
        with self.frames.at(loop.level - 1):
            row = b.select(loop.tail, b.gep(buffer, b.sub(0, loop.full), element), address.value)
        loop.stores.append((buffer, address.value, element_bytes(element)))
        return row


_I64 = np.dtype(np.int64)


def _lanes_of_i64(values: list[int]) -> Value:
    return constant_lanes("i64", values) if len(values) > 1 else Value("i64", str(values[0]))


def _register(dtype: np.dtype) -> str:
    return "i1" if dtype == np.bool_ else memory_type(dtype)


def _computes(tensor: Tensor) -> bool:
    """Whether the op does more than choose where its first operand is read."""
    return tensor.op.name not in INDEXED and tensor.op.name not in REDUCTIONS
