"""`fuse`: clusters of tensors that one loop nest can compute become one `fused` tensor with a body graph.

From the results backwards, a tensor joins the cluster of its users:

    all users in one cluster          -> join it, if the loop nest takes it (`analysis.loops.Nest.add`)
    users in several clusters         -> merge those clusters first, if one nest can be made of them
    some users outside any cluster    -> join as a further result, if no path leads from them into the cluster
    free to compute again (a scalar)  -> each user has a copy of its own, which joins with it

and otherwise begins a cluster of its own. What is left over so between several clusters, though to compute it takes no
longer than to read it (x + 1, which reads x), is free in a second walk. Since every path from a joining tensor into its
cluster is direct, clusters never form a cycle. What does not join keeps the reason: `why` tells it.

Invariant: the fused graph computes the same values op by op; a body holds only ops that loop nests know.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from graphc.analysis.loops import EXPENSIVE, FREE, Nest, fusible
from graphc.analysis.transposition import is_large_transposition
from graphc.analysis.users import users
from graphc.ir.build import apply, unpack
from graphc.ir.graph import Graph, with_inputs
from graphc.ir.location import inherit
from graphc.ir.opdef import OPS, Trait
from graphc.ir.tensor import Tensor

#: Larger bodies spill registers and compile slowly, and gain nothing: their values would leave L1 anyway.
MEMBER_LIMIT = 96
OPERAND_LIMIT = 24
#: Scalar expressions of constants and sizes up to this depth are computed again by each kernel.
FREE_DEPTH = 4
#: How many tensors to look at when asking whether a path leads from one place to another.
SEARCH_LIMIT = 256
SCAN_LIMIT = 512


@dataclass(eq=False)
class Cluster:
    """Tensors that will be one `fused` tensor, and their loop nest; `last` is the place of the last of them."""

    nest: Nest
    last: int

    @property
    def members(self) -> Iterable[Tensor]:
        """The tensors of the cluster."""
        return self.nest.members


@dataclass
class Clusters:
    """The clusters of a graph.

    Attributes:
        graph: the graph that was clustered: that which was given, with free tensors copied for their users.
        origins: for each tensor of `graph`, the given one that it stands for.
        homes: the cluster that computes a tensor.
        reasons: why a tensor did not join the cluster of its users.
    """

    graph: Graph
    origins: dict[Tensor, Tensor]
    homes: dict[Tensor, Cluster] = field(default_factory=dict)
    reasons: dict[Tensor, str] = field(default_factory=dict)


def fuse(graph: Graph) -> Graph:
    """The graph with each cluster of two or more tensors as one `fused` tensor."""
    return _Rebuild(form_clusters(graph)).graph()


def form_clusters(graph: Graph) -> Clusters:
    """Which tensors of `graph` are computed together, and why others are not."""
    found = _Former(*_with_copies(graph, _free_tensors(graph))).run()
    between = _cheap_between_clusters(found)
    if between:
        found = _Former(*_with_copies(graph, _free_tensors(graph) | between)).run()
    return found


def _cheap_between_clusters(clusters: Clusters) -> set[Tensor]:
    """What several clusters read, and could as well compute."""
    using, roots = users(clusters.graph), set(clusters.graph.roots)
    found = set()
    for tensor in clusters.reasons:
        if tensor not in roots and fusible(tensor) and _costs_a_reading(tensor) and _is_alone(tensor, clusters):
            homes = {clusters.homes.get(user) for user in using[tensor]}
            if len(homes) > 1 and None not in homes:
                found.add(clusters.origins[tensor])
    return found


def _is_alone(tensor: Tensor, clusters: Clusters) -> bool:
    """Whether no other computing is done in the tensor's cluster."""
    home = clusters.homes.get(tensor)
    return home is None or all(t is tensor or t.op.name in FREE for t in home.members)


