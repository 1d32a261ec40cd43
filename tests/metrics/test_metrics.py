"""What metrics refuse, what they say of nothing, sequences, names and settings."""

import numpy as np
import pytest

import graphc as gc


@pytest.mark.parametrize("name", gc.metrics.names())
def test_nothing_seen_yet(name):
    metric = gc.metrics.get(name)
    nothing = metric.result()
    if name in ("precision", "recall", "f1", "average_precision"):
        assert nothing == 0
    elif name == "confusion_matrix":
        assert nothing.shape == (0, 0)
    else:
        assert np.isnan(nothing)
    assert metric.name == name and metric.kind == name


@pytest.mark.parametrize("name", gc.metrics.names())
def test_config_makes_the_same_metric(name):
    metric = gc.metrics.get(name, name="mine")
    again = gc.metrics.get(metric.config())
    assert again.config() == metric.config() and type(again) is type(metric)
    assert metric.name == again.name == "mine"
    assert repr(again) == repr(metric)
    assert gc.metrics.get(metric) is metric


def test_short_names_stay_the_users():
    assert gc.metrics.get("acc").name == "acc"
    assert gc.metrics.get("mse").kind == "mean_squared_error"


def test_sequences_of_examples():
    scores = np.zeros((2, 3, 4))
    scores[..., 1] = 1.0
    labels = np.array([[1, 1, 0], [1, 0, 0]])
    metric = gc.metrics.Accuracy()
    metric.update(labels, scores)
    assert metric.result() == 0.5
    metric.reset()
    metric.update(labels, scores, [1.0, 0.0])  # weights of the sequences
    assert metric.result() == pytest.approx(2 / 3)
    metric.reset()
    metric.update(labels, scores, [[1, 1, 0], [1, 0, 0]])  # a mask
    assert metric.result() == 1
    figure = gc.metrics.Recall(average="macro")
    figure.update(labels, scores)
    assert figure.result() == 0.5


def test_a_refused_batch_leaves_no_trace():
    for metric in map(gc.metrics.get, gc.metrics.names()):
        before = metric.state()
        with pytest.raises(gc.GraphcError):
            metric.update(np.ones(3), np.ones(4))
        assert all(np.array_equal(before[k], v) for k, v in metric.state().items())


def test_refusals():
    metrics = gc.metrics
    fits = r"(?s)y_true of shape \(3,\) does not fit y_pred of shape \(4, 1\).*hint"
    for metric in map(metrics.get, ("accuracy", "mean_squared_error", "precision", "auc", "log_loss", "r2")):
        with pytest.raises(gc.ShapeError, match=fits):
            metric.update(np.zeros(3), np.zeros((4, 1)))
    for act, error, message in (
        (lambda: metrics.get("acuracy"), gc.ArgumentError, "did you mean 'accuracy'"),
        (lambda: metrics.get("f1", averge="macro"), gc.ArgumentError, "did you mean 'average'"),
        (lambda: metrics.get(3), gc.ArgumentError, "a name, settings or a metric"),
        (lambda: metrics.F1(average="mean"), gc.ArgumentError, "average must be one of"),
        (lambda: metrics.TopKAccuracy(0), gc.ArgumentError, "k must be a whole number"),
        (lambda: metrics.ConfusionMatrix(0), gc.ArgumentError, "num_classes must be"),
        (lambda: metrics.Precision().update([0, 2], [0, 1]), gc.ArgumentError, "another average"),
        (lambda: metrics.Precision().update([0, 2], [0.0, 1.0]), gc.ArgumentError, "yes-or-no questions are 0 and 1"),
        (lambda: metrics.Recall("macro", num_classes=2).update([0, 2], [0, 1]), gc.ArgumentError, "num_classes is 2"),
        (lambda: metrics.ConfusionMatrix().update([-1, 2], [0, 1]), gc.ArgumentError, "whole numbers from 0 on"),
        (lambda: metrics.ConfusionMatrix().update([0.5, 2], [0, 1]), gc.ArgumentError, "whole numbers from 0 on"),
        (lambda: metrics.Accuracy().update([5], [[0.5, 0.5]]), gc.ArgumentError, "label 5 is none of the 2 classes"),
        (lambda: metrics.AUC().update([0, 1], [0.1, np.nan]), gc.ArgumentError, "a score is NaN"),
        (lambda: metrics.AUC().update(np.eye(2), np.eye(2)), gc.ShapeError, "one score for each example"),
        (lambda: metrics.CategoricalAccuracy().update([1], [1]), gc.DTypeError, "must be floats with classes"),
        (lambda: metrics.Accuracy().update(["a"], ["b"]), gc.DTypeError, "must hold numbers"),
        (lambda: metrics.Mean().update([[1], [1, 2]]), gc.ShapeError, "no array"),
        (lambda: metrics.Mean().update([1, 2], [1, 2, 3]), gc.ShapeError, "sample_weight must have the shape"),
        (lambda: metrics.R2().update(np.zeros((1, 1, 1)), np.zeros((1, 1, 1))), gc.ShapeError, "r2: takes arrays"),
        (lambda: metrics.Mean().restore({}), gc.ArgumentError, "a state of"),
    ):
        with pytest.raises(error, match=r"(?s)" + message):
            act()


@pytest.mark.parametrize("name", ["accuracy", "rmse", "precision", "confusion_matrix", "auc", "log_loss", "r2"])
@pytest.mark.parametrize(("labels", "scores"), [((4,), (4, 1)), ((4, 1), (4,)), ((4, 1), (4, 1))])
def test_a_column_and_a_row_stand_for_each_other(name, labels, scores):
    y, p = np.array([0, 1, 1, 0]), np.array([0.25, 0.75, 0.5, 0.625])
    flat, shaped = gc.metrics.get(name), gc.metrics.get(name)
    flat.update(y, p, sample_weight=[1, 2, 3, 4])
    shaped.update(y.reshape(labels), p.reshape(scores), sample_weight=[1, 2, 3, 4])
    np.testing.assert_allclose(shaped.result(), flat.result())


def test_a_column_of_classes():
    metric = gc.metrics.ConfusionMatrix()
    metric.update([[0], [1], [2]], np.eye(3))
    assert metric.result().tolist() == np.eye(3).tolist()
