"""Losses: functions of labels and predictions, in Keras' argument order, whose gradients train a net.

Each is `(y_true, y_pred, sample_weight=None, reduction="mean")`, some with options of their own behind that, and
gives a tensor of the predictions' dtype. Reductions are "mean" (over examples, whatever their weights), "sum",
"none" (one loss for each example) and "mean_with_sample_weight" (divided by the sum of weights).
"""

from graphc.nn.losses.distributions import (
    binary_crossentropy,
    categorical_crossentropy,
    kl_divergence,
    log_loss,
    poisson,
    sparse_categorical_crossentropy,
)
from graphc.nn.losses.margins import categorical_hinge, hinge, squared_hinge
from graphc.nn.losses.registry import get, names
from graphc.nn.losses.regression import (
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)

__all__ = [
    "binary_crossentropy",
    "categorical_crossentropy",
    "categorical_hinge",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "log_loss",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "names",
    "poisson",
    "sparse_categorical_crossentropy",
    "squared_hinge",
]
