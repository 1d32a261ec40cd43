import numpy as np
import pytest
from harness import check, values

from graphc.backends.llvm.kernels import sorting
from graphc.ir.types import ALL_DTYPES, FLOATS


@pytest.mark.parametrize("op", ["sort", "argsort"])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=str)
def test_every_length_around_the_runs(op, descending, dtype):
    rng = np.random.default_rng(1)
    for length in (0, 1, 2, 3, 15, 16, 17, 31, 33, 48, 100, 257):
        for few in (False, True):
            check(op, [values(rng, (length,), dtype, few=few)], symbolic=True, axis=0, descending=descending)


@pytest.mark.parametrize("op", ["sort", "argsort"])
@pytest.mark.parametrize("shape", [(5, 0, 3), (0, 4), (3, 1, 2), (4, 37), (37, 4), (2, 19, 3)])
def test_every_axis(op, shape):
    rng = np.random.default_rng(2)
    for axis in range(len(shape)):
        check(op, [values(rng, shape, "float32", few=True)], axis=axis, descending=False)
        check(op, [values(rng, shape, "int16")], axis=axis, descending=True, symbolic=True)


@pytest.mark.parametrize("make", [np.sort, lambda x: np.sort(x)[::-1], lambda x: np.zeros_like(x)])
def test_input_that_is_in_order_already(make):
    x = make(np.random.default_rng(3).standard_normal(1000)).copy()
    for descending in (False, True):
        check("argsort", [x], symbolic=True, axis=0, descending=descending)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_nan_of_both_signs_are_equal(dtype):
    x = np.tile(np.array([np.nan, -np.nan, 1.0, -0.0, 0.0, np.inf], dtype), 9)
    for descending in (False, True):
        check("argsort", [x], symbolic=True, axis=0, descending=descending)
        check("sort", [x], symbolic=True, axis=0, descending=descending)


def test_a_sort_that_is_not_stable_is_caught(monkeypatch):
    strict = sorting.Order.before
    monkeypatch.setattr(sorting.Order, "before", lambda self, b, x, y: b.not_(strict(self, b, y, x)))
    with pytest.raises(AssertionError):
        check("argsort", [np.zeros(40)], symbolic=True, axis=0, descending=False)
