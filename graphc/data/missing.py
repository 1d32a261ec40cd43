"""Missing values: dropped, imputed, or filled along time.

Invariant: missing is NaN in arrays of numbers, and None or NaN in arrays of objects; everything else is a value.
"""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any, ClassVar, Self

import numpy as np

import graphc as gc
from graphc.data.entries import number, one_of, option, scalars, text
from graphc.data.samples import as_features, as_floats, as_table, require_samples, same_length
from graphc.data.transformer import Transformer, registered

_STRATEGIES = one_of("mean", "median", "most_frequent", "constant")
_CATEGORY_STRATEGIES = one_of("most_frequent", "constant")


def is_missing(x: Any) -> np.ndarray:
    """Where values are missing: booleans of the shape of `x`.

    >>> import graphc as gc
    >>> gc.data.is_missing([[1.0, float("nan")]]), gc.data.is_missing(["a", None])
    (array([[False,  True]]), array([False,  True]))
    """
    array = np.asarray(x)
    if array.dtype.kind == "f":
        return np.isnan(array)
    if array.dtype.kind == "O":
        flat = [value is None or (isinstance(value, float) and value != value) for value in array.ravel().tolist()]
        return np.array(flat, bool).reshape(array.shape)
    return np.zeros(array.shape, bool)


def drop_missing(*arrays: Any) -> tuple[np.ndarray, ...]:
    """The samples in which no array misses a value.

    Args:
        arrays: of one length, samples along the first axis.

    Raises:
        ShapeError: they differ in length.

    >>> import graphc as gc
    >>> gc.data.drop_missing([[1.0], [float("nan")], [3.0]], [0, 1, 2])
    (array([[1.],
           [3.]]), array([0, 2]))
    """
    given = same_length("drop_missing", arrays)
    whole = np.ones(len(given[0]), bool)
    for array in given:
        whole &= ~is_missing(array).reshape(len(array), -1).any(axis=1)
    return tuple(array[whole] for array in given)


@registered
class Imputer(Transformer):
    """Puts a value in place of missing ones: each feature's mean, median or most frequent value, or a constant.

    Attributes:
        values: what is put in place, for each feature; learned.

    >>> import graphc as gc
    >>> imputer = gc.data.Imputer("median").fit([[1.0], [2.0], [9.0], [float("nan")]])
    >>> imputer.transform([[float("nan")], [5.0]]).ravel()
    array([2., 5.])
    """

    fields: ClassVar = {"strategy": _STRATEGIES, "constant": number, "values": lambda value: _finite(value)}
    learned = ("values",)
    values: np.ndarray

    def __init__(self, strategy: str = "mean", constant: float = 0.0) -> None:
        self.strategy = option("Imputer", "strategy", _STRATEGIES, strategy)
        self.constant = option("Imputer", "constant", number, constant)

    def fit(self, x: Any) -> Self:
        """Learn the values.

        Raises:
            ArgumentError: a feature has no value at all.
        """
        array = as_floats("Imputer", x).astype(np.float64)
        require_samples("Imputer", array)
        if self.strategy == "constant":
            self.values = np.full(array.shape[1:], self.constant)
            return self
        if np.isnan(array).all(axis=0).any():
            raise gc.ArgumentError(f"Imputer: a feature has no value of which to take the {self.strategy}")
        learn = {"mean": np.nanmean, "median": np.nanmedian, "most_frequent": _most_frequent}[self.strategy]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            self.values = np.asarray(learn(array, axis=0), np.float64)  # type: ignore[operator]
        return self

    def transform(self, x: Any) -> np.ndarray:
        """The samples without missing values."""
        self._require_fitted()
        array = as_features("Imputer", x, self.values)
        return np.where(np.isnan(array), self.values, array).astype(array.dtype)


def _finite(value: Any) -> np.ndarray:
    if not isinstance(value, np.ndarray) or value.dtype != np.float64 or np.isnan(value).any():
        raise ValueError("it is no array of float64 without NaN")
    return value


def _most_frequent(array: np.ndarray, axis: int) -> np.ndarray:
    """The most frequent value of each feature; the least of several."""
    columns = array.reshape(len(array), -1).T
    found = []
    for column in columns:
        values, counts = np.unique(column[~np.isnan(column)], return_counts=True)
        found.append(values[counts.argmax()])
    return np.array(found, np.float64).reshape(array.shape[1:])


