"""Functions of exponentials are right, and so are their gradients, for operands of any size.

The truth is computed by mpmath with 60 digits; infinities are stood in for by a number beyond all others, so
that what is asked for is the limit.
"""

import itertools

import mpmath
import numpy as np
import pytest
from running import run

import graphc as gc
from graphc.ir.build import apply
from graphc.ir.opdef import OPS
from graphc.passes.gradient import grad

MAGNITUDES = (0.0, 1e-40, 17.0, 88.0, 710.0, 1e38, np.inf)
POINTS = [sign * m for m in MAGNITUDES for sign in (1, -1)]
FINITE = [p for p in POINTS if np.isfinite(p)]
BEYOND = mpmath.mpf(10) ** 400
DTYPES = ["float32", "float64"]


def exactly(x):
    return mpmath.sign(x) * BEYOND if np.isinf(x) else mpmath.mpf(float(x))


def rounded(value):
    """The true value as a float: infinite if the stand-in for infinity shows in it."""
    return float(mpmath.sign(value)) * np.inf if abs(value) > BEYOND / 4 else float(value)


def check_close(found, wanted, dtype, ulps, absolute):
    """Within `ulps` of the true value, or of 1 where `absolute`."""
    wanted = np.array([rounded(w) for w in np.ravel(wanted)], dtype).reshape(np.shape(wanted))
    assert found.dtype == dtype
    finite = np.isfinite(wanted)
    np.testing.assert_array_equal(found[~finite], wanted[~finite])
    scale = np.maximum(np.abs(wanted[finite]), 1) if absolute else np.abs(wanted[finite])
    error = np.abs(found[finite].astype("f8") - wanted[finite].astype("f8"))
    assert (error <= ulps * np.spacing(scale)).all(), (found, wanted)


def value_and_gradients(function, arrays, dtype):
    xs = [gc.placeholder(np.shape(a), dtype, name=f"x{i}") for i, a in enumerate(arrays)]
    y = function(*xs)
    return run([y, *grad(gc.sum(y), xs)], dict(zip(xs, arrays)))


def sigmoid(x):
    return 1 / (1 + mpmath.exp(-x))


