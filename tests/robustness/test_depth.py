"""Deep graphs: no stage recurses, and none takes longer per op as chains get longer.

`python benchmarks/depth.py` prints the figures. The slow test runs the full length.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import graphc as gc

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "depth.py"


@pytest.fixture(scope="module")
def depth():
    specification = importlib.util.spec_from_file_location("depth", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    sys.modules["depth"] = module
    specification.loader.exec_module(module)
    return module


def test_chains_longer_than_the_recursion_limit(depth):
    length = 3 * sys.getrecursionlimit()
    found = depth.measure(length)
    assert found.keys() == set(depth.NAMES)


@pytest.mark.slow
def test_a_chain_of_a_hundred_thousand_ops(depth):
    limit = sys.getrecursionlimit()
    figures = depth.table([1000, 100_000])
    assert sys.getrecursionlimit() == limit
    slow = {name: f"{row[0]:.1f} -> {row[-1]:.1f} us" for name, row in figures.items() if row[-1] > 3 * row[0]}
    assert not slow


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_a_wide_graph(backend):
    """Many inputs of one sum, and many outputs."""
    x = gc.placeholder((3,), "float64", name="x")
    parts = [x * float(i) for i in range(2000)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    f = gc.function([x], [total, *parts[::20]], backend=backend)
    results = f(np.ones(3))
    np.testing.assert_allclose(results[0], np.full(3, sum(range(2000))))
    assert len(results) == 101


def test_a_graph_of_many_shared_parts():
    """2**200 paths lead from the result to the input: each tensor must be met once."""
    x = gc.placeholder((), "float64", name="x")
    t = x
    for _ in range(200):
        t = t * 0.5 + t * 0.5
    (dx,) = gc.grad(t, [x])
    f = gc.function([x], [t, dx])
    value, slope = f(3.0)
    np.testing.assert_allclose([value, slope], [3.0, 1.0], rtol=1e-12)
    assert gc.parse(str(f.graph)).outputs


def test_deep_graphs_are_freed_without_recursion():
    x = gc.placeholder((), "float64", name="x")
    t = x
    for _ in range(20_000):
        t = -t
    f = gc.function([x], t, backend="numpy")
    assert f(1.0) == 1.0
    del f, t, x
