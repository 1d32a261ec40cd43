"""Losses of regression: how far numbers are from where they should be.

Invariant: the gradient at a kink is 0 (the absolute error where it is 0), and no intermediate result overflows or
cancels where the loss does not.
"""

from __future__ import annotations

import math
from typing import Any

import graphc as gc
from graphc.nn.losses.examples import averaged, matched, refused


def mean_squared_error(y_true: Any, y_pred: Any, sample_weight: Any = None, reduction: str = "mean") -> gc.Tensor:
    """mean((y_pred - y_true)^2) along the last axis.

    Args:
        y_true: what should have been predicted, of y_pred's shape.
        y_pred: floats.
        sample_weight: a factor for each example, or None.
        reduction: "mean", "sum", "none" or "mean_with_sample_weight"; see `graphc.nn.losses`.

    Raises:
        ShapeError: the shapes differ.
        DTypeError: `y_pred` holds no floats.
        ArgumentError: there is no such reduction.

    >>> import graphc as gc
    >>> y_true, y_pred = gc.placeholder(("batch", 2), "float32"), gc.placeholder(("batch", 2), "float32")
    >>> gc.nn.losses.mean_squared_error(y_true, y_pred).type
    f32[]
    """
    labels, predictions = matched("mean_squared_error", y_true, y_pred)
    return averaged("mean_squared_error", gc.square(predictions - labels), sample_weight, reduction)


def mean_absolute_error(y_true: Any, y_pred: Any, sample_weight: Any = None, reduction: str = "mean") -> gc.Tensor:
    """mean(|y_pred - y_true|) along the last axis. Its gradient is 0 where they are equal.

    Arguments and errors as for `mean_squared_error`.

    >>> import graphc as gc
    >>> y_true, y_pred = gc.constant([1.0, 2.0]), gc.constant([1.5, 0.0])
    >>> gc.function([], gc.nn.losses.mean_absolute_error(y_true, y_pred), backend="numpy")()
    array(1.25)
    """
    labels, predictions = matched("mean_absolute_error", y_true, y_pred)
    return averaged("mean_absolute_error", gc.abs(predictions - labels), sample_weight, reduction)


def mean_absolute_percentage_error(
    y_true: Any, y_pred: Any, sample_weight: Any = None, reduction: str = "mean"
) -> gc.Tensor:
    """100 * mean(|y_pred - y_true| / max(|y_true|, e)) along the last axis, where e is the dtype's epsilon.

    Arguments and errors as for `mean_squared_error`.

    >>> import graphc as gc
    >>> y_true, y_pred = gc.constant([1.0, 2.0]), gc.constant([1.5, 1.0])
    >>> gc.function([], gc.nn.losses.mean_absolute_percentage_error(y_true, y_pred), backend="numpy")()
    array(50.)
    """
    name = "mean_absolute_percentage_error"
    labels, predictions = matched(name, y_true, y_pred)
    scale = gc.maximum(gc.abs(labels), _epsilon(predictions))
    return averaged(name, 100.0 * gc.abs(predictions - labels) / scale, sample_weight, reduction)


def mean_squared_logarithmic_error(
    y_true: Any, y_pred: Any, sample_weight: Any = None, reduction: str = "mean"
) -> gc.Tensor:
    """mean((log(1 + y_pred) - log(1 + y_true))^2) along the last axis, for quantities that are not negative.

    Arguments and errors as for `mean_squared_error`.

    >>> import graphc as gc
    >>> y_true, y_pred = gc.constant([0.0, 3.0]), gc.constant([0.0, 3.0])
    >>> gc.function([], gc.nn.losses.mean_squared_logarithmic_error(y_true, y_pred), backend="numpy")()
    array(0.)
    """
    name = "mean_squared_logarithmic_error"
    labels, predictions = matched(name, y_true, y_pred)
    return averaged(name, gc.square(gc.log1p(predictions) - gc.log1p(labels)), sample_weight, reduction)


def huber(
    y_true: Any, y_pred: Any, sample_weight: Any = None, reduction: str = "mean", *, delta: float = 1.0
) -> gc.Tensor:
    """Quadratic for small errors d = y_pred - y_true, linear for large ones; averaged along the last axis.

        d^2 / 2                       where |d| <= delta
        delta * (|d| - delta / 2)     elsewhere

    P. Huber: Robust Estimation of a Location Parameter, 1964. Arguments and errors as for `mean_squared_error`.

    Args:
        y_true, y_pred, sample_weight, reduction: as for `mean_squared_error`.
        delta: where the pieces meet; positive.

    >>> import graphc as gc
    >>> y_true, y_pred = gc.constant([0.0, 0.0]), gc.constant([1.0, 10.0])
    >>> gc.function([], gc.nn.losses.huber(y_true, y_pred, reduction="none"), backend="numpy")()
    array([0.5, 9.5])
    """
    if not delta > 0:
        raise refused(gc.ArgumentError, f"huber: delta must be positive, not {delta!r}")
    labels, predictions = matched("huber", y_true, y_pred)
    distance = predictions - labels
    size = gc.abs(distance)
    near = size <= delta
    small = gc.where(near, distance, 0)  # so that the square does not overflow in the branch that is not taken
    values = gc.where(near, 0.5 * small * small, delta * (size - 0.5 * delta))
    return averaged("huber", values, sample_weight, reduction)


def log_cosh(y_true: Any, y_pred: Any, sample_weight: Any = None, reduction: str = "mean") -> gc.Tensor:
    """mean(log(cosh(d))) along the last axis, d = y_pred - y_true: about d^2 / 2 near 0 and |d| - log 2 far away.

    Computed as log1p(2 sinh(d/2)^2) for |d| <= 1, which does not cancel, and as |d| + softplus(-2 |d|) - log 2
    beyond, which does not overflow. Arguments and errors as for `mean_squared_error`.

    >>> import graphc as gc
    >>> y_true, y_pred = gc.constant([0.0, 0.0]), gc.constant([1e-6, 1000.0])
    >>> gc.function([], gc.nn.losses.log_cosh(y_true, y_pred, reduction="none"), backend="numpy")()
    array([5.00000000e-13, 9.99306853e+02])
    """
    labels, predictions = matched("log_cosh", y_true, y_pred)
    distance = predictions - labels
    size = gc.abs(distance)
    near = size <= 1.0
    small = gc.where(near, distance, 0)
    far = size + gc.softplus(-2.0 * size) - math.log(2.0)
    values = gc.where(near, gc.log1p(2.0 * gc.square(gc.sinh(0.5 * small))), far)
    return averaged("log_cosh", values, sample_weight, reduction)


def _epsilon(like: gc.Tensor) -> float:
    return {"float32": 2.0**-23, "float64": 2.0**-52}[like.dtype.name]
