"""Tensors and variables: identity, parts, and what a variable's storage takes."""

import threading

import numpy as np
import pytest

import graphc as gc
from graphc.errors import DTypeError, FeedError, GraphcError, ShapeError
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor, describe
from graphc.ir.types import TupleType


def test_a_tensor_is_compared_by_identity():
    x, y = gc.placeholder((2,), name="x"), gc.placeholder((2,), name="x")
    assert x != y and x == x and len({x, y, x}) == 2 and {x: 1}[x] == 1 and [y, x].index(x) == 1


def test_parts():
    x = gc.placeholder(("n", 3), "int16", name="x")
    assert (x.ndim, x.dtype, str(x.size), x.name) == (2, np.int16, "3*n", "x")
    assert [str(s) for s in x.shape] == ["n", "3"]
    assert repr(x).startswith("<Tensor 'x': placeholder i16[n,3], ") and "test_tensor.py" in repr(x)
    assert (x + 1).name is None and describe(x + 1) == "an add"


def test_a_tuple_of_results_is_no_array():
    q, r = gc.linalg.qr(gc.constant(np.eye(2)))
    both = q.inputs[0]
    assert isinstance(both.type, TupleType) and r.inputs[0] is both
    for use in (lambda: both.shape, lambda: both.dtype, lambda: both + 1, lambda: gc.exp(both)):
        with pytest.raises(DTypeError, match="tuple of 2 results"):
            use()


def test_a_variable_copies_its_first_value():
    array = np.ones(3, "float32")
    w = gc.variable(array, name="w")
    array[:] = 5
    assert w.value.tolist() == [1, 1, 1]
    w.value[:] = 7
    assert w.value.tolist() == [1, 1, 1]
    array[:] = 2
    w.assign(array)
    array[:] = 3
    assert w.value.tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    "dtype, value, stored",
    [
        ("float32", [1, 2], [1, 2]), ("float32", [0.5, 1e300], [0.5, np.inf]), ("float64", [True, False], [1, 0]),
        ("int8", [127, -128], [127, -128]), ("uint8", [255, 0], [255, 0]), ("bool", [True, False], [True, False]),
        ("uint64", [2**64 - 1, 0], [2**64 - 1, 0]), ("int8", np.array([300, 1]), [44, 1]),
        ("float32", np.array([0.1, 0.2]), np.float32([0.1, 0.2])), ("int32", np.array([1, 2], ">i4"), [1, 2]),
        ("float64", np.arange(4.0)[::-2], [3, 1]),
    ],
)  # fmt: skip
def test_assign_stores(dtype, value, stored):
    w = gc.variable(np.zeros(2, dtype))
    w.assign(value)
    assert w.value.dtype == dtype
    np.testing.assert_array_equal(w.value, np.array(stored, dtype))


@pytest.mark.parametrize(
    "dtype, value, error, words",
    [
        ("int8", [0.5, 1.0], DTypeError, "without losing"), ("int8", [300, 0], DTypeError, "cannot hold 300"),
        ("uint8", [-1, 0], DTypeError, "cannot hold -1"), ("bool", [1, 0], DTypeError, "without losing"),
        ("int64", [2**63, 0], DTypeError, "cannot hold"), ("int64", [2**70, 0], DTypeError, "cannot hold 11805916"),
        ("float32", np.zeros(2, complex), DTypeError, "complex128"), ("float32", ["a", "b"], DTypeError, "<U1"),
        ("int32", np.zeros(2, "float32"), DTypeError, "float32"), ("float32", [1.0, 2.0, 3.0], ShapeError, r"\(3,\)"),
        ("float32", 1.0, ShapeError, r"\(\)"), ("float32", [[1.0], [2.0, 3.0]], FeedError, "not an array"),
        ("float32", gc.constant([1.0, 2.0]), GraphcError, "symbolic"), ("float32", None, DTypeError, "object"),
    ],
)  # fmt: skip
def test_assign_refuses(dtype, value, error, words):
    w = gc.variable(np.ones(2, dtype), name="w")
    with pytest.raises(error, match=words) as caught:
        w.assign(value)
    assert caught.value.message.startswith("assign to 'w': ")
    np.testing.assert_array_equal(w.value, np.ones(2, dtype))


@pytest.mark.parametrize("wrong", [object(), "text", [1, [2]], 1j, None, np.zeros(2, "float16"), [gc.constant(1.0)]])
def test_what_makes_no_variable_or_constant(wrong):
    for make, name in ((gc.variable, "variable"), (gc.constant, "constant")):
        with pytest.raises(GraphcError, match=f"^{name}: "):
            make(wrong)


def test_a_message_about_a_long_value_is_short():
    with pytest.raises(DTypeError) as caught:
        gc.constant([[1.0] * 1000, [2.0]])
    assert len(caught.value.message) < 400


def test_constants():
    array = np.ones((2, 2), order="F")
    c = gc.constant(array)
    array[:] = 0
    value = c.attrs["value"]
    assert value.sum() == 4 and value.flags.c_contiguous and not value.flags.writeable
    assert gc.constant(1).dtype == np.int64 and gc.constant(1.0).dtype == np.float64 and gc.constant(True).dtype == bool
    assert gc.constant(np.array([1, 2], ">i2")).attrs["value"].dtype.isnative
    assert gc.constant([], "int8").shape == (0,)
    with pytest.raises(DTypeError, match="a tensor already"):
        gc.constant(c)
    with pytest.raises(DTypeError, match="the size n is symbolic"):
        gc.constant(gc.placeholder(("n",)).shape[0])
    with pytest.raises(DTypeError, match="300"):
        gc.constant(300, "int8")


@pytest.mark.parametrize("make", [gc.placeholder, gc.variable, gc.constant])
def test_names_are_strings(make):
    with pytest.raises(gc.ArgumentError, match="name must be a string, not int"):
        make(2, name=5)


@pytest.mark.parametrize("shape", [(-1,), (1.5,), (True,), ("n m",), ([1],), ("",), (object(),), -1])
def test_extents_of_placeholders(shape):
    with pytest.raises(ShapeError, match="placeholder: axis 0: "):
        gc.placeholder(shape)


def test_fresh_and_named_sizes():
    a, b = gc.placeholder((None, None)), gc.placeholder((None,), name="b")
    assert len({*a.shape, *b.shape}) == 3 and str(b.shape[0]).startswith("b_0'")
    assert gc.placeholder(("n",)).shape == gc.placeholder("n").shape
    assert gc.placeholder((None,), name="größe w").shape[0] != gc.placeholder((None,), name="größe w").shape[0]
    assert gc.placeholder(np.int64(3)).shape == (3,)


def test_dropping_a_deep_chain_does_not_recurse():
    x = gc.placeholder((2,), "float32")
    y = x
    for _ in range(100_000):
        y = Tensor(OPS["negative"], (y,), {}, x.type, x.location)
    del y


def test_readers_see_whole_values():
    w = gc.variable(np.zeros(10_000))
    torn = []

    def read():
        for _ in range(200):
            value = w.value
            if value[0] != value[-1]:
                torn.append(value)

    thread = threading.Thread(target=read)
    thread.start()
    for i in range(200):
        w.assign(np.full(10_000, float(i)))
    thread.join()
    assert not torn
