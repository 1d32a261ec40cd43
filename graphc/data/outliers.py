"""Outliers: values beyond bounds that the training data set, clipped or dropped with their samples.

Invariant: the bounds of a feature come from the samples that `fit` saw; missing values (NaN) are no outliers.
"""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, Self

import numpy as np

import graphc as gc
from graphc.data.entries import floats, number, one_of, option
from graphc.data.samples import as_features, as_floats, require_samples, same_length
from graphc.data.transformer import Transformer, registered

#: The usual threshold of each method.
_THRESHOLDS = {"zscore": 3.0, "iqr": 1.5, "mad": 3.5}
_METHODS = one_of(*_THRESHOLDS)


@registered
class OutlierClipper(Transformer):
    """Clips each feature to bounds around the middle of the training data.

    | method | bounds |
    |---|---|
    | `zscore` | mean -+ threshold * standard deviation; threshold 3 |
    | `iqr` | quartiles -+ threshold * (third - first quartile); threshold 1.5 (Tukey's fences) |
    | `mad` | median -+ threshold * 1.4826 * median absolute deviation; threshold 3.5 (Iglewicz and Hoaglin, 1993) |

    Attributes:
        lower, upper: the bounds of each feature, learned.

    >>> import graphc as gc
    >>> clipper = gc.data.OutlierClipper("iqr").fit([[1.0], [2.0], [3.0], [4.0], [100.0]])
    >>> clipper.transform([[100.0], [2.5]]).ravel(), clipper.outliers([[100.0], [2.5]]).ravel()
    (array([7. , 2.5]), array([ True, False]))
    """

    fields: ClassVar = {"method": _METHODS, "threshold": number, "lower": floats, "upper": floats}
    learned = ("lower", "upper")
    lower: np.ndarray
    upper: np.ndarray

    def __init__(self, method: str = "iqr", threshold: float | None = None) -> None:
        self.method = option("OutlierClipper", "method", _METHODS, method)
        value = _THRESHOLDS[self.method] if threshold is None else threshold
        self.threshold = option("OutlierClipper", "threshold", number, value)

    def fit(self, x: Any) -> Self:
        """Learn the bounds."""
        array = as_floats("OutlierClipper", x).astype(np.float64)
        require_samples("OutlierClipper", array)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            low, high, reach = _middle(self.method, array)
        self.lower = np.asarray(low - self.threshold * reach)
        self.upper = np.asarray(high + self.threshold * reach)
        return self

    def outliers(self, x: Any) -> np.ndarray:
        """Where values lie beyond the bounds: booleans of the shape of `x`."""
        self._require_fitted()
        array = as_features("OutlierClipper", x, self.lower)
        return (array < self.lower) | (array > self.upper)

    def transform(self, x: Any) -> np.ndarray:
        """The values, those beyond a bound moved to it."""
        self._require_fitted()
        array = as_features("OutlierClipper", x, self.lower)
        return np.clip(array, self.lower, self.upper).astype(array.dtype)

    def _check_state(self) -> None:
        if self.lower.shape != self.upper.shape:
            raise gc.ArgumentError("OutlierClipper: the arrays of its state differ in shape")


def _middle(method: str, array: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the middle begins and ends, and how far beyond it one threshold reaches."""
    if method == "zscore":
        mean = np.nanmean(array, axis=0)
        return mean, mean, np.nanstd(array, axis=0)
    if method == "iqr":
        first, third = np.nanpercentile(array, [25, 75], axis=0)
        return first, third, third - first
    median = np.nanmedian(array, axis=0)
    # 1.4826 makes it the standard deviation for a normal distribution: 1 / (the normal's third quartile).
    return median, median, 1.4826 * np.nanmedian(np.abs(array - median), axis=0)


def drop_outliers(x: Any, *others: Any, method: str = "iqr", threshold: float | None = None) -> tuple[np.ndarray, ...]:
    """The samples in which no feature of `x` is an outlier among them; the same samples of other arrays.

    Raises:
        ShapeError: the arrays differ in length. ArgumentError: there is no such method.

    >>> import graphc as gc
    >>> gc.data.drop_outliers([1.0, 2.0, 3.0, 4.0, 100.0], [0, 1, 2, 3, 4])
    (array([1., 2., 3., 4.]), array([0, 1, 2, 3]))
    """
    given = same_length("drop_outliers", (x, *others))
    found = OutlierClipper(method, threshold).fit(given[0]).outliers(given[0])
    inside = ~found.reshape(len(given[0]), -1).any(axis=1)
    return tuple(array[inside] for array in given)
