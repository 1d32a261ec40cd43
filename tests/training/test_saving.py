"""A saved model predicts the same bits, with its preprocessing, without the code that built it."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

import graphc as gc


@pytest.fixture(params=["folder", "file"])
def path(request, tmp_path):
    return tmp_path / ("model.gcm" if request.param == "file" else "model")


def test_preprocessing_is_fitted_on_the_training_rows_and_saved(path, backend):
    x, y = load_breast_cancer(return_X_y=True)
    x = x.copy()
    x[3, 4] = np.nan
    model = gc.Sequential([gc.nn.Dense(10, "relu"), gc.nn.Dropout(0.1), gc.nn.BatchNorm(), gc.nn.Dense(1, "sigmoid")])
    steps = [gc.data.Imputer("median"), gc.data.StandardScaler()]
    model.compile(
        gc.optim.Adam(0.01), "binary_crossentropy", ["accuracy"], backend=backend, preprocessing=steps
    )
    history = model.fit(x, y, epochs=8, validation_split=0.3, verbose=0)
    assert history["val_accuracy"][-1] > 0.93
    rows = int(len(x) * 0.7)
    np.testing.assert_allclose(steps[1].mean, gc.data.Imputer("median").fit_transform(x[:rows]).mean(axis=0))
    assert model.evaluate(x, y)["accuracy"] > 0.93
    mean = steps[1].mean.copy()
    model.fit(x[:50], y[:50], verbose=0)
    assert (steps[1].mean == mean).all()
    model.save(path)
    loaded = gc.load(path, backend=backend)
    predictions = model.predict(x)
    np.testing.assert_array_equal(loaded.predict(x), predictions, strict=True)
    assert loaded.metadata["model"] == "Sequential" and np.isfinite(predictions).all()


def test_scikit_learns_transformers(tmp_path, backend):
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    x, y = load_breast_cancer(return_X_y=True)
    model = gc.Sequential([gc.nn.Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy", backend=backend, preprocessing=[preprocessing.StandardScaler()])
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "m.gcm")
    np.testing.assert_allclose(gc.load(tmp_path / "m.gcm", backend=backend).predict(x), model.predict(x), rtol=1e-5)


def test_a_functional_model(path, backend):
    a, b = gc.nn.Input((3,), name="a"), gc.nn.Input((2,), name="b")
    h = gc.concat([gc.nn.Dense(4, "tanh")(a), b], axis=-1)
    model = gc.Model([a, b], {"one": gc.nn.Dense(1)(h), "two": gc.nn.Dense(2)(h)})
    model.compile("adam", loss={"one": "mse"}, backend=backend)
    rng = np.random.default_rng(0)
    x, z, y = rng.normal(size=(40, 3)), rng.normal(size=(40, 2)), rng.normal(size=40)
    model.fit([x, z], {"one": y}, verbose=0)
    model.save(path)
    predictions, loaded = model.predict([x, z]), gc.load(path, backend=backend).predict(x, z)
    assert list(loaded) == ["one", "two"]
    for name, value in predictions.items():
        np.testing.assert_array_equal(loaded[name], value, strict=True)


def test_weights_alone(tmp_path):
    x = np.ones((2, 3), "float32")
    first, second = (gc.Sequential([gc.nn.Dense(2, name="d", seed=seed)]) for seed in (1, 2))
    assert (first.predict(x) != second.predict(x)).any()
    gc.io.save_weights(tmp_path / "w.safetensors", first.variables)
    gc.io.load_weights(tmp_path / "w.safetensors", second.variables)
    assert (first.predict(x) == second.predict(x)).all()


def test_a_model_without_inputs_cannot_be_saved(tmp_path):
    with pytest.raises(gc.GraphError, match="has not seen its input yet"):
        gc.Sequential([gc.nn.Dense(1)]).save(tmp_path / "m")
