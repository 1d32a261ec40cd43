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
    (q,) = substitute([gc.linalg.qr(X[:3])[0]], {X: gc.constant(np.ones((4, 3), "f4"))})
    assert q.shape == (3, 3)


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
