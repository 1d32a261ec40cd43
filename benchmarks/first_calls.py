"""Beyond run time: imports, first calls with cold and warm caches, peak memory, compile time of large graphs.

Each figure is of a new process. A first call is definition, compilation and call; the import before it has a table of
its own. Cold: caches of compiled code are empty folders. Warm: the same folders, in the next process.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.processes import DiedError, environment
from benchmarks.rounds import Plan
from benchmarks.systems import EAGER, IMPORTS
from benchmarks.workload import Workload
from benchmarks.workloads import LARGE_GRAPHS

#: Steps of training whose first call and memory are looked at.
STEPS = (
    "SGD step of 784-128-10, batch 32",
    "SGD step of a CNN on 32x32, batch 32",
    "SGD step of LSTM(50) on (32,10,1)",
    "SGD step of LSTM(256) on (32,100,64)",
)
#: A first call that takes longer is not repeated.
LONG = 5.0
#: Bars ask for half of a peer's time: a peer that takes so many times longer than the fastest, and longer than the
#: patience of the plan, is ended, and reported with the time that it had.
MUCH = 4.0
#: Calls after the first, before memory is read; fewer of what is slow.
CALLS = 20

_IMPORT = "import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"


def import_times(system: str, runs: int, plan: Plan) -> dict[str, Any]:
    """Seconds of each import, in new processes; one before them writes the bytecode."""
    if system not in IMPORTS:
        return {"absent": True}
    command = [plan.pythons.get(system, sys.executable), "-c", _IMPORT.format(module=IMPORTS[system])]
    times = []
    for _ in range(runs + 1):
        done = subprocess.run(command, capture_output=True, text=True, env=environment(plan.threads))
        if done.returncode:
            return {"failed": (done.stderr.strip().splitlines() or ["?"])[-1][:200]}
        times.append(float(done.stdout.splitlines()[-1]))
    return {"times": times[1:]}


def first_calls(workload: Workload, systems: Sequence[str], repetitions: int, plan: Plan) -> dict[str, dict[str, Any]]:
    """Cold and warm first calls and peak memory of each system, in this order."""
    found: dict[str, dict[str, Any]] = {}
    for system in systems:
        before = [min(record["cold"]) for s, record in found.items() if record.get("cold") and s not in EAGER]
        limit = min(plan.limit, max(plan.patience, MUCH * min(before, default=plan.limit)))
        found[system] = _first_calls(system, workload, repetitions, plan, limit)
    return {system: record for system, record in found.items() if not record.pop("absent", False)}


def _first_calls(system: str, workload: Workload, repetitions: int, plan: Plan, limit: float) -> dict[str, Any]:
    record: dict[str, Any] = {"cold": [], "warm": [], "megabytes": [], "warm_megabytes": []}
    for _ in range(repetitions):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            for kind, memory in (("cold", "megabytes"), ("warm", "warm_megabytes")):
                answer = _once(system, workload, plan, Path(folder), limit)
                if "failed" in answer or answer.get("absent"):
                    return record | answer
                record[kind].append(answer["seconds"])
                record[memory].append(answer["megabytes"])
        if record["cold"][-1] > LONG:
            break
    return record


def _once(system: str, workload: Workload, plan: Plan, folder: Path, limit: float) -> dict[str, Any]:
    """The first call in a new process, and its memory after some more."""
    with plan.start(system, workload.name, folder) as worker:
        try:
            answer = worker.ask("prepare", limit)
            if "seconds" in answer:
                if workload.name in LARGE_GRAPHS:  # the others are rows of run time as well, and checked there
                    faults = worker.ask("check", limit).get("faults", ["no results"])
                    if faults:
                        return {"failed": f"wrong results: {'; '.join(faults)[:200]}"}
                calls = max(1, min(CALLS, int(LONG / answer["seconds"])))
                answer["megabytes"] = worker.ask("time", limit, calls=calls).get("megabytes", answer["megabytes"])
        except DiedError as error:
            return {"failed": str(error)}
    return answer
