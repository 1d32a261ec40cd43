"""Weights of examples and classes enter the loss, and the gradient, as factors."""

import numpy as np
import pytest

import graphc as gc
from graphc.training.weights import weights_of_classes


def crossentropy(y, p, w):
    p = p[:, 0].astype("float64")
    return float(np.mean(w * -(y * np.log(p) + (1 - y) * np.log1p(-p))))


def test_the_weighted_loss(cancer, classifier):
    x, y = cancer
    model = classifier()
    model.fit(x, y, verbose=0)
    w = np.linspace(0, 3, len(x))
    p = model.predict(x)
    assert model.evaluate(x, y, sample_weight=w)["loss"] == pytest.approx(crossentropy(y, p, w), rel=1e-5)
    by_class = np.where(y == 1, 5.0, 1.0)
    assert model.evaluate(x, y, class_weight={1: 5.0})["loss"] == pytest.approx(crossentropy(y, p, by_class), rel=1e-5)
    both = model.evaluate(x, y, sample_weight=w, class_weight={1: 5.0})["loss"]
    assert both == pytest.approx(crossentropy(y, p, w * by_class), rel=1e-5)


def test_a_weight_of_two_is_an_example_twice(cancer, classifier):
    x, y = cancer
    weighted, doubled = classifier("sgd"), classifier("sgd")
    weighted.fit(x[:32], y[:32], sample_weight=np.repeat([2.0, 0.0], 16), batch_size=32, shuffle=False, verbose=0)
    rows = np.r_[0:16, 0:16]
    doubled.fit(x[rows], y[rows], batch_size=32, shuffle=False, verbose=0)
    for name, value in weighted.get_weights().items():
        np.testing.assert_allclose(value, doubled.get_weights()[name], rtol=1e-5, atol=1e-7)


def test_class_weights_move_the_decision(cancer, classifier):
    x, y = cancer
    few = np.r_[np.flatnonzero(y == 1), np.flatnonzero(y == 0)[:20]]
    recalls = []
    for weight in (None, "balanced", {0: 50.0}):
        model = classifier()
        model.fit(x[few] * 0.3, y[few], class_weight=weight, epochs=4, verbose=0)
        recalls.append(np.mean(model.predict(x[y == 0] * 0.3) < 0.5))
    assert recalls[0] < recalls[1] < recalls[2]


def test_weights_need_one_step_more_and_no_other(cancer, classifier):
    x, y = cancer
    model = classifier()
    model.fit(x, y, verbose=0)
    plain = model.step
    model.fit(x, y, class_weight={0: 2.0}, verbose=0)
    weighted = model.step
    model.fit(x, y, class_weight="balanced", verbose=0)
    assert weighted is not plain and model.step is weighted and weighted.compilations == 1
    assert [t.name for t in weighted.graph.inputs] == ["x", "y", "sample_weight"]


def test_balanced_is_scikit_learns():
    from sklearn.utils.class_weight import compute_sample_weight

    y = np.array([0, 0, 2, 2, 2, 5])
    expected = compute_sample_weight("balanced", y)
    np.testing.assert_allclose(weights_of_classes("fit", y, "balanced"), expected, rtol=1e-6)
    np.testing.assert_allclose(weights_of_classes("fit", np.eye(3)[[0, 1, 1]], {1: 4.0}), [1, 4, 4])


def test_a_loss_of_ones_own(cancer, classifier, backend):
    x, y = cancer
    w = np.linspace(0, 1, len(x))
    models = [gc.Sequential([gc.nn.Dense(1, weight_init="ones")]) for _ in range(3)]
    per_example = lambda t, p: gc.mean(gc.square(p - gc.astype(t, p.dtype)), axis=-1)  # noqa: E731
    models[0].compile("sgd", loss="mse", backend=backend)
    models[1].compile("sgd", loss=per_example, backend=backend)
    models[2].compile("sgd", loss=lambda t, p: gc.mean(per_example(t, p)), backend=backend)
    values = [model.evaluate(x, y)["loss"] for model in models]
    assert values[1] == pytest.approx(values[0]) and values[2] == pytest.approx(values[0])
    assert models[1].evaluate(x, y, sample_weight=w)["loss"] == pytest.approx(
        models[0].evaluate(x, y, sample_weight=w)["loss"]
    )
    with pytest.raises(gc.ArgumentError, match="is one number for the batch and cannot be weighted"):
        models[2].fit(x, y, sample_weight=w, verbose=0)