def softplus(x):
    return max(x, 0) + mpmath.log1p(mpmath.exp(-abs(x)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_softplus_and_sigmoid(dtype):
    x = np.array(POINTS, dtype)
    with mpmath.workdps(60):
        exact = [exactly(v) for v in x]
        value, slope = value_and_gradients(gc.softplus, [x], dtype)
        check_close(value, [softplus(v) for v in exact], dtype, 2, absolute=False)
        check_close(slope, [sigmoid(v) for v in exact], dtype, 3, absolute=False)
        value, slope = value_and_gradients(gc.sigmoid, [x], dtype)
        check_close(value, [sigmoid(v) for v in exact], dtype, 3, absolute=False)
        check_close(slope, [sigmoid(v) * sigmoid(-v) for v in exact], dtype, 6, absolute=False)
        value, slope = value_and_gradients(gc.log_sigmoid, [x], dtype)
        check_close(value, [-softplus(-v) for v in exact], dtype, 2, absolute=False)
        check_close(slope, [sigmoid(-v) for v in exact], dtype, 3, absolute=False)


@pytest.mark.parametrize("dtype", DTYPES)
def test_logaddexp(dtype):
    x, y = np.array(list(itertools.product(POINTS, POINTS)), dtype).T
    with mpmath.workdps(60):
        pairs = [(exactly(a), exactly(b)) for a, b in zip(x, y)]
        value, dx, dy = value_and_gradients(gc.logaddexp, [x, y], dtype)
        check_close(
            value, [max(a, b) + mpmath.log1p(mpmath.exp(-abs(a - b))) for a, b in pairs], dtype, 2, True
        )
        check_close(dx, [sigmoid(a - b) for a, b in pairs], dtype, 4, absolute=False)
        check_close(dy, [sigmoid(b - a) for a, b in pairs], dtype, 4, absolute=False)


def rows(dtype):
    """Every row of two, and rows of three with a duplicate."""
    pairs = np.array(list(itertools.product(POINTS, POINTS)), dtype)
    return pairs, np.concatenate([pairs, pairs[:, :1]], axis=1)


def softmax(row):
    powers = [mpmath.exp(v - max(row)) for v in row]
    return [p / sum(powers) for p in powers]


def log_softmax(row):
    total = mpmath.log(sum(mpmath.exp(v - max(row)) for v in row))
    return [v - max(row) - total for v in row]


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_family(dtype):
    for x in rows(dtype):
        with mpmath.workdps(60):
            exact = [[exactly(v) for v in row] for row in x]
            shares = [softmax(row) for row in exact]
            found = run(gc.softmax(x))
            check_close(found, shares, dtype, 8, absolute=True)
            found = run(gc.log_softmax(x))
            check_close(found, [log_softmax(row) for row in exact], dtype, 4, absolute=True)
            value, slope = value_and_gradients(lambda t: gc.logsumexp(t, axis=1), [x], dtype)
            wanted = [max(row) + mpmath.log(sum(mpmath.exp(v - max(row)) for v in row)) for row in exact]
            check_close(value, wanted, dtype, 4, absolute=True)
            check_close(slope, shares, dtype, 8, absolute=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_cross_entropy(dtype):
    for x in rows(dtype):
        label = np.arange(len(x)) % x.shape[1]
        one_hot = np.eye(x.shape[1], dtype=dtype)[label]
        with mpmath.workdps(60):
            exact = [[exactly(v) for v in row] for row in x]
            losses = [-log_softmax(row)[k] for row, k in zip(exact, label)]
            slopes = [[p - t for p, t in zip(softmax(row), hot)] for row, hot in zip(exact, one_hot.tolist())]
        for labels in (label, one_hot):
            value, slope = value_and_gradients(lambda t, k=labels: gc.cross_entropy(t, k), [x], dtype)
            with mpmath.workdps(60):
                check_close(value, losses, dtype, 4, absolute=True)
                check_close(slope, slopes, dtype, 8, absolute=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_binary_cross_entropy(dtype):
    x = np.array(POINTS, dtype)
    for label in (0, 1, True):
        value, slope = value_and_gradients(
            lambda t, k=label: gc.binary_cross_entropy_from_logits(t, np.full(t.shape, k)), [x], dtype
        )
        with mpmath.workdps(60):
            exact = [exactly(v) for v in x]
            check_close(value, [softplus(-v if label else v) for v in exact], dtype, 2, absolute=False)
            check_close(
                slope, [-sigmoid(-v) if label else sigmoid(v) for v in exact], dtype, 4, absolute=False
            )


def test_gradients_by_probabilities_are_not_nan_at_infinite_logits():
    logits, labels = np.array([[np.inf, 0.0, -np.inf]]), np.array([[1.0, 0.0, 0.0]])
    for function in (gc.cross_entropy, gc.binary_cross_entropy_from_logits):
        for result in value_and_gradients(function, [logits, labels], "float64"):
            assert not np.isnan(result).any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp", "softplus", "logaddexp"])
def test_expansions_are_as_stable_as_the_ops(name, dtype):
    pairs = np.array(list(itertools.product([*POINTS, np.nan], [*POINTS, np.nan])), dtype)
    operands, attrs = [pairs], {"axis": 1}
    if name == "logsumexp":
        attrs = {"axis": (1,), "keepdims": False}
    elif name == "softplus":
        attrs = {}
    elif name == "logaddexp":
        operands, attrs = list(pairs.T), {}
    constants = [gc.constant(o) for o in operands]
    wanted = run(apply(OPS[name], *constants, **attrs))
    found = run(OPS[name].expand(*constants, **attrs))
    np.testing.assert_allclose(
        found, wanted, rtol=0, atol=0 if name == "softmax" else 4 * np.finfo(dtype).eps
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_stays_in_its_row(dtype):
    x = np.array([[1.0, np.nan], [1.0, 2.0]], dtype)
    for function in (gc.softmax, gc.log_softmax):
        found = run(function(x))
        assert np.isnan(found[0]).all() and not np.isnan(found[1]).any()
    assert np.isnan(run(gc.softplus(np.array(np.nan, dtype))))
    assert np.isnan(run(gc.logaddexp(np.array(np.nan, dtype), np.array(1, dtype))))


@pytest.mark.parametrize("name", ["exp", "tanh", "sinh", "cosh", "asinh", "atan", "erf", "rsqrt", "expm1"])
def test_gradients_at_the_ends_are_limits_and_not_nan(name):
    slopes = {
        "exp": [0, np.inf], "tanh": [0, 0], "sinh": [np.inf, np.inf], "cosh": [-np.inf, np.inf],
        "asinh": [0, 0], "atan": [0, 0], "erf": [0, 0], "rsqrt": [np.nan, 0], "expm1": [0, np.inf],
    }  # fmt: skip
    _, slope = value_and_gradients(getattr(gc, name), [np.array([-np.inf, np.inf])], "float64")
    np.testing.assert_array_equal(np.abs(slope), np.abs(slopes[name]))


def test_gradients_do_not_overflow_on_the_way():
    for name, x, wanted in (
        ("acosh", 1e200, 1e-200), ("asinh", 1e200, 1e-200), ("sigmoid", 40.0, np.exp(-40.0)),
        ("expm1", -50.0, np.exp(-50.0)), ("hypot", 3e200, 0.6), ("atan2", 3e200, 1.6e-201),
    ):  # fmt: skip
        arrays = [np.array(x)] + ([np.array(4e200)] if name in ("hypot", "atan2") else [])
        slope = value_and_gradients(getattr(gc, name), arrays, "float64")[1]
        np.testing.assert_allclose(slope, wanted, rtol=1e-14)
