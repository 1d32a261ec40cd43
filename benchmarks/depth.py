"""Does time per op stay flat as graphs get deep? A chain of ops, stage by stage.

    python benchmarks/depth.py [--ops 1000 10000 100000] [--profile gradient]

Each stage runs on chains of each length, with the default recursion limit. The table gives microseconds of
processor time per op (of this process only, so that other programs do not count), and the ratio of the longest
chain to the shortest: above 2, work grows faster than the graph.
"""

from __future__ import annotations

import argparse
import cProfile
import gc as collector
import os
import pstats
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

import graphc as gc
from graphc.backends import backend_named
from graphc.function import Function
from graphc.ir.close import close
from graphc.ir.graph import Graph
from graphc.ir.tensor import Tensor
from graphc.passes.manager import optimise

#: What the chain is made of, in turn: cheap and dear, with a broadcast and a second use of an operand.
LINKS: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    lambda t, x: gc.tanh(t),
    lambda t, x: t * 1.01,
    lambda t, x: t + x,
    lambda t, x: t * t,
    lambda t, x: gc.maximum(t, -3.0),
    lambda t, x: t - 0.5,
)
SIZE = 16


def chain(count: int) -> tuple[Tensor, Tensor]:
    """A placeholder, and `count` ops on top of each other (some have a constant besides)."""
    x = gc.placeholder((SIZE,), "float32", name="x")
    t = x
    for i in range(count):
        t = LINKS[i % len(LINKS)](t, x)
    return x, t


class Stages:
    """The stages of one chain; each uses what the one before it made."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.array = np.linspace(-1, 1, SIZE, dtype=np.float32)

    def build(self) -> None:
        self.x, self.y = chain(self.count)

    def gradient(self) -> None:
        (self.dx,) = gc.grad(gc.sum(self.y), [self.x])

    def close(self) -> None:
        self.graph: Graph = close("chain", [self.x], [self.y])

    def print(self) -> None:
        self.text = str(self.graph)

    def parse(self) -> None:
        gc.parse(self.text)

    def passes(self) -> None:
        self.traces = {
            name: optimise(self.graph, native=backend_named(name).native) for name in ("numpy", "llvm")
        }

    def compile_numpy(self) -> None:
        self.interpreted = Function(self.graph, [self.y], backend_named("numpy"), self.traces["numpy"])

    def run_numpy(self) -> None:
        (self.wanted,) = self.interpreted(self.array)

    def compile_llvm(self) -> None:
        self.native = Function(self.graph, [self.y], backend_named("llvm"), self.traces["llvm"])

    def run_llvm(self) -> None:
        (found,) = self.native(self.array)
        np.testing.assert_allclose(found, self.wanted, rtol=1e-3, atol=1e-4)

    def gradient_function(self) -> None:
        gradient = gc.function([self.x], self.dx, backend="numpy")(self.array)
        assert gradient.shape == (SIZE,)

    def free(self) -> None:
        self.__dict__.clear()
        collector.collect()


NAMES = ("build", "gradient", "close", "print", "parse", "passes", "compile_numpy", "run_numpy", "compile_llvm",
         "run_llvm", "gradient_function", "free")  # fmt: skip


def measure(count: int, profiled: str | None = None, progress: bool = False) -> dict[str, float]:
    """Microseconds per op of each stage on a chain of `count` ops; `progress` prints each as it is known."""
    stages, found = Stages(count), {}
    for name in NAMES:
        profile = cProfile.Profile() if name == profiled else None
        start = time.process_time()
        if profile is not None:
            profile.runcall(getattr(stages, name))
        else:
            getattr(stages, name)()
        found[name] = (time.process_time() - start) / count * 1e6
        if progress:
            print(f"  {count:,} ops, {name}: {found[name]:.2f} us per op", file=sys.stderr, flush=True)
        if profile is not None:
            pstats.Stats(profile).sort_stats("tottime").print_stats(20)
    return found


def table(
    counts: Sequence[int], profiled: str | None = None, progress: bool = False
) -> dict[str, list[float]]:
    """The figures of all stages for each length; a first, unmeasured chain warms caches up."""
    measure(min(counts))
    columns = [measure(count, profiled if count == max(counts) else None, progress) for count in counts]
    return {name: [column[name] for column in columns] for name in NAMES}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ops", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--profile", choices=NAMES, help="profile this stage on the longest chain")
    chosen = parser.parse_args()
    os.environ.setdefault("GRAPHC_CACHE", "off")  # compile again each time
    figures = table(chosen.ops, chosen.profile, progress=True)
    print(f"{'us per op':20}" + "".join(f"{count:>12,}" for count in chosen.ops) + f"{'ratio':>9}")
    for name, row in figures.items():
        print(f"{name:20}" + "".join(f"{value:12.2f}" for value in row) + f"{row[-1] / row[0]:9.2f}")


if __name__ == "__main__":
    main()
