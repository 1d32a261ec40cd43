"""`while_loop`: values, errors, forward derivatives, and reverse ones with a limit."""

import numpy as np
import pytest
from running import check_gradient, run

import graphc as gc


def collatz(n):
    def step(n, count):
        return gc.cond(gc.equal(n % 2, 0), lambda: n // 2, lambda: 3 * n + 1), count + 1

    return gc.while_loop(lambda n, count: n > 1, step, [n, gc.constant(0)])[1]


def test_values():
    n = gc.placeholder((), "int64", name="n")
    assert [int(run(collatz(n), {n: k})) for k in (1, 2, 3, 27)] == [0, 1, 7, 111]


def test_a_limit_ends_it():
    x = gc.while_loop(lambda x: x > 0.0, lambda x: x + 1.0, gc.constant(1.0), limit=5)
    assert run(x) == 6


def test_it_reads_from_outside():
    x, w = gc.placeholder((), "float64", name="x"), gc.variable(3.0, name="w")
    y = gc.while_loop(lambda y: gc.abs(y * y - w) > 1e-12, lambda y: 0.5 * (y + w / y), x)
    np.testing.assert_allclose(run(y, {x: 1.0}), np.sqrt(3))


def test_while_in_cond_in_scan():
    x = gc.placeholder(("t",), "int64", name="x")

    def step(x_t, total):
        return gc.cond(x_t > 0, lambda: total + collatz(x_t), lambda: total)

    assert run(gc.scan(step, x, gc.constant(0)).states, {x: [3, -1, 27]}).tolist() == [7, 7, 118]


def test_errors():
    h = gc.constant(1.0)
    for arguments, error, text in (
        ((lambda h: h > 0, lambda h: h > 0, h), gc.DTypeError, "f64[] before a step and bool[] after it"),
        ((lambda h: h, lambda h: h, h), gc.DTypeError, "one bool"),
        ((lambda h: h > 0, lambda h: [h, h], h), gc.ArgumentError, "returned 2 states, init has 1"),
        ((lambda h: h > 0, lambda h: h, []), gc.ArgumentError, "must be a state"),
        ((lambda h: h > 0, lambda h: h, h, -1), gc.ArgumentError, "limit"),
        ((True, lambda h: h, h), gc.ArgumentError, "function"),
    ):
        with pytest.raises(error) as caught:
            gc.while_loop(*arguments)
        assert text in str(caught.value)


def power(x, w, limit=None):
    """x * w until it passes 10; the number of steps hangs on the values."""
    return gc.while_loop(lambda y: gc.sum(y) < 10.0, lambda y: gc.sin(y) * 0.1 + y * w, x, limit)


def test_gradients_with_a_limit():
    check_gradient(lambda x, w: power(x, w, 8), np.array([0.5, 0.3]), np.array(2.1))


def test_forward_derivatives_without_a_limit():
    x, w = gc.placeholder((2,), "float64", name="x"), gc.placeholder((), "float64", name="w")
    a, b, da, db = np.array([0.5, 0.3]), np.array(2.1), np.array([0.3, -0.2]), np.array(0.7)
    tangent = gc.jvp(power(x, w), [x, w], [gc.constant(da), gc.constant(db)])
    e = 1e-6
    ends = [run(power(x, w), {x: a + s * e * da, w: b + s * e * db}) for s in (1, -1)]
    np.testing.assert_allclose(run(tangent, {x: a, w: b}), (ends[0] - ends[1]) / (2 * e), rtol=1e-6)
    again = gc.jvp(tangent, [x, w], [gc.constant(da), gc.constant(db)])
    ends = [run(tangent, {x: a + s * e * da, w: b + s * e * db}) for s in (1, -1)]
    np.testing.assert_allclose(run(again, {x: a, w: b}), (ends[0] - ends[1]) / (2 * e), rtol=1e-5)


def test_forward_derivatives_of_a_while_inside_a_scan():
    x, w = gc.placeholder((3, 2), "float64", name="x"), gc.placeholder((), "float64", name="w")

    def net(x):
        return gc.scan(lambda x_t, h: power(gc.abs(x_t) + 0.1 * gc.tanh(h), w), x, gc.constant([1.0, 2.0])).last

    a, b, da = np.abs(np.random.default_rng(0).normal(size=(3, 2))), np.array(2.1), np.ones((3, 2))
    tangent = gc.jvp(net(x), x, gc.constant(da))
    e = 1e-6
    ends = [run(net(x), {x: a + s * e * da, w: b}) for s in (1, -1)]
    f = gc.function([x, w], tangent)
    np.testing.assert_allclose(f(a, b), (ends[0] - ends[1]) / (2 * e), rtol=1e-6)


def test_a_reverse_gradient_without_a_limit_is_refused():
    x, w = gc.placeholder((2,), "float64", name="x"), gc.placeholder((), "float64", name="w")
    for loss in (
        gc.sum(power(x, w)),
        gc.sum(gc.scan(lambda h: power(h * 0.1, w), init=x, length=3).last),
    ):
        with pytest.raises(gc.GradientError, match="limit") as caught:
            gc.grad(loss, [x])
        assert caught.value.location.file == __file__
