"""The process in which one system runs one workload: it does what the lines on its standard input say.

    python -m benchmarks.worker SYSTEM WORKLOAD [--small] [--wanted reference.npz]

Each command is one line of JSON, and so is each answer, on what was standard output when the process began:

| command | answer |
|---|---|
| `{"do": "prepare"}` | `{"seconds": until the first result, "megabytes": peak memory, "versions": ...}` |
| `{"do": "check"}` | `{"faults": [...]}`: what is wrong with the results; only right after `prepare` |
| `{"do": "digest"}` | `{"digest": ...}`: of the bits of all results; only right after `prepare` |
| `{"do": "calibrate", "seconds": s}` | `{"calls": how many take s seconds}` |
| `{"do": "time", "calls": k}` | `{"seconds": per call, "megabytes": peak memory}` |

A command that fails is answered by `{"failed": why}`.
"""

from __future__ import annotations

import argparse
import gc as collector
import hashlib
import importlib.metadata
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

#: Calls before each timing, in seconds: after a pause, caches and threads have to wake up.
WARM_UP = 0.01


class Worker:
    """One workload in one system.

    Invariant: results are compared after the workload's number of calls, before anything is timed.
    """

    def __init__(self, system: str, workload: str, small: bool, wanted: str | None) -> None:
        self.system, self.name, self.small, self.wanted = system, workload, small, wanted

    def prepare(self) -> dict[str, Any]:
        """Define, compile and call for the first time; then as often as the workload wants before results count.

        The import of the system and the making of inputs come before the clock starts; what the system still does in
        the background then (`settle`) ends before anything else.
        """
        from benchmarks.systems import load
        from benchmarks.workloads import EVERY

        self.workload = EVERY[self.name]
        module = load(self.system)
        if self.workload.program not in module.PROGRAMS:
            return {"absent": True}
        inputs = self.workload.inputs(self.small)
        start = time.perf_counter()
        self.program = module.PROGRAMS[self.workload.program](inputs, self.workload.sizes_of(self.small))
        self.last = self.program.call()
        self.program.finish(self.last)
        seconds = time.perf_counter() - start
        getattr(module, "settle", lambda: None)()
        for _ in range(self.workload.calls - 1):
            self.last = self.program.call()
        self.program.finish(self.last)
        versions = {library: importlib.metadata.version(library) for library in module.LIBRARIES if installed(library)}
        return {"seconds": seconds, "megabytes": peak_megabytes(), "versions": versions}

    def check(self) -> dict[str, Any]:
        """Compare the results with the reference."""
        if self.wanted is None:
            wanted = self.workload.wanted(self.small)
        else:
            with np.load(self.wanted) as file:
                wanted = [file[name] for name in file.files]
        return {"faults": self.workload.faults(self.program.results(self.last), wanted)}

    def digest(self) -> dict[str, Any]:
        """A hash of the bits of all results."""
        hashed = hashlib.sha256()
        for result in self.program.results(self.last):
            hashed.update(np.ascontiguousarray(result).tobytes())
        return {"digest": hashed.hexdigest()}

    def calibrate(self, seconds: float) -> dict[str, Any]:
        """How many calls take about so long; at least one."""
        self.last = None
        calls = 1
        while (taken := self._run(calls)) < seconds / 8 and calls < 1 << 24:
            calls *= 4
        return {"calls": max(1, round(calls * seconds / taken))}

    def time(self, calls: int) -> dict[str, Any]:
        """Seconds per call, of so many calls in a row after a short warm-up."""
        enough = time.perf_counter() + WARM_UP
        while self._run(max(1, min(calls, 100) // 8)) and time.perf_counter() < enough:
            pass
        return {"seconds": self._run(calls) / calls, "megabytes": peak_megabytes()}

    def _run(self, calls: int) -> float:
        call, finish = self.program.call, self.program.finish
        collector.collect()
        collector.disable()
        start = time.perf_counter()
        for _ in repeat(None, calls - 1):
            call()
        finish(call())
        taken = time.perf_counter() - start
        collector.enable()
        return taken


def installed(library: str) -> bool:
    """Whether there is such a distribution."""
    try:
        importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def peak_megabytes() -> float:
    """The most memory that this process had in RAM so far.

    On Linux `VmHWM`, since `ru_maxrss` begins with that of the parent which started the process.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def answer(command: Callable[..., dict[str, Any]], arguments: dict[str, Any]) -> dict[str, Any]:
    """What a command finds, or why it failed."""
    try:
        return command(**arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        text = " ".join(str(error).split())[:300]
        name = type(error).__name__
        return {"failed": text if name == "NotThereError" else f"{name}: {text}", "absent": name == "NotThereError"}


def main() -> None:
    """Read commands until there are no more."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("system")
    parser.add_argument("workload")
    parser.add_argument("--small", action="store_true", help="the sizes of a test")
    parser.add_argument("--wanted", help="file with the results to compare with")
    options = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # libraries that print do not disturb
    worker = Worker(options.system, options.workload, options.small, options.wanted)
    for line in sys.stdin:
        arguments = json.loads(line)
        found = answer(getattr(worker, arguments.pop("do")), arguments)
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    main()
