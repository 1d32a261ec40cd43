"""Weights of examples: given one by one, or by class.

Invariant: what leaves here is None, or one finite float32 number >= 0 for each example (or each step of one).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import graphc as gc
from graphc.training.arrays import as_array

ClassWeight = Mapping[int, float] | str | None


def example_weights(
    function: str, labels: list[np.ndarray], sample_weight: Any, class_weight: ClassWeight
) -> np.ndarray | None:
    """The product of what is given by example and by class; None where nothing is given.

    Args:
        function: for messages.
        labels: of each output; class weights go by those of a model with one output.
        sample_weight: one number for each example.
        class_weight: a factor for each class, 1 for those left out; or "balanced", which gives each class the same
            sum of weights, as scikit-learn does.

    Raises:
        ArgumentError: class weights of several outputs, or that are no dict of numbers; a negative weight.
        ShapeError, FeedError: the weights are no array with one entry for each example.
    """
    weights = None
    if sample_weight is not None:
        weights = np.ascontiguousarray(as_array(f"{function}: sample_weight", sample_weight), np.float32)
        if not np.isfinite(weights).all() or (weights < 0).any():
            raise gc.ArgumentError(f"{function}: sample_weight holds a number that is negative or not finite")
        if len(weights) != len(labels[0]):
            raise gc.ShapeError(f"{function}: y has {len(labels[0])} rows, sample_weight has {len(weights)}")
    if class_weight is None:
        return weights
    if len(labels) != 1:
        raise gc.ArgumentError(f"{function}: class_weight is for models with one output, this one has {len(labels)}")
    by_class = weights_of_classes(function, labels[0], class_weight)
    if weights is None:
        return by_class
    return weights * by_class.reshape(by_class.shape + (1,) * (weights.ndim - by_class.ndim))


def weights_of_classes(function: str, labels: np.ndarray, class_weight: Mapping[int, float] | str) -> np.ndarray:
    """One weight for each example: that of its class.

    Args:
        function: for messages.
        labels: indices of classes, of shape (n,) or (n, 1), or one-hot of shape (n, classes).
        class_weight: as for `example_weights`.

    >>> weights_of_classes("fit", np.array([0, 0, 0, 1]), "balanced")
    array([0.6666667, 0.6666667, 0.6666667, 2.       ], dtype=float32)
    """
    if labels.ndim == 2 and labels.shape[1] > 1:
        classes = np.argmax(labels, axis=1)
    else:
        classes = labels.reshape(len(labels), -1)[:, 0]
    found, positions, counts = np.unique(classes, return_inverse=True, return_counts=True)
    if class_weight == "balanced":
        return (len(classes) / (len(found) * counts)).astype(np.float32)[positions]
    if not isinstance(class_weight, Mapping):
        raise gc.ArgumentError(f"{function}: class_weight is a dict of numbers or 'balanced', not {class_weight!r}")
    for name, weight in class_weight.items():
        if isinstance(weight, (str, bool)) or not np.isfinite(weight) or weight < 0:
            raise gc.ArgumentError(f"{function}: the weight of class {name!r} must be a number >= 0, not {weight!r}")
    factors = np.array([class_weight.get(c, 1.0) for c in found.tolist()], np.float32)
    return factors[positions]


__all__ = ["ClassWeight", "example_weights", "weights_of_classes"]
