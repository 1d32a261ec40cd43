"""`Function.profile`: where the time of a call goes, by kernel, by op and by line of the user's program.

Each step of the compiled function is timed by a clock inside its code, so threads and caches are as in any call.
What a step does (arithmetic, bytes) is counted by `analysis.cost`; what the processor could do is measured.

Invariant: profiling a function leaves its variables as they were.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.analysis.cost import Cost, cost_of
from graphc.backends import StepTime
from graphc.backends.llvm.peak import peak
from graphc.errors import ArgumentError
from graphc.inspect.debug import body_ops
from graphc.inspect.table import table
from graphc.ir.evaluate import bind_symbols
from graphc.ir.location import here
from graphc.ir.tensor import Tensor

if TYPE_CHECKING:
    from graphc.function import Function

#: Calls are timed for about this many seconds, and not more often than this.
_SECONDS, _MOST_CALLS = 0.5, 1000
_OPS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a profile.

    Attributes:
        name: what ran: the ops of a kernel, an op, or a line.
        where: the user's line.
        seconds: in one call.
        calls: how often it ran in one call.
        cost: what it did in one call.
    """

    name: str
    where: str
    seconds: float
    calls: int
    cost: Cost

    @property
    def flops(self) -> float:
        """Operations a second."""
        return self.cost.flops / self.seconds if self.seconds else 0.0

    @property
    def bandwidth(self) -> float:
        """Bytes a second."""
        return self.cost.bytes / self.seconds if self.seconds else 0.0


class Profile:
    """What `Function.profile` found; printed, it is a report.

    Attributes:
        steps: one row for each step, in order.
        seconds: a whole call, median; from Python, as users call it.
        calls: how many calls were timed.
        phases: milliseconds of each pass and of the backend's compiling.
        memory: bytes: of "inputs", "outputs", "variables", "constants" and "intermediates" at their peak.
        flops, bandwidth: the processor's peak with all threads of a call, per second.
    """

    def __init__(
        self,
        function: Function,
        timed: Sequence[tuple[StepTime, Cost]],
        typical: Sequence[StepTime],
        seconds: float,
        calls: int,
        memory: Mapping[str, int],
    ) -> None:
        self._timed = timed
        self._typical = typical
        self.name = function.name
        self.backend = function.backend
        self.steps = [
            Row(_label(t.tensor), str(t.tensor.location), t.seconds, t.turns, cost) for t, cost in timed
        ]
        self.seconds = seconds
        self.calls = calls
        self.phases = {s.name: s.milliseconds for s in function.trace.stages}
        self.phases["backend"] = function.compile_milliseconds
        self.memory = dict(memory)
        found = peak()
        self.flops, self.bandwidth = found.flops, found.bandwidth

    def by_op(self) -> list[Row]:
        """Rows by op, those that took longest first; a kernel of several ops counts under all of them together."""
        return _grouped((t.tensor.op.name if t.tensor.op.name != "fused" else _label(t.tensor), "", t, c, 1.0)
                        for t, c in self._timed)  # fmt: skip

    def by_line(self) -> list[Row]:
        """Rows by the user's line, longest first.

        The time of a kernel that several lines share is divided by what each contributes to its arithmetic.
        """
        return _grouped(
            (line, line, t, c, share) for t, c in self._timed for line, share in _lines(t.tensor).items()
        )

    def chrome_trace(self) -> dict[str, Any]:
        """One call, in the middle by its time, as a trace that chrome://tracing and https://ui.perfetto.dev show.

        Times are in microseconds, as the Trace Event Format has them.
        """
        events = [
            {
                "name": row.name, "cat": step.kind, "ph": "X", "pid": 0, "tid": 0,
                "ts": step.began * 1e6, "dur": step.seconds * 1e6,
                "args": {"line": row.where, "calls": row.calls, "flops": row.cost.flops, "bytes": row.cost.bytes},
            }
            for step, row in zip(self._typical, self.steps)
        ]  # fmt: skip
        return {"traceEvents": events, "displayTimeUnit": "ns", "otherData": {"function": self.name}}

    def save_chrome_trace(self, path: str | Path) -> None:
        """Write `chrome_trace` to a JSON file."""
        Path(path).write_text(json.dumps(self.chrome_trace()), "utf-8")

    def __str__(self) -> str:
        return "\n".join(self._lines()) + "\n"

    __repr__ = __str__

    def _lines(self) -> Iterator[str]:
        inside = sum(row.seconds for row in self.steps)
        yield (
            f"profile of {self.name}, backend {self.backend}: {_time(self.seconds)} a call (median of {self.calls}), "
            f"{_time(inside)} of it in {len(self.steps)} steps"
        )
        yield f"  peak: {self.flops / 1e9:.0f} GFLOP/s (float32), {self.bandwidth / 1e9:.1f} GB/s"
        for title, rows in (("step", self.steps), ("op", self.by_op()), ("line", self.by_line())):
            yield f"-- by {title}"
            yield from self._table(title, rows, inside)
        yield "-- compiling, ms: " + ", ".join(f"{name} {ms:.1f}" for name, ms in self.phases.items())
        yield "-- memory: " + ", ".join(f"{name} {_bytes(count)}" for name, count in self.memory.items())

    def _table(self, title: str, rows: Sequence[Row], total: float) -> list[str]:
        cells = [
            [
                row.name, _time(row.seconds), f"{100 * row.seconds / total if total else 0:.1f}", row.calls,
                f"{row.flops / 1e9:.1f}", f"{row.bandwidth / 1e9:.1f}", f"{100 * self._share(row):.0f}",
                row.where if title == "step" else "",
            ]
            for row in rows
        ]  # fmt: skip
        headers = [title, "time", "%", "calls", "GFLOP/s", "GB/s", "% of peak", "line" if title == "step" else ""]
        return table(headers, cells, "<>>>>>><")

    def _share(self, row: Row) -> float:
        """How near a row is to what bounds it: arithmetic at peak, or memory at full bandwidth (the roofline)."""
        return max(row.flops / self.flops, min(1.0, row.bandwidth / self.bandwidth))


