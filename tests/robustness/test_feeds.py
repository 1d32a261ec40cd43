"""What callers feed: odd arrays give the right result or a typed error, alike on both backends."""

import numpy as np
import pytest

import graphc as gc
from graphc.errors import DTypeError, FeedError, GraphcError, IndexOutOfBoundsError, ShapeError

BACKENDS = ("numpy", "llvm")
pytestmark = pytest.mark.parametrize("backend", BACKENDS)


def compiled(backend, make=lambda x: x * 2 + 1, shape=("n", 3), dtype="float32"):
    x = gc.placeholder(shape, dtype, name="x")
    return gc.function([x], make(x), backend=backend, name="f")


BASE = np.arange(12, dtype=np.float32).reshape(4, 3)


def misaligned():
    raw = bytearray(BASE.nbytes + 1)
    array = np.frombuffer(raw, np.uint8)[1:].view(np.float32).reshape(BASE.shape)
    array[...] = BASE
    assert not array.flags.aligned
    return array


def read_only():
    array = BASE.copy()
    array.flags.writeable = False
    return array


def overlapping():
    return np.lib.stride_tricks.as_strided(np.arange(6, dtype=np.float32), (4, 3), (4, 4))


class Kelvin(np.ndarray):
    """A subclass that would spoil arithmetic if it were used."""

    def __add__(self, other):
        raise AssertionError("the subclass's own arithmetic must not run")

    __mul__ = __add__


ODD_ARRAYS = {
    "big-endian": lambda: BASE.astype(">f4"),
    "negative strides": lambda: BASE[::-1, ::-1],
    "zero strides": lambda: np.broadcast_to(BASE[:1], (4, 3)),
    "read-only": read_only,
    "misaligned": misaligned,
    "Fortran order": lambda: np.asfortranarray(BASE),
    "every other element": lambda: np.repeat(BASE, 2, axis=1)[:, ::2],
    "overlapping windows": overlapping,
    "subclass": lambda: BASE.view(Kelvin),
    "matrix": lambda: np.asmatrix(BASE),
    "masked array without a mask": lambda: np.ma.masked_array(BASE),
    "narrower float": lambda: BASE.astype(np.float16),
    "small integers": lambda: BASE.astype(np.int8),
    "lists": lambda: BASE.tolist(),
    "tuples of NumPy scalars": lambda: tuple(tuple(row) for row in BASE),
    "no rows": lambda: BASE[:0],
    "one row": lambda: BASE[:1],
    "no rows, as a list": lambda: np.zeros((0, 3)).tolist() or np.zeros((0, 3), np.float32),
}


@pytest.mark.parametrize("name", ODD_ARRAYS)
def test_odd_arrays(backend, name):
    array = ODD_ARRAYS[name]()
    plain = np.array(np.asarray(array), np.float32)
    before = plain.copy()
    f = compiled(backend)
    for _ in range(2):  # the second call of a warm function has a quicker way
        result = f(array)
        assert type(result) is np.ndarray and result.dtype == np.float32 and result.flags.c_contiguous
        np.testing.assert_array_equal(result, plain * 2 + 1)
        np.testing.assert_array_equal(np.asarray(array, np.float32), before, err_msg="the input was written to")
        if isinstance(array, np.ndarray):
            assert not np.may_share_memory(result, array)


def test_memory_maps(backend, tmp_path):
    path = tmp_path / "data.npy"
    np.save(path, BASE)
    mapped = np.load(path, mmap_mode="r")
    np.testing.assert_array_equal(compiled(backend)(mapped), BASE * 2 + 1)
    np.testing.assert_array_equal(np.load(path), BASE)


def test_scalars(backend):
    f = compiled(backend, shape=())
    for value in (3, 3.0, np.float32(3), np.array(3, np.int8), np.array(3.0, ">f4"), True):
        result = f(value)
        assert type(result) is np.ndarray and result.shape == ()
        assert result == np.float32(value) * 2 + 1


def test_objects_with_array_methods(backend):
    class Wrapped:
        def __array__(self, dtype=None, copy=None):
            return BASE

    np.testing.assert_array_equal(compiled(backend)(Wrapped()), BASE * 2 + 1)


@pytest.mark.parametrize(
    "value,error,words",
    [
        (np.array([[1, 2, "a"]], object), GraphcError, "object"),
        (np.array([["a", "b", "c"]]), DTypeError, "<U1"),
        (np.zeros((2, 3), complex), DTypeError, "complex128"),
        (np.zeros((2, 3), np.float64), DTypeError, "float64"),
        (np.zeros((2, 3), np.int64), DTypeError, "int64"),
        (np.zeros((2, 3), "datetime64[s]"), DTypeError, "datetime64"),
        (np.zeros((2, 4), np.float32), ShapeError, r"extent 3 on axis 1, the array has shape \(2, 4\)"),
        (np.zeros(3, np.float32), ShapeError, "2 axes, the array has 1"),
        (np.float32(1), ShapeError, "2 axes, the array has 0"),
        ([[1.0], [1.0, 2.0]], FeedError, "not an array"),
        (None, GraphcError, "x"),
        ("text", GraphcError, "x"),
        ({}, GraphcError, "x"),
        (object(), GraphcError, "x"),
    ],
)
def test_wrong_values(backend, value, error, words):
    f = compiled(backend)
    for _ in range(2):
        with pytest.raises(error, match=words):
            f(value)
    np.testing.assert_array_equal(f(BASE), BASE * 2 + 1)


