"""Metrics, fed batch by batch, give scikit-learn's figures of the whole."""

import warnings

import numpy as np
import pytest
from sklearn import metrics as sk

import graphc as gc

rng = np.random.default_rng(11)
N, CLASSES = 203, 5
WEIGHTS = rng.uniform(0.1, 3, N)
BITS = rng.integers(0, 2, N)
CHANCE = np.round(rng.uniform(size=N), 2)  # with ties
LABELS = rng.choice([0, 1, 2, 4], N)  # class 3 is never right
SCORES = rng.dirichlet(np.ones(CLASSES), N)
SCORES[:, 0] *= 0.01  # class 0 is never predicted
SCORES /= SCORES.sum(1, keepdims=True)
PREDICTED = SCORES.argmax(1)
ONE_HOT = np.eye(CLASSES)[LABELS]
REAL, CLOSE = rng.normal(1e6, 1, N), rng.normal(1e6, 1, N)
TABLE, NEAR = rng.normal(size=(N, 3)), rng.normal(size=(N, 3))
ZERO = {"zero_division": 0}


def streamed(metric, y_true, y_pred, weights=None, cuts=(0, 1, 40, 40, 150, N)):
    """The result after batches that end at `cuts`, one of them empty."""
    for start, end in zip(cuts, cuts[1:]):
        batch = slice(start, end)
        metric.update(y_true[batch], y_pred[batch], None if weights is None else weights[batch])
    return metric.result()


def top_k(y, scores, k, w):
    return sk.top_k_accuracy_score(y, scores, k=k, sample_weight=w, labels=range(CLASSES))


