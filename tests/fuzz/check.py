"""One case through all three: the graph as written, the optimised interpreter, and the JIT.

Values are judged by `graphc.inspect.agreement`; errors must be the same typed error with the same first line.
Besides: the text form reads back, inputs are not written, outputs alias nothing, failed calls change no variable.

Invariant: whatever goes wrong in graphc comes back as a `Failure`; nothing is raised.
"""

from __future__ import annotations

import contextlib
import io
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.backends import backend_named
from graphc.errors import GraphcError, InternalError
from graphc.function import Function, _with_native_call
from graphc.inspect.agreement import agree, same_bits
from graphc.inspect.expectation import Expectation
from graphc.ir import dims
from graphc.ir.evaluate import bind_symbols, evaluate, evaluate_tensor
from graphc.ir.graph import Graph
from graphc.ir.parse import parse
from graphc.ir.tensor import Tensor
from graphc.ir.text import print_graph
from graphc.passes.manager import optimise
from graphc.passes.pipeline import PIPELINE

from .generate import Case, Run
from .guards import guarded

BACKENDS = ("numpy", "llvm")
OPTIONAL_PASSES = tuple(entry.name for entry in PIPELINE if not entry.required)


@dataclass(frozen=True)
class Settings:
    """How a case is compiled.

    Attributes:
        backends: which to compare with the graph as written.
        skip: the passes to leave out.
        check: the level of `gc.function`'s `check`.
        opt_level: how much LLVM's code generator optimises; most of the time of a case is spent there.
    """

    backends: tuple[str, ...] = BACKENDS
    skip: frozenset[str] = frozenset()
    check: int = 1
    opt_level: int | None = None

    @staticmethod
    def of(seed: int) -> Settings:
        """What a seed says: mostly all passes; sometimes some are left out, or verified one by one."""
        rng = np.random.default_rng([seed, 99])
        skip = frozenset(p for p in OPTIONAL_PASSES if rng.random() < 0.4) if rng.random() < 0.15 else frozenset()
        return Settings(skip=skip, check=2 if rng.random() < 0.2 else 1, opt_level=None if seed % 4 == 0 else 0)


@dataclass
class Failure:
    """What went wrong.

    Attributes:
        kind: "mismatch", "untyped error", "internal error", "refused" (an error where values are due), ...
        where: the backend, or "text".
        message: what, in one line.
        run: the number of the call; -1 if it did not come to one.
        detail: a traceback, where there is one.
    """

    kind: str
    where: str
    message: str
    run: int = -1
    detail: str = ""

    @property
    def sort(self) -> tuple[str, str]:
        """What a smaller case must share to show the same defect."""
        head = self.message.partition(":")[0] if "error" in self.kind else ""
        return self.kind, f"{self.where} {head}"


def check(case: Case, settings: Settings | None = None) -> Failure | None:
    """The first thing that goes wrong with a case; None if nothing does."""
    settings = Settings.of(case.seed) if settings is None else settings
    with np.errstate(all="ignore"):
        found = _text_form(case.graph)
        if found is not None:
            return found
        expectations = [_Expected(case.graph, run) for run in case.runs]
        for broken in (e.broken for e in expectations):
            if broken is not None:
                return broken
        for backend in settings.backends:
            found = _one_backend(case, backend, settings, expectations)
            if found is not None:
                return found
    return None


def _text_form(graph: Graph) -> Failure | None:
    try:
        text = print_graph(graph)
        again = print_graph(parse(text))
    except Exception as error:
        return caught(error, "text")
    if again != text:
        pairs = zip(text.splitlines(), again.splitlines())
        first = next((f"{a!r} reads back as {b!r}" for a, b in pairs if a != b), "the lengths differ")
        return Failure("text", "text", first)
    return None


class _Expected:
    """What the graph as written gives for a call: values, or the errors of which one must be raised."""

    def __init__(self, graph: Graph, run: Run) -> None:
        self.run = run
        self.broken: Failure | None = None
        self.errors: set[tuple[str, str]] = set()
        self.constraint = False
        self.variables: dict[Tensor, np.ndarray] = dict(zip(graph.variables, run.variables))
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                self.expectation = Expectation(graph, run.arrays, self.variables)
                if self.expectation.error is not None:
                    self.errors = all_errors(graph, run, self.variables)
            self.constraint = _violated(graph, run)
        except Exception as error:
            if _violated(graph, run):
                self.constraint = True
            else:
                self.broken = caught(error, "interpreter")


