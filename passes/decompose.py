"""Ops that a backend lacks, written by simpler ones.

Invariant: only an op's own `expand` is used, again and again until what remains is native or has none; those
that remain are for the backend to run as host steps or to report.
"""

from __future__ import annotations

from collections import Counter

from graphc.ir.graph import Graph
from graphc.ir.opdef import OPS, OpDef
from graphc.ir.tensor import Tensor
from graphc.passes.rewrite import Rewriting, Rule, rewrite


def decompose(graph: Graph, *, native: frozenset[str], fired: Counter[str]) -> Graph:
    """`graph` with the ops that are not in `native` expanded, where they can be.

    Args:
        graph: any graph.
        native: the names of the ops that the backend takes as they are.
        fired: counts each expansion, as `decompose.<op>`.
    """
    rules = {
        op.name: [Rule("decompose", op.name, (op.name,), _expansion(op))]
        for op in OPS.values()
        if op.expand is not None and op.name not in native
    }
    return rewrite(graph, rules, fired)


def _expansion(op: OpDef) -> Rewriting:
    def expand(tensor: Tensor) -> Tensor | None:
        assert op.expand is not None
        return op.expand(*tensor.inputs, **tensor.attrs)

    return expand
