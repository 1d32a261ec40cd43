"""Cases as files: the graph as `.gir` text, the arrays as `.npz` beside it.

Invariant: `load(save(case))` has the same text and the same arrays; no pickle is read or written.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from graphc.ir.parse import parse
from graphc.ir.text import print_graph

from .check import Failure
from .generate import Case, Run


def save(case: Case, folder: Path, name: str, failure: Failure | None = None) -> Path:
    """Write `name.gir` and `name.npz`; what failed stands in the text's head, with the command that replays it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.gir"
    head = [f"# seed {case.seed}; replay: python -m tests.fuzz.run --replay {path.name}"]
    if failure is not None:
        head.append(f"# {failure.kind} in {failure.where}: {failure.message}")
    path.write_text("\n".join([*head, print_graph(case.graph, locations=False)]), encoding="utf-8")
    arrays = {}
    for number, run in enumerate(case.runs):
        arrays |= {f"run{number}_input{i}": a for i, a in enumerate(run.arrays)}
        arrays |= {f"run{number}_variable{i}": a for i, a in enumerate(run.variables)}
    np.savez(path.with_suffix(".npz"), **arrays)
    return path


def load(path: Path) -> Case:
    """The case of a `.gir` file."""
    graph = parse(path.read_text(encoding="utf-8"))
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as stored:
        names = list(stored)
        count = 1 + max((int(n.partition("_")[0].removeprefix("run")) for n in names), default=0)
        runs = [
            Run(
                [stored[f"run{r}_input{i}"] for i in range(len(graph.inputs))],
                [stored[f"run{r}_variable{i}"] for i in range(len(graph.variables))],
            )
            for r in range(count)
        ]
    return Case(-1, graph, runs)
