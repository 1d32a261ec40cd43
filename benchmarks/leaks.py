"""Compile, call and drop functions over and over: memory must stay flat.

    python benchmarks/leaks.py [--cycles 10000]

Each cycle makes another function, so all of its code is new: emitted, compiled, linked and unloaded. The status is 1
if the process grew by more than a kilobyte a cycle in the second half of the run.
"""

import argparse
import gc
import os
import sys
import time
from pathlib import Path

import numpy as np

import graphc

ALLOWED = 1024  # bytes a cycle


def resident() -> int:
    """Bytes of memory that this process has in RAM."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cycle(number: int) -> None:
    """One function with a variable, a fused loop, a matrix product and a gradient; called and dropped."""
    x = graphc.placeholder(("n", 4), "float32", name="x")
    w = graphc.variable(np.ones((4, 3), np.float32), name="w")
    loss = graphc.sum(graphc.tanh(x @ w * (1.0 + number * 2.0**-16)))
    step = graphc.function([x], loss, updates={w: w - 0.1 * graphc.grad(loss, [w])[0]}, opt_level=0)
    for rows in (2, 3):
        for _ in range(3):
            step(np.ones((rows, 4), np.float32))


def growth(cycles: int, report: bool = False) -> float:
    """How many bytes a cycle the process grew in the second half of a run."""
    marks = []
    for number in range(cycles + 1):
        if number % max(1, cycles // 10) == 0:
            gc.collect()
            marks.append((number, resident()))
            if report:
                print(f"{number:7d} cycles {resident() / 1e6:8.1f} MB {len(gc.get_objects()):8d} objects")
        cycle(number)
    (first, before), (last, after) = marks[len(marks) // 2], marks[-1]
    return (after - before) / (last - first)


def main() -> int:
    """Run it and print what it saw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cycles", type=int, default=10_000, help="how many functions (default: 10000)")
    options = parser.parse_args()
    os.environ["GRAPHC_CACHE"] = "off"
    start = time.process_time()
    grown = growth(options.cycles, report=True)
    seconds = time.process_time() - start
    print(f"{grown:.0f} bytes a cycle in the second half; {seconds / options.cycles * 1e3:.1f} ms of CPU a cycle")
    return int(grown > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
