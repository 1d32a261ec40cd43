"""Labels that are scaled for the training: predictions, metrics and the saved model are in their own units."""

import numpy as np
import pytest

import graphc as gc

X = np.linspace(-1, 1, 64)[:, None]
Y = 5000.0 + 300.0 * X[:, 0]


def regression(**options):
    model = gc.Sequential([gc.nn.Input((1,)), gc.nn.Dense(1)], seed=0)
    model.compile(gc.optim.SGD(0.3), loss="mse", backend="numpy", **options)
    return model


@pytest.mark.parametrize("fitted", [None, Y, Y[:, None]])
def test_labels_are_scaled_and_predictions_are_not(fitted, tmp_path):
    scaler = gc.data.StandardScaler()
    if fitted is not None:
        scaler.fit(fitted)
    model = regression(target_preprocessing=[scaler], metrics=["rmse"])
    history = model.fit(X, Y, epochs=30, validation_data=(X, Y), verbose=0)
    assert history["loss"][0] < 3 and history["rmse"][0] > 10  # of standard deviations; of the labels' own units
    found = model.predict(X)
    np.testing.assert_allclose(found[:, 0], Y, rtol=1e-3)
    expected = np.sqrt(np.mean((found[:, 0] - Y) ** 2))
    assert model.evaluate(X, Y)["rmse"] == pytest.approx(expected, abs=1e-3)
    model.save(tmp_path / "m.gcm", metadata={"unit": "W"})
    loaded = gc.load(tmp_path / "m.gcm", backend="numpy")
    np.testing.assert_array_equal(loaded.predict(X), found)
    assert loaded.metadata["unit"] == "W"
    assert isinstance(loaded.target_preprocessing[0], gc.data.StandardScaler)


def test_only_the_training_rows_are_learned_from():
    model = regression(target_preprocessing=[gc.data.StandardScaler()])
    model.fit(X, Y, validation_split=0.5, verbose=0)
    np.testing.assert_allclose(model.target_preprocessing[0].mean, Y[:32].mean(), rtol=1e-12)


def test_refusals():
    model = regression(target_preprocessing=[gc.data.StandardScaler()])
    stream = gc.data.from_arrays(X, Y).batch(8)
    with pytest.raises(gc.ArgumentError, match=r"x is a stream, of which StandardScaler cannot learn\n  hint: fit the"):
        model.fit(stream, verbose=0)
    with pytest.raises(gc.ArgumentError, match="the name 'model' in metadata is taken"):
        model.save("never", metadata={"model": 1})
    two = gc.Model(x := gc.nn.Input((1,)), [gc.nn.Dense(1)(x), gc.nn.Dense(1)(x)])
    with pytest.raises(gc.ArgumentError, match="models with one output"):
        two.compile(loss=["mse", "mse"], target_preprocessing=[gc.data.StandardScaler()])


def test_a_stream_with_transformers_that_were_fitted():
    model = regression(
        preprocessing=[gc.data.StandardScaler().fit(X)], target_preprocessing=[gc.data.StandardScaler().fit(Y)]
    )
    assert model.fit(gc.data.from_arrays(X, Y).batch(8), verbose=0)["loss"][0] < 3
    unfitted = regression(preprocessing=[gc.data.StandardScaler()])
    with pytest.raises(gc.ArgumentError, match="of which StandardScaler cannot learn"):
        unfitted.fit(gc.data.from_arrays(X, Y).batch(8), verbose=0)
