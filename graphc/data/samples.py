"""Data as arrays of samples: numbers along a first axis, several arrays of one length.

Invariant: what comes out has samples along its first axis; the caller's arrays are never changed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gc


def as_floats(what: str, x: Any) -> np.ndarray:
    """`x` as an array of float32 where it is that, else of float64, with samples along its first axis.

    Raises:
        DTypeError: it does not consist of numbers. ShapeError: it is a single number.
    """
    array = np.asarray(x)
    if array.dtype.kind == "O":
        try:
            array = array.astype(np.float64)  # None becomes NaN
        except (TypeError, ValueError) as error:
            raise gc.DTypeError(f"{what}: expected numbers: {error}") from None
    if array.dtype.kind not in "biuf":
        raise gc.DTypeError(f"{what}: expected numbers, not {array.dtype}")
    if array.ndim == 0:
        raise gc.ShapeError(f"{what}: expected samples along the first axis, got a single number")
    return array if array.dtype == np.float32 else array.astype(np.float64)


def as_features(what: str, x: Any, learned: np.ndarray, axes: tuple[int, ...] = (0,)) -> np.ndarray:
    """`as_floats` of an array whose samples have the shape that was learned; along `axes` any extent will do.

    Raises:
        ShapeError: they have another one.
    """
    array = as_floats(what, x)
    given = tuple(1 if axis in axes else extent for axis, extent in enumerate(array.shape) if axis)
    if given != learned.shape:
        raise gc.ShapeError(f"{what}: it learned samples of shape {learned.shape}, these have {array.shape[1:]}")
    return array


def as_table(what: str, x: Any) -> np.ndarray:
    """`x` of any dtype as (samples, columns); a one-dimensional one is a single column.

    Raises:
        ShapeError: it has other axes.
    """
    array = np.asarray(x)
    if array.ndim not in (1, 2):
        raise gc.ShapeError(f"{what}: expected (samples,) or (samples, columns), not shape {array.shape}")
    return array if array.ndim == 2 else array[:, None]


def require_samples(what: str, array: np.ndarray) -> None:
    """Check that there is something to learn from.

    Raises:
        ShapeError: there are no samples.
    """
    if len(array) == 0:
        raise gc.ShapeError(f"{what}: there are no samples to learn from")


def same_length(function: str, arrays: tuple[Any, ...]) -> list[np.ndarray]:
    """The arrays, checked to have the same number of samples.

    Raises:
        ArgumentError: there are none. ShapeError: they differ in length.
    """
    given = [np.asarray(array) for array in arrays]
    if not given:
        raise gc.ArgumentError(f"{function}: at least one array is needed")
    if any(array.ndim == 0 for array in given) or len({len(array) for array in given}) > 1:
        raise gc.ShapeError(f"{function}: arrays of one length are needed, not of shapes {[a.shape for a in given]}")
    return given
