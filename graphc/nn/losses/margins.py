"""Losses of margins: what support vector machines minimise.

Labels are "yes" where they are positive and "no" elsewhere, so that -1/1 and 0/1 both do.

Invariant: where a margin is exactly met, the gradient is 0; it is that of `gc.relu`.
"""

from __future__ import annotations

from typing import Any

import graphc as gc
from graphc.nn.losses.examples import averaged, matched, reduced


def _shortfall(loss: str, y_true: Any, y_pred: Any) -> gc.Tensor:
    """max(0, 1 - y * y_pred) with y = 1 for positive labels and -1 for others."""
    labels, predictions = matched(loss, y_true, y_pred)
    return gc.relu(1.0 - gc.where(labels > 0, predictions, -predictions))


def hinge(y_true: Any, y_pred: Any, sample_weight: Any = None, reduction: str = "mean") -> gc.Tensor:
    """mean(max(0, 1 - y * y_pred)) along the last axis, with y = 1 for "yes" and -1 for "no".

    C. Cortes, V. Vapnik: Support-Vector Networks, 1995.

    Args:
        y_true: -1 and 1, or 0 and 1, of y_pred's shape and any dtype.
        y_pred: floats, positive for "yes".
        sample_weight: a factor for each example, or None.
        reduction: "mean", "sum", "none" or "mean_with_sample_weight"; see `graphc.nn.losses`.

    Raises:
        ShapeError: the shapes differ.
        DTypeError: `y_pred` holds no floats.
        ArgumentError: there is no such reduction.

    >>> import graphc as gc
    >>> y_pred = gc.constant([0.5, 0.5, -2.0])
    >>> f = gc.function([], gc.nn.losses.hinge([1, 0, 0], y_pred, reduction="none"), backend="numpy")
    >>> f()
    array([0.5, 1.5, 0. ])
    """
    return averaged("hinge", _shortfall("hinge", y_true, y_pred), sample_weight, reduction)


def squared_hinge(y_true: Any, y_pred: Any, sample_weight: Any = None, reduction: str = "mean") -> gc.Tensor:
    """mean(max(0, 1 - y * y_pred)^2) along the last axis: `hinge` without its kink. Arguments as for `hinge`.

    >>> import graphc as gc
    >>> y_pred = gc.constant([0.5, 0.5, -2.0])
    >>> f = gc.function([], gc.nn.losses.squared_hinge([1, -1, -1], y_pred, reduction="none"), backend="numpy")
    >>> f()
    array([0.25, 2.25, 0.  ])
    """
    values = gc.square(_shortfall("squared_hinge", y_true, y_pred))
    return averaged("squared_hinge", values, sample_weight, reduction)


def categorical_hinge(y_true: Any, y_pred: Any, sample_weight: Any = None, reduction: str = "mean") -> gc.Tensor:
    """max(0, 1 + the largest score of a wrong class - the score of the right one), for labels in one-hot form.

    K. Crammer, Y. Singer: On the Algorithmic Implementation of Multiclass Kernel-based Vector Machines, 2001.
    Where several wrong classes have the largest score, they share the gradient. Classes are along the last axis;
    arguments and errors as for `hinge`.

    >>> import graphc as gc
    >>> y_true, y_pred = gc.constant([[0, 1, 0]]), gc.constant([[0.2, 0.9, 0.5]])
    >>> f = gc.function([], gc.nn.losses.categorical_hinge(y_true, y_pred, reduction="none"), backend="numpy")
    >>> f()
    array([0.6])
    """
    labels, predictions = matched("categorical_hinge", y_true, y_pred)
    right = gc.sum(labels * predictions, axis=-1)
    wrong = gc.max(gc.where(labels > 0, -float("inf"), predictions), axis=-1)
    return reduced("categorical_hinge", gc.relu(1.0 + wrong - right), sample_weight, reduction)
