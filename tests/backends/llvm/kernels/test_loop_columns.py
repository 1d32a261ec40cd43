"""Sums of columns: some rows are added at once, and each total still takes its elements in order."""

import numpy as np
import pytest
from harness import Failure, assert_same_bits
from nests import Nests, body, targets

import graphc as gc
from graphc.backends.llvm.kernels import loop_columns
from graphc.backends.llvm.kernels.loop_columns import BAND
from graphc.ir.evaluate import evaluate

RNG = np.random.default_rng
#: Around the ends of bands and of vectors.
HEIGHTS, WIDTHS = (0, 1, BAND - 1, BAND, BAND + 1, 3 * BAND + 2), (17, 64, 129)


def check_order(target=None):
    """Whether columns have the bits of one addition after the other."""
    x = gc.placeholder(("n", "m"))
    bodies = [body(gc.sum(x, axis=0)), body(gc.sum(x * x, axis=0), gc.prod(x, axis=0), gc.max(x, axis=0))]
    nests = Nests(bodies, target)
    for height in HEIGHTS[1:]:
        for width in WIDTHS:
            array = RNG(height).standard_normal((height, width)).astype("float32")
            total, square, product = np.zeros(width, "float32"), np.zeros(width, "float32"), np.ones(width, "float32")
            for row in array:
                total, square, product = total + row, square + row * row, product * row
            assert_same_bits(nests.run(0, [array])[0], total)
            for found, expected in zip(nests.run(1, [array]), (square, product, array.max(axis=0))):
                assert_same_bits(found, expected)


def check_rows_around():
    """Rows between loops: reduced ones outside, kept ones outside, and a result for each element."""
    x, y = gc.placeholder(("a", "b", "c", "d")), gc.placeholder(("b", "c"), "int64")
    bodies = [body(gc.sum(x, axis=(0, 2))), body(gc.sum(x, axis=2)), body(gc.sum(y, axis=0), y * 2)]
    nests = Nests(bodies)
    for height in HEIGHTS:
        array = RNG(height).integers(-9, 9, (3, 2, height, 65)).astype("float32")
        for number, array_ in ((0, array), (1, array), (2, array[0, 1].astype("int64"))):
            for found, expected in zip(nests.run(number, [array_]), evaluate(bodies[number], [array_])):
                assert_same_bits(found + 0, expected + 0)


@pytest.mark.parametrize("target", targets().items(), ids=lambda item: item[0])
def test_each_total_takes_its_elements_in_order(target):
    check_order(target[1])


def test_loops_around_and_other_results():
    check_rows_around()


def one_band(bands):
    return lambda self, group, cost: bands(self, group, cost)[:1]


def backwards(add_band):
    return lambda self, stage, number, rows, turns: add_band(self, stage, number, rows, turns[::-1])


@pytest.mark.parametrize(
    ("name", "plant", "check"),
    [("_bands", one_band, check_rows_around), ("_add_band", backwards, check_order)],
    ids=["the last rows are left out", "a band is added backwards"],
)
def test_planted_bugs_are_caught(monkeypatch, name, plant, check):
    monkeypatch.setattr(loop_columns.ColumnSweeps, name, plant(getattr(loop_columns.ColumnSweeps, name)))
    with pytest.raises((AssertionError, Failure)):
        check()
