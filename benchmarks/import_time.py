"""How long `import graphc` takes, next to NumPy's own import; and what it loads besides.

    python benchmarks/import_time.py [--runs 20]

Each run is a fresh process; bytecode is written by a first one, as after an installation. The goal: less than twice
NumPy's import in all, and neither llvmlite nor networkx loaded.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile

_PROGRAM = """
import time, sys
start = time.perf_counter()
import {module}
print(time.perf_counter() - start)
print(*sorted(name for name in ("llvmlite", "networkx", "scipy", "rich") if name in sys.modules))
"""


def measure(module: str, runs: int) -> tuple[float, str]:
    """The median import time in milliseconds, and which heavy libraries were loaded."""
    times, loaded = [], ""
    with tempfile.TemporaryDirectory() as bytecode:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = bytecode
        command = [sys.executable, "-c", _PROGRAM.format(module=module)]
        for _ in range(runs + 1):
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
            seconds, loaded = done.stdout.splitlines()[:2]
            times.append(float(seconds) * 1000)
    return statistics.median(times[1:]), loaded


def main() -> None:
    """Measure both and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    numpy, _ = measure("numpy", runs)
    graphc, loaded = measure("graphc", runs)
    print(f"numpy {numpy:.0f} ms, graphc {graphc:.0f} ms (numpy included): {graphc / numpy:.2f}x")
    print(f"heavy libraries loaded: {loaded or 'none'}")


if __name__ == "__main__":
    main()
