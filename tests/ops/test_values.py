"""The public functions give NumPy's values, bit for bit: NaN, infinities, -0.0, extreme integers included."""

import itertools

import mpmath
import numpy as np
import pytest
from numpy_names import BINARY, UNARY
from running import run, same
from samples import special_values

import graphc as gc
from graphc.errors import CheckError, DTypeError, GraphcError, ShapeError
from graphc.ir.types import ALL_DTYPES, FLOATS, INTEGERS

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def check(ours, numpys, *operands):
    """Both give the same array, or both refuse (graphc also what NumPy computes in float16)."""
    try:
        wanted = numpys(*operands)
    except (TypeError, ValueError, OverflowError):
        wanted = None
    try:
        found = run(ours(*operands))
    except GraphcError:
        found = None
    if wanted is None or wanted.dtype not in ALL_DTYPES:
        assert found is None
    else:
        assert found is not None, f"refused {[getattr(x, 'dtype', x) for x in operands]}"
        same(found, wanted)


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    for dtype in ALL_DTYPES:
        check(getattr(gc, name), UNARY[name], special_values(dtype))
        check(getattr(gc, name), UNARY[name], special_values(dtype)[1].reshape(()))


@pytest.mark.parametrize("name", BINARY)
def test_binary(name):
    for a, b in itertools.product(ALL_DTYPES, ALL_DTYPES):
        check(getattr(gc, name), BINARY[name], special_values(a)[:, None], special_values(b))


@pytest.mark.parametrize("name", BINARY)
def test_binary_with_python_scalars(name):
    for dtype, scalar in itertools.product(ALL_DTYPES, (True, 0, 3, -2, 2.5, float("nan"))):
        check(getattr(gc, name), BINARY[name], special_values(dtype), scalar)
        check(getattr(gc, name), BINARY[name], scalar, special_values(dtype))


@pytest.mark.parametrize("name", ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"])
def test_comparisons_beyond_the_range_of_the_dtype(name):
    for dtype, scalar in itertools.product(
        INTEGERS, (300, -300, 2**63, -(2**63) - 1, 2**64, 2**64 - 1, 10**30)
    ):
        check(getattr(gc, name), BINARY[name], special_values(dtype), scalar)
        check(getattr(gc, name), BINARY[name], scalar, special_values(dtype))


def test_comparisons_of_int64_and_uint64_are_exact():
    signed = np.array([-1, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)])
    unsigned = np.array([2**64 - 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63], "u8")
    for name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"):
        check(getattr(gc, name), BINARY[name], signed[:, None], unsigned)
        check(getattr(gc, name), BINARY[name], unsigned[:, None], signed)
    assert run(gc.equal(gc.constant(2**53 + 1), gc.constant(np.uint64(2**53 + 1))))


@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=str)
def test_power(dtype):
    x = special_values(dtype)
    exponents = x if dtype.kind == "f" else x[(x >= 0) & (x < 70)]
    for e in exponents:
        check(gc.pow, np.power, x, np.full(len(x), e))
    for e in (0, 1, 2, 3, 0.5, -1.0, True):
        check(gc.pow, np.power, x, e)
        check(gc.pow, np.power, e, np.abs(exponents) if dtype.kind == "i" else exponents)


def test_integers_to_negative_powers():
    x, y = gc.placeholder((3,), "int64", name="x"), gc.placeholder((3,), "int64", name="y")
    with pytest.raises(CheckError, match="pow: integers to negative integer powers are not integers"):
        run(x**y, {x: [2, 3, 4], y: [1, -1, 2]})
    same(run(x**y, {x: [2, 3, 4], y: [1, 0, 2]}), np.array([2, 1, 16]))
    for refused in (lambda: x**-1, lambda: x ** gc.constant([1, -1, 2]), lambda: 2 ** gc.constant(-1)):
        with pytest.raises(DTypeError, match="pow: integers to negative integer powers are not integers"):
            refused()
    same(run(x**-1.0, {x: [2, 4, 0]}), np.array([0.5, 0.25, np.inf]))


