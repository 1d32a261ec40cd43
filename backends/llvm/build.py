"""From an optimised graph to everything that is compiled for it: its plan, kernels and entries.

A program that the disk cache has whole is run without any of this, which is made then only when somebody asks: for
the text of the plan, or which op an error is about.

Invariant: the same graph and options always give the same texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from graphc.backends.llvm.blueprint import Blueprint, Place, Scratch
from graphc.backends.llvm.call import Signature
from graphc.backends.llvm.call_code import build_call
from graphc.backends.llvm.codegen import assembly
from graphc.backends.llvm.emitter import Builder
from graphc.backends.llvm.entry import Entries
from graphc.backends.llvm.kernel import Kernel
from graphc.backends.llvm.library import OPTIMISED_KERNELS, link, module_text, symbol_of
from graphc.backends.llvm.linked import Linked
from graphc.backends.llvm.plan import describe_plan, plan
from graphc.backends.llvm.steps import Plan, Scan, Step
from graphc.ir.dims import Size
from graphc.ir.graph import Graph


class Build:
    """A graph, planned and written out.

    Attributes:
        plan: its steps and buffers.
        blueprint: what a call needs to know.
        segments: as those of `Entries`.
    """

    def __init__(self, graph: Graph, threads: int, entries: type[Entries] = Entries) -> None:
        self.plan: Plan = plan(graph, threads)
        self._symbols: dict[Kernel, str] = {}
        for kernel in self.plan.kernels:
            self._symbols[kernel] = symbol_of(kernel.function)
        self._entries = entries(self.plan, self._symbols, threads)
        self.segments = self._entries.segments
        self.blueprint = _blueprint(self.plan, self._entries)

    def functions(self, signature: Signature | None) -> list[Builder]:
        """What belongs to this program alone: the entries and, for a signature, the native call."""
        return [*self._entries.functions, *([] if signature is None else [build_call(signature, "entry0")])]

    def link(
        self,
        signature: Signature | None,
        data: Mapping[str, int],
        opt_level: int | None,
        is_kept: bool = True,
        threads: int | None = None,
    ) -> Linked:
        """The code in memory; `data` are the addresses of the symbols that the entries use. Else as `library.link`."""
        return link(self._symbols, self.functions(signature), data, opt_level, is_kept, threads)

    @property
    def is_small(self) -> bool:
        """Whether all of its kernels are optimised in the end, so that a first tier is worth having."""
        return len(set(self._symbols.values())) <= OPTIMISED_KERNELS

    @cached_property
    def text(self) -> str:
        """The IR of all kernels and entries as one module."""
        kernels = {symbol: kernel for kernel, symbol in self._symbols.items()}
        return module_text(list(kernels.items()), self.functions(None))

    def describe(self) -> str:
        """The plan as text."""
        return describe_plan(self.plan)

    def assembly(self) -> str:
        """The assembly of `text`."""
        return assembly(self.text)


def _blueprint(found: Plan, entries: Entries) -> Blueprint:
    lives = found.lifetimes()
    in_parts = {step.kernel for step in found.steps_in_parts}
    return Blueprint(
        tuple(Place(b.kind, b.number, b.type, lives.get(b), b.copies) for b in found.buffers),
        tuple(
            Scratch(kernel.scratch_bytes, kernel.split is not None or kernel in in_parts)
            for kernel in found.kernels
            if kernel.scratch_bytes != 0
        ),
        tuple(entries.sizes),
        _work(found.steps),
        entries.is_shared,
    )


def _work(steps: Sequence[Step]) -> Size:
    """A rough count of what a call does: bytes moved, and two for each multiply-add of a matrix product."""
    total: Size = 0
    for step in steps:
        if step.nested is not None:
            turns: Size = 1
            if isinstance(step.nested, Scan):
                turns = step.nested.length * (step.nested.parts.count if step.nested.parts is not None else 1)
            for plan in step.nested.plans:
                total = total + _work(plan.steps) * turns
            continue
        for buffer in (*step.operands, *step.results):
            total = total + buffer.nbytes
        if step.tensor.op.name == "matmul":
            depth = step.tensor.inputs[0].shape[-1]
            total = total + 2 * step.tensor.tensor_type.size * depth // 8
    return total
