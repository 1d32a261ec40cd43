"""Noise in series: moving averages and medians.

Invariant: results have the shape of their input; at the ends of a series the window is cut off, not filled up.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gc
from graphc.data.samples import as_floats


def moving_average(x: Any, window: int) -> np.ndarray:
    """The mean of the `window` values around each step; of those that are there at the ends, and missing ones aside.

    Args:
        x: (time,) or (time, features, ...).
        window: an odd number of steps.

    Raises:
        ArgumentError: the window is not an odd number from 1 on.

    >>> import graphc as gc
    >>> gc.data.moving_average([0.0, 3.0, 0.0, 3.0], 3)
    array([1.5, 1. , 2. , 1.5])
    """
    return _moving("moving_average", np.nanmean, x, window)


def moving_median(x: Any, window: int) -> np.ndarray:
    """The median of the `window` values around each step: removes single spikes, keeps edges.

    Args:
        x: (time,) or (time, features, ...).
        window: an odd number of steps.

    Raises:
        ArgumentError: the window is not an odd number from 1 on.

    >>> import graphc as gc
    >>> gc.data.moving_median([1.0, 1.0, 9.0, 1.0, 1.0], 3)
    array([1., 1., 1., 1., 1.])
    """
    return _moving("moving_median", np.nanmedian, x, window)


def _moving(function: str, reduce: Callable[..., Any], x: Any, window: int) -> np.ndarray:
    array = as_floats(function, x)
    if isinstance(window, bool) or not isinstance(window, (int, np.integer)) or window < 1 or window % 2 == 0:
        raise gc.ArgumentError(f"{function}: window must be an odd number from 1 on, not {window!r}")
    half = int(window) // 2
    padded = np.pad(array, [(half, half)] + [(0, 0)] * (array.ndim - 1), constant_values=np.nan)
    views = np.lib.stride_tricks.sliding_window_view(padded, window, axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a window of missing values alone gives a missing value
        return reduce(views, axis=-1).astype(array.dtype)