def test_where_and_clip():
    x, y = special_values(np.dtype("f4")), special_values(np.dtype("f8"))
    for condition in (np.isnan(x), x, True, 0):
        check(gc.where, np.where, condition, x, y[:, None])
    for dtype in ALL_DTYPES[1:]:
        values = special_values(dtype)
        for low, high in ((-1, 300), (None, 2), (0, None), (3, 1), (2**70, 2**71), (None, None)):
            if dtype.kind == "f" or (low, high) != (2**70, 2**71):
                wanted = np.clip(values, low, high)
                same(run(gc.clip(values, low, high)), wanted)
    check(gc.clip, np.clip, x, np.float32(np.nan), np.float32(1))


REDUCTIONS = ["sum", "prod", "max", "min", "all", "any", "mean", "var", "std", "argmax", "argmin"]


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name):
    rng = np.random.default_rng(0)
    ours, numpys = getattr(gc, name), getattr(np, name)
    for dtype in ALL_DTYPES:
        for shape in ((), (1,), (5,), (3, 40), (2, 3, 1, 4)):
            for special in (False, True):
                values = rng.choice(special_values(dtype), shape) if special else rng.integers(0, 4, shape)
                x = np.asarray(values, dtype)
                for axis in (None, *range(-len(shape), len(shape))):
                    for keepdims in (False, True):
                        found = run(ours(x, axis=axis, keepdims=keepdims))
                        same_values(found, np.asarray(numpys(x, axis=axis, keepdims=keepdims)))
                if name not in ("argmax", "argmin") and len(shape) > 1:
                    same_values(run(ours(x, axis=(-1, 0))), np.asarray(numpys(x, axis=(-1, 0))))


def same_values(found, wanted):
    """As `same`, but not the sign of a zero, which NumPy's own order of reduction decides."""
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("correction", [0, 1, 0.5, 3, 4, 10])
def test_variance_with_correction(correction):
    x = gc.placeholder(("n", 2), "float32", name="x")
    for n in (0, 1, 3, 10):
        values = np.random.default_rng(n).standard_normal((n, 2)).astype("f4")
        wanted = np.var(values, axis=0, correction=correction)
        same(run(gc.var(x, axis=0, correction=correction), {x: values}), wanted)
        same(run(gc.var(gc.constant(values), axis=0, correction=correction)), wanted)


def test_reductions_of_nothing():
    empty = gc.placeholder((0, 3), "float32", name="x")
    feed = {empty: np.zeros((0, 3))}
    for name in ("sum", "prod", "all", "any", "mean", "var"):
        same(run(getattr(gc, name)(empty, axis=0), feed), getattr(np, name)(np.zeros((0, 3), "f4"), axis=0))
    same(run(gc.logsumexp(empty, axis=0), feed), np.full(3, -np.inf, "f4"))
    for name in ("max", "min", "argmax", "argmin"):
        with pytest.raises(ShapeError, match=f"{name}: axis 0 has no elements to choose from: x is f32"):
            getattr(gc, name)(empty, axis=0)
        n = gc.placeholder(("n",), "float32", name="n")
        run(getattr(gc, name)(n), {n: [2.0]})
        with pytest.raises(AssertionError, match="does not hold"):  # the constraint that every call checks
            run(getattr(gc, name)(n), {n: []})


@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
def test_cumulative(name):
    rng = np.random.default_rng(0)
    for dtype in ALL_DTYPES:
        for shape in ((), (0,), (5,), (3, 4), (2, 3, 1, 4)):
            x = np.asarray(rng.choice(special_values(dtype), shape), dtype)
            for axis in (None, *range(-len(shape), len(shape))):
                same(run(getattr(gc, name)(x, axis=axis)), getattr(np, name)(x, axis=axis))


def test_the_first_nan_wins():
    x = np.array([[1.0, np.nan, np.nan, 5.0]])
    assert run(gc.argmax(x)) == run(gc.argmin(x)) == 1
    assert np.isnan(run(gc.max(x))) and np.isnan(run(gc.min(x)))


