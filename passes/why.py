"""Why two tensors run in one kernel, or in two: what `Function.why` says.

Invariant: clusters are formed anew from the graph before `fuse`, as that pass does, so the answer is its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from graphc.analysis.loops import fusible
from graphc.errors import ArgumentError, nearest
from graphc.ir.graph import Graph
from graphc.ir.tensor import Tensor
from graphc.ir.text import tensor_names
from graphc.passes.fuse import form_clusters


class _Stage(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def graph(self) -> Graph: ...


class _HasStages(Protocol):
    @property
    def stages(self) -> Sequence[_Stage]: ...


def explain(trace: _HasStages, first: str, second: str) -> str:
    """Why two tensors of the graph before `fuse` run in one kernel, or in two.

    Args:
        trace: the graph after each pass.
        first, second: tensor names, as the graph before `fuse` prints them.

    Raises:
        ArgumentError: there is no such tensor, or fusion was left out.
    """
    names = [stage.name for stage in trace.stages]
    if "fuse" not in names:
        raise ArgumentError("why: the pass 'fuse' was left out")
    position = names.index("fuse")
    graph = trace.stages[position - 1].graph
    by_name = {name: tensor for tensor, name in tensor_names(graph).items()}
    for name in (first, second):
        if name not in by_name:
            raise ArgumentError(
                f"why: before fuse there is no tensor %{name}; see dump({names[position - 1]!r})",
                hint=nearest(name, by_name),
            )
    clusters = form_clusters(graph)
    images: dict[Tensor, list[Tensor]] = {}
    for image, origin in clusters.origins.items():
        images.setdefault(origin, []).append(image)
    a, b = (images[by_name[name]] for name in (first, second))
    shared = {clusters.homes[t] for t in a if t in clusters.homes} & {clusters.homes.get(t) for t in b}
    if shared:
        members = shared.pop().nest.members
        count = len({clusters.origins[t] for t in members})
        return f"%{first} and %{second} are fused: one kernel of {count} tensors computes both"
    lines = [f"%{first} and %{second} are not fused"]
    for name, tensors in ((first, a), (second, b)):
        reasons = [clusters.reasons[t] for t in tensors if t in clusters.reasons]
        if not fusible(tensors[0]):
            lines.append(f"%{name}: {tensors[0].op.name} runs as a step of its own, not in a loop nest")
        elif reasons:
            lines.append(f"%{name} does not join its users: {reasons[0]}")
    if len(lines) == 1:
        lines.append("neither is a neighbour of the other's cluster")
    return "\n".join(lines)
