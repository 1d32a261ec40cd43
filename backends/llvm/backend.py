"""Backend "llvm": what it takes natively, and the way from a graph to a program.

Invariant: everything that the interpreter runs, this backend runs: natively, by an op's expansion, or as a host
step that the plan lists.
"""

from __future__ import annotations

from graphc.backends.llvm.natives import NATIVE
from graphc.backends.llvm.program import Program
from graphc.ir.graph import Graph


class LLVMBackend:
    """Compiles through LLVM."""

    name = "llvm"
    native = NATIVE

    def compile(self, graph: Graph, container: type | None = list, opt_level: int | None = None) -> Program:
        """The program of an optimised graph."""
        return Program(graph, container, opt_level)
