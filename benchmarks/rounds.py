"""One workload, all systems: prepared side by side, checked, then timed by turns.

Invariant: in each round every system has one turn, alone, in an order that changes from round to round; nothing is
timed whose results are wrong.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes import DiedError, WorkerProcess, environment
from benchmarks.workload import Workload

#: A system this many times slower than the fastest is timed in so few rounds only.
HOPELESS, FEW = 20.0, 3


@dataclass(frozen=True)
class Plan:
    """How to measure.

    Attributes:
        rounds: how many turns each system has.
        seconds: how long a turn takes, about.
        threads: for all systems.
        limit: seconds until a system must have its first result.
        patience: the same, where other systems have been much faster; see `first_calls.py`.
        small: whether to use the sizes of the tests.
        pythons: interpreters of systems that have one of their own.
    """

    rounds: int = 9
    seconds: float = 0.1
    threads: int = 2
    limit: float = 120.0
    patience: float = 30.0
    small: bool = False
    pythons: Mapping[str, str] = field(default_factory=dict)

    def start(self, system: str, workload: str, folder: Path | None = None, *arguments: str) -> WorkerProcess:
        """A worker in the environment that all have."""
        flags = [*arguments, *(["--small"] if self.small else [])]
        variables = environment(self.threads, folder)
        python = {"python": self.pythons[system]} if system in self.pythons else {}
        return WorkerProcess(system, workload, variables, self.threads, arguments=flags, **python)


def measure(workload: Workload, systems: Sequence[str], plan: Plan) -> dict[str, dict[str, Any]]:
    """What was found, for each system that has such a program: times, memory, versions; or why it failed."""
    found: dict[str, dict[str, Any]] = {}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        wanted = f"{folder}/wanted.npz"
        np.savez(wanted, *workload.wanted(plan.small))

        def ready(system: str) -> WorkerProcess | None:
            worker = plan.start(system, workload.name, None, "--wanted", wanted)
            stack.enter_context(worker)
            found[system] = prepared(worker, plan.limit)
            if "failed" in found[system] or "absent" in found[system]:
                return None
            worker.stop()
            return worker

        with ThreadPoolExecutor(plan.threads) as pool:
            workers = [worker for worker in pool.map(ready, systems) if worker is not None]
        take_turns(workers, plan, found)
    return {system: found[system] for system in systems if not found[system].pop("absent", False)}


def prepared(worker: WorkerProcess, limit: float) -> dict[str, Any]:
    """The worker's record so far: compiled, and its results compared."""
    try:
        record = worker.ask("prepare", limit)
        if "failed" in record or "absent" in record:
            return record
        faults = worker.ask("check", limit)
    except DiedError as error:
        return {"failed": str(error)}
    wrong = faults.get("failed") or "; ".join(faults["faults"])
    return record | ({"failed": f"wrong results: {wrong}"} if wrong else {"times": []})


def take_turns(workers: Sequence[WorkerProcess], plan: Plan, found: dict[str, dict[str, Any]]) -> None:
    """Time all workers, round by round; what they find goes to their records."""
    calls: dict[str, int] = {}
    for worker in workers:
        with turn(worker, found):
            calls[worker.system] = told(worker.ask("calibrate", plan.limit, seconds=plan.seconds))["calls"]
    for number in range(plan.rounds):
        begin = number % max(1, len(workers))
        for worker in [*workers[begin:], *workers[:begin]]:
            record = found[worker.system]
            if "failed" in record or (number >= FEW and hopeless(record, found)):
                continue
            with turn(worker, found):
                answer = told(worker.ask("time", plan.limit, calls=calls[worker.system]))
                record["times"].append(answer["seconds"])
                record["megabytes"] = answer["megabytes"]


def told(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer, unless it says that the command failed."""
    if "failed" in answer:
        raise DiedError(answer["failed"])
    return answer


def hopeless(record: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a system is so slow that more rounds would tell nothing."""
    return min(record["times"]) > HOPELESS * min(min(r["times"]) for r in found.values() if r.get("times"))


@contextlib.contextmanager
def turn(worker: WorkerProcess, found: dict[str, dict[str, Any]]) -> Iterator[None]:
    """While inside, the worker runs; if it fails there, its record says so."""
    try:
        worker.resume()
        yield
        worker.stop()
    except (DiedError, ProcessLookupError) as error:
        found[worker.system]["failed"] = f"while it was timed: {error}"
