"""The first call of a training step in a new process, with a cold and with a warm cache: where the time goes.

    python benchmarks/warm_start.py [--runs 9]

Each run is a fresh process that imports graphc, defines the step of an MLP 64-256-10, compiles it, and calls it once.
Times are CPU milliseconds of the process (medians), so that a busy machine counts for less; after `import graphc`,
the sum of the other phases is what the user waits for.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile

_PROGRAM = """
import sys, time
clock = time.process_time
marks = [("start", clock())]
def mark(name): marks.append((name, clock()))
import numpy as np
mark("import numpy")
import graphc as gc
mark("import graphc")
rng = np.random.default_rng(0)
x = gc.placeholder(("batch", 64), "float32", name="x")
t = gc.placeholder(("batch",), "int64", name="t")
w1 = gc.variable(rng.normal(0, 0.1, (64, 256)).astype("float32"), name="w1")
b1 = gc.variable(np.zeros(256, "float32"), name="b1")
w2 = gc.variable(rng.normal(0, 0.1, (256, 10)).astype("float32"), name="w2")
b2 = gc.variable(np.zeros(10, "float32"), name="b2")
weights = [w1, b1, w2, b2]
loss = gc.mean(gc.cross_entropy(gc.relu(x @ w1 + b1) @ w2 + b2, t))
updates = {w: w - 0.4 * g for w, g in zip(weights, gc.grad(loss, weights))}
mark("define")
step = gc.function([x, t], loss, updates=updates)
mark("compile")
step(rng.normal(size=(32, 64)).astype("float32"), rng.integers(0, 10, 32))
mark("first call")
passes = sum(s.milliseconds for s in step.trace.stages)
for (_, before), (name, after) in zip(marks, marks[1:]):
    print(f"{name}:{(after - before) * 1e3}")
print(f"  of it passes:{passes}")
"""


def run(environment: dict[str, str]) -> dict[str, float]:
    """The phases of one process, in CPU milliseconds."""
    command = [sys.executable, "-c", _PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return {name: float(value) for name, value in (line.split(":") for line in done.stdout.splitlines())}


def main() -> None:
    """Measure both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=9, help="processes for each column (default: 9)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment |= {"PYTHONPYCACHEPREFIX": f"{folder}/bytecode", "GRAPHC_CACHE": f"{folder}/cache"}
        run(environment)
        warm = [run(environment) for _ in range(options.runs)]
        cold = [run({**environment, "GRAPHC_CACHE": f"{folder}/cold{n}"}) for n in range(options.runs)]
    print(f"{'CPU milliseconds':20} {'cold':>8} {'warm':>8}")
    totals = [0.0, 0.0]
    for name in warm[0]:
        row = [statistics.median(r[name] for r in runs) for runs in (cold, warm)]
        print(f"{name:20} {row[0]:8.1f} {row[1]:8.1f}")
        if not name.startswith((" ", "import numpy", "import graphc")):
            totals = [t + r for t, r in zip(totals, row)]
    print(f"{'after the import':20} {totals[0]:8.1f} {totals[1]:8.1f}")


if __name__ == "__main__":
    main()
