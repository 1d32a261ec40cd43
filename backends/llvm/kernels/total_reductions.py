"""Reductions of a long extent to few numbers, in two steps: blocks of fixed size to partial results, then those.

    x  [======|======|======|==]     part: each block to one partial result for each reduction
         p0     p1     p2    p3      finish: the partial results, combined as the reduction would elements

A nest whose kept loops are few turns (or none: the sum of everything) has no loop that threads could share, so
its reduced loop is cut. Where a few elements are kept, those of a block are read once for each of them while
the cache holds it. Long columns are cut too: threads that shared the columns would each read a piece of every row,
which defeats the processor's fetching ahead. Both steps are loop nests: the second one that of an ordinary body,
which reads the partial results in place of the reductions' operands. What else a nest of columns makes of its operands,
element by element, the first step writes on its way.

Invariant: blocks depend on extents only, so the order of combination, and with it each bit, is the same for
any number of threads.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from graphc.analysis.loops import LoopDim, folds
from graphc.backends.llvm.emitter import Value
from graphc.backends.llvm.kernel import Kernel, Split
from graphc.backends.llvm.kernels.loop_frames import Leveled
from graphc.backends.llvm.kernels.loop_memory import Array
from graphc.backends.llvm.kernels.loops import LoopKernel
from graphc.backends.llvm.target import Target, host_target
from graphc.ir import dims
from graphc.ir.build import apply
from graphc.ir.dims import Size
from graphc.ir.graph import Graph, with_inputs
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType

#: Elements of one block: what the second-level cache holds of one operand.
BLOCK_ELEMENTS = 1 << 16
#: The fewest elements and rows of a block of columns: to write and to read its row of totals takes little of its time.
COLUMN_ELEMENTS, COLUMN_ROWS = 1 << 17, 128
#: Up to so many columns are no more than a few vectors, which leave threads nothing else to share: blocks are smaller.
FEW_COLUMNS, FEW_COLUMN_ELEMENTS = 256, 1 << 15
#: The fewest blocks of columns.
FEWEST_BLOCKS = 4
#: More kept elements than this fill vectors, and are threads' to share.
MOST_KEPT = 16
#: With at most so many ops a block is folded in twice as many lanes: their latency is what it waits for.
_LIGHT = 2
#: Lanes are counted in a byte where elements are bytes.
_MOST_LANES = 128


@dataclass(frozen=True, slots=True)
class TwoSteps:
    """A body as two kernels.

    Attributes:
        part: the kernel that makes the partial results of the body's operands.
        partials: the types of the partial results, in order.
        direct: which of the body's results `part` makes as well, after the partial ones.
        finish: a body of the operands that it needs, then the partial results; its results are the others.
        operands: which of the body's operands `finish` needs.
    """

    part: Kernel
    partials: tuple[TensorType, ...]
    direct: tuple[int, ...]
    finish: Graph
    operands: tuple[int, ...]


def in_two_steps(body: Graph, target: Target | None = None) -> TwoSteps | None:
    """The two steps of a body, if it reduces much to little, or may for some values of symbolic sizes."""
    nest = nest_of_parts(body, target)
    if nest is None:
        return None
    reductions = nest.reductions
    partials = tuple(
        Tensor(OPS["placeholder"], (), {}, TensorType(r.dtype, (nest.blocks, *nest.kept_extents)), r.location)
        for r in reductions
    )
    direct = tuple(body.outputs.index(output) for output in nest.direct)
    finish, operands = _finish(body, dict(zip(reductions, partials)), direct)
    return TwoSteps(nest.kernel(), tuple(p.tensor_type for p in partials), direct, finish, operands)


def nest_of_parts(body: Graph, target: Target | None = None) -> _PartKernel | None:
    """The nest that makes the partial results of a body which is done in two steps."""
    reductions = tuple(t for t in body.tensors if folds(t))
    kind = _kind(reductions[0]) if reductions else None
    if kind is None:
        return None
    direct = kind.makes_too(body, reductions)
    nest = kind(Graph("part", body.inputs, (*reductions, *direct)), target or host_target())
    return nest if nest.suits(body) else None


def _kind(reduction: Tensor) -> type[_PartKernel] | None:
    """What cuts a nest with this reduction: where little is kept of what may be much, or columns are known as long."""
    kept, all_ = reduction.tensor_type.size, reduction.inputs[0].tensor_type.size
    if not isinstance(kept, int) or kept < 1:
        return None
    if kept <= MOST_KEPT:
        return _PartKernel if not isinstance(all_, int) or all_ > BLOCK_ELEMENTS else None
    is_much = isinstance(all_, int) and all_ >= FEWEST_BLOCKS * _column_elements(kept)
    return _ColumnsPartKernel if is_much else None


def _column_elements(kept: int) -> int:
    """The elements of one block of so many columns."""
    return FEW_COLUMN_ELEMENTS if kept <= FEW_COLUMNS else COLUMN_ELEMENTS


def _finish(body: Graph, partials: dict[Tensor, Tensor], direct: tuple[int, ...]) -> tuple[Graph, tuple[int, ...]]:
    """The rest of the body, with partial results in place of what its reductions fold."""

    def rewrite(tensor: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        if tensor not in partials:
            return with_inputs(tensor, inputs)
        total = apply(OPS[tensor.op.name], partials[tensor], axis=(0,), keepdims=False)
        return total if total.shape == tensor.shape else apply(OPS["reshape"], total, shape=tensor.shape)

    outputs = tuple(t for i, t in enumerate(body.rebuild(rewrite).outputs) if i not in direct)
    used = set(Graph("finish", (), outputs).tensors)
    operands = tuple(i for i, tensor in enumerate(body.inputs) if tensor in used)
    inputs = (*(body.inputs[i] for i in operands), *partials.values())
    return Graph("finish", inputs, outputs), operands


class _PartKernel(LoopKernel):
    """The nest of the reductions alone, over one block at a time; its results are rows of partial results."""

    by_blocks = True
    short = MOST_KEPT

    @classmethod
    def makes_too(cls, body: Graph, reductions: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The results of the body that the nest makes besides the reductions."""
        return ()

    @property
    def reductions(self) -> tuple[Tensor, ...]:
        """Those of its results that are partial ones."""
        return tuple(t for t in self.body.outputs if folds(t))

    @property
    def direct(self) -> tuple[Tensor, ...]:
        """The others, which are results of the body."""
        return tuple(t for t in self.body.outputs if not folds(t))

    def suits(self, body: Graph) -> bool:
        """Whether the reductions need nothing but the operands, and nothing else of the body needs the long loops."""
        one_sweep = self.by_rows and len(self.stages) == 1 and not self.fallible
        return one_sweep and not any(map(self._is_long, body.outputs))

    @staticmethod
    def _is_long(result: Tensor) -> bool:
        size = result.tensor_type.size
        return not isinstance(size, int) or size > MOST_KEPT

    @property
    def kept_extents(self) -> tuple[Size, ...]:
        """The extents of what is kept."""
        return tuple(d.extent for d in self.nest.kept)

    @property
    def height(self) -> int:
        """How many turns of the outermost reduced loop make a block."""
        inside = dims.product([d.extent for d in self.nest.dims if d not in self.reduced[0]])
        return max(1, BLOCK_ELEMENTS // max(1, inside)) if isinstance(inside, int) else 1

    @property
    def blocks(self) -> Size:
        """How many blocks there are."""
        return -(-dims.product([d.extent for d in self.reduced[0]]) // self.height)

    def _lanes(self, target: Target) -> int:
        lanes = super()._lanes(target)
        computing = [t for t in self.members if t.op.name not in ("const", "dim", "broadcast_to", "reshape")]
        light = lanes > 1 and len(computing) <= _LIGHT and not self.kept
        return 2 * lanes if light and 2 * lanes <= _MOST_LANES else lanes

    def _has_tails(self) -> bool:
        cuts = self.by_rows and len(self.reduced) == 1 and self.height % self.lanes != 0
        return super()._has_tails() or (self.lanes > 1 and cuts)

    def _bounds(self, group: list[LoopDim]) -> tuple[Leveled, Value]:
        return self.window if group is self.reduced[0] else super()._bounds(group)

    def kernel(self) -> Kernel:
        """Emit everything."""
        b, frames = self.b, self.frames
        height, kept = self.height, dims.product(list(self.kept_extents))
        extent = self._extent(self.reduced[0])
        with frames.loop(b.param("low"), b.param("high")) as block:
            level = frames.depth
            start = b.mul(block.index, height)
            self.window = Leveled(start, level), b.intrinsic("smin", b.add(start, height), extent)
            for tensor in self.reductions:
                output = self.outputs[tensor]
                offset = self.values.product([kept, tensor.dtype.itemsize]).value
                row = b.offset(output.pointer.value, b.mul(block.index, offset))
                self.outputs[tensor] = Array(Leveled(row, level), output.shape, output.dtype)
            with contextlib.ExitStack() as stack:
                for group in self._kept_loops()[0]:
                    stack.enter_context(self._loop_over(group))
                self._turn()
        turn = [d.extent for d in self.nest.dims if d not in self.reduced[0]]
        split = Split((self.blocks,), 1, self._cost() * dims.product([height, *turn]))
        return Kernel(b, self.sizes, 0, helpers=tuple(self.values.helpers.values()), split=split)


class _ColumnsPartKernel(_PartKernel):
    """The same for columns: each block is added up to rows of partial results."""

    short = LoopKernel.short

    @classmethod
    def makes_too(cls, body: Graph, reductions: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The long results that need no reduction."""
        kept, folded = reductions[0].tensor_type.size, set(reductions)
        long = (t for t in dict.fromkeys(body.outputs) if t not in body.inputs and cls._is_longer(t, kept))
        return tuple(t for t in long if folded.isdisjoint(Graph("long", (), (t,)).tensors))

    def suits(self, body: Graph) -> bool:
        """Whether the nest is one of columns, and nothing else of the body needs the long loops."""
        one_sweep = not self.by_rows and not self.crosswise and len(self.stages) == 1 and not self.fallible
        if not one_sweep or self.nest.dims[0] not in self.reduced[0]:
            return False
        kept = dims.product(list(self.kept_extents))
        rest = [out for out in body.outputs if out not in self.direct]
        few = isinstance(kept, int) and not any(self._is_longer(out, kept) for out in rest)
        return few and isinstance(self.blocks, int) and self.blocks >= FEWEST_BLOCKS

    @staticmethod
    def _is_longer(result: Tensor, kept: Size) -> bool:
        size = result.tensor_type.size
        return not (isinstance(size, int) and isinstance(kept, int)) or size > kept

    @property
    def height(self) -> int:
        """How many rows make a block."""
        inside = dims.product([d.extent for d in self.nest.dims if d not in self.reduced[0]])
        kept = dims.product(list(self.kept_extents))
        if not isinstance(inside, int) or not isinstance(kept, int):
            return 1
        return max(1, max(_column_elements(kept), COLUMN_ROWS * kept) // max(1, inside))


__all__ = ["BLOCK_ELEMENTS", "TwoSteps", "in_two_steps", "nest_of_parts"]
