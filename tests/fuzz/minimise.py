"""From a failing case to a small one that fails in the same way.

Only one call is kept; then, again and again until nothing helps:

    outputs and updates are left out            %a = f ...  return %a, %b     ->   return %a
    a tensor becomes an input with its value    %c = g(%a, %b)                ->   graph @f(%c: ...)
    a tensor is replaced by an operand          %c = g(%a, %b), used below    ->   %a used instead
    symbolic sizes become numbers, smaller ones f32[n] with n = 33            ->   f32[2]
    arrays become simpler                       random numbers                ->   ones, zeros

Invariant: what comes back fails with the same `Failure.sort` as what was given.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from graphc.errors import GraphcError
from graphc.ir import dims
from graphc.ir.build import apply
from graphc.ir.close import close
from graphc.ir.evaluate import bind_symbols, evaluate
from graphc.ir.graph import Graph, map_sizes, with_inputs
from graphc.ir.location import inherit
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor, Variable
from graphc.ir.types import TensorType

from .check import Failure
from .generate import Case, Run

Fails = Callable[[Case], Failure | None]
Named = tuple[Case, str]


def minimise(case: Case, failure: Failure, fails: Fails, seconds: float = 30.0) -> tuple[Case, Failure]:
    """The smallest case found, and how it fails.

    Args:
        case: one that fails.
        failure: how.
        fails: the check to repeat.
        seconds: when to stop looking.
    """
    end = time.monotonic() + seconds
    found = failure

    def try_(smaller: Case) -> bool:
        nonlocal case, found
        result = fails(smaller)
        if result is None or result.sort != failure.sort:
            return False
        case, found = smaller, result
        return True

    if failure.run >= 0 and len(case.runs) > 1:
        try_(replace(case, runs=[case.runs[failure.run]]))
    if len(case.runs) == 1:
        static = _static(case)
        if static is not None:
            try_(static)
    progress = True
    while progress and time.monotonic() < end:
        progress = False
        for step in (_fewer_roots, _cut, _bypassed, _without_unused_inputs, _shorter, _simpler_arrays):
            again = True
            while again and time.monotonic() < end:
                again = False
                for smaller in step(case):
                    if time.monotonic() > end:
                        break
                    if try_(smaller):
                        again = progress = True
                        break
    return case, found


def _rebuilt(case: Case, graph: Graph, runs: list[Run]) -> Case | None:
    """The case with another graph, closed again; None where that is not possible."""
    try:
        closed = close(graph.name, graph.inputs, graph.outputs, graph.updates)
    except GraphcError:
        return None
    kept = {v: i for i, v in enumerate(case.graph.variables)}
    if any(v not in kept for v in closed.variables):
        return None
    fresh = [Run(r.arrays, [r.variables[kept[v]] for v in closed.variables]) for r in runs]
    return replace(case, graph=closed, runs=fresh)


def _fewer_roots(case: Case) -> Iterator[Case]:
    graph = case.graph
    if len(graph.outputs) + len(graph.updates) > 1:
        for output in graph.outputs:
            smaller = _rebuilt(case, replace(graph, outputs=(output,), updates=()), case.runs)
            if smaller:
                yield smaller
    for position in range(len(graph.outputs)):
        kept = graph.outputs[:position] + graph.outputs[position + 1 :]
        if kept or graph.updates:
            smaller = _rebuilt(case, replace(graph, outputs=kept), case.runs)
            if smaller:
                yield smaller
    for position in range(len(graph.updates)):
        updates = graph.updates[:position] + graph.updates[position + 1 :]
        if updates or graph.outputs:
            smaller = _rebuilt(case, replace(graph, updates=updates), case.runs)
            if smaller:
                yield smaller


def _replaced(graph: Graph, old: Tensor, new: Tensor) -> Graph | None:
    """The graph with one tensor in the place of another of the same type."""
    fresh: dict[Tensor, Tensor] = {}
    for tensor in graph.tensors:
        if tensor is old:
            fresh[tensor] = fresh.get(new, new)
        else:
            fresh[tensor] = with_inputs(tensor, tuple(fresh[t] for t in tensor.inputs))
    return graph.with_roots(fresh[root] for root in graph.roots)


def _cut(case: Case) -> Iterator[Case]:
    """A tensor as an input: the later ones first, which cut off most."""
    graph = case.graph
    roots = set(graph.roots)
    for tensor in reversed(graph.tensors):
        if tensor.op.name in ("placeholder", "variable", "const") or not isinstance(tensor.type, TensorType):
            continue
        if tensor in roots and len(roots) == 1:
            continue
        try:
            runs = []
            for run in case.runs:
                known = dict(zip(graph.variables, run.variables))
                (value,) = evaluate(graph.with_roots([tensor]) if not graph.updates else replace(
                    graph, outputs=(tensor,), updates=()), run.arrays, known)
                runs.append(Run([*run.arrays, np.ascontiguousarray(value).reshape(value.shape)], run.variables))
        except Exception:
            continue
        fed = Tensor(OPS["placeholder"], (), {}, tensor.type, tensor.location, f"t{len(graph.inputs)}")
        smaller = _replaced(graph, tensor, fed)
        if smaller is not None:
            rebuilt = _rebuilt(case, replace(smaller, inputs=(*graph.inputs, fed)), runs)
            if rebuilt is not None:
                rebuilt = next(_without_unused_inputs(rebuilt), rebuilt)
                if len(rebuilt.graph.tensors) < len(graph.tensors):
                    yield rebuilt


def _bypassed(case: Case) -> Iterator[Case]:
    """An operand of the same type in place of a tensor."""
    for tensor in reversed(case.graph.tensors):
        for operand in dict.fromkeys(tensor.inputs):
            if operand.type == tensor.type:
                smaller = _replaced(case.graph, tensor, operand)
                rebuilt = _rebuilt(case, smaller, case.runs) if smaller else None
                if rebuilt:
                    yield rebuilt


def _without_unused_inputs(case: Case) -> Iterator[Case]:
    graph = case.graph
    needed = set(replace(graph, inputs=()).tensors)
    kept = [i for i, t in enumerate(graph.inputs) if t in needed]
    if len(kept) < len(graph.inputs):
        every = range(len(graph.inputs))
        one_less = [[j for j in every if j != i] for i in every if i not in kept]
        for chosen in (kept, *one_less):
            runs = [Run([r.arrays[i] for i in chosen], r.variables) for r in case.runs]
            rebuilt = _rebuilt(case, replace(graph, inputs=tuple(graph.inputs[i] for i in chosen)), runs)
            if rebuilt:
                yield rebuilt


def _static(case: Case) -> Case | None:
    """The case with its symbolic sizes as numbers."""
    sizes = bind_symbols(case.graph.inputs, case.runs[0].arrays)
    if not sizes:
        return None
    try:
        graph = _resized(case.graph, lambda s: dims.evaluate(s, sizes))
    except GraphcError:
        return None
    return _rebuilt(case, graph, case.runs)


def _resized(graph: Graph, size: Callable[[dims.Size], dims.Size]) -> Graph:
    """The graph with other sizes; type rules run again."""
    fresh: dict[Tensor, Tensor] = {}
    for tensor in graph.tensors:
        if isinstance(tensor, Variable):
            fresh[tensor] = tensor
        elif tensor.op.name == "placeholder":
            type_ = map_sizes(tensor.type, size)
            fresh[tensor] = Tensor(tensor.op, (), {}, type_, tensor.location, tensor.hint)
        else:
            attrs = {k: map_sizes(v, size) for k, v in tensor.attrs.items()}
            with inherit(tensor.location):
                fresh[tensor] = apply(tensor.op, *(fresh[t] for t in tensor.inputs), hint=tensor.hint, **attrs)
    updates = tuple((v, fresh[value]) for v, value in graph.updates)
    return Graph(graph.name, tuple(fresh[t] for t in graph.inputs), tuple(fresh[t] for t in graph.outputs), updates)


def _shorter(case: Case) -> Iterator[Case]:
    """Smaller values of symbolic sizes, the arrays cut to fit; of static ones where type rules allow it."""
    graph = case.graph
    if len(case.runs) != 1:
        return
    run = case.runs[0]
    extents = sorted({e for a in run.arrays for e in a.shape if e > 1}, reverse=True)
    for extent in extents:
        for smaller in sorted({1, 2, 3, extent // 2, extent - 1}):
            if not 0 < smaller < extent:
                continue

            def size(s: dims.Size, extent: int = extent, smaller: int = smaller) -> dims.Size:
                return smaller if s == extent else s

            def shape_of(t: Tensor, a: np.ndarray, extent: int = extent, smaller: int = smaller) -> tuple[int, ...]:
                return tuple(smaller if e == extent else e for e in a.shape)

            try:
                fresh = _Shrunk(graph, extent, smaller).graph()
            except GraphcError:
                continue
            arrays = [
                np.ascontiguousarray(a[tuple(slice(0, e) for e in shape_of(t, a))]).reshape(shape_of(t, a))
                for t, a in zip(graph.inputs, run.arrays)
            ]
            rebuilt = _rebuilt(case, fresh, [Run(arrays, run.variables)])
            if rebuilt:
                yield rebuilt


class _Shrunk:
    """A graph with every static extent of one length cut to another, in inputs and attributes."""

    def __init__(self, source: Graph, old: int, new: int) -> None:
        self.source, self.old, self.new = source, old, new

    def size(self, value: object) -> object:
        if isinstance(value, tuple):
            return tuple(self.size(v) for v in value)
        return self.new if type(value) is int and value == self.old else value

    def graph(self) -> Graph:
        fresh: dict[Tensor, Tensor] = {}
        source = self.source
        for tensor in source.tensors:
            if isinstance(tensor, Variable):
                fresh[tensor] = tensor
            elif tensor.op.name == "placeholder":
                type_ = tensor.tensor_type.with_shape(self.size(tensor.shape))  # type: ignore[arg-type]
                fresh[tensor] = Tensor(tensor.op, (), {}, type_, tensor.location, tensor.hint)
            else:
                attrs = {k: self.size(v) if k in ("shape", "size") else v for k, v in tensor.attrs.items()}
                with inherit(tensor.location):
                    fresh[tensor] = apply(tensor.op, *(fresh[t] for t in tensor.inputs), hint=tensor.hint, **attrs)
        updates = tuple((v, fresh[value]) for v, value in source.updates)
        outputs = tuple(fresh[t] for t in source.outputs)
        return Graph(source.name, tuple(fresh[t] for t in source.inputs), outputs, updates)


def _simpler_arrays(case: Case) -> Iterator[Case]:
    for number, run in enumerate(case.runs):
        for position, array in enumerate(run.arrays):
            for simple in (np.zeros_like(array), np.ones_like(array), _rounded(array)):
                if array.tobytes() == simple.tobytes() or _weight(simple) >= _weight(array):
                    continue
                arrays = [*run.arrays[:position], simple, *run.arrays[position + 1 :]]
                runs = [*case.runs[:number], Run(arrays, run.variables), *case.runs[number + 1 :]]
                yield replace(case, runs=runs)


def _rounded(array: np.ndarray) -> np.ndarray:
    """Whole numbers, where the array has finite fractions."""
    if array.dtype.kind != "f":
        return array
    with np.errstate(all="ignore"):
        return np.where(np.isfinite(array) & (np.abs(array) < 1e6) & (np.abs(array) > 0.5), np.rint(array), array)


def _weight(array: np.ndarray) -> int:
    """How complicated an array is: 0 for zeros, 1 for ones; then by the elements that are no whole numbers."""
    if not array.any():
        return 0
    if (array == 1).all():
        return 1
    if array.dtype.kind != "f":
        return 2
    with np.errstate(all="ignore"):
        return 2 + int((array != np.rint(array)).sum())
