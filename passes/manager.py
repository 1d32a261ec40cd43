"""Runs the passes, and does once for all what none of them does itself: time, verify, dump, blame.

Invariant: whatever goes wrong inside a pass leaves here as a `PassError` that names the pass, and a file with
the graph before it, with the command that replays it.
"""

from __future__ import annotations

import random
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from graphc.errors import ArgumentError, GraphcError, InternalError, PassError, nearest
from graphc.ir.collector import holding
from graphc.ir.graph import Graph
from graphc.ir.tensor import Tensor
from graphc.ir.text import print_graph
from graphc.ir.types import TupleType
from graphc.ir.verify import verify
from graphc.passes.pipeline import Pass, current_pipeline, pass_named
from graphc.passes.value_check import compare_values
from graphc.passes.within import within


@dataclass(frozen=True, slots=True)
class Stage:
    """What one pass did.

    Attributes:
        name: the pass.
        graph: the graph after it.
        milliseconds: how long it took, without checks.
        before, after: the number of tensors.
        fired: how often each rule of the pass fired.
    """

    name: str
    graph: Graph
    milliseconds: float
    before: int
    after: int
    fired: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trace:
    """A graph on its way through the passes.

    Attributes:
        input: the graph as it was given.
        stages: what each pass did, in order.
    """

    input: Graph
    stages: tuple[Stage, ...]

    @property
    def graph(self) -> Graph:
        """The graph after the last pass."""
        return self.stages[-1].graph if self.stages else self.input

    @property
    def fired(self) -> Counter[str]:
        """How often each rule fired, over all passes."""
        total: Counter[str] = Counter()
        for stage in self.stages:
            total.update(stage.fired)
        return total


@holding
def optimise(
    graph: Graph,
    *,
    native: frozenset[str],
    skip: Iterable[str] = (),
    check: int = 1,
    fast_math: bool = False,
    extra: Sequence[Pass] = (),
    passes: Sequence[str] | None = None,
    dump: Path | None = None,
    seed: int = 0,
) -> Trace:
    """Run the pipeline.

    Args:
        graph: a closed graph.
        native: the ops that the backend takes; the others are decomposed.
        skip: the names of passes to leave out.
        check: 0: nothing is checked. 1: the input and the result are verified. 2: the result of each pass is
            verified, and each pass sees independent tensors in a random order. 3: values are compared too.
        fast_math: allow rules that change values.
        extra: passes for this run alone, placed before `fuse`.
        passes: the names of the passes to run, in order, instead of the whole pipeline.
        dump: a folder for the graph after each pass, as numbered text files.
        seed: for the random order and the values of the checks.

    Raises:
        ArgumentError: `skip` or `passes` names a pass that does not exist or, for `skip`, is required.
        VerifyError: the input breaks the IR's rules.
        PassError: a pass failed, or its result does not verify or has other values.
    """
    chosen = _chosen(skip, extra, passes)
    writer = _Writer(dump)
    if check >= 1:
        verify(graph)
    writer.write("input", graph)
    facts = {"native": native, "fast_math": fast_math}
    stages: list[Stage] = []
    present = graph
    for number, entry in enumerate(chosen):
        given = _shuffled(present, seed + number) if check >= 2 else present
        stage = _run(entry, given, facts, check, seed, dump)
        writer.write(entry.name, stage.graph)
        stages.append(stage)
        present = stage.graph
    if check == 1 and stages:
        try:
            verify(present)
        except InternalError as error:
            raise _blamed("the passes", None, error.message, graph, error.location, check, dump) from error
    return Trace(graph, tuple(stages))


def _chosen(skip: Iterable[str], extra: Sequence[Pass], passes: Sequence[str] | None) -> list[Pass]:
    if passes is not None:
        return [pass_named(name) for name in passes]
    table = list(current_pipeline())
    fuse = next((i for i, entry in enumerate(table) if entry.name == "fuse"), len(table))
    table[fuse:fuse] = extra
    names = {entry.name: entry for entry in table}
    left_out = set(skip)
    for name in sorted(left_out):
        if name not in names:
            raise ArgumentError(
                f"there is no pass {name!r} to skip; passes are {', '.join(names)}", hint=nearest(name, names)
            )
        if names[name].required:
            raise ArgumentError(f"pass {name!r} is required and cannot be skipped")
    return [entry for entry in table if entry.name not in left_out]


