"""Replacing tensors: what depends on them is made anew, nothing else is, and types follow."""

import numpy as np
import pytest

import graphc as gc
from graphc.errors import ShapeError
from graphc.ir.substitute import substitute

X = gc.placeholder(("n", 3), "float32", name="x")


def test_only_what_depends_on_it_is_made_anew():
    y, z = gc.exp(X), gc.placeholder(("n", 3), "float32")
    untouched, changed = gc.tanh(z), z + y
    a, b = substitute([untouched, changed], {y: z})
    assert a is untouched and b is not changed and b.inputs == (z, z) and b.location == changed.location


def test_a_replacement_is_taken_as_it_stands():
    (y,) = substitute([X * 2], {X: X + 1})
    assert y.inputs[0].inputs[0] is X
    a, b = gc.exp(X), gc.sin(X)
    swapped = substitute([a, b], {a: b, b: a})
    assert swapped == [b, a]


def test_types_are_inferred_anew():
    row = gc.placeholder((3,), "float32")
    total = gc.sum(X * 2, axis=0)
    (found,) = substitute([gc.sum(X * 2, axis=0) + total], {X: gc.placeholder((5, 3), "float32")})
    assert found.shape == (3,)
    (found,) = substitute([X * row], {row: gc.placeholder((7, 1, 3), "float32")})
    assert [str(s) for s in found.shape] == ["7", "n", "3"]
    (q,) = substitute([gc.linalg.qr(X)[0]], {X: gc.constant(np.ones((2, 3), "f4"))})
    assert q.shape == (2, 2)


def test_sizes_in_attributes_follow_where_that_is_asked_for():
    four = gc.constant(np.ones((4, 3), "f4"))
    roots = [X[:3], gc.mean(X, axis=0), gc.constant(1) * X.shape[0], gc.zeros((X.shape[0] + 1,)), gc.eye(2)]
    left, *_ = substitute(roots, {X: four})
    assert str(left.shape[0]) == "min(n,3)"
    found = substitute(roots, {X: four}, {"n": 4})
    assert [t.shape for t in found] == [(3, 3), (3,), (), (5,), (2, 2)] and found[-1] is roots[-1]
    values = gc.function([], found, backend="numpy")()
    assert values[1].tolist() == [1, 1, 1] and values[2] == 4


def test_what_does_not_fit_is_an_error_at_the_users_line():
    y = X @ gc.constant(np.ones((3, 2), "f4"))
    with pytest.raises(ShapeError, match="matmul: ") as caught:
        substitute([y], {X: gc.placeholder((2, 5), "float32", name="short")})
    assert caught.value.location == y.location


def test_a_deep_chain():
    y = X
    for _ in range(20_000):
        y = -y
    (z,) = substitute([y], {X: gc.placeholder((2, 3), "float32")})
    assert z.shape == (2, 3)
