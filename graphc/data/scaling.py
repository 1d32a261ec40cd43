"""Scaling features to like ranges: standard, min-max, robust, and by a fixed factor.

What is learned is a number for each feature, over the samples along axis 0; or over more axes, so that like features
share one: `axis=(0, 2, 3)` for the channels of images (n, channels, rows, columns), `axis=(0, 1)` for windows of series
(n, time, features).

Invariant: what is learned comes from the samples that `fit` saw; missing values (NaN) are passed over in `fit` and stay
in `transform`. The definitions are scikit-learn's.
"""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, Self

import numpy as np

import graphc as gc
from graphc.data.entries import axes, flag, floats, number, option, pair
from graphc.data.samples import as_features, as_floats, require_samples
from graphc.data.transformer import Transformer, registered


class _Linear(Transformer):
    """(x - offset) / divisor, where the subclass learns both."""

    axis: tuple[int, ...]

    def _offset(self) -> np.ndarray:
        raise NotImplementedError

    def _divisor(self) -> np.ndarray:
        raise NotImplementedError

    def transform(self, x: Any) -> np.ndarray:
        """The scaled samples; float32 stays float32, other numbers become float64."""
        self._require_fitted()
        array = as_features(type(self).__name__, x, self._offset(), self.axis)
        return ((array - self._offset()) / self._divisor()).astype(array.dtype)

    def inverse_transform(self, x: Any) -> np.ndarray:
        """The samples in their own units."""
        self._require_fitted()
        array = as_features(type(self).__name__, x, self._offset(), self.axis)
        return (array * self._divisor() + self._offset()).astype(array.dtype)

    def _check_state(self) -> None:
        _same_shape(type(self).__name__, self._offset(), self._divisor())


@registered
class StandardScaler(_Linear):
    """Mean 0 and standard deviation 1: (x - mean) / deviation; a constant feature is only shifted.

    Args:
        with_mean, with_deviation: whether to shift, and whether to divide.
        axis: what is learned over; see the module.

    Attributes:
        mean, deviation: of each feature, learned (the deviation is that of the population).

    >>> import graphc as gc
    >>> scaler = gc.data.StandardScaler().fit([[0.0, 5.0], [2.0, 5.0]])
    >>> scaler.transform([[4.0, 6.0]])
    array([[3., 1.]])
    >>> scaler.inverse_transform([[3.0, 1.0]])
    array([[4., 6.]])
    """

    fields: ClassVar = {"with_mean": flag, "with_deviation": flag, "axis": axes, "mean": floats, "deviation": floats}
    learned = ("mean", "deviation")
    mean: np.ndarray
    deviation: np.ndarray

    def __init__(self, with_mean: bool = True, with_deviation: bool = True, *, axis: int | tuple[int, ...] = 0) -> None:
        self.axis = option("StandardScaler", "axis", axes, axis)
        self.with_mean = option("StandardScaler", "with_mean", flag, with_mean)
        self.with_deviation = option("StandardScaler", "with_deviation", flag, with_deviation)

    def fit(self, x: Any) -> Self:
        """Learn mean and deviation."""
        array = _learnable("StandardScaler", x, self.axis)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a feature without any value has mean NaN
            mean = np.nanmean(array, axis=self.axis, keepdims=True)[0]
            variance = np.nanvar(array, axis=self.axis, keepdims=True)[0]
        count = np.sum(~np.isnan(array), axis=self.axis, keepdims=True)[0]
        # What rounding makes of a constant feature is no variance (scikit-learn's bound).
        epsilon = np.finfo(np.float64).eps
        constant = variance <= count * epsilon * variance + (count * mean * epsilon) ** 2
        deviation = np.where(constant | np.isnan(variance), 1.0, np.sqrt(variance))
        self.mean = np.asarray(mean if self.with_mean else np.zeros_like(mean))
        self.deviation = np.asarray(deviation if self.with_deviation else np.ones_like(mean))
        return self

    def _offset(self) -> np.ndarray:
        return self.mean

    def _divisor(self) -> np.ndarray:
        return self.deviation