@pytest.mark.parametrize("order", [">", "<"])
@pytest.mark.parametrize("dtype", ["i2", "i4", "i8", "u2", "u4", "u8", "f4", "f8"])
def test_byte_orders(backend, dtype, order):
    array = np.arange(-3, 4).astype(dtype)
    f = compiled(backend, lambda x: x + x, ("n",), np.dtype(dtype))
    f(array)
    np.testing.assert_array_equal(f(array.astype(order + dtype)), array + array)


def test_numbers_out_of_range(backend):
    f = compiled(backend, lambda x: x, ("n",), "int8")
    np.testing.assert_array_equal(f([127, -128]), np.array([127, -128], np.int8))
    for value in ([128], [-129], [2**80]):
        with pytest.raises(GraphcError):
            f(value)


def test_names(backend):
    x, y = gc.placeholder((), name="images"), gc.placeholder((), name="labels")
    f = gc.function([x, y], x - y, backend=backend, name="step")
    assert f(3, labels=1) == f(labels=1, images=3) == 2
    with pytest.raises(FeedError, match="no input named 'imagse'") as caught:
        f(imagse=1, labels=2)
    assert "did you mean 'images'?" in str(caught.value)
    for arguments, names in (((1, 2, 3), {}), ((1,), {}), ((1, 2), {"images": 1}), ((), {"images": 1})):
        with pytest.raises(FeedError):
            f(*arguments, **names)


def test_equal_sizes_are_checked(backend):
    x, y = gc.placeholder(("n",), name="x"), gc.placeholder(("m",), name="y")
    f = gc.function([x, y], x + y, backend=backend)
    with pytest.raises(ShapeError, match=r"2 != 3.*n = 2 is axis 0 of x; m = 3 is axis 0 of y"):
        f(np.zeros(2, np.float32), np.zeros(3, np.float32))
    with pytest.raises(ShapeError):  # a symbolic size is not taken to be a broadcast 1
        f(np.zeros(1, np.float32), np.zeros(3, np.float32))


INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("size", [1, 7, 33])
def test_integer_division_never_traps(backend, dtype, size):
    info = np.iinfo(dtype)
    values = np.array(sorted({info.min, info.min + 1, 0, 1, 2, 7, info.max} | ({-1, -2} if info.min else set())), dtype)
    x, y = (np.resize(a.ravel(), (a.size // size + 1, size)) for a in np.meshgrid(values, values))
    a, b = gc.placeholder(("n", size), dtype, name="a"), gc.placeholder(("n", size), dtype, name="b")
    f = gc.function([a, b], [a // b, a % b, gc.fmod(a, b), abs(a), -a], backend=backend)
    with np.errstate(all="ignore"):
        wanted = [x // y, x % y, np.fmod(x, y), abs(x), -x]
    for found, want in zip(f(x, y), wanted):
        assert found.dtype == want.dtype
        np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_shifts_out_of_range(backend, dtype):
    info = np.iinfo(dtype)
    negative = [-1, info.min] if info.min else []
    counts = np.array([0, 1, info.bits - 1, info.bits, info.bits + 1, 127, *negative], dtype)
    values = np.array([info.min, info.max, 0, 1, 5], dtype)[:, None]
    a, b = gc.placeholder((5, 1), dtype, name="a"), gc.placeholder(("n",), dtype, name="b")
    f = gc.function([a, b], [a << b, a >> b], backend=backend)
    for found, want in zip(f(values, counts), (values << counts, values >> counts)):
        np.testing.assert_array_equal(found, want)


OUT_OF_RANGE = {
    "take": lambda x, i: gc.take(x, i, axis=0),
    "gather": lambda x, i: gc.gather(x, i),
    "take_along_axis": lambda x, i: gc.take_along_axis(x, gc.expand_dims(i, 1), axis=0),
    "scatter_add": lambda x, i: gc.scatter_add(x, gc.ones(("k", 3), "float32"), i),
    "scatter_set": lambda x, i: x.at[i].set(1.0),
    "getitem": lambda x, i: x[i],
    "fused with arithmetic": lambda x, i: gc.tanh(gc.take(x * 2, i, axis=0)) + 1,
}


@pytest.mark.parametrize("name", OUT_OF_RANGE)
@pytest.mark.parametrize("position", [4, -5, 2**40, -(2**40), np.iinfo(np.int64).min])
def test_indices_out_of_range(backend, name, position):
    x, i = gc.placeholder((4, 3), name="x"), gc.placeholder(("k",), "int64", name="i")
    f = gc.function([x, i], OUT_OF_RANGE[name](x, i), backend=backend)
    inside = np.array([0, -4, 3])
    good = f(BASE, inside)
    words = f"index {position} is out of bounds for axis 0 with size 4"
    with pytest.raises(IndexOutOfBoundsError, match=words) as caught:
        f(BASE, np.array([0, position, 1]))
    assert isinstance(caught.value, IndexError)
    np.testing.assert_array_equal(f(BASE, inside), good)  # the function is still usable
    assert f(BASE, np.array([], np.int64)).size in (0, 12)


def test_an_error_changes_no_variable(backend):
    total, count = gc.variable(np.zeros(3, np.float32), name="total"), gc.variable(0, "int64", name="count")
    x, i = gc.placeholder((4, 3), name="x"), gc.placeholder((), "int64", name="i")
    row = gc.take(x, i, axis=0)
    f = gc.function([x, i], row, updates={count: count + 1, total: total + row}, backend=backend)
    f(BASE, 1)
    with pytest.raises(IndexOutOfBoundsError):
        f(BASE, 9)
    np.testing.assert_array_equal(total.value, BASE[1])
    assert count.value == 1


def test_outputs_own_their_memory(backend):
    x, v = gc.placeholder((4, 3), name="x"), gc.variable(BASE, name="v")
    c = gc.constant(BASE)
    outputs = [x, x, v, v, c, gc.reshape(x, (3, 4)), x[1:3], gc.permute_dims(v), gc.stop_gradient(x), c]
    f = gc.function([x], outputs, updates={v: x}, backend=backend)
    fed = BASE + 1
    results = f(fed)
    arrays = [*results, fed, v.storage]
    for position, one in enumerate(arrays):
        for other in arrays[:position]:
            assert not np.may_share_memory(one, other)
    for result in results:
        assert result.flags.owndata or result.base is not None
        assert result.flags.writeable
        result[...] = -1
    np.testing.assert_array_equal(v.value, BASE + 1)
    np.testing.assert_array_equal(f(fed)[4], BASE)
    np.testing.assert_array_equal(fed, BASE + 1)


def test_one_array_for_two_inputs(backend):
    x, y = gc.placeholder((4, 3), name="x"), gc.placeholder((4, 3), name="y")
    f = gc.function([x, y], [x + y, x, y], backend=backend)
    fed = BASE.copy()
    results = f(fed, fed)
    np.testing.assert_array_equal(results[0], BASE * 2)
    assert not np.may_share_memory(results[1], results[2])


def test_a_variable_fed_with_its_own_value(backend):
    v = gc.variable(BASE, name="v")
    x = gc.placeholder((4, 3), name="x")
    f = gc.function([x], v[::-1], updates={v: x[::-1] + 1}, backend=backend)
    f(v.value)
    np.testing.assert_array_equal(v.value, BASE[::-1] + 1)


@pytest.mark.parametrize("rows", [0, 1, 2, 33])
def test_sizes_of_nothing(backend, rows):
    x = gc.placeholder(("n", 3), "float64", name="x")
    outputs = [gc.sum(x), gc.sum(x, axis=0), gc.prod(x, axis=0), gc.matmul(x, gc.ones((3, 2))), gc.cumsum(x, axis=0),
               gc.sort(x, axis=0), gc.concat([x, x], axis=0), gc.matrix_transpose(x), gc.softmax(x), gc.all(x > 0),
               gc.matmul(gc.matrix_transpose(x), x), gc.mean(x, axis=1), gc.flip(x), gc.pad(x, 1), x[:0]]  # fmt: skip
    f = gc.function([x], outputs, backend=backend)
    a = np.random.default_rng(rows).standard_normal((rows, 3))
    e = np.exp(a - a.max(axis=1, keepdims=True, initial=-np.inf))
    wanted = [a.sum(), a.sum(0), a.prod(0), a @ np.ones((3, 2)), a.cumsum(0), np.sort(a, 0),
              np.concatenate([a, a]), a.T, e / e.sum(1, keepdims=True), (a > 0).all(), a.T @ a, a.mean(1),
              np.flip(a), np.pad(a, 1), a[:0]]  # fmt: skip
    for found, want in zip(f(a), wanted):
        assert found.shape == np.shape(want)
        np.testing.assert_allclose(found, want, rtol=1e-12, atol=1e-13)


def test_special_values_of_the_largest_mean_nothing_is_empty(backend):
    x = gc.placeholder(("n",), "float64", name="x")
    f = gc.function([x], gc.max(x), backend=backend)
    assert f([1.0, 2.0]) == 2.0
    with pytest.raises(ShapeError):
        f(np.zeros(0))