def profile(function: Function, args: Sequence[Any], kwargs: Mapping[str, Any], calls: int | None = None) -> Profile:
    """See `Function.profile`."""
    if calls is not None and (not isinstance(calls, int) or calls < 1):
        raise ArgumentError(f"profile: calls must be a number from 1 on, not {calls!r}", location=here())
    kept = [(variable, variable.value) for variable in function.variables]
    try:
        whole = _measured(lambda: function(*args, **kwargs), calls)
        arrays = function.feed(args, kwargs)
        outputs, _ = function.timed(arrays)
        runs = [function.timed(arrays)[1] for _ in whole]
    finally:
        for variable, value in kept:
            variable.assign(value)
    sizes = bind_symbols(function.optimized.inputs, arrays)
    steps = [_median(parts) for parts in zip(*runs)]
    timed = list(zip(steps, _costs(steps, sizes)))
    memory = _memory(function, arrays, outputs)
    typical = sorted(runs, key=lambda run: sum(step.seconds for step in run))[len(runs) // 2]
    return Profile(function, timed, typical, statistics.median(whole), len(whole), memory)


def _costs(steps: Sequence[StepTime], sizes: Mapping[str, int]) -> Iterator[Cost]:
    """The cost of each step. What an op does in several steps, such as packing first, counts with the longest one."""
    longest: dict[Tensor, StepTime] = {}
    for step in steps:
        if step.tensor not in longest or longest[step.tensor].seconds < step.seconds:
            longest[step.tensor] = step
    for step in steps:
        yield cost_of(step.tensor, sizes, step.turns) if longest[step.tensor] is step else Cost(0, 0)


def _memory(function: Function, arrays: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> dict[str, int]:
    sizes = bind_symbols(function.optimized.inputs, arrays)
    constants = [t.attrs["value"] for t in function.optimized.tensors if t.op.name == "const"]
    return {
        "inputs": _total(arrays),
        "outputs": _total(outputs),
        "variables": _total(v.storage for v in function.variables),
        "constants": _total(constants),
        "intermediates": function.arena_bytes(sizes),
    }


def _measured(call: Callable[[], object], calls: int | None) -> list[float]:
    """Seconds of each call; the first one, which makes memory ready, does not count."""
    call()
    found: list[float] = []
    end = time.perf_counter() + _SECONDS
    while len(found) < (calls or _MOST_CALLS) and (calls is not None or time.perf_counter() < end or not found):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return found


def _median(parts: Sequence[StepTime]) -> StepTime:
    """One step in the middle of its calls."""
    return sorted(parts, key=lambda part: part.seconds)[len(parts) // 2]


def _grouped(parts: Iterable[tuple[str, str, StepTime, Cost, float]]) -> list[Row]:
    found: dict[str, Row] = {}
    for name, where, step, cost, share in parts:
        before = found.get(name, Row(name, where, 0.0, 0, Cost(0, 0)))
        part = Cost(round(cost.flops * share), round(cost.bytes * share))
        seconds, calls = before.seconds + step.seconds * share, before.calls + step.turns
        found[name] = Row(name, where, seconds, calls, before.cost + part)
    return sorted(found.values(), key=lambda row: -row.seconds)


def _lines(tensor: Tensor) -> dict[str, float]:
    """The user's lines that a step comes from, each with its share; they sum to 1."""
    body = tensor.attrs.get("body") if tensor.op.name == "fused" else None
    members = [t for t in body.tensors if t not in body.inputs and t.op.name != "const"] if body is not None else []
    lines = [member.location.place for member in members] or [tensor.location.place]
    return {line: lines.count(line) / len(lines) for line in lines}


def _label(tensor: Tensor) -> str:
    if tensor.op.name != "fused":
        return tensor.op.name
    ops = body_ops(tensor.attrs["body"])
    more = f" +{len(ops) - _OPS_SHOWN}" if len(ops) > _OPS_SHOWN else ""
    return f"fused({' '.join(ops[:_OPS_SHOWN])}{more})"


def _total(arrays: Iterable[np.ndarray]) -> int:
    return sum(array.nbytes for array in arrays)


def _time(seconds: float) -> str:
    """A time for people.

    >>> _time(2e-7), _time(1.5e-5), _time(0.25), _time(3)
    ('200 ns', '15.0 us', '250.0 ms', '3.0 s')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def _bytes(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
