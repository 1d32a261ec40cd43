"""Figures of merit over streams of batches, in NumPy: averages, accuracies, counts of classes, rankings.

Each takes arrays of labels and predictions, and weights of examples, batch by batch, and agrees with scikit-learn.
"""

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
from graphc.metrics.registry import get, names

__all__ = [
    "AUC",
    "F1",
    "R2",
    "Accuracy",
    "AveragePrecision",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "ConfusionMatrix",
    "LogLoss",
    "Mean",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "Precision",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "TopKAccuracy",
    "get",
    "names",
]
