"""`gc.compare`: does the machine code compute what the interpreter does, and if not, where does it begin?

Four questions about one function and one set of arrays, each answered on copies of its variables:

    passes    does the interpreter get from the optimised graph what it gets from the graph as written?
    program   does the compiled function give the interpreter's outputs and new values of variables?
    tensors   compiled again with every tensor as an output, is each one right *for the operands that the JIT
              gave it*? So an error is charged to the op that makes it, not to those that it flows through.
    blame     inside a fused tensor: which of its ops is wrong when compiled alone?

Invariant: no variable of the function is written, and nothing is printed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphc.backends import backend_named
from graphc.errors import GraphcError
from graphc.feed import Feeder
from graphc.function import Function
from graphc.inspect.agreement import Agreement
from graphc.inspect.bisect import Bisection, bisect_trace
from graphc.inspect.expectation import Expectation
from graphc.inspect.isolate import Isolated, isolate, snapshot
from graphc.inspect.table import table
from graphc.inspect.tensorwise import TensorReport, compare_tensors
from graphc.ir.graph import Graph
from graphc.ir.tensor import Tensor, Variable, describe
from graphc.passes.manager import optimise

_TIMED_RUNS = 7
_TIME_LIMIT = 1.0
_LISTED = 40


@dataclass(frozen=True, slots=True)
class ResultReport:
    """One output or update of the function.

    Attributes:
        name: "output 0" or "update of 'w'".
        passes: the verdict on the optimised graph against the graph as written, both interpreted.
        program: the verdict on the compiled function against the interpreter.
    """

    name: str
    passes: Agreement
    program: Agreement


@dataclass(frozen=True)
class Comparison:
    """What `gc.compare` found; print it.

    Attributes:
        name: the function.
        results: a report for each output and update.
        tensors: a report for each tensor of the optimised graph, in order.
        seconds: the median time of a call by backend.
        errors: what was raised by "interpreter" (the graph as written), "optimised" (the interpreter again)
            and "llvm"; those that ran are left out.
    """

    name: str
    results: tuple[ResultReport, ...]
    tensors: tuple[TensorReport, ...]
    seconds: Mapping[str, float]
    errors: Mapping[str, str]
    _blame: Callable[[], Bisection] = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether the backends agree by the policy of `inspect.agreement`, the passes included."""
        if self.errors:
            kinds = {text.partition(":")[0] for text in self.errors.values()}
            return len(self.errors) == 3 and len(kinds) == 1
        agreed = all(r.passes.ok and r.program.ok for r in self.results)
        return agreed and self.first_divergence is None

    @property
    def first_divergence(self) -> TensorReport | None:
        """The first tensor that the machine code computes wrongly from its own operands, or None."""
        return next((t for t in self.tensors if not t.agreement.ok), None)

    def blame(self) -> Bisection:
        """The first pass after which the interpreter's values change; see `gc.bisect_passes`."""
        return self._blame()

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return "\n".join([*self._headline(), *self._results(), *self._tensors(), *self._times()])

    def _headline(self) -> list[str]:
        lines = [f"compare {self.name}: {'the backends agree' if self.ok else 'DIFFERENT'}"]
        lines += [f"  {who} raised {what}" for who, what in self.errors.items()]
        found = self.first_divergence
        if found is not None:
            lines.append(f"  first diverging tensor: %{found.name} = {found.ops} : {found.type}")
            lines.append(f"    {found.agreement.reason}; {found.agreement.wrong} elements are wrong")
            lines += [f"    {line}" for line in found.inside]
            lines += found.location.excerpt()
        elif any(not r.program.ok for r in self.results):
            lines.append("  each tensor by itself agrees: the fault is in the plan, or in shared memory")
        if any(not r.passes.ok for r in self.results):
            lines.append("  the passes changed the values: blame() says which one")
        return lines

    def _results(self) -> list[str]:
        rows = [
            [r.name, *_cells(r.passes), *_cells(r.program), r.passes.reason or r.program.reason]
            for r in self.results
        ]
        headers = ["result", "passes", "max abs", "ulp", "llvm", "max abs", "ulp", ""]
        return table(headers, rows, "<<>><>><") if rows else []

    def _tensors(self) -> list[str]:
        shown = self._shown()
        rows = [
            [f"%{t.name}", t.ops, t.type, *_cells(t.agreement), f"{t.drift.max_abs:.2g}", str(t.location)]
            for t in shown
        ]
        if not rows:
            return []
        lines = table(["tensor", "op", "type", "llvm", "max abs", "ulp", "drift", "line"], rows, "<<<<>>><")
        if len(shown) < len(self.tensors):
            lines.append(f"  ... {len(self.tensors) - len(shown)} more tensors; all of them are in .tensors")
        return lines

    def _shown(self) -> Sequence[TensorReport]:
        """All tensors, or of many those around the first divergence."""
        if len(self.tensors) <= _LISTED:
            return self.tensors
        found = self.first_divergence
        centre = 0 if found is None else self.tensors.index(found)
        start = max(0, min(centre - _LISTED // 2, len(self.tensors) - _LISTED))
        return self.tensors[start : start + _LISTED]

    def _times(self) -> list[str]:
        if len(self.seconds) < 2:
            return []
        numpy, llvm = self.seconds["numpy"], self.seconds["llvm"]
        times = f"{_duration(numpy)} interpreted, {_duration(llvm)} compiled"
        return [f"  a call takes {times}: {numpy / llvm:.1f}x"]


def _cells(agreement: Agreement) -> list[str]:
    ulp = f"{agreement.max_ulp:.0f}" if agreement.max_ulp < 1e6 else f"{agreement.max_ulp:.1e}"
    return ["ok" if agreement.ok else "WRONG", f"{agreement.max_abs:.2g}", ulp]


def _duration(seconds: float) -> str:
    factor, unit = next(((f, u) for f, u in ((1, "s"), (1e3, "ms")) if seconds * f >= 1), (1e6, "us"))
    return f"{seconds * factor:.3g} {unit}"


def compare(function: Function, *arrays: Any, **named: Any) -> Comparison:
    """Run a function by the interpreter and by the LLVM JIT, tensor by tensor, and compare.

    Args:
        function: compiled for either backend.
        arrays, named: what a call of the function takes.

    Raises:
        FeedError, ShapeError, DTypeError: an argument does not fit its input.

    >>> import graphc as gc
    >>> x = gc.placeholder(("n",), "float32", name="x")
    >>> report = gc.compare(gc.function([x], gc.sum(gc.exp(x))), [0.0, 1.0, 2.0])
    >>> report.ok, report.first_divergence
    (True, None)
    """
    checked = Feeder(function.graph).arrays(arrays, named)
    values = snapshot(function.graph.variables)
    native = _for_llvm(function)
    written, optimised = isolate(function.graph, values), isolate(native, values)
    meant = Expectation(written.graph, checked, written.variables)
    expected = Expectation(optimised.graph, checked, optimised.variables)
    program = _Program(optimised, checked)
    raised = {"interpreter": meant.error, "optimised": expected.error, "llvm": program.error}
    errors = {who: f"{type(e).__name__}: {e.message}" for who, e in raised.items() if e is not None}
    if program.half_done:
        errors["llvm"] = f"{program.half_done}: {errors['llvm']}"
    results: list[ResultReport] = []
    tensors: list[TensorReport] = []
    seconds: dict[str, float] = {}
    if not errors:
        passes = meant.check(expected.values, rewritten=True)
        compiled = expected.check(program.values)
        results = [ResultReport(*each) for each in zip(_result_names(function.graph), passes, compiled)]
        tensors = compare_tensors(native, checked, values)
        seconds = {"numpy": _median_time(_interpreted(optimised), checked), "llvm": program.seconds}
    return Comparison(
        function.name, tuple(results), tuple(tensors), seconds, errors,
        lambda: bisect_trace(function.trace, checked, values),
    )  # fmt: skip


def _for_llvm(function: Function) -> Graph:
    """The optimised graph as the LLVM backend takes it."""
    llvm = backend_named("llvm")
    if function.backend == llvm.name:
        return function.optimized
    passes = [stage.name for stage in function.trace.stages]
    return optimise(function.graph, native=llvm.native, passes=passes).graph


def _result_names(graph: Graph) -> list[str]:
    outputs = [f"output {i}" + (f" {t.hint!r}" if t.hint else "") for i, t in enumerate(graph.outputs)]
    return outputs + [f"update of {describe(variable)}" for variable, _ in graph.updates]


class _Program:
    """One run, and the time of more, of an isolated graph that the LLVM backend compiled.

    Attributes:
        values: outputs and new values of variables; empty if it failed.
        error: what it raised, or None.
        half_done: which variables a run that failed has changed all the same, in words; empty if none.
        seconds: the median time of a call.
    """

    def __init__(self, isolated: Isolated, arrays: Sequence[np.ndarray]) -> None:
        self.values: list[np.ndarray] = []
        self.error: GraphcError | None = None
        self.half_done = ""
        self.seconds = 0.0
        executable = backend_named("llvm").compile(isolated.graph, opt_level=2)  # the code that stays, from the start
        try:
            outputs = executable(arrays)
        except GraphcError as error:
            self.error = error
            changed = [v for v, before in isolated.variables.items() if _storage(v).tobytes() != before.tobytes()]
            if changed:
                self.half_done = f"changed {', '.join(map(describe, changed))} and then raised"
            return
        updated = [_storage(variable).copy() for variable, _ in isolated.graph.updates]
        self.values = [*outputs, *updated]
        self.seconds = _median_time(executable, arrays)


def _interpreted(isolated: Isolated) -> Callable[[Sequence[np.ndarray]], Any]:
    return backend_named("numpy").compile(isolated.graph)


def _storage(variable: Tensor) -> np.ndarray:
    assert isinstance(variable, Variable)
    return variable.storage


def _median_time(executable: Callable[[Sequence[np.ndarray]], Any], arrays: Sequence[np.ndarray]) -> float:
    """The median time of a call; few calls where each takes long."""
    times: list[float] = []
    while len(times) < _TIMED_RUNS and sum(times) < _TIME_LIMIT:
        start = time.perf_counter()
        executable(arrays)
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


__all__ = ["Comparison", "ResultReport", "compare"]
