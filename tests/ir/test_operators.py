"""Operators and methods mean NumPy's functions of the same name, and refuse what needs a value."""

import operator

import numpy as np
import pytest

import graphc as gc
from graphc.errors import SymbolicUseError

FLOATS = np.array([[1.5, -2.0, 3.25], [0.5, 4.0, -0.75]])
INTEGERS = np.array([[7, -3, 2], [5, 1, -8]])


def run(make, *arrays):
    inputs = [gc.placeholder(a.shape, a.dtype, name=f"x{i}") for i, a in enumerate(arrays)]
    return gc.function(inputs, make(*inputs), backend="numpy")(*arrays)


BINARY = [operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.lt,
          operator.le, operator.gt, operator.ge]  # fmt: skip
BITS = [operator.and_, operator.or_, operator.xor]


@pytest.mark.parametrize("op", BINARY, ids=lambda op: op.__name__)
@pytest.mark.parametrize("array", [FLOATS, INTEGERS], ids=["float", "int"])
def test_binary_operators(op, array):
    other = array[::-1] + 2.5 if array.dtype.kind == "f" else array[::-1] + 4
    np.testing.assert_array_equal(run(op, array, other), op(array, other))
    np.testing.assert_array_equal(run(lambda x: op(x, 2), array), op(array, 2))
    np.testing.assert_array_equal(run(lambda x: op(3, x), array), op(3, array))
    # An array on the left asks its own operator first, which must give way.
    np.testing.assert_array_equal(run(lambda x: op(other, x), array), op(other, array))
    np.testing.assert_array_equal(run(lambda x: op(np.float64(2), x), array), op(np.float64(2), array))


@pytest.mark.parametrize("op", [*BITS, operator.lshift, operator.rshift], ids=lambda op: op.__name__)
def test_bit_operators(op):
    shift = np.abs(INTEGERS) % 5
    np.testing.assert_array_equal(run(op, INTEGERS, shift), op(INTEGERS, shift))
    np.testing.assert_array_equal(run(lambda x: op(9, x), shift), op(9, shift))
    if op in BITS:
        np.testing.assert_array_equal(run(op, INTEGERS > 0, INTEGERS > 2), op(INTEGERS > 0, INTEGERS > 2))


def test_unary_operators_and_powers():
    for make in (operator.neg, operator.pos, abs, lambda x: x**2, lambda x: 2.0**x):
        np.testing.assert_allclose(run(make, FLOATS), make(FLOATS))
    for make in (operator.invert, lambda x: x**2, abs):
        np.testing.assert_array_equal(run(make, INTEGERS), make(INTEGERS))


METHODS = [
    lambda x: x.T, lambda x: x.mT, lambda x: x.reshape(3, 2), lambda x: x.reshape((3, -1)), lambda x: x.reshape(-1),
    lambda x: x.transpose(), lambda x: x.transpose(1, 0), lambda x: x.transpose((1, 0)), lambda x: x.flatten(),
    lambda x: x.astype("int32"), lambda x: x.sum(), lambda x: x.sum(0), lambda x: x.sum(axis=(0, 1), keepdims=True),
    lambda x: x.prod(1), lambda x: x.mean(), lambda x: x.mean(0, keepdims=True), lambda x: x.var(), lambda x: x.std(1),
    lambda x: x.max(), lambda x: x.min(1), lambda x: x.argmax(), lambda x: x.argmin(1), lambda x: (x > 0).all(),
    lambda x: (x > 0).any(0), lambda x: x[0], lambda x: x[:, ::-1], lambda x: x[..., None, 1], lambda x: x[-1, 1:],
    lambda x: x @ x.T,
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(METHODS)))
def test_methods(number):
    make = METHODS[number]
    expected = make(FLOATS)
    found = run(make, FLOATS)
    assert found.dtype == expected.dtype and found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_matmul_with_an_array_on_either_side():
    for make in (lambda x: FLOATS @ x, lambda x: x @ FLOATS):
        np.testing.assert_allclose(run(make, FLOATS.T.copy()), make(FLOATS.T))


X = gc.placeholder(("n", 2), "float32", name="x")
REFUSED = {
    "bool": lambda: bool(X), "if": lambda: 1 if X > 0 else 2, "and": lambda: X and 1, "chain": lambda: 0 < X < 1,
    "len": lambda: len(X), "iter": lambda: list(X), "unpacking": lambda: (lambda a, b: a)(*X),
    "asarray": lambda: np.asarray(X), "array": lambda: np.array([X, X]), "float": lambda: float(X),
    "int": lambda: int(X),
    "index": lambda: [1, 2][X], "range": lambda: range(X), "in": lambda: 1 in X, "max": lambda: max(X),
    "sorted": lambda: sorted([X, X + 1]), "reversed": lambda: list(reversed(X)), "complex": lambda: complex(X),
}  # fmt: skip


@pytest.mark.parametrize("use", REFUSED)
def test_uses_that_need_a_value(use):
    with pytest.raises(SymbolicUseError, match="the tensor is symbolic") as caught:
        REFUSED[use]()
    assert caught.value.hint and caught.value.location.file == __file__
    assert isinstance(caught.value, TypeError)


def test_ufuncs_of_numpy_do_not_make_object_arrays():
    for use in (lambda: np.exp(X), lambda: np.add(np.ones(2), X), lambda: np.multiply.reduce(X)):
        with pytest.raises(TypeError):
            use()
    array = np.ones(2, "float32")
    array = array + X[0]
    assert isinstance(array, gc.Tensor)


def test_augmented_assignment_rebinds():
    x = y = gc.placeholder((2,), "float32")
    x += 1
    x *= 2
    assert y.op.name == "placeholder" and x.op.name == "multiply"
