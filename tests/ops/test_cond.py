"""`cond`: only the chosen branch runs; values, errors, gradients."""

import numpy as np
import pytest
from running import check_gradient, run

import graphc as gc


def branches(x, y):
    return gc.cond(gc.sum(x) > 0.0, lambda: [gc.sin(x) * y, x], lambda: [y * y * x, gc.exp(y)])


@pytest.mark.parametrize("sign", [1, -1])
def test_values(sign):
    x, y = gc.placeholder((3,), "float64", name="x"), gc.placeholder((3,), "float64", name="y")
    a, b = np.abs(np.random.default_rng(0).normal(size=(2, 3)))
    first, second = run(branches(x, y), {x: sign * a, y: b})
    np.testing.assert_allclose(first, np.sin(a) * b if sign > 0 else -b * b * a)
    np.testing.assert_allclose(second, a if sign > 0 else np.exp(b))


def test_the_other_branch_does_not_run(capsys):
    x = gc.placeholder((), "float64", name="x")
    y = gc.cond(x > 0.0, lambda: gc.print(x, "then"), lambda: gc.assert_(x, x > 5.0, "never"))
    assert run(y, {x: 1.0}) == 1
    assert capsys.readouterr().out == "then 1.0\n"
    with pytest.raises(gc.CheckError, match="never"):
        run(y, {x: -1.0})


def test_results_may_be_constants_and_one_or_many():
    p = gc.placeholder((), "bool", name="p")
    one = gc.cond(p, lambda: 1.0, lambda: 2.0)
    assert isinstance(one, gc.Tensor) and run(one, {p: False}) == 2
    several = gc.cond(p, lambda: (1.0, 2), lambda: (3.0, 4))
    assert isinstance(several, list) and run(several[1], {p: True}) == 2


def test_sizes_that_are_equal_by_a_constraint():
    x, y = gc.placeholder(("n",), "float64", name="x"), gc.placeholder(("m",), "float64", name="y")
    f = gc.function([x, y], gc.cond(x[0] > 0.0, lambda: x, lambda: y))
    assert f([1.0, 2.0], [3.0, 4.0]).tolist() == [1, 2] and f([-1.0, 2.0], [3.0, 4.0]).tolist() == [3, 4]
    with pytest.raises(gc.ShapeError):
        f([1.0], [1.0, 2.0])


def test_errors():
    x = gc.placeholder(("n",), "float64", name="x")
    p = gc.placeholder((), "bool", name="p")
    for arguments, error, text in (
        ((x > 0, lambda: x, lambda: x), gc.DTypeError, "gc.all or gc.any"),
        ((gc.sum(x), lambda: x, lambda: x), gc.DTypeError, "one bool"),
        ((p, x, lambda: x), gc.ArgumentError, "lambda"),
        ((p, lambda: x, lambda: (x, x)), gc.ArgumentError, "then gives 1 results, otherwise 2"),
        ((p, lambda: x, lambda: x.astype("float32")), gc.DTypeError, "f64[n] if the condition holds, and f32[n]"),
        ((p, lambda: x, lambda: gc.sum(x)), gc.ShapeError, "f64[n] if the condition holds, and f64[]"),
    ):
        with pytest.raises(error) as caught:
            gc.cond(*arguments)
        assert text in str(caught.value)


@pytest.mark.parametrize("sign", [1, -1])
def test_gradients(sign):
    a, b = np.abs(np.random.default_rng(1).normal(size=(2, 3))) + 0.1
    check_gradient(branches, sign * a, b)


@pytest.mark.parametrize("sign", [1, -1])
def test_gradients_of_a_loop_inside_a_branch(sign):
    def net(x, y):
        def loop():
            return gc.scan(lambda x_t, h: gc.sin(h + x_t * gc.sum(y)), x, y).last

        return gc.cond(gc.sum(x) > 0.0, loop, lambda: gc.tanh(y))

    a, b = np.abs(np.random.default_rng(2).normal(size=(2, 3))) + 0.1
    check_gradient(net, sign * a, b)


def test_the_gradient_runs_what_prints_once(capsys):
    x = gc.placeholder((), "float64", name="x")
    y = gc.cond(x > 0.0, lambda: gc.exp(gc.print(gc.sin(x), "sin")), lambda: x)
    f = gc.function([x], [y, *gc.grad(y, [x])], backend="numpy")
    f(1.0)
    assert len(capsys.readouterr().out.splitlines()) == 1
