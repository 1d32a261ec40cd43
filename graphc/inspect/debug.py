"""What `GRAPHC_DEBUG` prints: one ladder, each level with all that the lower ones show.

| level | prints |
|---|---|
| 1 | a table of the passes: milliseconds, tensors before and after, rules fired |
| 2 | the clusters that `fuse` made, the backend's plan, and what the disk cache had of the code |
| 3 | the graph as written, and after each pass that changed it |
| 4 | the LLVM IR |
| 5 | the assembly |

Invariant: everything goes to the standard error stream, in one write, so that functions that are compiled at
the same time do not mix their lines.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from graphc.errors import ArgumentError
from graphc.inspect.table import table
from graphc.ir.graph import Graph
from graphc.ir.text import print_graph, tensor_names

if TYPE_CHECKING:
    from graphc.function import Function
    from graphc.passes.manager import Trace

_HIGHEST = 5
_RULE_WIDTH = 100


def print_debug(function: Function, level: int) -> None:
    """Print what `level` asks for about a compiled function to the standard error stream.

    Raises:
        ArgumentError: the level is not a number from 0 to 5.
    """
    if not isinstance(level, int) or not 0 <= level <= _HIGHEST:
        raise ArgumentError(f"debug: expected a level from 0 to {_HIGHEST}, not {level!r}")
    if level:
        sys.stderr.write("\n".join(debug_lines(function, level)) + "\n")


def debug_lines(function: Function, level: int) -> Iterator[str]:
    """The lines that `print_debug` prints."""
    yield _headline(f"{function.name}: {function.backend}, {len(function.optimized.tensors)} tensors")
    yield from pass_table(function.trace)
    if level >= 2:
        yield from _section("clusters", cluster_lines(function.optimized))
        yield from _section("plan", function.artifacts["plan"].splitlines())
        if (cache := function.artifacts.get("cache")) is not None:
            yield from _section("cache", cache.splitlines())
    if level >= 3:
        yield from _section("graph as written", print_graph(function.graph).splitlines())
        yield from _changes(function)
    if level >= 4:
        yield from _artifact(function, "llvm", "LLVM IR")
    if level >= 5:
        yield from _artifact(function, "asm", "assembly")


def pass_table(trace: Trace) -> list[str]:
    """What each pass did: milliseconds, tensors before -> after, and how often each of its rules fired."""
    stages = trace.stages
    rows = [
        [s.name, f"{s.milliseconds:.2f}", s.before, "->", s.after, _fired(s.name, s.fired)]
        for s in stages
    ]
    if stages:
        total = sum(s.milliseconds for s in stages)
        rows.append(["total", f"{total:.2f}", stages[0].before, "->", stages[-1].after, ""])
    return table(["pass", "ms", "tensors", "", "", "rules fired"], rows, "<>>^><")


def _fired(name: str, fired: Mapping[str, int]) -> str:
    """The rules of a pass by how often they fired, without the pass's own name in front."""
    often = sorted(fired.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{rule.removeprefix(f'{name}.')} {count}" for rule, count in often if count)


def cluster_lines(graph: Graph) -> list[str]:
    """Each `fused` tensor of an optimised graph: its name, type and the ops that run in its one kernel."""
    names = tensor_names(graph)
    rows = []
    for tensor in graph.tensors:
        if tensor.op.name == "fused":
            rows.append([f"%{names[tensor]}", repr(tensor.type), " ".join(body_ops(tensor.attrs["body"]))])
    if not rows:
        return ["  none: no two tensors share a kernel"]
    return table(["cluster", "type", "ops"], rows, "<<<")


def body_ops(body: Graph) -> list[str]:
    """The ops that a cluster's body computes, in order; what it is given, constants and sizes left out."""
    given = set(body.inputs)
    return [t.op.name for t in body.tensors if t not in given and t.op.name not in ("const", "dim")]


def _changes(function: Function) -> Iterator[str]:
    before = print_graph(function.graph, locations=False)
    for stage in function.trace.stages:
        after = print_graph(stage.graph, locations=False)
        if after == before:
            yield f"-- {stage.name} changed nothing"
        else:
            yield from _section(f"graph after {stage.name}", print_graph(stage.graph).splitlines())
        before = after


def _artifact(function: Function, key: str, title: str) -> Iterator[str]:
    text = function.artifacts.get(key)
    if text is None:
        text = f"  none: backend {function.backend!r} makes no machine code"
    yield from _section(title, text.splitlines())


def _section(title: str, lines: list[str]) -> Iterator[str]:
    yield f"-- {title}"
    yield from lines


def _headline(text: str) -> str:
    return f"== graphc {text} ".ljust(_RULE_WIDTH, "=")