@registered
class CategoryImputer(Transformer):
    """Puts a category in place of missing ones (None or NaN): each column's most frequent one, or a constant.

    Attributes:
        values: what is put in place, for each column; learned.

    >>> import numpy as np
    >>> import graphc as gc
    >>> imputer = gc.data.CategoryImputer().fit(np.array(["red", None, "red", "blue"], object))
    >>> imputer.transform(np.array([None, "blue"], object)).tolist()
    ['red', 'blue']
    """

    fields: ClassVar = {"strategy": _CATEGORY_STRATEGIES, "constant": text, "values": scalars}
    learned = ("values",)
    values: list[Any]

    def __init__(self, strategy: str = "most_frequent", constant: str = "missing") -> None:
        self.strategy = option("CategoryImputer", "strategy", _CATEGORY_STRATEGIES, strategy)
        self.constant = option("CategoryImputer", "constant", text, constant)

    def fit(self, x: Any) -> Self:
        """Learn the values.

        Raises:
            ArgumentError: a column has no value at all. DTypeError: one mixes strings and numbers.
        """
        table = as_table("CategoryImputer", x)
        require_samples("CategoryImputer", table)
        holes = is_missing(table)
        columns = [column[~missing].tolist() for column, missing in zip(table.T, holes.T)]
        constant = self.strategy == "constant"
        self.values = [self.constant if constant else _most_common(column) for column in columns]
        return self

    def transform(self, x: Any) -> np.ndarray:
        """An array of objects of the shape of `x`, without missing values."""
        self._require_fitted()
        table = as_table("CategoryImputer", x)
        if table.shape[1] != len(self.values):
            raise gc.ShapeError(f"CategoryImputer: it learned {len(self.values)} columns, not {table.shape[1]}")
        values = np.empty(len(self.values), object)
        values[:] = self.values
        return np.where(is_missing(table), values, table.astype(object)).reshape(np.shape(x))


def _most_common(values: list[Any]) -> Any:
    """The most frequent value; the first in sorted order of several."""
    if not values:
        raise gc.ArgumentError("CategoryImputer: a column has no value of which to take the most frequent")
    counts = Counter(values)
    try:
        return min(scalars(list(counts)), key=lambda value: (-counts[value], value))
    except (TypeError, ValueError):
        raise gc.DTypeError("CategoryImputer: a column does not consist of either strings or numbers") from None


def fill_forward(x: Any) -> np.ndarray:
    """Each missing value becomes the last one before it; those before the first value stay missing.

    >>> import graphc as gc
    >>> gc.data.fill_forward([float("nan"), 1.0, float("nan"), 3.0])
    array([nan,  1.,  1.,  3.])
    """
    return _filled(as_floats("fill_forward", x))


def fill_backward(x: Any) -> np.ndarray:
    """Each missing value becomes the next one after it; those after the last value stay missing.

    >>> import graphc as gc
    >>> gc.data.fill_backward([float("nan"), 1.0, float("nan")])
    array([ 1.,  1., nan])
    """
    return _filled(as_floats("fill_backward", x)[::-1])[::-1].copy()


def _filled(array: np.ndarray) -> np.ndarray:
    steps = np.arange(len(array)).reshape(-1, *[1] * (array.ndim - 1))
    last = np.maximum.accumulate(np.where(np.isnan(array), 0, steps), axis=0)
    return np.take_along_axis(array, last, axis=0)


def interpolate(x: Any, times: Any = None) -> np.ndarray:
    """Missing values on the straight line between their neighbours in time; at the ends, the nearest value.

    Args:
        x: (time,) or (time, features, ...).
        times: when each step was, rising; by default 0, 1, 2, ...

    Raises:
        ShapeError, ArgumentError: `times` has another length, or does not rise; a feature has no value at all.

    >>> import graphc as gc
    >>> gc.data.interpolate([1.0, float("nan"), float("nan"), 4.0, float("nan")])
    array([1., 2., 3., 4., 4.])
    """
    array = as_floats("interpolate", x)
    when = np.arange(len(array), dtype=np.float64) if times is None else as_floats("interpolate: times", times)
    if when.shape != (len(array),):
        raise gc.ShapeError(f"interpolate: times must have shape ({len(array)},), not {when.shape}")
    if not (np.diff(when) > 0).all():
        raise gc.ArgumentError("interpolate: times must rise")
    result = array.copy()
    columns = result.reshape(len(array), -1)
    for column in columns.T:
        missing = np.isnan(column)
        if missing.all() and len(column):
            raise gc.ArgumentError("interpolate: a feature has no value at all")
        column[missing] = np.interp(when[missing], when[~missing], column[~missing])
    return result
