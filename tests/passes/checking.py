"""Checking a pass: its result as text pins the shape, its values on seeded inputs pin the truth."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable

import numpy as np

from graphc.ir.evaluate import evaluate
from graphc.ir.graph import Graph
from graphc.ir.opdef import OPS
from graphc.ir.parse import parse
from graphc.ir.text import print_graph
from graphc.ir.verify import verify
from graphc.passes.manager import Trace, optimise
from graphc.passes.rewrite import Family
from graphc.passes.value_check import Values, compare_values

#: A backend that takes every op.
ALL_NATIVE = frozenset(OPS)
SEEDS = range(4)


def graph(parameters: str, body: str) -> Graph:
    """The graph of some parameters and lines of IR, of which the last is the result."""
    lines = inspect.cleandoc(body).splitlines()
    if not lines[-1].startswith("return "):
        lines.append("return " + lines[-1].partition(" ")[0])
    text = "\n".join(f"  {line}" for line in lines)
    return parse(f"graph @f({parameters}) {{\n{text}\n}}")


def canonical(of: Graph) -> str:
    """The text of a graph without the users' lines."""
    return print_graph(of, locations=False)


def check(
    run: Callable[[Graph], Graph], parameters: str, before: str, after: str, values: Values = "same"
) -> None:
    """`run` turns the graph `before` into the graph `after`, which has the same values."""
    given, wanted = graph(parameters, before), graph(parameters, after)
    found = run(given)
    verify(found)
    assert canonical(found) == canonical(wanted)
    same_values(given, found, values)


def unchanged(run: Callable[[Graph], Graph], parameters: str, body: str) -> None:
    """`run` leaves the graph as it is."""
    check(run, parameters, body, body)


def same_values(before: Graph, after: Graph, values: Values = "same") -> None:
    """Both graphs give the same on seeded inputs, NaN, infinities and -0.0 among them."""
    for seed in SEEDS:
        assert compare_values(before, after, values, seed) is None


def rules_of(family: Family, *, fast_math: bool = False) -> Callable[[Graph], Graph]:
    """The pass that applies a family's rules."""
    return lambda given: family.run(given, fast_math=fast_math, fired=Counter())


def optimised(given: Graph, **options: object) -> Trace:
    """The whole pipeline, with every check on."""
    return optimise(given, **{"native": ALL_NATIVE, "check": 3, **options})  # type: ignore[arg-type]


def values_of(of: Graph, *arrays: object) -> list[np.ndarray]:
    """The graph's outputs on these arrays, by the interpreter."""
    return evaluate(of, [np.asarray(a, t.dtype) for a, t in zip(arrays, of.inputs)])