def _costs_a_reading(tensor: Tensor) -> bool:
    """Whether a tensor is cheap arithmetic on one of the same shape and no wider elements, and on broadcast ones.

    Not on a variable, which could be updated in place no sooner than after its last reader.
    """
    if not tensor.op.has(Trait.ELEMENTWISE) or tensor.op.name in EXPENSIVE:
        return False
    same = [x for x in tensor.inputs if x.shape == tensor.shape]
    return len(same) == 1 and same[0].dtype.itemsize <= tensor.dtype.itemsize and same[0].op.name != "variable"


def _with_copies(graph: Graph, free: set[Tensor]) -> tuple[Graph, dict[Tensor, Tensor]]:
    """The graph in which each tensor that a nest may compute has copies of its own of its free operands.

    So a free tensor never ties its users together, and each copy joins the one cluster that uses it.
    """
    origins: dict[Tensor, Tensor] = {t: t for t in graph.inputs}
    new: dict[Tensor, Tensor] = {t: t for t in graph.inputs}

    def copied(tensor: Tensor) -> Tensor:
        inputs = tuple(copied(i) if i in free else new[i] for i in tensor.inputs)
        made = Tensor(tensor.op, inputs, tensor.attrs, tensor.type, tensor.location, tensor.hint)
        origins[made] = tensor
        return made

    for tensor in graph.tensors:
        if tensor in new:
            continue
        copies = fusible(tensor)
        inputs = tuple(copied(i) if copies and i in free else new[i] for i in tensor.inputs)
        new[tensor] = with_inputs(tensor, inputs)
        origins[new[tensor]] = tensor
    return graph.with_roots(new[root] for root in graph.roots), origins


def _free_tensors(graph: Graph) -> set[Tensor]:
    """Tensors that any kernel may compute again: sources, broadcasts, and short scalar expressions of such."""
    depth: dict[Tensor, int] = {}
    for tensor in graph.tensors:
        if not fusible(tensor):
            continue
        scalar = bool(tensor.inputs) and tensor.op.has(Trait.ELEMENTWISE) and tensor.tensor_type.size == 1
        if tensor.op.name in FREE or (scalar and all(i in depth for i in tensor.inputs)):
            deepest = 1 + max((depth.get(i, 0) for i in tensor.inputs), default=0)
            if deepest <= FREE_DEPTH:
                depth[tensor] = deepest
    return set(depth)