def _run(
    entry: Pass, graph: Graph, facts: Mapping[str, Any], check: int, seed: int, dump: Path | None
) -> Stage:
    """Run one pass and check its result as far as `check` asks."""
    fired: Counter[str] = Counter()
    taken = {name: fired if name == "fired" else facts[name] for name in entry.takes}
    start = time.perf_counter()
    try:
        result = within(graph, lambda g: entry.function(g, **taken)) if entry.inside else entry.function(graph, **taken)
    except Exception as error:
        message = error.message if isinstance(error, GraphcError) else f"{type(error).__name__}: {error}"
        location = error.location if isinstance(error, GraphcError) else None
        raise _blamed(f"pass {entry.name}", entry.name, message, graph, location, check, dump) from error
    milliseconds = (time.perf_counter() - start) * 1000
    complaint = _changed_signature(graph, result)
    location = None
    if complaint is None and check >= 2:
        try:
            verify(result)
        except InternalError as error:
            complaint, location = error.message, error.location
    if complaint is None and check >= 3:
        complaint = compare_values(graph, result, entry.values, seed)
    if complaint is not None:
        raise _blamed(f"pass {entry.name}", entry.name, complaint, graph, location, check, dump)
    return Stage(entry.name, result, milliseconds, len(graph.tensors), len(result.tensors), dict(fired))


def _changed_signature(before: Graph, after: Any) -> str | None:
    """How a pass has changed what a graph takes and gives, which none may; None if it has not."""
    if not isinstance(after, Graph):
        return f"it gave a {type(after).__name__}, not a graph"
    for what in ("inputs", "outputs"):
        old, new = getattr(before, what), getattr(after, what)
        if len(old) != len(new):
            return f"it changed the number of {what} from {len(old)} to {len(new)}"
        for position, (a, b) in enumerate(zip(old, new)):
            if not _alike(a, b):
                return f"it changed {what}[{position}] from {a.type!r} to {b.type!r}"
    updated = {variable for variable, _ in before.updates}
    if any(variable not in updated for variable, _ in after.updates):
        return "it updates a variable that was not updated"
    return None


def _alike(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors have one dtype and rank; sizes may be written in another way."""
    if isinstance(a.type, TupleType) or isinstance(b.type, TupleType):
        return a.type == b.type
    return (a.dtype, a.ndim) == (b.dtype, b.ndim)


def _blamed(
    who: str, name: str | None, message: str, graph: Graph, location: Any, check: int, dump: Path | None
) -> PassError:
    """The error that says which pass is to blame, and how to replay it."""
    import tempfile  # here: it would cost a tenth of the time to import graphc, and passes seldom fail

    try:
        text = print_graph(graph)
        folder = dump if dump is not None else Path(tempfile.gettempdir())
        folder.mkdir(parents=True, exist_ok=True)
        digest = f"{zlib.crc32(text.encode()):08x}"
        file = folder / f"graphc-{graph.name}-{name or 'all'}-{digest}.gir"
        file.write_text(text, encoding="utf-8")
        options = (f"--passes {name} " if name else "") + (f"--check {check} " if check > 2 else "")
        hint = f"the graph before it is saved; replay by: graphc opt {options}{file}"
    except (OSError, TypeError) as error:
        hint = f"the graph before it could not be saved: {error}"
    return PassError(f"{who}: {message}", location=location, hint=hint)


def _shuffled(graph: Graph, seed: int) -> Graph:
    """The same graph with its tensors in a random order, operands still before users."""
    rng = random.Random(seed)
    waiting: dict[Tensor, int] = {}
    users: dict[Tensor, list[Tensor]] = {}
    ready: list[Tensor] = []
    for tensor in graph.tensors:
        operands = set(tensor.inputs)
        waiting[tensor] = len(operands)
        for operand in operands:
            users.setdefault(operand, []).append(tensor)
        if not operands:
            ready.append(tensor)
    order: list[Tensor] = []
    while ready:
        pick = rng.randrange(len(ready))
        ready[pick], ready[-1] = ready[-1], ready[pick]
        tensor = ready.pop()
        order.append(tensor)
        for user in users.get(tensor, ()):
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)
    copy = replace(graph)
    copy.__dict__["tensors"] = tuple(order)  # where the cached property keeps its result
    return copy


#: How many graphs this process has dumped into each folder.
_dumped: Counter[Path] = Counter()


class _Writer:
    """Writes `00_input.gir`, `01_unify.gir`, ...; the second graph of a process goes to a subfolder `2`."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.number = 0
        if folder is not None:
            resolved = folder.resolve()
            _dumped[resolved] += 1
            if _dumped[resolved] > 1:
                self.folder = folder / str(_dumped[resolved])

    def write(self, name: str, graph: Graph) -> None:
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f"{self.number:02d}_{name}.gir"
            path.write_text(print_graph(graph), encoding="utf-8")
            self.number += 1


__all__ = ["Stage", "Trace", "optimise"]
