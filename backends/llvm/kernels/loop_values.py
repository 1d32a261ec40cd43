"""The value of a body's tensor at an index: walk down to the leaves, each op mapping the index it is read at.

An index is, for one axis, `base + inner * (i + lane)`, where `i` counts the vector loop; or, after a gather, a
value of its own in each lane. Movement ops are therefore free: a slice adds to `base`, a flip negates `inner`,
and a leaf is one contiguous load, a broadcast scalar, or a gather, as its offset turns out.

Invariant: what is loaded or computed at an index does not depend on the order in which values are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc.analysis.loops import INDEXED, REDUCTIONS, Mapped, folds, index_operand, operand_positions
from graphc.backends.llvm.elementwise import lower
from graphc.backends.llvm.emitter import EXACT, Builder, Value, lanes_of, like, memory_type
from graphc.backends.llvm.kernel import Site, named_by_content, remembered
from graphc.backends.llvm.kernels.loop_frames import Frames, Leveled
from graphc.backends.llvm.kernels.loop_memory import ALONG, Array, At, Index, Memory
from graphc.backends.llvm.target import Target
from graphc.errors import CodegenError
from graphc.ir.dims import Size
from graphc.ir.tensor import Tensor


class Values(Memory):
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
        *,
        masks_tails: bool,
        has_tails: bool,
    ) -> None:
        super().__init__(b, frames, sizes, lanes, masks_tails=masks_tails, has_tails=has_tails)
        self.arrays = arrays
        self.error = error
        self.outlined = outlined
        self.helpers: dict[str, Builder] = {}
        self.sites: list[Site] = []
        self.results: dict[Tensor, Leveled] = {}  # of reductions: one value for this turn of the kept loops
        self.rows: dict[Tensor, Array] = {}  # of reductions: a row of values along the vector loop

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
        helper = _function_of(name, tuple(v.type for v in values), tuple(dtypes), tensor.dtype, self.b.target)
        self.helpers.setdefault(helper.name, helper)
        return self.b.call(helper.result, helper.name, *values)

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



_I64 = np.dtype(np.int64)


def _register(dtype: np.dtype) -> str:
    return "i1" if dtype == np.bool_ else memory_type(dtype)


def _computes(tensor: Tensor) -> bool:
    """Whether the op does more than choose where its first operand is read."""
    return tensor.op.name not in INDEXED and tensor.op.name not in REDUCTIONS


@remembered
def _function_of(
    name: str, types: tuple[str, ...], dtypes: tuple[np.dtype, ...], result: np.dtype, target: Target
) -> Builder:
    """A function that holds the instructions of an op without attributes."""
    b = Builder(
        name, [(f"x{i}", type_) for i, type_ in enumerate(types)], like(types[0], _register(result)),
        target=target, linkage="internal", attributes="nounwind noinline",
    )  # fmt: skip
    b.ret(lower(b, name, b.params, dtypes, result, {}))
    return named_by_content(b)