def _violated(graph: Graph, run: Run) -> bool:
    """Whether a call's sizes break a constraint, so that it must be refused."""
    sizes = bind_symbols(graph.inputs, run.arrays)
    return any(dims.evaluate(c.left, sizes) != dims.evaluate(c.right, sizes) for c in graph.constraints)


def all_errors(graph: Graph, run: Run, variables: dict[Tensor, np.ndarray]) -> set[tuple[str, str]]:
    """The type and first line of every error of the graph: which one comes first is open."""
    values: dict[Tensor, Any] = {**dict(zip(graph.inputs, run.arrays)), **variables}
    sizes = Expectation(graph, run.arrays, variables).sizes
    failed: set[Tensor] = set()
    found = set()
    for tensor in graph.tensors:
        if tensor in values:
            continue
        if any(t in failed for t in tensor.inputs):
            failed.add(tensor)
            continue
        try:
            values[tensor] = evaluate_tensor(tensor, [values[t] for t in tensor.inputs], sizes)
        except GraphcError as error:
            failed.add(tensor)
            found.add(_signature(error))
            prefix = error.message.partition(": ")[0]
            found |= {
                (type(error).__name__, f"{prefix}: {text}")
                for text in _positions_outside(tensor, [values[t] for t in tensor.inputs])
            }
    return found


def _positions_outside(tensor: Tensor, operands: Sequence[np.ndarray]) -> set[str]:
    """What an op with positions says of each that is out of bounds; it may meet any of them first."""
    name = tensor.op.name
    if name in ("take", "take_along_axis"):
        pairs = [(tensor.attrs["axis"], operands[1])]
    elif name in ("gather", "scatter_add", "scatter_set"):
        pairs = list(enumerate(operands[1 if name == "gather" else 2 :]))
    else:
        return set()
    texts = set()
    for axis, positions in pairs:
        size = operands[0].shape[axis]
        outside = np.unique(positions[(positions >= size) | (positions < -size)])
        texts |= {f"index {p} is out of bounds for axis {axis} with size {size}" for p in outside}
    return texts


def _signature(error: GraphcError) -> tuple[str, str]:
    return type(error).__name__, error.message


def _one_backend(
    case: Case, name: str, settings: Settings, expectations: Sequence[_Expected]
) -> Failure | None:
    graph = case.graph
    try:
        backend = backend_named(name)
        trace = optimise(graph, native=backend.native, skip=settings.skip, check=settings.check)
        compiled = _with_native_call(
            Function(graph, list(graph.outputs), backend, trace, settings.opt_level)
        )
    except Exception as error:
        users = isinstance(error, GraphcError) and not isinstance(error, InternalError)
        if users and all(e.constraint for e in expectations):
            return None  # its constraints contradict each other, so that no call could be served
        return caught(error, name)
    improves = trace.graph if any(rule.startswith("stabilize.") for rule in trace.fired) else None
    for number, expected in enumerate(expectations):
        found = _two_calls(graph, compiled, expected, improves)
        if found is not None:
            found.where, found.run = name, number
            return found
    return None


def _two_calls(graph: Graph, compiled: Function, expected: _Expected, improves: Graph | None) -> Failure | None:
    """By way of Python in guarded memory; then as users call it, which may be native code from the start."""
    try:
        with guarded() as guards:
            found = _one_call(graph, compiled.call, expected, improves)
        overrun = guards.broken()
        if overrun is not None:
            return Failure("overrun", "", overrun)
        return found or _one_call(graph, compiled, expected, improves)
    except Exception as error:  # in the comparison itself
        return caught(error, "")