TRUE_VALUES = {
    "erf": mpmath.erf,
    "erfc": mpmath.erfc,
    "rsqrt": lambda x: 1 / mpmath.sqrt(x),
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
}


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", TRUE_VALUES)
def test_functions_that_numpy_lacks(name, dtype):
    x = np.random.default_rng(1).uniform(-6, 6, 300)
    x = np.concatenate([x, x * 1e-3, x * 10, x * 1e-30]).astype(dtype)
    x = np.abs(x) if name == "rsqrt" else x
    found = run(getattr(gc, name)(x))
    assert found.dtype == dtype
    with mpmath.workdps(50):
        wanted = [TRUE_VALUES[name](mpmath.mpf(float(v))) for v in x]
        error = [abs(mpmath.mpf(float(f)) - w) for f, w in zip(found, wanted)]
        spacing = np.spacing(np.abs(np.array(wanted, dtype)))
    worst = max(float(e) / float(s) for e, s in zip(error, spacing))
    assert worst <= (0.51 if dtype == np.float32 else 1.0 if name == "erf" else 2.0)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_limits_of_functions_that_numpy_lacks(dtype):
    ends = np.array([-np.inf, -0.0, 0.0, np.inf, np.nan], dtype)
    nan = np.nan
    for name, wanted in {
        "erf": [-1, -0.0, 0, 1, nan], "erfc": [2, 1, 1, 0, nan], "rsqrt": [nan, -np.inf, np.inf, 0, nan],
        "sigmoid": [0, 0.5, 0.5, 1, nan], "softplus": [0, np.log(2), np.log(2), np.inf, nan],
    }.items():  # fmt: skip
        same(run(getattr(gc, name)(ends)), np.array(wanted, dtype))


def test_activations():
    x = np.array([-np.inf, -2.0, -0.0, 0.0, 3.0, np.inf, np.nan])
    same(run(gc.relu(x)), np.array([0, 0, 0, 0, 3, np.inf, np.nan]))
    same(run(gc.relu(np.array([-2, 3], "i1"))), np.array([0, 3], "i1"))
    same(run(gc.leaky_relu(x, 0.5)), np.array([-np.inf, -1, -0.0, 0, 3, np.inf, np.nan]))
    same(run(gc.elu(x, 2.0)), np.array([-2, 2 * np.expm1(-2), -0.0, 0, 3, np.inf, np.nan]))
    same(run(gc.reciprocal(x)), 1 / x)
    found = run(gc.gelu(np.array([-10.0, -1.0, 0.0, 1.0, 10.0])))
    with mpmath.workdps(30):
        wanted = [float(v * mpmath.ncdf(v)) for v in (-10, -1, 0, 1, 10)]
    np.testing.assert_allclose(found, wanted, rtol=1e-14)
    np.testing.assert_allclose(run(gc.gelu(x[1:5], "tanh")), run(gc.gelu(x[1:5])), atol=1e-3)
    np.testing.assert_allclose(run(gc.silu(x[1:6])), x[1:6] / (1 + np.exp(-x[1:6])), rtol=1e-15)


def test_refusals_name_the_function():
    b, i = gc.placeholder((2,), "bool", name="b"), gc.placeholder((2,), "int8", name="i")
    for function, message in (
        (lambda: gc.exp(b), "exp: takes floats, and bool would become float16"),
        (lambda: gc.exp(i), "exp: takes floats, and int8 would become float16"),
        (lambda: -b, "negative: does not take booleans"),
        (lambda: b - b, "subtract: does not take booleans"),
        (
            lambda: gc.bitwise_and(i, 1.5),
            "bitwise_and: takes integers or booleans, and the operands promote to float64",
        ),
        (lambda: gc.reciprocal(i), "reciprocal: takes floats, not int8"),
        (lambda: gc.sum(i, dtype="complex64"), "sum: dtype complex64 is not supported"),
    ):
        with pytest.raises(DTypeError, match=message):
            function()
    x, y = gc.placeholder((2, 3), "float32", name="x"), gc.placeholder((2, 4), "float32", name="y")
    with pytest.raises(ShapeError, match=r"add: shapes do not broadcast: x is f32\[2,3\], y is f32\[2,4\]"):
        x + y
    with pytest.raises(ShapeError, match="sum: axis 2 is out of bounds for an array of rank 2"):
        gc.sum(x, axis=2)
    with pytest.raises(
        ShapeError, match="cross_entropy: labels that are class indices must have rank 1 here, not 2"
    ):
        gc.cross_entropy(x, gc.placeholder((2, 1), "int64"))