class _Former:
    """The walk from the results backwards."""

    def __init__(self, graph: Graph, origins: dict[Tensor, Tensor]) -> None:
        self.users = users(graph)
        self.roots = set(graph.roots)
        self.order = {t: i for i, t in enumerate(graph.tensors)}
        self.place = len(self.order)  # of the tensor being looked at; all clusters lie behind it
        self.found = Clusters(graph, origins)

    def run(self) -> Clusters:
        for tensor in reversed(self.found.graph.tensors):
            self.place -= 1
            if fusible(tensor):
                self._place(tensor)
        return self.found

    def _place(self, tensor: Tensor) -> None:
        homes = self.found.homes
        clusters = list(dict.fromkeys(homes[u] for u in self.users[tensor] if u in homes))
        outside = [u for u in self.users[tensor] if u not in homes]
        needed = tensor in self.roots or bool(outside)
        reason = "no neighbour can be computed by a loop nest" if not clusters else None
        if len(clusters) > 1:
            reason = self._merge(clusters)
            clusters = [homes[u] for u in self.users[tensor] if u in homes][:1]
        if reason is None and is_large_transposition(tensor):
            reason = "a large transposition is done by itself"
        if reason is None and self._reaches(outside, clusters[0]):
            reason = "another user of it must run before the cluster, and after it"
        if reason is None:
            reason = self._join(tensor, clusters[0], is_result=needed)
        if reason is None:
            homes[tensor] = clusters[0]
            return
        self.found.reasons[tensor] = reason
        if not _stays_outside(tensor, self.users[tensor]):
            self._begin(tensor)

    def _begin(self, tensor: Tensor) -> None:
        cluster = Cluster(Nest.around(tensor), self.place)
        if self._join(tensor, cluster, is_result=True) is None:
            self.found.homes[tensor] = cluster

    def _join(self, tensor: Tensor, cluster: Cluster, *, is_result: bool) -> str | None:
        nest = cluster.nest
        if len(nest.members) >= MEMBER_LIMIT:
            return f"the cluster already has {MEMBER_LIMIT} tensors"
        if len(nest.positions) - len(nest.members) > OPERAND_LIMIT:
            return f"the cluster already has {OPERAND_LIMIT} operands"
        return nest.add(tensor, is_result=is_result)

    def _merge(self, clusters: list[Cluster]) -> str | None:
        """Make one cluster of several; or say why not, and leave them."""
        if sum(len(c.nest.members) for c in clusters) > MEMBER_LIMIT:
            return f"its users' clusters have more than {MEMBER_LIMIT} tensors together"
        members = {t for c in clusters for t in c.members}
        for cluster in clusters:
            following = [u for t in cluster.members for u in self.users[t] if u not in members]
            if any(self._reaches(following, other) for other in clusters):
                return "its users are in clusters that cannot run as one: a path leads out of one into another"
        ordered = sorted(members, key=self.order.__getitem__)
        results = [t for t in ordered if t in self.roots or any(u not in members for u in self.users[t])]
        nest = Nest.fitted(results, ordered)
        if isinstance(nest, str):
            return f"its users are in clusters with different loops ({nest})"
        merged = Cluster(nest, max(c.last for c in clusters))
        self.found.homes.update(dict.fromkeys(members, merged))
        return None

    def _reaches(self, starts: Sequence[Tensor], cluster: Cluster) -> bool:
        """Whether a path may lead from tensors outside into `cluster`; True when the search gets too long.

        Whoever enters a cluster comes out of all its results.
        """
        if not starts:
            return False
        horizon = self._horizon(cluster)
        stack, seen = list(starts), set(starts)
        entered: set[Cluster] = set()
        while stack:
            tensor = stack.pop()
            home = self.found.homes.get(tensor)
            if home is cluster:
                return True
            if len(seen) > SEARCH_LIMIT:
                return True
            sources = [tensor]
            if home is not None and home not in entered:
                entered.add(home)
                sources += home.members
            for source in sources:
                if self.order[source] < horizon:
                    following = [u for u in self.users[source] if u not in seen]
                    seen.update(following)
                    stack += following
        return False

    def _horizon(self, cluster: Cluster) -> int:
        """A place behind which nothing leads into `cluster`.

        Users stand behind their operands, so what stands behind the cluster's last tensor leads back only by way
        of another cluster, which has tensors on both sides: then the horizon is behind the last of those.
        """
        tensors, place, horizon = self.found.graph.tensors, self.place, cluster.last
        while place < horizon:
            place += 1
            if place - self.place > SCAN_LIMIT:
                return len(tensors)
            home = self.found.homes.get(tensors[place])
            if home is not None:
                horizon = max(horizon, home.last)
        return horizon


def _stays_outside(tensor: Tensor, using: Sequence[Tensor]) -> bool:
    """A constant or size is nothing to compute, a reshape costs nothing by itself, nor does a transpose that
    only matrix products read; and a large transposition costs less by itself."""
    if tensor.op.name in ("const", "dim", "reshape") or is_large_transposition(tensor):
        return True
    return tensor.op.name == "permute_dims" and bool(using) and all(u.op.name == "matmul" for u in using)


