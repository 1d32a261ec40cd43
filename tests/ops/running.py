"""Running tensors in tests: close, verify, print and parse back, interpret, and check every value's type."""

import numpy as np

import graphc as gc
from graphc.ir.close import close
from graphc.ir.evaluate import bind_symbols, check_value, evaluate
from graphc.ir.parse import parse
from graphc.ir.text import print_graph
from graphc.ir.verify import verify
from graphc.passes.gradient import grad


def run(outputs, feeds=None):
    """The value of a tensor, or of each of a list, given `{placeholder: array}`."""
    several = isinstance(outputs, (list, tuple))
    roots = list(outputs) if several else [outputs]
    feeds = {t: np.asarray(v, t.dtype) for t, v in (feeds or {}).items()}
    graph = close("f", list(feeds), roots)
    verify(graph)
    text = print_graph(graph, locations=False)
    assert print_graph(parse(text), locations=False) == text
    arrays = list(feeds.values())
    sizes = bind_symbols(graph.inputs, arrays)
    for constraint in graph.constraints:
        left, right = (gc.ir.dims.evaluate(s, sizes) for s in (constraint.left, constraint.right))
        assert left == right, f"{constraint} does not hold for {sizes}"

    def watch(tensor, value):
        for array in value if isinstance(value, tuple) else (value,):
            assert type(array) is np.ndarray, f"{tensor}: {type(array)}"
        check_value(tensor, value, sizes)

    values = evaluate(graph, arrays, watch=watch)
    return values if several else values[0]


def same(found, wanted):
    """Equal dtype, shape and values; NaN equals NaN, and zeros have the same sign."""
    wanted = np.asarray(wanted)
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    np.testing.assert_array_equal(found, wanted)
    if wanted.dtype.kind == "f":
        number = ~np.isnan(wanted)
        np.testing.assert_array_equal(np.signbit(found)[number], np.signbit(wanted)[number])


def check_gradient(function, *arrays, order=2, tolerance=1e-6):
    """Compare the gradient of a random scalar of `function(*arrays)` with differences along a direction.

    With `order` 2, also the gradient of that gradient.
    """
    rng = np.random.default_rng(7)
    arrays = [np.asarray(a, np.float64) for a in arrays]
    xs = [gc.placeholder(a.shape, "float64", name=f"x{i}") for i, a in enumerate(arrays)]
    y = function(*xs)
    for _ in range(order):
        y = _weighted(y, rng)
        partials = grad(y, xs, disconnected="zeros")
        direction = [rng.standard_normal(a.shape) for a in arrays]
        slope = sum(float(np.sum(run(p, dict(zip(xs, arrays))) * d)) for p, d in zip(partials, direction))
        step = 1e-6
        ends = [
            float(run(y, dict(zip(xs, [a + sign * step * d for a, d in zip(arrays, direction)])))) for sign in (1, -1)
        ]
        wanted = (ends[0] - ends[1]) / (2 * step)
        assert abs(slope - wanted) <= tolerance * max(1.0, abs(wanted), abs(ends[0])), (slope, wanted)
        y = partials


def _weighted(results, rng):
    """A scalar that depends on every element, and not linearly."""
    total = None
    for t in results if isinstance(results, (list, tuple)) else [results]:
        weight = gc.constant(rng.standard_normal(t.shape))
        term = gc.sum(gc.sin(t) * weight)
        total = term if total is None else total + term
    return total