def _one_call(
    graph: Graph, compiled: Callable[..., Any], expected: _Expected, improves: Graph | None
) -> Failure | None:
    for variable, array in zip(graph.variables, expected.run.variables):
        variable.storage[...] = array  # type: ignore[attr-defined]
    before = [a.tobytes() for a in expected.run.arrays]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            outputs = compiled(*expected.run.arrays)
    except GraphcError as error:
        if isinstance(error, InternalError):
            return caught(error, "")
        for variable, array in zip(graph.variables, expected.run.variables):
            if not same_bits(variable.storage, array).all():  # type: ignore[attr-defined]
                return Failure("half done", "", f"a call that failed changed variable {variable.name}")
        if expected.constraint and type(error).__name__ == "ShapeError":
            return None
        if _signature(error) in expected.errors:
            return None
        due = " or ".join(f"{kind}: {text}" for kind, text in sorted(expected.errors)) or "values"
        return Failure("refused", "", f"{type(error).__name__}: {error.message}, where {due} was due")
    except Exception as error:
        return caught(error, "")
    if expected.constraint:
        return Failure("not refused", "", "sizes that must be equal differ, and the call gave values")
    if expected.errors:
        return Failure("not refused", "", f"values, where {sorted(expected.errors)} was due")
    if any(a.tobytes() != b for a, b in zip(expected.run.arrays, before)):
        return Failure("written", "", "an input was written to")
    results = [*outputs, *(variable.storage for variable, _ in graph.updates)]  # type: ignore[attr-defined]
    updated = {variable for variable, _ in graph.updates}
    for variable, array in zip(graph.variables, expected.run.variables):
        if variable not in updated and not same_bits(variable.storage, array).all():  # type: ignore[attr-defined]
            return Failure("written", "", f"variable {variable.name} changed without an update")
    return _aliases(outputs, [*expected.run.arrays, *(v.storage for v in graph.variables)]) or _values(  # type: ignore[attr-defined]
        expected, results, improves
    )


def _aliases(outputs: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> Failure | None:
    for number, output in enumerate(outputs):
        for other in (*others, *outputs[:number]):
            if output.size and other.size and np.may_share_memory(output, other):
                return Failure("alias", "", f"output {number} shares memory with an input, variable or output")
    return None


def _values(expected: _Expected, results: Sequence[np.ndarray], improves: Graph | None) -> Failure | None:
    expectation = expected.expectation
    wanted = [np.asarray(v) for v in expectation.values]
    with contextlib.redirect_stdout(io.StringIO()):
        verdicts = expectation.check(results, rewritten=True)
        if improves is not None and not all(v.ok for v in verdicts):
            # More accurate terms may cancel less well with others that are as inaccurate as they were: what is
            # then left is the noise of the graph with better terms.
            better = Expectation(improves, expected.run.arrays, expected.variables)
            noise = better.noise(rewritten=True, runs=64)
            # Where the graph as written overflows on the way, its values may be wrong and finite: 1 / sqrt(inf).
            judge = better if _overflows(expected) else expectation
            verdicts = [
                agree(np.asarray(true), np.asarray(want), found, each, may_improve=True)
                for true, want, found, each in zip(judge.reference, judge.values, results, noise)
            ]
        if improves is None and all(v.ok for v in verdicts) and any(map(_recovers, wanted, results)):
            # No rule for more stable values fired, so that a number in the place of a NaN is to be explained.
            for runs in (16, 256):
                noise = expectation.noise(rewritten=True, runs=runs)
                verdicts = [
                    agree(np.asarray(true), want, found, each)
                    for true, want, found, each in zip(expectation.reference, wanted, results, noise)
                ]
                if all(v.ok for v in verdicts):
                    break
    for number, (want, verdict) in enumerate(zip(wanted, verdicts)):
        if not verdict.ok:
            what = f"result {number}: {verdict.reason}"
            return Failure("mismatch", "", f"{what}; {verdict.wrong} of {want.size} wrong")
    return None


def _overflows(expected: _Expected) -> bool:
    """Whether the graph as written makes an infinity or NaN out of numbers somewhere on the way."""
    found = False

    def watch(tensor: Tensor, value: Any) -> None:
        nonlocal found
        arrays = value if isinstance(value, tuple) else (value,)
        found = found or any(a.dtype.kind == "f" and not np.isfinite(a).all() for a in map(np.asarray, arrays))

    evaluate(expected.expectation.graph, expected.run.arrays, expected.variables, watch)
    return found


def _recovers(want: np.ndarray, found: np.ndarray) -> bool:
    """Whether a number stands somewhere in the place of NaN or infinity."""
    return want.dtype.kind == "f" and bool((np.isfinite(found) & ~np.isfinite(want)).any())


def caught(error: Exception, where: str) -> Failure:
    """The failure that an exception of graphc is."""
    kind = "internal error" if isinstance(error, InternalError) else "untyped error"
    if isinstance(error, GraphcError) and not isinstance(error, InternalError):
        kind = "refused"
    first = str(error).partition("\n")[0][:300]
    return Failure(kind, where, f"{type(error).__name__}: {first}", detail=traceback.format_exc())
