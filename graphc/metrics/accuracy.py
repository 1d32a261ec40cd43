"""Accuracies: how often the prediction is right.

Invariant: the first of several classes with equal scores is predicted, as by `argmax`; but where the question is
whether a class is among the k best, later ones come first, as in scikit-learn.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gc
from graphc.metrics.averages import MeanOfExamples, over_parts
from graphc.metrics.reading import as_answers, as_array, class_scores, decisions, has_classes, pair


class Accuracy(MeanOfExamples):
    """The share of right predictions, for what `graphc.metrics.reading` says: scores or classes, by index or one-hot.

    Args:
        threshold: scores of "yes" above it are a yes; 0 for logits.
        name: for logs.

    >>> import graphc as gc
    >>> metric = gc.metrics.Accuracy()
    >>> metric.update([1, 0, 0], [0.9, 0.2, 0.7])
    >>> metric.result()
    0.6666666666666666
    """

    kind = "accuracy"

    def __init__(self, threshold: float = 0.5, name: str | None = None) -> None:
        super().__init__(name)
        self.threshold = float(threshold)

    def values(self, y_true: Any, y_pred: Any) -> np.ndarray:
        """Whether each example is right; the share of its right parts, if it has parts."""
        labels, predictions = as_array(self.name, "y_true", y_true), as_array(self.name, "y_pred", y_pred)
        if predictions.dtype.kind == "f":
            classes = has_classes(labels, predictions)
            labels, predictions = decisions(self.name, labels, predictions, self.threshold)
            if classes:
                return labels == predictions
        labels, predictions = pair(self.name, labels, predictions)
        return over_parts(labels == predictions)


class BinaryAccuracy(Accuracy):
    """The share of right answers to yes-or-no questions, several of them along the last axis included.

    Args:
        threshold: scores above it are a yes; 0 for logits.
        name: for logs.

    >>> import graphc as gc
    >>> metric = gc.metrics.BinaryAccuracy()
    >>> metric.update([[1, 0], [1, 1]], [[0.9, 0.2], [0.7, 0.1]])
    >>> metric.result()
    0.75
    """

    kind = "binary_accuracy"

    def values(self, y_true: Any, y_pred: Any) -> np.ndarray:
        """The share of right answers in each example."""
        labels, predictions = pair(self.name, y_true, y_pred)
        if predictions.dtype.kind == "f":
            predictions = predictions > self.threshold
        return over_parts(as_answers(self.name, labels) == as_answers(self.name, predictions))


class CategoricalAccuracy(MeanOfExamples):
    """The share of examples whose right class has the best score; labels by index, or in one-hot form.

    >>> import graphc as gc
    >>> metric = gc.metrics.CategoricalAccuracy()
    >>> metric.update([[0, 1], [1, 0]], [[0.3, 0.7], [0.4, 0.6]])
    >>> metric.result()
    0.5
    """

    kind = "categorical_accuracy"

    def values(self, y_true: Any, y_pred: Any) -> np.ndarray:
        """Whether each example is right."""
        indices, scores = class_scores(self.name, y_true, y_pred)
        return indices == np.argmax(scores, axis=-1)


class SparseCategoricalAccuracy(CategoricalAccuracy):
    """`CategoricalAccuracy`, under Keras' name for labels by index.

    >>> import graphc as gc
    >>> metric = gc.metrics.SparseCategoricalAccuracy()
    >>> metric.update([1, 0], [[0.3, 0.7], [0.4, 0.6]])
    >>> metric.result()
    0.5
    """

    kind = "sparse_categorical_accuracy"


class TopKAccuracy(MeanOfExamples):
    """The share of examples whose right class is among the k best scores; labels by index, or in one-hot form.

    Args:
        k: how many.
        name: for logs.

    >>> import graphc as gc
    >>> metric = gc.metrics.TopKAccuracy(k=2)
    >>> metric.update([0, 0], [[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]])
    >>> metric.result()
    0.5
    """

    kind = "top_k_accuracy"

    def __init__(self, k: int = 5, name: str | None = None) -> None:
        super().__init__(name)
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise gc.arguments.refusal(f"{self.name}: k must be a whole number, at least 1, not {k!r}")
        self.k = int(k)

    def values(self, y_true: Any, y_pred: Any) -> np.ndarray:
        """Whether each example is right."""
        indices, scores = class_scores(self.name, y_true, y_pred)
        own = np.take_along_axis(scores, indices[..., None], axis=-1)
        later = np.arange(scores.shape[-1]) > indices[..., None]
        ahead = (scores > own) | ((scores == own) & later)
        return np.count_nonzero(ahead, axis=-1) < self.k
