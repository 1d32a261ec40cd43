import numpy as np
import pytest
from checking import values_of

import graphc as gc
from graphc.errors import ArgumentError, GradientError, ShapeError
from graphc.ir.close import close
from graphc.ir.graph import topological_order
from graphc.passes.jacobian import JACOBIAN_LIMIT

X = np.array([0.3, -1.2, 0.7])


def vector(shape=(3,), dtype="float64", name="x"):
    return gc.placeholder(shape, dtype, name=name)


def run(inputs, output, *arrays):
    return values_of(close("f", inputs, [output]), *arrays)[0]


def test_square():
    x = vector()
    found = run([x], gc.jacobian(gc.exp(x) * gc.sum(x), x), X)
    np.testing.assert_allclose(found, np.diag(np.exp(X) * X.sum()) + np.exp(X)[:, None])


@pytest.mark.parametrize(("rows", "columns"), [(2, 5), (5, 2), (1, 4), (4, 1), (0, 3), (3, 0)])
def test_of_a_matrix_by_rows_or_columns(rows, columns):
    a = np.random.default_rng(0).normal(size=(rows, columns))
    x = vector((columns,))
    y = gc.matmul(gc.constant(a), gc.reshape(x, (columns, 1)))
    found = run([x], gc.jacobian(y, x), np.ones(columns))
    assert found.shape == (rows, 1, columns)
    np.testing.assert_allclose(found[:, 0], a)


def test_the_cheaper_side_is_copied():
    x = vector((2,))
    wide = gc.exp(gc.reshape(x, (1, 2)) * gc.constant(np.ones((50, 1))))
    assert len(list(topological_order([gc.jacobian(wide, x)]))) < 60


def test_several_axes():
    x = vector((2, 3))
    found = run([x], gc.jacobian(gc.sum(x * x, axis=0), x), np.arange(6.0).reshape(2, 3))
    expected = np.zeros((3, 2, 3))
    for column in range(3):
        expected[column, :, column] = 2 * np.arange(6.0).reshape(2, 3)[:, column]
    np.testing.assert_allclose(found, expected)


def test_scalars_and_lists():
    x, w = vector(()), vector((2,), name="w")
    dx, dw = gc.jacobian(x * gc.sum(w), [x, w])
    assert dx.shape == () and dw.shape == (2,)


def test_a_symbolic_side_beside_a_fixed_one():
    x, w = vector(("n", 3)), vector((3,), name="w")
    found = run([x, w], gc.jacobian(gc.sum(x * w, axis=1), w), np.ones((4, 3)), X)
    assert found.tolist() == np.ones((4, 3)).tolist()
    found = run([x], gc.jacobian(gc.sum(x * x), x), np.ones((4, 3)))
    assert found.tolist() == np.full((4, 3), 2.0).tolist()


def test_both_sides_symbolic_is_refused():
    x = vector(("n",))
    with pytest.raises(ShapeError, match=r"both are symbolic: a exp|both are symbolic: an exp is f64\[n\]"):
        gc.jacobian(gc.exp(x), x)


def test_too_many_are_refused():
    x = vector((JACOBIAN_LIMIT + 1,))
    with pytest.raises(ArgumentError, match="the limit is"):
        gc.jacobian(gc.exp(x), x)


def test_disconnected():
    x, w = vector(), vector(name="w")
    with pytest.raises(GradientError, match="jacobian: an exp does not depend on 'w'"):
        gc.jacobian(gc.exp(x), w)
    found = run([x, w], gc.jacobian(gc.exp(x), w, disconnected="zeros"), X, X)
    assert found.tolist() == np.zeros((3, 3)).tolist()


def test_the_dtype_is_that_of_x():
    x = vector((2,), "float32")
    assert gc.jacobian(x.astype("float64") * 2.0, x).dtype == np.float32
    assert gc.jacobian(gc.sum(x.astype("float64") * 2.0), x).dtype == np.float32
    assert gc.jacobian(gc.constant(np.ones((5, 1))) * x.astype("float64"), x).dtype == np.float32


def test_hessian():
    x = vector()
    found = run([x], gc.hessian(gc.sum(gc.sin(x) * x * x[0]), x), X)
    step = 1e-5
    slope = close("g", [x], gc.grad(gc.sum(gc.sin(x) * x * x[0]), x))
    expected = [
        (values_of(slope, X + step * e)[0] - values_of(slope, X - step * e)[0]) / (2 * step) for e in np.eye(3)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found, found.T)


def test_hessian_of_a_linear_loss_is_zero():
    x = vector()
    assert run([x], gc.hessian(gc.sum(x * 3.0), x), X).tolist() == np.zeros((3, 3)).tolist()


def test_hessian_of_a_matrix():
    x = vector((2, 2))
    assert gc.hessian(gc.sum(x * x), x).shape == (2, 2, 2, 2)
