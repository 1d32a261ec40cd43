"""Gradients of random smooth graphs against central differences in float64.

Comparing backends cannot find a wrong gradient rule, since the gradient is part of the graph as written; this
does. Graphs are of float64 and of ops that are smooth where their operands lie.

Invariant: a seed is judged only where two step sizes give nearly the same slope, so that what is compared is
the gradient and not the error of differences; the others are counted as unjudged.
"""

from __future__ import annotations

import contextlib
from collections import Counter

import numpy as np

import graphc as gc
from graphc.errors import IndexOutOfBoundsError
from graphc.ir import dims
from graphc.ir.build import apply
from graphc.ir.close import close
from graphc.ir.evaluate import evaluate
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor
from graphc.ir.types import DTYPES

from .generate import Generator, Recipe
from .recipes import RECIPES

F64 = DTYPES["f64"]
SMOOTH = ("tanh", "sin", "cos", "sigmoid", "atan", "erf", "softplus", "asinh")
#: Recipes that keep floats floats, whatever the values are.
KEPT = frozenset({
    "broadcast", "copies", "flip_or_roll", "gather", "index", "join", "matmul", "normal", "other_products", "pad",
    "permute", "reshape", "scatter", "split", "take", "take_along_axis", "triangle", "unit_axes",
})  # fmt: skip


class SmoothGenerator(Generator):
    """A generator whose tensors are of float64, but for positions."""

    def dtype(self, among=()):  # type: ignore[no-untyped-def]
        wanted = list(among)
        return F64 if not wanted or F64 in wanted else super().dtype(wanted)

    def extent(self) -> int:
        return self.number(1, 4)


def _smooth(g: Generator) -> Tensor:
    return apply(OPS[g.one_of(SMOOTH)], g.any((F64,)))


def _arithmetic(g: Generator) -> Tensor:
    x = g.any((F64,))
    y = g.like(x.shape, F64)
    return g.one_of((lambda: x + y, lambda: x - y, lambda: gc.tanh(x) * y, lambda: x / (2.0 + gc.square(y))))()


def _reduction(g: Generator) -> Tensor:
    x = g.any((F64,), least=1)
    axis = g.axes(x)
    return g.one_of((
        lambda: gc.sum(x, axis), lambda: gc.mean(x, axis), lambda: gc.logsumexp(x, axis), lambda: gc.softmax(x, -1),
        lambda: gc.log_softmax(x, 0), lambda: gc.cumsum(x, 0), lambda: gc.prod(gc.tanh(x), axis),
        lambda: gc.cumprod(gc.tanh(x), -1), lambda: gc.var(x, axis),
    ))()  # fmt: skip


SMOOTH_RECIPES: dict[Recipe, float] = {
    _smooth: 12, _arithmetic: 14, _reduction: 12, **{r: w for r, w in RECIPES.items() if r.__name__ in KEPT},
}  # fmt: skip


def gradient_complaint(seed: int) -> str | None:
    """What is wrong with the gradient of a seed's graph; None if nothing is, or it cannot be judged."""
    g = SmoothGenerator(seed, SMOOTH_RECIPES)
    g.hazards = 0
    for _ in range(g.number(2, 10)):
        g.grow(Counter(), Counter())
    floats = [t for t in g.pool if t.dtype == F64 and t.op.name not in ("placeholder", "const", "variable")]
    wanted = [t for t in g.inputs if t.dtype == F64]
    if not floats or not wanted:
        return None
    loss = gc.constant(0.0)
    for t in floats[-2:]:
        loss = loss + gc.sum(gc.sin(t) * gc.constant(g.rng.normal()))
    partials = gc.grad(loss, wanted, disconnected="zeros")
    sizes = [gc.placeholder((name,), "bool", name=f"size_{name}") for name in ("n", "m", "k", "p")]
    graph = close("gradient", [*g.inputs, *sizes], [loss, *partials])
    values = g.symbols[0]
    if any(dims.evaluate(c.left, values) != dims.evaluate(c.right, values) for c in graph.constraints):
        return None
    shapes = [tuple(dims.evaluate(s, values) for s in t.shape) for t in graph.inputs]
    arrays = [
        (g.rng.normal(0, 1, shape) if t.dtype.kind == "f" else g.rng.integers(0, 5, shape)).astype(t.dtype)
        for t, shape in zip(graph.inputs, shapes)
    ]
    with np.errstate(all="ignore"), contextlib.suppress(IndexOutOfBoundsError):  # of an axis without elements
        return _compared(graph, arrays, [i for i, t in enumerate(graph.inputs) if t in wanted], g.rng)
    return None


def _compared(graph, arrays, positions, rng):  # type: ignore[no-untyped-def]
    loss, *partials = evaluate(graph, arrays, {v: v.storage for v in graph.variables})
    directions = {i: rng.normal(0, 1, arrays[i].shape) for i in positions}
    slope = sum(float(np.sum(p * directions[i])) for i, p in zip(positions, partials))

    def moved(step: float) -> float:
        ends = []
        for sign in (1, -1):
            shifted = [a + sign * step * directions[i] if i in directions else a for i, a in enumerate(arrays)]
            ends.append(float(evaluate(graph, shifted, {v: v.storage for v in graph.variables})[0]))
        return (ends[0] - ends[1]) / (2 * step)

    coarse, fine = moved(2e-5), moved(1e-5)
    scale = max(1.0, abs(fine), abs(float(loss)))
    if not np.isfinite([coarse, fine, slope]).all() or abs(coarse - fine) > 1e-6 * scale:
        return None
    return None if abs(slope - fine) <= 1e-5 * scale else f"the gradient's slope is {slope}, differences give {fine}"