class _Rebuild:
    """The graph with its clusters of two or more tensors as `fused` ones."""

    def __init__(self, clusters: Clusters) -> None:
        self.clusters = clusters
        self.source = clusters.graph
        self.order = {t: i for i, t in enumerate(self.source.tensors)}
        self.users = users(self.source)
        self.roots = set(self.source.roots)
        self.new: dict[Tensor, Tensor] = {t: t for t in self.source.inputs}
        self.alone: dict[Tensor, Tensor] = {}  # what is made of a tensor, or a copy of it, outside clusters

    def graph(self) -> Graph:
        """The rebuilt graph."""
        for root in self.source.roots:
            self._make(root)
        return self.source.with_roots(self.new[root] for root in self.source.roots)

    def _cluster_of(self, tensor: Tensor) -> Cluster | None:
        """The cluster whose result the tensor is; None if it is made on its own."""
        home = self.clusters.homes.get(tensor)
        if home is None:
            return None
        computing = (t for t in home.members if t.op.name not in ("const", "dim"))
        is_several = len(list(itertools.islice(computing, 2))) > 1
        return home if is_several and self._is_result(tensor, home) else None

    def _is_result(self, tensor: Tensor, cluster: Cluster) -> bool:
        return tensor in self.roots or any(u not in cluster.nest.members for u in self.users[tensor])

    def _make(self, wanted: Tensor) -> None:
        """Make a tensor and, first, what it needs; iterative."""
        stack = [wanted]
        while stack:
            tensor = stack[-1]
            if tensor in self.new:
                stack.pop()
                continue
            cluster = self._cluster_of(tensor)
            needs = list(self._operands(cluster)) if cluster else list(tensor.inputs)
            missing = [t for t in needs if t not in self.new]
            if missing:
                stack.extend(reversed(missing))
            elif cluster:
                self._make_fused(cluster, needs)
            else:
                self._make_alone(tensor)

    def _make_alone(self, tensor: Tensor) -> None:
        """The tensor itself; copies of one free tensor that joined no cluster become one again."""
        inputs = tuple(self.new[i] for i in tensor.inputs)
        origin = self.clusters.origins[tensor]
        known = self.alone.get(origin)
        if known is None or known.inputs != inputs:
            known = self.alone[origin] = with_inputs(tensor, inputs)
        self.new[tensor] = known

    def _ordered(self, cluster: Cluster) -> list[Tensor]:
        return sorted(cluster.members, key=self.order.__getitem__)

    def _operands(self, cluster: Cluster) -> Iterator[Tensor]:
        """What the cluster reads from outside, each once."""
        members = cluster.nest.members
        yield from dict.fromkeys(i for t in self._ordered(cluster) for i in t.inputs if i not in members)

    def _make_fused(self, cluster: Cluster, operands: list[Tensor]) -> None:
        outer = list(dict.fromkeys(self.new[t] for t in operands))
        parameters = {
            t: Tensor(OPS["placeholder"], (), {}, t.type, t.location, f"p{i}") for i, t in enumerate(outer)
        }
        inside: dict[Tensor, Tensor] = {t: parameters[self.new[t]] for t in operands}
        copies: dict[Hashable, Tensor] = {}  # copies of one free tensor that are read alike are one again
        ordered = self._ordered(cluster)
        for tensor in ordered:
            inputs = tuple(inside[i] for i in tensor.inputs)
            key = (self.clusters.origins[tensor], inputs, frozenset(cluster.nest.positions[tensor]))
            if key not in copies:
                copies[key] = with_inputs(tensor, inputs)
            inside[tensor] = copies[key]
        results: dict[Tensor, list[Tensor]] = {}  # copies that became one are one result
        for tensor in ordered:
            if self._cluster_of(tensor) is cluster:
                results.setdefault(inside[tensor], []).append(tensor)
        named = [tensors[0] for tensors in results.values()]
        body = Graph("body", tuple(parameters.values()), tuple(results))
        with inherit(named[-1].location):
            hint = named[0].hint if len(named) == 1 else None
            fused = apply(OPS["fused"], *outer, hint=hint, body=body)
        parts = [fused] if len(named) == 1 else list(unpack(fused))
        for tensors, part in zip(results.values(), parts):
            location, hint = tensors[0].location, tensors[0].hint
            if part is not fused:
                part = Tensor(part.op, part.inputs, part.attrs, part.type, location, hint)
            self.new.update(dict.fromkeys(tensors, part))
