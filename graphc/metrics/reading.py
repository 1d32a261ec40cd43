"""Reading batches: labels, predictions and weights as arrays that fit together.

What the last axis of predictions is for depends on their dtype and on the labels' shape:

    y_pred floats (n, k), y_true (n,)      scores of k classes, labels by index; (n, 1) likewise
    y_pred floats (n, k), y_true (n, k)    scores of k classes, labels in one-hot form
    y_pred floats (n,) or (n, 1)           scores of "yes"; y_true of the same shape
    y_pred integers or booleans            classes themselves; y_true of the same shape

with any further axes in front.

A column (n, 1) and a row of numbers (n,) stand for each other, as in `fit`.

Invariant: arrays are never broadcast against each other: (n,) against (n, 1) are n examples, not n * n pairs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gc


def as_array(metric: str, argument: str, value: Any) -> np.ndarray:
    """`value` as an array of booleans, integers or floats.

    Raises:
        ShapeError: it is ragged.
        DTypeError: it holds something else.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise gc.ShapeError(f"{metric}: {argument} is no array: {error}", location=gc.location.here()) from None
    if array.dtype.kind not in "biuf":
        raise gc.DTypeError(f"{metric}: {argument} must hold numbers, not {array.dtype}", location=gc.location.here())
    return array


def pair(metric: str, y_true: Any, y_pred: Any) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predictions of one shape; a column and a row of numbers stand for each other.

    Raises:
        ShapeError: the shapes differ.
        DTypeError: they hold no numbers.
    """
    labels, predictions = as_array(metric, "y_true", y_true), as_array(metric, "y_pred", y_pred)
    if labels.shape == (*predictions.shape, 1):
        labels = labels[..., 0]
    elif predictions.shape == (*labels.shape, 1):
        predictions = predictions[..., 0]
    if labels.shape != predictions.shape:
        raise _misfit(metric, labels, predictions)
    return labels, predictions


def has_classes(labels: np.ndarray, predictions: np.ndarray) -> bool:
    """Whether the last axis of the predictions holds scores of classes; see the module."""
    wide = predictions.dtype.kind == "f" and predictions.ndim > 0 and predictions.shape[-1] > 1
    return wide and (labels.shape == predictions.shape[:-1] or predictions.ndim > 1)


def class_scores(metric: str, y_true: Any, y_pred: Any) -> tuple[np.ndarray, np.ndarray]:
    """The indices of the right classes, and the scores of all classes along one more axis.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: the predictions are no floats, or labels by index are no integers.
        ArgumentError: a label is no class.
    """
    labels, scores = as_array(metric, "y_true", y_true), as_array(metric, "y_pred", y_pred)
    if scores.dtype.kind != "f" or scores.ndim == 0:
        raise gc.DTypeError(
            f"{metric}: y_pred must be floats with classes along the last axis, "
            f"not {scores.dtype} of shape {scores.shape}",
            location=gc.location.here(),
        )
    if labels.shape == scores.shape:
        return np.argmax(labels, axis=-1), scores
    if labels.shape == (*scores.shape[:-1], 1):
        labels = labels[..., 0]
    if labels.shape != scores.shape[:-1] or scores.shape[-1] == 1:
        raise _misfit(metric, labels, scores)
    indices = as_indices(metric, labels)
    if indices.size and indices.max() >= scores.shape[-1]:
        classes = scores.shape[-1]
        raise gc.arguments.refusal(f"{metric}: the label {indices.max()} is none of the {classes} classes of y_pred")
    return indices, scores


def as_indices(metric: str, labels: np.ndarray) -> np.ndarray:
    """Labels as indices of classes: integers from 0 on, or floats that are such.

    Raises:
        ArgumentError: they are not.
    """
    indices = labels.astype(np.int64) if np.isfinite(labels).all() else np.full(labels.shape, -1)
    if indices.size and (indices.min() < 0 or (labels.dtype.kind == "f" and (indices != labels).any())):
        raise gc.arguments.refusal(f"{metric}: labels of classes are whole numbers from 0 on")
    return indices


def as_answers(metric: str, labels: np.ndarray) -> np.ndarray:
    """Labels of yes-or-no questions as booleans: 0 and 1, or -1 and 1.

    Raises:
        ArgumentError: they are something else.
    """
    yes = labels == 1
    if not (yes | (labels == 0) | (labels == -1)).all():
        raise gc.arguments.refusal(
            f"{metric}: labels of yes-or-no questions are 0 and 1 (or -1 and 1)",
            "for labels of several classes, y_pred has their scores along its last axis",
        )
    return yes


def decisions(metric: str, y_true: Any, y_pred: Any, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """The right class of each example and the predicted one, as integers; "yes" is 1.

    Raises:
        ShapeError, DTypeError, ArgumentError: the arrays do not fit.
    """
    labels, predictions = as_array(metric, "y_true", y_true), as_array(metric, "y_pred", y_pred)
    if has_classes(labels, predictions):
        indices, scores = class_scores(metric, labels, predictions)
        return indices, np.argmax(scores, axis=-1)
    labels, predictions = pair(metric, labels, predictions)
    if predictions.dtype.kind == "f":
        return as_answers(metric, labels).astype(np.int64), (predictions > threshold).astype(np.int64)
    return as_indices(metric, labels), as_indices(metric, predictions)


def weights_of(metric: str, sample_weight: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A weight for each example, as float64 of `shape`: ones if there are none.

    Raises:
        ShapeError: the weights have neither the shape of the examples nor that of its first axes.
        DTypeError: they hold no numbers.
    """
    if sample_weight is None:
        return np.ones(shape)
    weights = as_array(metric, "sample_weight", sample_weight).astype(np.float64)
    if weights.shape != shape[: weights.ndim]:
        raise gc.ShapeError(
            f"{metric}: sample_weight must have the shape of the examples or of their first axes, {shape}, "
            f"not {weights.shape}",
            location=gc.location.here(),
        )
    return np.broadcast_to(weights.reshape(weights.shape + (1,) * (len(shape) - weights.ndim)), shape)


def _misfit(metric: str, labels: np.ndarray, predictions: np.ndarray) -> gc.ShapeError:
    return gc.ShapeError(
        f"{metric}: y_true of shape {labels.shape} does not fit y_pred of shape {predictions.shape}",
        location=gc.location.here(),
        hint="both have one shape; or y_true lacks the last axis, along which y_pred has scores of several classes",
    )
