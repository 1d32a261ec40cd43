import numpy as np
import pytest
from harness import check, values

from graphc.backends.llvm.kernels import cumulative
from graphc.backends.llvm.kernels.around import Around
from graphc.ir.types import NUMERIC

OPS = ["cumsum", "cumprod"]


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("dtype", NUMERIC, ids=str)
def test_every_axis(op, dtype):
    rng = np.random.default_rng(1)
    for shape in ((7,), (3, 37), (37, 3), (2, 5, 17), (1, 1, 1)):
        x = values(rng, shape, dtype)
        for axis in range(len(shape)):
            check(op, [x], axis=axis)
            check(op, [x], axis=axis, symbolic=True)


@pytest.mark.parametrize("op", OPS)
def test_nan_infinities_and_zeros_run_on(op):
    rng = np.random.default_rng(2)
    chances = [0.3, 0.3, *[0.08] * 5]
    for dtype in ("float32", "float64"):
        elements = np.array([1.0, 2.0, -0.0, 0.0, np.inf, -np.inf, np.nan], dtype)
        x = rng.choice(elements, (9, 20), p=chances)
        for axis in (0, 1):
            check(op, [x], axis=axis)


@pytest.mark.parametrize("op", OPS)
def test_nothing_and_negative_zero(op):
    for shape in ((0,), (0, 3), (3, 0)):
        for axis in range(len(shape)):
            check(op, [np.zeros(shape)], axis=axis, symbolic=True)
    check(op, [np.full((2, 2), -0.0)], axis=0)
    check(op, [np.full((2, 2), -0.0)], axis=1)


def test_the_wrong_axis_is_caught(monkeypatch):
    right = Around.axis
    monkeypatch.setattr(cumulative.Around, "axis", lambda type_, axis: right(type_, 1 - axis))
    with pytest.raises(AssertionError):
        check("cumsum", [np.arange(12.0).reshape(3, 4)], axis=0)
