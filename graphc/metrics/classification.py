"""Precision, recall, F1 and the confusion matrix, from counts of classes.

For one class, of the examples that are of it (actual), that were predicted to be (predicted), and both (hits):

    precision = hits / predicted        recall = hits / actual        F1 = 2 hits / (predicted + actual)

Where a denominator is 0, the figure is 0, as in scikit-learn with zero_division=0.

Invariant: counts are sums of weights, kept for each class from 0 to the largest that was met (or that was announced).
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gc
from graphc.metrics.metric import Metric, Totals, quotient
from graphc.metrics.reading import decisions, weights_of

_AVERAGES = ("binary", "macro", "micro", "weighted", "none")


def _checked_classes(metric: str, num_classes: int | None) -> int | None:
    if num_classes is not None and (
        isinstance(num_classes, bool) or not isinstance(num_classes, (int, np.integer)) or num_classes < 1
    ):
        rule = "a whole number, at least 1, or None"
        raise gc.arguments.refusal(f"{metric}: num_classes must be {rule}, not {num_classes!r}")
    return None if num_classes is None else int(num_classes)


def _expect_known(metric: str, num_classes: int | None, highest: int) -> None:
    if num_classes is not None and highest >= num_classes:
        raise gc.arguments.refusal(f"{metric}: there is a class {highest}, but num_classes is {num_classes}")


class ClassFigure(Metric):
    """Base of figures that are computed for each class, and averaged.

    Args:
        average: "binary", the figure of class 1 ("yes"); "macro", the mean over classes; "weighted", the same by the
            classes' actual sizes; "micro", of all classes' counts together; "none", an array of all.
        threshold: scores of "yes" above it are a yes; 0 for logits.
        num_classes: how many classes there are. Where it is None, those up to the largest met; and the means are over
            those met, as in scikit-learn.
        name: for logs.
    """

    def __init__(
        self,
        average: str = "binary",
        threshold: float = 0.5,
        num_classes: int | None = None,
        name: str | None = None,
    ) -> None:
        self.average = "none" if average is None else average
        self.threshold = float(threshold)
        self.num_classes = _checked_classes(self.kind, num_classes)
        if average is not None and average not in _AVERAGES:
            raise gc.arguments.refusal(f"{self.kind}: average must be one of {', '.join(_AVERAGES)}, not {average!r}")
        super().__init__(name)

    def empty(self) -> Totals:
        """See `Metric`."""
        classes = self.num_classes or 0
        return {name: np.zeros(classes) for name in ("hits", "predicted", "actual", "met")}

    def update(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch; see `Metric.update`."""
        right, predicted = decisions(self.name, y_true, y_pred, self.threshold)
        weights = weights_of(self.name, sample_weight, right.shape).ravel()
        right, predicted = right.ravel(), predicted.ravel()
        highest = int(max(right.max(initial=0), predicted.max(initial=0)))
        _expect_known(self.name, self.num_classes, highest)
        if self.average == "binary" and highest > 1:
            hint = "choose another average, such as 'macro'"
            raise gc.arguments.refusal(f"{self.name}: there is a class {highest}", hint)
        hits = right == predicted
        batch = {
            "hits": np.bincount(right[hits], weights[hits]),
            "predicted": np.bincount(predicted, weights),
            "actual": np.bincount(right, weights),
            "met": np.bincount(right) + 0.0,
        }
        self.totals = {name: _added(total, batch[name]) for name, total in self.totals.items()}
        self.totals["met"] = _added(self.totals["met"], np.bincount(predicted) + 0.0)

    def figure(self, hits: np.ndarray, predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
        """The figure of classes with these counts."""
        raise NotImplementedError

    def result(self) -> Any:
        """The figure: a float, or for "none" an array of one for each class."""
        length = max(len(total) for total in self.totals.values())
        length = max(length, 2) if self.average == "binary" else length
        counts = {name: _added(total, np.zeros(length)) for name, total in self.totals.items()}
        hits, predicted, actual = counts["hits"], counts["predicted"], counts["actual"]
        if self.average == "micro":
            return float(self.figure(hits.sum(), predicted.sum(), actual.sum()))
        each = self.figure(hits, predicted, actual)
        if self.average == "none":
            return each
        if self.average == "binary":
            return float(each[1])
        if self.average == "weighted":
            return float(quotient(np.sum(each * actual), np.sum(actual), 0.0))
        counted = np.ones(length, bool) if self.num_classes else counts["met"] > 0
        return float(np.mean(each[counted])) if counted.any() else 0.0


def _added(total: np.ndarray, batch: np.ndarray) -> np.ndarray:
    """The sum of two arrays of counts, the shorter one continued by zeros."""
    result = np.zeros(max(len(total), len(batch)))
    result[: len(total)] += total
    result[: len(batch)] += batch
    return result


class Precision(ClassFigure):
    """The share of what was predicted to be of a class that is; arguments as for `ClassFigure`.

    >>> import graphc as gc
    >>> metric = gc.metrics.Precision()
    >>> metric.update([1, 1, 0, 0], [0.9, 0.2, 0.7, 0.1])
    >>> metric.result()
    0.5
    """

    kind = "precision"

    def figure(self, hits: np.ndarray, predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
        """See the module."""
        return np.asarray(quotient(hits, predicted, 0.0))


class Recall(ClassFigure):
    """The share of what is of a class that was predicted to be; arguments as for `ClassFigure`.

    >>> import graphc as gc
    >>> metric = gc.metrics.Recall(average="none")
    >>> metric.update([0, 1, 2, 2], [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    >>> metric.result()
    array([1. , 1. , 0.5])
    """

    kind = "recall"

    def figure(self, hits: np.ndarray, predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
        """See the module."""
        return np.asarray(quotient(hits, actual, 0.0))


class F1(ClassFigure):
    """The harmonic mean of precision and recall; arguments as for `ClassFigure`.

    >>> import graphc as gc
    >>> metric = gc.metrics.F1(average="macro")
    >>> metric.update([0, 1, 1, 0], [0, 1, 0, 0])
    >>> round(metric.result(), 6)
    0.733333
    """

    kind = "f1"

    def figure(self, hits: np.ndarray, predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
        """See the module."""
        return np.asarray(quotient(2 * hits, predicted + actual, 0.0))


class ConfusionMatrix(Metric):
    """How many examples of each class (rows) were predicted to be of each class (columns), by weight.

    Args:
        num_classes: how many classes there are; or None, for those up to the largest met.
        threshold: scores of "yes" above it are a yes; 0 for logits.
        name: for logs.

    >>> import graphc as gc
    >>> metric = gc.metrics.ConfusionMatrix()
    >>> metric.update([0, 1, 1], [0, 1, 0])
    >>> metric.result()
    array([[1., 0.],
           [1., 1.]])
    """

    kind = "confusion_matrix"

    def __init__(self, num_classes: int | None = None, threshold: float = 0.5, name: str | None = None) -> None:
        self.num_classes = _checked_classes(self.kind, num_classes)
        self.threshold = float(threshold)
        super().__init__(name)

    def empty(self) -> Totals:
        """See `Metric`."""
        return {"counts": np.zeros((self.num_classes or 0,) * 2)}

    def update(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch; see `Metric.update`."""
        right, predicted = decisions(self.name, y_true, y_pred, self.threshold)
        weights = weights_of(self.name, sample_weight, right.shape).ravel()
        if not right.size:
            return
        highest = int(max(right.max(), predicted.max()))
        _expect_known(self.name, self.num_classes, highest)
        before = self.totals["counts"]
        classes = max(len(before), highest + 1)
        places = right.ravel() * classes + predicted.ravel()
        counts = np.bincount(places, weights, classes * classes).reshape(classes, classes)
        counts[: len(before), : len(before)] += before
        self.totals["counts"] = counts

    def result(self) -> np.ndarray:
        """The matrix, as float64: sums of weights."""
        return np.array(self.totals["counts"])
