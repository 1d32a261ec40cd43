"""Loop nests: can these tensors be computed together by one nest of loops, and at which position is each read?

A nest has *loop dims*; some of them may be reduced. A tensor of the nest is read at *positions*: for each of
its axes a loop dim, or None (the axis has one element), or something derived (`Mapped`: a slice's offset, a
gathered index). From the results inwards, each op maps the position of its result to those of its operands.

    softmax over rows: dims (i, j*), j reduced          x[i,j] -> max[i] -> e[i,j] = exp(x - max)
                                                        e[i,j] -> sum[i] -> e / sum  at (i, j)

*Full* tensors stand at all dims, in order; *kept* tensors at those that are not reduced. A nest sweeps the
reduced dims once per stage of reductions that need each other, then once more for its full results.

Invariant: what `Nest.add` accepts, `Nest.of` builds from the finished body, and the LLVM backend lowers; the
pass that forms clusters and the backend that compiles them share this file, not each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from graphc.errors import InternalError
from graphc.ir.dims import Size
from graphc.ir.opdef import Trait
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType

#: Reductions that loop nests know; argmax and the like have kernels of their own.
REDUCTIONS = frozenset({"sum", "prod", "max", "min", "all", "any"})
#: Movement that is an index computation, so that it costs no pass over memory.
INDEXED = frozenset(
    {"broadcast_to", "permute_dims", "slice", "reshape", "take", "take_along_axis", "gather", "iota"}
)
#: Tensors that any number of nests may compute again for themselves.
FREE = frozenset({"const", "dim", "iota", "broadcast_to"})
#: Functions that are tens of instructions long.
ELEMENTARY = frozenset(
    """exp exp2 expm1 log log2 log10 log1p cbrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf
    erfc sigmoid softplus pow hypot atan2 logaddexp floor_divide remainder fmod nextafter""".split()
)
#: Ops dear enough that computing an element twice costs more than storing it.
EXPENSIVE = ELEMENTARY | {"divide", "sqrt", "rsqrt", "random_bits"}
_POSITION_LIMIT = 4
_OTHER_EXPRESSION = "a size that must equal that of a loop is another expression"


@dataclass(frozen=True, slots=True, eq=False)
class LoopDim:
    """One loop of a nest, by identity."""

    extent: Size


@dataclass(frozen=True, slots=True)
class Mapped:
    """An index that `via`, a slice or gather, computes for `axis` of its operand from entries of its own."""

    via: Tensor
    axis: int
    entries: tuple[Entry, ...]


Entry = LoopDim | Mapped | None
Position = tuple[Entry, ...]


def fusible(tensor: Tensor) -> bool:
    """Whether a nest can compute the tensor at all."""
    name = tensor.op.name
    if not isinstance(tensor.type, TensorType) or tensor.op.has(Trait.EFFECT) or tensor.op.has(Trait.LIBRARY):
        return False
    if name == "const":
        return tensor.tensor_type.size == 1
    if name == "reshape":
        return is_unit_reshape(tensor)
    return name in REDUCTIONS or name in INDEXED or name == "dim" or tensor.op.has(Trait.ELEMENTWISE)


def is_unit_reshape(tensor: Tensor) -> bool:
    """Whether a reshape only adds or drops axes of extent 1."""
    return _sizes(tensor.shape) == _sizes(tensor.inputs[0].shape)


def operand_positions(tensor: Tensor, at: Position, reduced: Sequence[LoopDim]) -> list[Position]:
    """Where the operands are read when `tensor` is read at `at`, and reductions run over `reduced`."""
    rule = _POSITION_RULES.get(tensor.op.name, _elementwise_positions)
    if tensor.op.name in REDUCTIONS:
        return [_reduction_position(tensor, at, reduced)]
    return rule(tensor, at)


def _aligned(shape: tuple[Size, ...], at: Position) -> Position:
    """The position of a broadcast operand: its axes are the last ones."""
    offset = len(at) - len(shape)
    return tuple(None if size == 1 else at[offset + axis] for axis, size in enumerate(shape))


def _elementwise_positions(tensor: Tensor, at: Position) -> list[Position]:
    return [_aligned(operand.shape, at) for operand in tensor.inputs]


def _permute_positions(tensor: Tensor, at: Position) -> list[Position]:
    position: list[Entry] = [None] * len(at)
    for axis, source in enumerate(tensor.attrs["axes"]):
        position[source] = at[axis]
    return [tuple(position)]


def _slice_positions(tensor: Tensor, at: Position) -> list[Position]:
    attrs, extents = tensor.attrs, tensor.inputs[0].shape
    whole = [
        start == 0 and step == 1 and size == extent
        for start, step, size, extent in zip(attrs["start"], attrs["step"], attrs["size"], extents)
    ]
    return [tuple(e if whole[axis] else Mapped(tensor, axis, (e,)) for axis, e in enumerate(at))]


def _reshape_positions(tensor: Tensor, at: Position) -> list[Position]:
    entries = iter([e for e, size in zip(at, tensor.shape) if size != 1])
    return [tuple(None if size == 1 else next(entries) for size in tensor.inputs[0].shape)]


def _take_positions(tensor: Tensor, at: Position) -> list[Position]:
    axis, rank = tensor.attrs["axis"], tensor.inputs[1].ndim
    inside = at[axis : axis + rank]
    return [(*at[:axis], Mapped(tensor, axis, inside), *at[axis + rank :]), inside]


def _take_along_axis_positions(tensor: Tensor, at: Position) -> list[Position]:
    axis = tensor.attrs["axis"]
    x, indices = (list(_aligned(operand.shape, at)) for operand in tensor.inputs)
    x[axis] = Mapped(tensor, axis, at)
    return [tuple(x), tuple(indices)]


def _gather_positions(tensor: Tensor, at: Position) -> list[Position]:
    indices = tensor.inputs[1:]
    rank = max(i.ndim for i in indices)
    inside = at[:rank]
    x = (*(Mapped(tensor, axis, inside) for axis in range(len(indices))), *at[rank:])
    return [x, *(_aligned(i.shape, inside) for i in indices)]


def index_operand(mapped: Mapped) -> tuple[Tensor, Position]:
    """The tensor that holds the indices of a gathered axis, and where it is read."""
    tensor, entries = mapped.via, mapped.entries
    if tensor.op.name == "take":
        return tensor.inputs[1], entries
    if tensor.op.name == "take_along_axis":
        return tensor.inputs[1], _aligned(tensor.inputs[1].shape, entries)
    indices = tensor.inputs[1 + mapped.axis]
    return indices, _aligned(indices.shape, entries)


_POSITION_RULES = {
    "permute_dims": _permute_positions,
    "slice": _slice_positions,
    "reshape": _reshape_positions,
    "take": _take_positions,
    "take_along_axis": _take_along_axis_positions,
    "gather": _gather_positions,
}


def _reduction_position(tensor: Tensor, at: Position, reduced: Sequence[LoopDim]) -> Position:
    axes, keepdims = tensor.attrs["axis"], tensor.attrs["keepdims"]
    kept = iter([e for axis, e in enumerate(at) if not (keepdims and axis in axes)])
    loops = iter(reduced)
    shape = tensor.inputs[0].shape
    return tuple(
        (None if size == 1 else next(loops)) if axis in axes else next(kept) for axis, size in enumerate(shape)
    )


def folds(tensor: Tensor) -> bool:
    """Whether the tensor is a reduction that needs loops; one over axes of extent 1 only copies."""
    return tensor.op.name in REDUCTIONS and any(tensor.inputs[0].shape[a] != 1 for a in tensor.attrs["axis"])


class Nest:
    """The loop dims of a nest, and where each of its tensors and operands is read.

    Attributes:
        dims: all loops, outermost first.
        reduced: those of them that reductions fold.
        members: the tensors that the nest computes, users first.
        positions: where each member and each operand is read; a member that is a result stands at one.
    """

    def __init__(self, dims: Iterable[LoopDim], reduced: Iterable[LoopDim] = ()) -> None:
        self.dims: list[LoopDim] = list(dims)
        self.reduced: list[LoopDim] = list(reduced)
        self.members: dict[Tensor, None] = {}
        self.positions: dict[Tensor, dict[Position, None]] = {}

    @classmethod
    def around(cls, tensor: Tensor) -> Nest:
        """The nest that computes one tensor."""
        if folds(tensor):
            dims = [None if size == 1 else LoopDim(size) for size in tensor.inputs[0].shape]
            axes = tensor.attrs["axis"]
            nest = cls(
                (d for d in dims if d is not None),
                (d for axis, d in enumerate(dims) if d is not None and axis in axes),
            )
        else:
            nest = cls(LoopDim(size) for size in tensor.shape if size != 1)
        return nest

    @classmethod
    def of(cls, outputs: Sequence[Tensor], members: Sequence[Tensor]) -> Nest:
        """The nest of a finished body: its results, and its tensors with operands before users.

        Raises:
            InternalError: the body is no nest; a defect of whoever formed it.
        """
        nest = cls.fitted(outputs, members)
        if isinstance(nest, str):
            raise InternalError(f"a fused body is no loop nest: {nest}")
        return nest

    @classmethod
    def fitted(cls, outputs: Sequence[Tensor], members: Sequence[Tensor]) -> Nest | str:
        """The nest of these results and members, or why there is none; see `of`."""
        reductions = [t for t in members if folds(t)]
        nest = cls.around(reductions[0] if reductions else max(outputs, key=lambda t: len(_sizes(t.shape))))
        results = set(outputs)
        for tensor in reversed(members):
            reason = nest.add(tensor, is_result=tensor in results)
            if reason is not None:
                return f"{tensor.op.name} {tensor.type!r}: {reason}"
        return nest

    @property
    def kept(self) -> list[LoopDim]:
        """The loops that no reduction folds."""
        return [d for d in self.dims if d not in self.reduced]

    def position(self, tensor: Tensor) -> Position:
        """Where a tensor that is read at one position only is read."""
        (position,) = self.positions[tensor]
        return position

    def is_full(self, tensor: Tensor) -> bool:
        """Whether a result has an element for each turn of all loops."""
        return _loops_of(self.position(tensor)) == self.dims

    def add(self, tensor: Tensor, *, is_result: bool) -> str | None:
        """Let the nest compute `tensor`, whose users in the nest were added before.

        Returns:
            None, or why it does not fit; the nest is unchanged then.
        """
        positions = self.positions.get(tensor) or self._as_result(tensor)
        if positions is None:
            return f"its shape {list(tensor.shape)} is not that of the loops {[str(d.extent) for d in self.dims]}"
        refusal = self._refusal(tensor, positions, is_result)
        if refusal is not None:
            return refusal
        reduced: Sequence[LoopDim] = ()
        if folds(tensor):
            fitted = self._fit_reduction(tensor, next(iter(positions)))
            if isinstance(fitted, str):
                return fitted
            self.dims, self.reduced = fitted
            reduced = self.reduced
        self.members[tensor] = None
        self.positions[tensor] = positions
        for at in positions:
            for operand, position in zip(tensor.inputs, operand_positions(tensor, at, reduced)):
                self.positions.setdefault(operand, {})[position] = None
        return None

    def _as_result(self, tensor: Tensor) -> dict[Position, None] | None:
        """The position of a result that nothing else in the nest reads: that of the loops of its shape."""
        extents = _sizes(tensor.shape)
        for loops in (self.dims, self.kept):
            if [d.extent for d in loops] == extents:
                rest = iter(loops)
                return {tuple(None if size == 1 else next(rest) for size in tensor.shape): None}
        return None

    def _refusal(self, tensor: Tensor, positions: dict[Position, None], is_result: bool) -> str | None:
        """Why a tensor that is read at these positions cannot be computed in the nest, whatever its operands."""
        name = tensor.op.name
        if len(positions) > _POSITION_LIMIT:
            return f"it is read at {len(positions)} different positions"
        whole = all(_is_at(at, self.dims) or _is_at(at, self.kept) for at in positions)
        if is_result and not (whole and len(positions) == 1):
            return "it is a result, but the loops do not visit each of its elements once"
        if is_result and _sizes(tensor.shape) != [d.extent for d in _loops_of(next(iter(positions)))]:
            return _OTHER_EXPRESSION
        if folds(tensor) and not (len(positions) == 1 and _is_plain(next(iter(positions)))):
            return "a reduction's result must be read as it is, not through a slice or gather"
        if tensor.op.has(Trait.FALLIBLE) and not (whole and len(positions) == 1):
            return f"{name} may fail, so each of its elements must be computed"
        if name in EXPENSIVE and not whole:
            if len(positions) > 1 or not all(map(_is_plain, positions)):
                return f"{name} would be computed more than once for an element, or through a gather"
            if self._repeats(_loops_of(next(iter(positions)))):
                return f"{name} would be computed again for each element that it is broadcast to"
        return None

    def _repeats(self, loops: list[LoopDim]) -> bool:
        """Whether a value at these loops is computed again and again: a loop outside its innermost is missing."""
        if not loops:
            return False
        last = max(self.dims.index(d) for d in loops)
        return len(loops) <= last

    def _fit_reduction(self, tensor: Tensor, at: Position) -> tuple[list[LoopDim], list[LoopDim]] | str:
        """The dims and reduced dims with this reduction in the nest, or why it cannot be."""
        shape, axes = tensor.inputs[0].shape, tensor.attrs["axis"]
        folded = [shape[axis] for axis in range(len(shape)) if axis in axes and shape[axis] != 1]
        loops = _loops_of(at)
        if self.reduced:
            if loops != self.kept:
                return "it keeps other axes than the reductions of its neighbours"
            if folded != [d.extent for d in self.reduced]:
                return "it folds other axes than the reductions of its neighbours"
            dims, reduced = self.dims, self.reduced
        elif loops == self.dims:  # the nest only has what is left after the reduction: add its loops
            reduced = [LoopDim(extent) for extent in folded]
            rest, new = iter(loops), iter(reduced)
            dims = [next(new) if axis in axes else next(rest) for axis, size in enumerate(shape) if size != 1]
        else:  # the nest broadcasts the reduction's result along what it folds
            reduced = [d for d in self.dims if d not in loops]
            if loops != [d for d in self.dims if d in loops] or folded != [d.extent for d in reduced]:
                return "its result is not broadcast along just the axes that it folds"
            dims = self.dims
        if _loops_of(_reduction_position(tensor, at, reduced)) != dims:
            return "it folds its operand in another order of axes"
        if _sizes(shape) != [d.extent for d in dims]:
            return _OTHER_EXPRESSION
        return dims, reduced


def _loops_of(position: Position) -> list[LoopDim]:
    """The loop dims at which a position stands directly, in order."""
    return [e for e in position if isinstance(e, LoopDim)]


def _is_plain(position: Position) -> bool:
    return not any(isinstance(e, Mapped) for e in position)


def _is_at(position: Position, loops: list[LoopDim]) -> bool:
    """Whether a position is just these loops, in order."""
    return _is_plain(position) and _loops_of(position) == loops


def _sizes(shape: tuple[Size, ...]) -> list[Size]:
    """The extents of the loops that an array of this shape needs."""
    return [size for size in shape if size != 1]
