"""Vectors, element by element: a tiny sum, and an expression with three functions on short and long vectors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.workload import Inputs, Sizes, Workload


def vectors(names: str) -> Callable[[np.random.Generator, Sizes], Inputs]:
    """A maker of float32 vectors of `n` normal numbers, one for each letter of `names`."""

    def make(rng: np.random.Generator, sizes: Sizes) -> Inputs:
        return Inputs({name: rng.standard_normal(sizes["n"], np.float32) for name in names})

    return make


def total(inputs: Inputs, sizes: Sizes) -> list[np.ndarray]:
    """x + y."""
    return [inputs.data["x"] + inputs.data["y"]]


def expression(inputs: Inputs, sizes: Sizes) -> list[np.ndarray]:
    """tanh(a*b+c)*exp(-a*a)+log1p(abs(b))."""
    a, b, c = (inputs.data[name] for name in "abc")
    return [np.tanh(a * b + c) * np.exp(-a * a) + np.log1p(np.abs(b))]


def _expression_of(n: int, text: str, bar: float) -> Workload:
    return Workload(
        f"tanh(a*b+c)*exp(-a*a)+log1p(abs(b)), {text} f32",
        "expression",
        {"n": n},
        {"n": 1000},
        vectors("abc"),
        expression,
        bar,
        bytes=lambda sizes: 16 * sizes["n"],
    )


WORKLOADS = [
    Workload(
        "add two f32 vectors of 16", "add", {"n": 16}, {}, vectors("xy"), total, bar=1.0,
        bytes=lambda sizes: 12 * sizes["n"],
    ),
    _expression_of(1_000, "1,000", bar=6.0),
    _expression_of(10_000_000, "10,000,000", bar=2.0),
]  # fmt: skip
