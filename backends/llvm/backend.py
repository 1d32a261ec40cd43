"""Backend "llvm": what it takes natively, and the way from a graph to a program.

Invariant: everything that the interpreter runs, this backend runs: natively, by an op's expansion, or as a host
step that the plan lists.
"""

from __future__ import annotations

from graphc.analysis.loops import INDEXED, REDUCTIONS
from graphc.backends.llvm.elementwise import LOWERINGS
from graphc.backends.llvm.kernels import KERNELS
from graphc.backends.llvm.program import Program
from graphc.ir.graph import Graph

_STRUCTURAL = frozenset({"placeholder", "variable", "const", "dim", "get", "fused", "matmul"})


class LLVMBackend:
    """Compiles through LLVM."""

    name = "llvm"

    @property
    def native(self) -> frozenset[str]:
        """The ops that kernels exist for."""
        return _STRUCTURAL | INDEXED | REDUCTIONS | frozenset(LOWERINGS) | frozenset(KERNELS)

    def compile(self, graph: Graph, container: type | None = list, opt_level: int | None = None) -> Program:
        """The program of an optimised graph."""
        return Program(graph, container, opt_level)
