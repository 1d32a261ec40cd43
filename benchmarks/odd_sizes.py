"""Do odd sizes, strides, transposition and broadcasting cost less than twice the even contiguous case? In graphc alone.

    python -m benchmarks.odd_sizes [--only softmax] [--threads 2]

Each program runs at each odd size and at the nearest power of two, and the ratio of the times is divided by that of
the work where there is more of it. Then the same programs get arrays of the same shape that lie otherwise in memory.
Cases are timed by turns, in one process. The status is 1 if a ratio is above 2.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

import numpy as np

import graphc as gc
from benchmarks import report
from benchmarks.processes import CHECKOUT
from benchmarks.records import Records, default_path
from graphc.backends.llvm import tiers

BOUND = 2.0
#: Odd size -> the even one to compare with.
PARTNERS = {1: 2, 7: 8, 31: 32, 33: 32, 1000: 1024, 1023: 1024}
#: How long a turn is, and how many turns a case has.
SECONDS, TURNS = 0.005, 15


class Shape(NamedTuple):
    """A program on arrays of one size: how they are shaped, and how its work grows with the size."""

    compute: Callable[..., gc.Tensor]
    shapes: Callable[[int], list[tuple[int, ...]]]
    power: int


PROGRAMS = {
    "expression": Shape(
        lambda a, b, c: gc.tanh(a * b + c) * gc.exp(-a * a) + gc.log1p(gc.abs(b)), lambda n: [(n,)] * 3, 1
    ),
    "expression 2-D": Shape(
        lambda a, b, c: gc.tanh(a * b + c) * gc.exp(-a * a) + gc.log1p(gc.abs(b)), lambda n: [(n, n)] * 3, 2
    ),
    "sum": Shape(gc.sum, lambda n: [(n,)], 1),
    "sum over axis 0": Shape(lambda x: gc.sum(x, axis=0), lambda n: [(n, n)], 2),
    "sum over axis 1": Shape(lambda x: gc.sum(x, axis=1), lambda n: [(n, n)], 2),
    "softmax": Shape(lambda x: gc.softmax(x, axis=1), lambda n: [(n, n)], 2),
    "softmax over axis 0": Shape(lambda x: gc.softmax(x, axis=0), lambda n: [(n, n)], 2),
    "matmul": Shape(lambda x, y: x @ y, lambda n: [(n, n)] * 2, 3),
    "matmul NT": Shape(lambda x, y: x @ gc.matrix_transpose(y), lambda n: [(n, n)] * 2, 3),
    "matmul TN": Shape(lambda x, y: gc.matrix_transpose(x) @ y, lambda n: [(n, n)] * 2, 3),
    "matrix by vector": Shape(lambda x, y: x @ y, lambda n: [(n, n), (n,)], 2),
}

#: How arrays may lie in memory; each gives an array equal in shape to the one it takes.
LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "every second element": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "every second row": lambda x: np.repeat(x, 2, axis=0)[::2],
    "reversed": lambda x: np.ascontiguousarray(x[..., ::-1])[..., ::-1],
    "transposed": lambda x: np.asfortranarray(x),
    "broadcast row": lambda x: np.broadcast_to(x[:1], x.shape),
    "broadcast column": lambda x: np.broadcast_to(x[..., :1], x.shape),
}
#: The size at which layouts are compared.
EVEN = 1024


def arrays(program: Shape, size: int) -> list[np.ndarray]:
    """Random float32 operands."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape, np.float32) for shape in program.shapes(size)]


def function(program: Shape, operands: list[np.ndarray]) -> gc.Function:
    """The program, compiled for the extents of these operands."""
    symbols = [gc.placeholder(operand.shape, "float32") for operand in operands]
    return gc.function(symbols, program.compute(*symbols))


def alternating(calls: Sequence[Callable[[], object]]) -> list[float]:
    """The least seconds per call of each, timed by turns."""
    counts = []
    for call in [*calls, *calls]:  # after two calls a function has code for how its arguments lie, if it is to have any
        call()
    for call in calls:
        call()
        tiers.wait()
        start = time.perf_counter()
        call()
        counts.append(max(1, int(SECONDS / (time.perf_counter() - start + 1e-9) / 2)))
    best = [float("inf")] * len(calls)
    for _ in range(TURNS):
        for number, (call, count) in enumerate(zip(calls, counts)):
            start = time.perf_counter()
            for _ in repeat(None, count):
                call()
            best[number] = min(best[number], (time.perf_counter() - start) / count)
    return best


def odd(name: str, program: Shape) -> dict[str, dict[str, object]]:
    """The cases of odd sizes."""
    found = {}
    for size, partner in PARTNERS.items():
        cases = [arrays(program, n) for n in (size, partner)]
        calls = [partial(function(program, operands), *operands) for operands in cases]
        mine, even = alternating(calls)
        growth = max(1.0, (size / partner) ** program.power)
        found[f"{name}, {size}"] = case(mine, even, f"{partner}", mine / even / growth)
    return found


def laid_out(name: str, program: Shape) -> dict[str, dict[str, object]]:
    """The cases of other layouts, for programs of matrices."""
    operands = arrays(program, EVEN)
    if operands[0].ndim < 2:
        return {}
    compiled = function(program, operands)
    others = {layout: [change(operand) for operand in operands] for layout, change in LAYOUTS.items()}
    even, *times = alternating([partial(compiled, *a) for a in [operands, *others.values()]])
    for layout, given in others.items():
        plain = compiled(*map(np.ascontiguousarray, given))
        np.testing.assert_array_equal(compiled(*given), plain, err_msg=f"{name}, {layout}")
    return {
        f"{name}, {EVEN}, {layout}": case(mine, even, f"{EVEN}, contiguous", mine / even)
        for layout, mine in zip(others, times)
    }


def case(seconds: float, even: float, partner: str, ratio: float) -> dict[str, object]:
    """What is recorded of a case."""
    return {"seconds": seconds, "even": even, "partner": partner, "ratio": ratio}


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="whose name has this text")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", type=Path, default=default_path(), help="file of records (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=CHECKOUT / "docs" / "performance.md", help="the report")
    options = parser.parse_args()
    os.environ["GRAPHC_NUM_THREADS"] = str(options.threads)
    records, above = Records(options.data), 0
    for name, program in PROGRAMS.items():
        if options.only and not any(text in name for text in options.only):
            continue
        for title, found in (odd(name, program) | laid_out(name, program)).items():
            above += float(str(found["ratio"])) > BOUND
            print(f"{title}: {report.duration(float(str(found['seconds'])))}, ratio {found['ratio']:.2f}", flush=True)
            records.put("odd_sizes", title, found)
    options.output.write_text(report.write(records.data), "utf-8")
    print(f"{above} cases above {BOUND:g}")
    return int(above > 0)


if __name__ == "__main__":
    sys.exit(main())
