"""Sorting against NumPy: every dtype, NaN and -0.0, stability in both directions, gradients."""

import numpy as np
import pytest
from running import check_gradient, run, same

import graphc as gc
from graphc.errors import ArgumentError, ShapeError
from graphc.ir.close import close

RNG = np.random.default_rng
SPECIAL = np.array([1.0, np.nan, -0.0, np.inf, 0.0, -np.inf, 1.0, np.nan, -2.0, 0.0, -0.0])


@pytest.mark.parametrize("dtype", ["float64", "float32", "int8", "uint64", "bool"])
@pytest.mark.parametrize("shape", [(7,), (0,), (1,), (3, 5), (2, 0), (2, 3, 4)], ids=str)
def test_sort_and_argsort_are_numpys(dtype, shape):
    array = (RNG(0).integers(-3, 4, shape)).astype(dtype)
    for axis in (None, *range(-len(shape), len(shape))):
        x = gc.placeholder(tuple(f"d{i}" for i in range(len(shape))), dtype, name="x")
        same(run(gc.sort(x, axis), {x: array}), np.sort(array, axis, stable=True))
        same(run(gc.argsort(x, axis), {x: array}), np.argsort(array, axis, stable=True))


def test_nan_comes_last_and_equal_elements_keep_their_order():
    x = gc.placeholder((11,), "float64", name="x")
    same(run(gc.sort(x), {x: SPECIAL}), np.sort(SPECIAL, stable=True))
    same(run(gc.argsort(x), {x: SPECIAL}), np.argsort(SPECIAL, stable=True))


def test_descending_is_stable_and_begins_with_nan():
    x = gc.placeholder((11,), "float64", name="x")
    order = [1, 7, 3, 0, 6, 2, 4, 9, 10, 8, 5]
    same(run(gc.argsort(x, descending=True), {x: SPECIAL}), np.array(order))
    same(run(gc.sort(x, descending=True), {x: SPECIAL}), SPECIAL[order])
    y = gc.placeholder((4,), "uint8", name="y")
    same(run(gc.sort(y, descending=True), {y: [0, 255, 3, 255]}), np.uint8([255, 255, 3, 0]))


def test_topk():
    array = RNG(1).standard_normal((4, 6))
    x = gc.placeholder(("n", 6), "float64", name="x")
    for k in (0, 1, 3, 6):
        values, indices = run(gc.topk(x, k), {x: array})
        order = np.argsort(-array, axis=1, stable=True)[:, :k]
        same(indices, order)
        same(values, np.take_along_axis(array, order, 1))
    values, indices = run(gc.topk(x, 2, axis=0), {x: array})
    same(values, -np.sort(-array, axis=0)[:2])
    assert [str(c) for c in close("f", [x], [gc.topk(x, 2, axis=0)[0]]).constraints] == ["n == max(n,2)"]
    with pytest.raises(ShapeError, match="only 6 elements"):
        gc.topk(x, 7)


def test_searchsorted_is_numpys():
    rng = RNG(2)
    for dtype in ("float64", "int32"):
        row = np.sort(rng.integers(0, 9, 12)).astype(dtype)
        values = rng.integers(-2, 12, (3, 4)).astype(dtype)
        x, v = gc.placeholder(("n",), dtype, name="x"), gc.placeholder((3, 4), dtype, name="v")
        for side in ("left", "right"):
            for part in (row, row[:1], row[:0]):
                same(
                    run(gc.searchsorted(x, v, side), {x: part, v: values}),
                    np.searchsorted(part, values, side),
                )
    row = np.array([-np.inf, 0.0, 1.0, np.nan, np.nan])
    values = np.array([np.nan, -np.inf, np.inf, -0.0, 0.5])
    for side in ("left", "right"):
        same(run(gc.searchsorted(row, values, side)), np.searchsorted(row, values, side))
    with pytest.raises(ArgumentError):
        gc.searchsorted(row, values, "middle")
    with pytest.raises(ShapeError):
        gc.searchsorted(gc.zeros((2, 2)), values)


@pytest.mark.parametrize("descending", [False, True])
def test_gradients(descending):
    array = RNG(3).standard_normal((4, 3))
    for axis in (0, 1, None):
        check_gradient(lambda x, axis=axis: gc.sort(x, axis, descending), array)
    check_gradient(lambda x: gc.topk(x * x, 2)[0], array)


def test_an_axis_that_is_not_there():
    for function in (gc.sort, gc.argsort, lambda x, axis: gc.topk(x, 1, axis)):
        with pytest.raises(ShapeError, match="axis 2 is out of bounds"):
            function(gc.zeros((2, 3)), 2)
