"""Processor time of workloads, system by system: what can be measured on a machine that others use too.

    python -m benchmarks.cpu_time LSTM --systems graphc,jax,torch --python jax=PATH --python torch=PATH

Elapsed time grows with what else runs; processor time does so much less. It counts the work of all threads, so it
says nothing about how well they share it: for that, and for the report, there is `benchmarks.run`.

Invariant: each system runs in a process of its own, and the least of many turns counts.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

#: Seconds of turns, and of one turn.
SECONDS, TURN = 3.0, 0.01


def measure(system: str, text: str) -> None:
    """Print a line for each workload whose name has this text: milliseconds of a call, processor and elapsed."""
    from benchmarks.systems import load
    from benchmarks.workloads import EVERY

    programs = load(system).PROGRAMS
    for name, workload in EVERY.items():
        if text not in name or workload.program not in programs:
            continue
        program = programs[workload.program](workload.inputs(False), workload.sizes_of(False))
        for _ in range(5):
            program.finish(program.call())
        calls, least, elapsed = 1, float("inf"), float("inf")
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            busy, start = time.process_time(), time.perf_counter()
            for _ in range(calls):
                last = program.call()
            program.finish(last)
            took = (time.perf_counter() - start) / calls
            least, elapsed = min(least, (time.process_time() - busy) / calls), min(elapsed, took)
            calls = max(1, int(TURN / took))
        print(f"{system:12} {name:40} {least * 1e3:9.3f} ms {elapsed * 1e3:9.3f} ms", flush=True)


def main() -> None:
    """Measure here, or in a process for each system."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", help="rows whose name has this text")
    parser.add_argument("--systems", default="graphc,jax,torch")
    parser.add_argument("--python", action="append", default=[], metavar="SYSTEM=PATH")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--here", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        measure(options.here, options.text)
        return
    pythons = dict(entry.split("=", 1) for entry in options.python)
    names = ("OMP_NUM_THREADS", "GRAPHC_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, options.threads)}
    print(f"{'system':12} {'workload':40} {'processor':>12} {'elapsed':>12}")
    for system in options.systems.split(","):
        command = [pythons.get(system, sys.executable), "-m", "benchmarks.cpu_time", options.text, "--here", system]
        subprocess.run(command, env=environment, stderr=subprocess.DEVNULL, check=False)


if __name__ == "__main__":
    main()