CASES = [
    ("accuracy", {}, BITS, CHANCE, lambda w: sk.accuracy_score(BITS, CHANCE > 0.5, sample_weight=w)),
    ("accuracy", {}, BITS[:, None], CHANCE[:, None], lambda w: sk.accuracy_score(BITS, CHANCE > 0.5, sample_weight=w)),
    ("accuracy", {}, LABELS, SCORES, lambda w: sk.accuracy_score(LABELS, PREDICTED, sample_weight=w)),
    ("accuracy", {}, ONE_HOT, SCORES, lambda w: sk.accuracy_score(LABELS, PREDICTED, sample_weight=w)),
    ("accuracy", {}, LABELS, PREDICTED, lambda w: sk.accuracy_score(LABELS, PREDICTED, sample_weight=w)),
    ("accuracy", {}, 2 * BITS - 1, np.where(CHANCE > 0.5, 1, -1),
     lambda w: sk.accuracy_score(BITS, CHANCE > 0.5, sample_weight=w)),
    ("binary_accuracy", {"threshold": 0.3}, BITS, CHANCE,
     lambda w: sk.accuracy_score(BITS, CHANCE > 0.3, sample_weight=w)),
    ("binary_accuracy", {}, ONE_HOT, SCORES,
     lambda w: np.average(((SCORES > 0.5) == ONE_HOT).mean(1), weights=w)),
    ("categorical_accuracy", {}, ONE_HOT, SCORES, lambda w: sk.accuracy_score(LABELS, PREDICTED, sample_weight=w)),
    ("sparse_categorical_accuracy", {}, LABELS, SCORES,
     lambda w: sk.accuracy_score(LABELS, PREDICTED, sample_weight=w)),
    ("top_k_accuracy", {"k": 2}, LABELS, SCORES, lambda w: top_k(LABELS, SCORES, 2, w)),
    ("top_k_accuracy", {"k": 3}, ONE_HOT, np.round(SCORES, 1), lambda w: top_k(LABELS, np.round(SCORES, 1), 3, w)),
    *(
        (name, {"average": average, **options}, LABELS, SCORES, lambda w, f=f, average=average, labels=labels:
         f(LABELS, PREDICTED, average=average, labels=labels, sample_weight=w, **ZERO))
        for name, f in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score))
        for average in ("macro", "micro", "weighted")
        for options, labels in (({}, None), ({"num_classes": 7}, range(7)))
        if average != "micro" or labels is None
    ),
    *(
        (name, {"average": "none", "num_classes": 7}, LABELS, PREDICTED,
         lambda w, f=f: f(LABELS, PREDICTED, average=None, labels=range(7), sample_weight=w, **ZERO))
        for name, f in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score))
    ),
    *(
        (name, {}, BITS, CHANCE, lambda w, f=f: f(BITS, CHANCE > 0.5, sample_weight=w, **ZERO))
        for name, f in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score))
    ),
    ("confusion_matrix", {}, LABELS, SCORES, lambda w: sk.confusion_matrix(LABELS, PREDICTED, sample_weight=w)),
    ("confusion_matrix", {"num_classes": 6}, LABELS, PREDICTED,
     lambda w: sk.confusion_matrix(LABELS, PREDICTED, labels=range(6), sample_weight=w)),
    ("auc", {}, BITS, CHANCE, lambda w: sk.roc_auc_score(BITS, CHANCE, sample_weight=w)),
    ("auc", {}, BITS[:, None] == 1, CHANCE[:, None].astype("f4"),
     lambda w: sk.roc_auc_score(BITS, CHANCE, sample_weight=w)),
    ("average_precision", {}, BITS, CHANCE, lambda w: sk.average_precision_score(BITS, CHANCE, sample_weight=w)),
    ("mean_squared_error", {}, REAL, CLOSE, lambda w: sk.mean_squared_error(REAL, CLOSE, sample_weight=w)),
    ("mean_squared_error", {}, TABLE, NEAR, lambda w: sk.mean_squared_error(TABLE, NEAR, sample_weight=w)),
    ("mean_absolute_error", {}, TABLE, NEAR, lambda w: sk.mean_absolute_error(TABLE, NEAR, sample_weight=w)),
    ("root_mean_squared_error", {}, REAL, CLOSE, lambda w: sk.root_mean_squared_error(REAL, CLOSE, sample_weight=w)),
    ("r2", {}, REAL, CLOSE, lambda w: sk.r2_score(REAL, CLOSE, sample_weight=w)),
    ("r2", {}, TABLE, NEAR, lambda w: sk.r2_score(TABLE, NEAR, sample_weight=w)),
    ("log_loss", {}, BITS, CHANCE, lambda w: sk.log_loss(BITS, CHANCE, sample_weight=w)),
    ("log_loss", {}, BITS, CHANCE.astype("f4"), lambda w: sk.log_loss(BITS, CHANCE.astype("f4"), sample_weight=w)),
    ("log_loss", {}, LABELS, SCORES, lambda w: sk.log_loss(LABELS, SCORES, labels=range(CLASSES), sample_weight=w)),
    ("mean", {}, REAL, None, lambda w: np.average(REAL, weights=w)),
]  # fmt: skip


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize(("name", "settings", "y_true", "y_pred", "wanted"), CASES)
def test_the_figure_is_scikit_learns(name, settings, y_true, y_pred, wanted, weights):
    metric = gc.metrics.get(name, **settings)
    tolerance = 3e-6 if name == "log_loss" and getattr(y_pred, "dtype", None) == np.float32 else 1e-11
    if name == "mean":
        metric.update(REAL[:70], None if weights is None else weights[:70])
        metric.update(REAL[70:], None if weights is None else weights[70:])
        found = metric.result()
    else:
        found = streamed(metric, y_true, y_pred, weights)
    np.testing.assert_allclose(found, wanted(weights), rtol=tolerance)
    assert isinstance(found, (float, np.ndarray))
    if name == "mean":
        return
    assert np.array_equal(streamed(metric.copy(), y_true, y_pred, weights), found)
    resumed = metric.copy()
    resumed.update(y_true[:50], y_pred[:50])
    resumed.restore(metric.state())
    assert np.array_equal(resumed.result(), found)
    metric.reset()
    np.testing.assert_allclose(streamed(metric, y_true, y_pred, weights, (0, N)), found, rtol=1e-11)


def test_every_metric_is_compared():
    assert set(gc.metrics.names()) == {name for name, *_ in CASES}


@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_zero_division_is_zero(name):
    f = getattr(sk, f"{name}_score")
    for right, predicted in (([0, 0], [0, 0]), ([1, 1], [0, 0]), ([0, 0], [1, 1])):
        found = streamed(gc.metrics.get(name), np.array(right), np.array(predicted), cuts=(0, 2))
        assert found == f(right, predicted, zero_division=0)
    assert gc.metrics.get(name).result() == gc.metrics.get(name, average="macro").result() == 0


def test_r2_of_constant_labels():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for right, predicted in (([2.0, 2.0], [2.0, 2.0]), ([2.0, 2.0], [2.0, 3.0]), ([2.0], [1.0])):
            found = streamed(gc.metrics.R2(), np.array(right), np.array(predicted), cuts=(0, len(right)))
            np.testing.assert_array_equal(found, sk.r2_score(right, predicted))


def test_many_scores_are_merged_exactly():
    scores = rng.normal(size=30000).round(3)
    labels = (scores + rng.normal(size=30000) > 0).astype(int)
    metric = gc.metrics.AUC()
    for start in range(0, 30000, 1000):
        metric.update(labels[start : start + 1000], scores[start : start + 1000])
    assert metric.result() == pytest.approx(sk.roc_auc_score(labels, scores), rel=1e-13)
    assert metric.totals["scores"].size < 10000
