"""Metrics that are averages: of any values, of errors, of log losses.

Invariant: the average is of examples, each by its weight; the parts of one example, along the last axis of two or
more, are averaged first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.metrics.metric import Metric, Totals, quotient
from graphc.metrics.reading import as_answers, as_array, class_scores, has_classes, pair, weights_of


class Average(Metric):
    """Base of metrics that are the weighted mean of numbers; NaN of nothing."""

    def empty(self) -> Totals:
        """See `Metric`."""
        return {"sum": 0.0, "weight": 0.0}

    def add(self, values: np.ndarray, sample_weight: Any) -> None:
        """Add numbers with their weights."""
        if sample_weight is None:
            self.totals["sum"] += np.sum(values, dtype=np.float64)
            self.totals["weight"] += values.size
            return
        weights = weights_of(self.name, sample_weight, values.shape)
        self.totals["sum"] += np.sum(values * weights)
        self.totals["weight"] += np.sum(weights)

    def result(self) -> float:
        """The mean."""
        return float(quotient(self.totals["sum"], self.totals["weight"], np.nan))


class Mean(Average):
    """The weighted mean of values, such as the losses of batches; NaN of nothing.

    >>> import graphc as gc
    >>> loss = gc.metrics.Mean(name="loss")
    >>> loss.update(0.5, sample_weight=32)  # the mean loss of a batch of 32
    >>> loss.update(0.25, sample_weight=16)
    >>> loss.result()
    0.4166666666666667
    """

    kind = "mean"

    def update(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add values.

        Args:
            values: numbers of any shape.
            sample_weight: how much each counts, of the shape of the values or of its first axes; or None.

        Raises:
            ShapeError, DTypeError: the arrays do not fit.
        """
        self.add(as_array(self.name, "values", values), sample_weight)


class MeanOfExamples(Average):
    """Base of metrics that are the mean of one number for each example, which `values` gives."""

    def values(self, y_true: Any, y_pred: Any) -> np.ndarray:
        """One number for each example."""
        raise NotImplementedError

    def update(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch; see `Metric.update`."""
        self.add(self.values(y_true, y_pred), sample_weight)


def over_parts(values: np.ndarray) -> np.ndarray:
    """The mean along the last axis of two or more: one number for each example."""
    return values.mean(axis=-1) if values.ndim > 1 else values


def _differences(metric: str, y_true: Any, y_pred: Any) -> np.ndarray:
    labels, predictions = pair(metric, y_true, y_pred)
    return predictions.astype(np.float64) - labels.astype(np.float64)


class MeanSquaredError(MeanOfExamples):
    """The mean of (y_pred - y_true)^2.

    >>> import graphc as gc
    >>> metric = gc.metrics.MeanSquaredError()
    >>> metric.update([1.0, 2.0], [1.0, 4.0])
    >>> metric.result()
    2.0
    """

    kind = "mean_squared_error"

    def values(self, y_true: Any, y_pred: Any) -> np.ndarray:
        """One number for each example."""
        return over_parts(_differences(self.name, y_true, y_pred) ** 2)


class RootMeanSquaredError(MeanSquaredError):
    """The root of the mean of (y_pred - y_true)^2 over all examples and parts.

    >>> import graphc as gc
    >>> metric = gc.metrics.RootMeanSquaredError()
    >>> metric.update([1.0, 2.0], [1.0, 4.0])
    >>> metric.result()
    1.4142135623730951
    """

    kind = "root_mean_squared_error"

    def result(self) -> float:
        """The root of the mean."""
        return float(np.sqrt(super().result()))


class MeanAbsoluteError(MeanOfExamples):
    """The mean of |y_pred - y_true|.

    >>> import graphc as gc
    >>> metric = gc.metrics.MeanAbsoluteError()
    >>> metric.update([1.0, 2.0], [1.0, 4.0])
    >>> metric.result()
    1.0
    """

    kind = "mean_absolute_error"

    def values(self, y_true: Any, y_pred: Any) -> np.ndarray:
        """One number for each example."""
        return over_parts(np.abs(_differences(self.name, y_true, y_pred)))


class LogLoss(MeanOfExamples):
    """The mean of -log(the probability that was given to the right answer).

    Probabilities are moved into [e, 1 - e], with e the epsilon of their dtype, first; as scikit-learn does.

    >>> import graphc as gc
    >>> metric = gc.metrics.LogLoss()
    >>> metric.update([1, 0], [0.5, 0.5])
    >>> metric.update([2], [[0.25, 0.25, 0.5]])
    >>> metric.result()
    0.6931471805599453
    """

    kind = "log_loss"

    def values(self, y_true: Any, y_pred: Any) -> np.ndarray:
        """One number for each example."""
        labels, given = as_array(self.name, "y_true", y_true), as_array(self.name, "y_pred", y_pred)
        if has_classes(labels, given):
            indices, given = class_scores(self.name, labels, given)
            chosen = np.take_along_axis(_inside(given), indices[..., None], axis=-1)[..., 0]
            return -np.log(chosen)
        labels, given = pair(self.name, labels, given)
        p, yes = _inside(given), as_answers(self.name, labels)
        return over_parts(-np.where(yes, np.log(p), np.log1p(-p)))


def _inside(probabilities: np.ndarray) -> np.ndarray:
    floats = probabilities if probabilities.dtype.kind == "f" else probabilities.astype(np.float64)
    epsilon = np.finfo(floats.dtype).eps
    return np.clip(floats, epsilon, 1 - epsilon).astype(np.float64)
