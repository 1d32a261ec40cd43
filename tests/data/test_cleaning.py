"""Missing values, noise, duplicates: pandas' values where it defines the same, rows that stay together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import graphc as gc

RANDOM = np.random.default_rng(1)
SERIES = np.where(RANDOM.random((30, 3)) < 0.4, np.nan, RANDOM.normal(size=(30, 3)))
FRAME = pd.DataFrame(SERIES)

FILLS = {
    "forward": (gc.data.fill_forward, FRAME.ffill()),
    "backward": (gc.data.fill_backward, FRAME.bfill()),
    "linear": (gc.data.interpolate, FRAME.interpolate(limit_direction="both")),
    "average": (lambda x: gc.data.moving_average(x, 5), FRAME.rolling(5, center=True, min_periods=1).mean()),
    "median": (lambda x: gc.data.moving_median(x, 3), FRAME.rolling(3, center=True, min_periods=1).median()),
}


@pytest.mark.parametrize("name", FILLS)
def test_values_are_those_of_pandas(name):
    fill, expected = FILLS[name]
    before = SERIES.copy()
    np.testing.assert_allclose(fill(SERIES), expected.to_numpy(), rtol=1e-12)
    np.testing.assert_allclose(fill(SERIES[:, 0]), expected.to_numpy()[:, 0], rtol=1e-12)
    np.testing.assert_array_equal(SERIES, before)
    assert fill(SERIES.astype("float32")).dtype == np.float32


def test_interpolation_at_uneven_times():
    times = np.cumsum(RANDOM.random(30))
    expected = pd.Series(SERIES[:, 0], index=times).interpolate("index", limit_direction="both")
    np.testing.assert_allclose(gc.data.interpolate(SERIES[:, 0], times), expected.to_numpy(), rtol=1e-12)
    with pytest.raises(gc.ArgumentError, match="rise"):
        gc.data.interpolate(SERIES[:, 0], times[::-1])
    with pytest.raises(gc.ArgumentError, match="no value"):
        gc.data.interpolate([np.nan, np.nan])


def test_rows_that_miss_something_go_from_all_arrays():
    labels = np.array(["a", None, "c", "d"], object)
    x = np.array([[1.0, 2.0], [3.0, 4.0], [np.nan, 6.0], [7.0, 8.0]])
    kept, names, order = gc.data.drop_missing(x, labels, np.arange(4))
    assert kept.tolist() == [[1, 2], [7, 8]] and names.tolist() == ["a", "d"] and order.tolist() == [0, 3]
    with pytest.raises(gc.ShapeError):
        gc.data.drop_missing(x, labels[:2])


def test_duplicates():
    x = RANDOM.integers(0, 2, size=(40, 3))
    y = RANDOM.integers(0, 2, size=40)
    kept, labels = gc.data.drop_duplicates(x, y)
    expected = pd.DataFrame(np.c_[x, y]).drop_duplicates().to_numpy()
    assert np.array_equal(np.c_[kept, labels], expected)


@pytest.mark.parametrize("window", [0, 2, -1, True, 1.5])
def test_windows_are_odd(window):
    with pytest.raises(gc.ArgumentError):
        gc.data.moving_average([1.0, 2.0], window)
