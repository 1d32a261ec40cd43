"""Backend "llvm": what it takes natively, and the way from a graph to a program.

Invariant: everything that the interpreter runs, this backend runs: natively, by an op's expansion, or as a host
step that the plan lists.
"""

from __future__ import annotations

from collections.abc import Mapping

from graphc.analysis.layouts import Layout
from graphc.backends.llvm.natives import NATIVE
from graphc.backends.llvm.program import Program
from graphc.ir.graph import Graph


class LLVMBackend:
    """Compiles through LLVM."""

    name = "llvm"
    native = NATIVE
    copies_fast = True

    def reading(self, graph: Graph, layouts: Mapping[int, Layout]) -> tuple[Graph, tuple[int, ...]] | None:
        """The graph that reads inputs as they lie; see `Backend.reading`."""
        from graphc.backends.llvm.reading import reading  # brings the kernels along

        return reading(graph, layouts)

    def compile(self, graph: Graph, container: type | None = list, opt_level: int | None = None) -> Program:
        """The program of an optimised graph."""
        return Program(graph, container, opt_level)
