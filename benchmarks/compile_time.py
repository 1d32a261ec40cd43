"""Where compile time goes, without the disk cache: passes, text, machine code; for steps of deep nets and for chains.

    python -m benchmarks.compile_time [--layers 2 100 1000] [--ops 1000 10000] [--opt-level 2]

Each row is compiled in this process, after a first small one that has brought LLVM along, so kernels that do not
depend on constants may be known already. Times are CPU milliseconds, of all threads. `functions` are those that were
written anew and `text` is what LLVM was given: for layers that are alike, neither grows with their number.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import graphc as gc
from benchmarks.workloads.large_graphs import links
from graphc.backends.llvm import codegen
from graphc.backends.llvm.build import Build
from graphc.backends.llvm.emitter import Builder

COLUMNS = ("compile", "passes", "plan and text", "code", "functions", "text kB")


class Meter:
    """What one compilation took.

    Attributes:
        found: by name of the column; times in milliseconds.
    """

    def __init__(self) -> None:
        self.found = dict.fromkeys(COLUMNS, 0.0)

    def timed(self, column: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose time is added to a column."""

        def measured(*args: Any, **kwargs: Any) -> Any:
            start = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.found[column] += (time.process_time() - start) * 1e3

        return measured

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Measure what is compiled inside."""
        places = [(Build, "__init__"), (Builder, "__init__"), (codegen, "emit_objects")]
        before = [getattr(owner, name) for owner, name in places]
        build, builder, emit = before

        def counted(*args: Any, **kwargs: Any) -> None:
            self.found["functions"] += 1
            builder(*args, **kwargs)

        def emitted(texts: Any, *args: Any, **kwargs: Any) -> Any:
            self.found["text kB"] += sum(len(text) for text, _ in texts) / 1e3
            return emit(texts, *args, **kwargs)

        changed = [self.timed("plan and text", build), counted, self.timed("code", emitted)]
        try:
            for (owner, name), function in zip(places, changed):
                setattr(owner, name, function)
            yield
        finally:
            for (owner, name), function in zip(places, before):
                setattr(owner, name, function)


def deep_step(layers: int, width: int = 64, batch: int = 32) -> dict[str, Any]:
    """The arguments of `gc.function` for an SGD step of a net of equal layers."""
    rng = np.random.default_rng(0)
    x, t = (gc.placeholder((batch, width), "float32", name=name) for name in "xt")
    variables, y = [], x
    for number in range(layers):
        w = gc.variable(rng.normal(0, 0.1, (width, width)).astype("float32"), name=f"w{number}")
        b = gc.variable(np.zeros(width, "float32"), name=f"b{number}")
        variables += [w, b]
        y = gc.tanh(y @ w + b)
    loss = gc.mean((y - t) ** 2)
    updates = {v: v - 0.1 * g for v, g in zip(variables, gc.grad(loss, variables))}
    return {"inputs": [x, t], "outputs": loss, "updates": updates}


def chain(ops: int, n: int = 1000) -> dict[str, Any]:
    """The arguments of `gc.function` for elementwise ops on top of each other, no two alike."""
    x = gc.placeholder((n,), "float32", name="x")
    return {"inputs": [x], "outputs": links(x, ops, gc.tanh, gc.maximum)}


def measure(arguments: dict[str, Any], opt_level: int | None) -> dict[str, float]:
    """The columns of one compilation."""
    meter = Meter()
    with meter.watching():
        function = meter.timed("compile", gc.function)(**arguments, backend="llvm", opt_level=opt_level)
    meter.found["passes"] = sum(stage.milliseconds for stage in function.trace.stages)
    return meter.found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, nargs="*", default=[2, 100, 1000], help="lengths of nets")
    parser.add_argument("--ops", type=int, nargs="*", default=[1000, 10_000], help="lengths of chains")
    parser.add_argument("--opt-level", type=int, choices=(0, 1, 2), help="default: what graphc chooses, without tiers")
    options = parser.parse_args()
    os.environ["GRAPHC_CACHE"] = "off"
    gc.function(**deep_step(1, width=3), backend="llvm", opt_level=0)
    cases = [(f"{n:,} layers", deep_step(n)) for n in options.layers]
    cases += [(f"{n:,} ops", chain(n)) for n in options.ops]
    print(f"{'':14}" + "".join(f"{column:>15}" for column in COLUMNS))
    for name, arguments in cases:
        level = options.opt_level if options.opt_level is not None or "layers" not in name else 2
        row = measure(arguments, level)
        print(f"{name:14}" + "".join(f"{row[column]:15,.0f}" for column in COLUMNS))


if __name__ == "__main__":
    main()
