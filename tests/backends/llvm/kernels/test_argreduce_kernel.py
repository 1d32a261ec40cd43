import numpy as np
import pytest
from harness import check, values

from graphc.backends.llvm.kernels import argreduce
from graphc.ir.types import ALL_DTYPES

OPS = ["argmax", "argmin"]


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=str)
def test_along_rows_and_columns(op, dtype):
    rng = np.random.default_rng(1)
    for length in (1, 2, 15, 16, 17, 33, 70):
        for few in (False, True):
            x = values(rng, (3, length), dtype, few=few)
            check(op, [x], axis=1, keepdims=False)
            check(op, [x], axis=0, keepdims=True)
            check(op, [np.ascontiguousarray(x.T)], axis=0, keepdims=False, symbolic=True)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 1, 1), (5, 1, 17), (2, 18, 3)])
def test_every_axis(op, shape):
    x = values(np.random.default_rng(2), shape, "float32", few=True)
    for axis in range(3):
        check(op, [x], axis=axis, keepdims=False)
        check(op, [x], axis=axis, keepdims=True, symbolic=True)


@pytest.mark.parametrize("op", OPS)
def test_nothing(op):
    for shape, axis in (((0, 3), 0), ((3, 0), 1), ((0, 3), 1), ((3, 0), 0), ((0,), 0)):
        check(op, [np.zeros(shape, "float32")], axis=axis, keepdims=False, symbolic=True)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("worst", [np.inf, -np.inf])
def test_rows_of_one_infinity(op, worst):
    for dtype in ("float32", "float64"):
        check(op, [np.full((2, 40), worst, dtype)], axis=1, keepdims=False)
        check(op, [np.full((40, 2), worst, dtype)], axis=0, keepdims=False)


def test_the_first_nan_wins_wherever_it_stands():
    for place in (0, 1, 15, 16, 31, 36):
        x = np.arange(37.0)
        x[place] = x[36] = np.nan
        for op in OPS:
            check(op, [x], axis=0, keepdims=False)
            check(op, [np.stack([x, x], 1)], axis=0, keepdims=False)


def test_the_last_of_equals_is_caught(monkeypatch):
    monkeypatch.setattr(argreduce.Extremum, "better", lambda self, b, x, best: b.fcmp("uge", x, best))
    with pytest.raises(AssertionError):
        check("argmax", [np.ones((20, 3))], axis=0, keepdims=False)


def test_a_nan_that_does_not_count_is_caught(monkeypatch):
    monkeypatch.setattr(argreduce.Extremum, "is_float", property(lambda self: False))
    monkeypatch.setattr(argreduce.Extremum, "worst", lambda self: 0)
    monkeypatch.setattr(argreduce.Extremum, "better", lambda self, b, x, best: b.fcmp("ogt", x, best))
    with pytest.raises(AssertionError):
        check("argmax", [np.array([[1.0, 2.0], [np.nan, 1.0]])], axis=0, keepdims=False)
