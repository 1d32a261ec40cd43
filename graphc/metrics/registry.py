"""Metrics by name, as `compile(metrics=["accuracy"])` has them.

Invariant: the registry is closed: a name or settings in a file can make a metric of this list and nothing else.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import graphc as gc
from graphc.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    TopKAccuracy,
)
from graphc.metrics.averages import LogLoss, Mean, MeanAbsoluteError, MeanSquaredError, RootMeanSquaredError
from graphc.metrics.classification import F1, ConfusionMatrix, Precision, Recall
from graphc.metrics.determination import R2
from graphc.metrics.metric import Metric
from graphc.metrics.ranking import AUC, AveragePrecision

_METRICS: dict[str, type[Metric]] = {
    metric.kind: metric
    for metric in (
        AUC, F1, R2, Accuracy, AveragePrecision, BinaryAccuracy, CategoricalAccuracy, ConfusionMatrix, LogLoss, Mean,
        MeanAbsoluteError, MeanSquaredError, Precision, Recall, RootMeanSquaredError, SparseCategoricalAccuracy,
        TopKAccuracy,
    )
}  # fmt: skip
_SHORT = {
    "acc": "accuracy",
    "f1_score": "f1",
    "mae": "mean_absolute_error",
    "mse": "mean_squared_error",
    "r2_score": "r2",
    "rmse": "root_mean_squared_error",
    "roc_auc": "auc",
    "sparse_top_k_categorical_accuracy": "top_k_accuracy",
    "top_k_categorical_accuracy": "top_k_accuracy",
}


def names() -> tuple[str, ...]:
    """The names that `get` knows, short ones left out.

    >>> import graphc as gc
    >>> gc.metrics.names()[:3]
    ('accuracy', 'auc', 'average_precision')
    """
    return tuple(sorted(_METRICS))


def get(metric: str | Mapping[str, Any] | Metric, **settings: Any) -> Metric:
    """A new metric of this name; or of these settings, as `config()` gives them. A metric is returned as it is.

    A metric that was asked for by a short name carries that name: `get("mse").name` is "mse".

    Args:
        metric: one of `names()`, a short form such as "acc", the settings, or a metric.
        settings: keywords of the metric, where a name is given.

    Raises:
        ArgumentError: there is no such metric, or it takes no such settings.

    >>> import graphc as gc
    >>> gc.metrics.get("f1", average="macro").average
    'macro'
    """
    if isinstance(metric, Metric) and not settings:
        return metric
    if isinstance(metric, Mapping):
        settings = {**metric, **settings}
        metric = settings.pop("metric", None)
    elif not isinstance(metric, str):
        raise gc.arguments.refusal(f"a metric is a name, settings or a metric, not {metric!r} with settings")
    if isinstance(metric, str) and metric in _SHORT:
        settings.setdefault("name", metric)
        metric = _SHORT[metric]
    chosen = gc.arguments.choose("metric", _METRICS, metric, _SHORT)
    known = inspect.signature(chosen).parameters
    for setting in settings:
        gc.arguments.choose(f"setting of {chosen.kind}", known, setting)
    return chosen(**settings)