@registered
class MinMaxScaler(Transformer):
    """The range of the training data becomes `feature_range`; a constant feature becomes its lower end.

    Args:
        feature_range: what the least and the greatest value become.
        clip: whether values outside the learned range are moved to its ends.
        axis: what is learned over; see the module.

    Attributes:
        minimum, maximum: of each feature, learned.

    >>> import graphc as gc
    >>> gc.data.MinMaxScaler().fit([[1.0], [3.0]]).transform([[2.0], [5.0]]).ravel()
    array([0.5, 2. ])
    """

    fields: ClassVar = {"feature_range": pair, "clip": flag, "axis": axes, "minimum": floats, "maximum": floats}
    learned = ("minimum", "maximum")
    minimum: np.ndarray
    maximum: np.ndarray

    def __init__(
        self,
        feature_range: tuple[float, float] = (0.0, 1.0),
        clip: bool = False,
        *,
        axis: int | tuple[int, ...] = 0,
    ) -> None:
        self.axis = option("MinMaxScaler", "axis", axes, axis)
        self.feature_range = option("MinMaxScaler", "feature_range", pair, feature_range)
        self.clip = option("MinMaxScaler", "clip", flag, clip)

    def fit(self, x: Any) -> Self:
        """Learn the range."""
        array = _learnable("MinMaxScaler", x, self.axis)
        self.minimum = np.asarray(np.fmin.reduce(array, axis=self.axis, keepdims=True)[0])
        self.maximum = np.asarray(np.fmax.reduce(array, axis=self.axis, keepdims=True)[0])
        return self

    def transform(self, x: Any) -> np.ndarray:
        """The scaled samples."""
        self._require_fitted()
        array = as_features("MinMaxScaler", x, self.minimum, self.axis)
        factor, shift = self._line()
        scaled = array * factor + shift
        return (np.clip(scaled, *self.feature_range) if self.clip else scaled).astype(array.dtype)

    def inverse_transform(self, x: Any) -> np.ndarray:
        """The samples in their own units."""
        self._require_fitted()
        array = as_features("MinMaxScaler", x, self.minimum, self.axis)
        factor, shift = self._line()
        return ((array - shift) / factor).astype(array.dtype)

    def _line(self) -> tuple[np.ndarray, np.ndarray]:
        low, high = self.feature_range
        factor = (high - low) / without_zeros(self.maximum - self.minimum)
        return factor, low - self.minimum * factor

    def _check_state(self) -> None:
        _same_shape("MinMaxScaler", self.minimum, self.maximum)


@registered
class RobustScaler(_Linear):
    """(x - median) / (difference of two quantiles), which outliers hardly move.

    Attributes:
        center, scale: median and difference of quantiles of each feature, learned.

    >>> import graphc as gc
    >>> gc.data.RobustScaler().fit([[0.0], [1.0], [2.0], [3.0], [1000.0]]).transform([[4.0]])
    array([[1.]])
    """

    fields: ClassVar = {"quantile_range": pair, "axis": axes, "center": floats, "scale": floats}
    learned = ("center", "scale")
    center: np.ndarray
    scale: np.ndarray

    def __init__(self, quantile_range: tuple[float, float] = (25.0, 75.0), *, axis: int | tuple[int, ...] = 0) -> None:
        """Use the quantiles of two percentages; `axis` is what is learned over, see the module."""
        self.axis = option("RobustScaler", "axis", axes, axis)
        self.quantile_range = option("RobustScaler", "quantile_range", _percentages, quantile_range)

    def fit(self, x: Any) -> Self:
        """Learn median and quantiles."""
        array = _learnable("RobustScaler", x, self.axis)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            self.center = np.asarray(np.nanmedian(array, axis=self.axis, keepdims=True)[0])
            low, high = np.nanpercentile(array, self.quantile_range, axis=self.axis, keepdims=True)[:, 0]
        self.scale = without_zeros(np.asarray(high - low))
        return self

    def _offset(self) -> np.ndarray:
        return self.center

    def _divisor(self) -> np.ndarray:
        return self.scale


@registered
class Rescale(Transformer):
    """x * factor + offset: a fixed scale, such as 1/255 for the pixels of images. There is nothing to learn.

    >>> import numpy as np
    >>> import graphc as gc
    >>> gc.data.Rescale(1 / 255).transform(np.array([[0, 255]], "uint8"))
    array([[0., 1.]], dtype=float32)
    """

    fields: ClassVar = {"factor": number, "offset": number}

    def __init__(self, factor: float, offset: float = 0.0) -> None:
        self.factor = option("Rescale", "factor", number, factor)
        self.offset = option("Rescale", "offset", number, offset)
        if not self.factor:
            raise gc.arguments.refusal("Rescale: factor must not be 0")

    def fit(self, x: Any) -> Self:
        """Learn nothing."""
        return self

    def transform(self, x: Any) -> np.ndarray:
        """The scaled numbers; float64 stays float64, others become float32 where they have 16 bits or less."""
        array = np.asarray(x)
        small = array.dtype.kind in "biu" and array.dtype.itemsize <= 2
        array = as_floats("Rescale", array.astype(np.float32) if small else array)
        return (array * self.factor + self.offset).astype(array.dtype, copy=False)

    def inverse_transform(self, x: Any) -> np.ndarray:
        """The numbers as they were, as floats."""
        array = as_floats("Rescale", x)
        return ((array - self.offset) / self.factor).astype(array.dtype, copy=False)


def _learnable(owner: str, x: Any, axis: tuple[int, ...]) -> np.ndarray:
    """Samples to learn from, as float64.

    Raises:
        ShapeError: there are none, or they lack an axis.
    """
    array = as_floats(owner, x).astype(np.float64)
    require_samples(owner, array)
    if max(axis) >= array.ndim:
        raise gc.ShapeError(f"{owner}: there is no axis {max(axis)} in an array of shape {array.shape}")
    return array


def _percentages(value: Any) -> tuple[float, float]:
    low, high = pair(value)
    if low < 0 or high > 100:
        raise ValueError("percentages lie from 0 to 100")
    return low, high


def without_zeros(scale: np.ndarray) -> np.ndarray:
    """`scale` with 1 where it is 0, or so small that it is rounding: what is constant is not stretched."""
    return np.where(scale < 10 * np.finfo(np.float64).eps, 1.0, scale)


def _same_shape(owner: str, first: np.ndarray, second: np.ndarray) -> None:
    if first.shape != second.shape:
        raise gc.ArgumentError(f"{owner}: the arrays of its state differ in shape")
