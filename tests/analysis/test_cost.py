"""Costs by hand: what each kind of op does and moves."""

import numpy as np
import pytest

import graphc as gc
from graphc.analysis.cost import Cost, costs, total
from graphc.errors import ArgumentError

X = gc.placeholder(("n", 3), "float32", name="x")


def cost_of(result, **sizes):
    graph = gc.function([X], result, backend="numpy").graph
    return costs(graph, sizes)[result]


@pytest.mark.parametrize(
    ("make", "flops", "moved"),
    [
        (lambda: gc.exp(X), 12, 2 * 48),
        (lambda: X + X, 12, 2 * 48),  # an operand that is taken twice is read once
        (lambda: gc.sum(X), 12, 48 + 4),
        (lambda: X.T, 0, 2 * 48),
        (lambda: gc.reshape(X, (-1,)), 0, 0),
        (lambda: X[:2], 0, 2 * 24),  # only what is picked is read
        (lambda: X @ np.ones((3, 5), "f4"), 2 * 4 * 5 * 3, 48 + 60 + 80),
        (lambda: gc.softmax(X), 5 * 12, 2 * 48),
        (lambda: gc.sort(X), 12 * 2, 2 * 48),
        (lambda: gc.linalg.inv(X[:3]), 2 * 27, 2 * 36),
    ],
)
def test_one_op(make, flops, moved):
    assert cost_of(make(), n=4) == Cost(flops, moved)


def test_a_fused_tensor_moves_only_what_it_takes_and_gives():
    f = gc.function([X], gc.exp(X * 2.0) + 1.0, backend="numpy")
    written, optimised = total(f.graph, {"n": 8}), total(f.optimized, {"n": 8})
    assert written.flops == optimised.flops == 3 * 24
    assert optimised.bytes == 2 * 96 < written.bytes


def test_sizes_by_their_plain_names_and_none_missing():
    x = gc.placeholder((None, 3), "float32", name="x")
    graph = gc.function([x], gc.exp(x), backend="numpy").graph
    assert total(graph, {"x_0": 2}).flops == 6
    with pytest.raises(ArgumentError, match="no value for the size x_0"):
        total(graph)


def test_seconds_are_the_slower_of_arithmetic_and_memory():
    assert Cost(50, 0).seconds == pytest.approx(1e-9)
    assert Cost(50, 100).seconds == pytest.approx(1e-8)
