"""Sequential and functional models: shapes, names, sharing, nesting, and acting as in training."""

import numpy as np
import pytest

import graphc as gc


def test_an_input_lets_the_layers_make_their_parameters_at_once():
    model = gc.Sequential([gc.nn.Input((4,)), gc.nn.Dense(3, name="a"), gc.nn.Dense(2, name="b")])
    assert {name: v.shape for name, v in model.parameters.items()} == {
        "a.weight": (4, 3), "a.bias": (3,), "b.weight": (3, 2), "b.bias": (2,),
    }  # fmt: skip
    with pytest.raises(gc.ShapeError):
        model(gc.nn.Input((5,)))


def test_sequential_by_add_equals_the_list():
    x = np.ones((2, 4), "float32")
    values = []
    for way in ("list", "add"):
        gc.nn.reset_names()
        layers = [gc.nn.Dense(3, "tanh"), gc.nn.Dense(2)]
        model = gc.Sequential(layers if way == "list" else ())
        if way == "add":
            for layer in layers:
                model.add(layer)
        values.append(model.predict(x))
    assert (values[0] == values[1]).all()


def test_the_config_makes_the_same_model_again():
    x = np.ones((2, 4), "float32")
    inner = gc.Sequential([gc.nn.Dense(2, name="b")], name="c")
    model = gc.Sequential([gc.nn.Dense(3, "relu", name="a"), inner], name="m")
    again = gc.nn.layer_from({"layer": "Sequential", "config": model.config()})
    assert (model.predict(x) == again.predict(x)).all()


def two_towers():
    left, right = gc.nn.Input((15,), name="left"), gc.nn.Input((15,), name="right")
    shared = gc.nn.Dense(8, "relu", name="shared")
    joined = gc.concat([shared(left), shared(right) * 2.0 + 1.0], axis=-1)
    return gc.Model([left, right], gc.nn.Dense(1, "sigmoid", name="out")(gc.nn.Dropout(0.2, name="drop")(joined)))


def test_a_model_with_two_inputs_a_shared_layer_and_plain_functions_learns(cancer, backend):
    x, y = cancer
    model = two_towers()
    model.compile(gc.optim.Adam(0.01), loss="binary_crossentropy", metrics=["accuracy"], backend=backend)
    history = model.fit({"left": x[:, :15], "right": x[:, 15:]}, y, epochs=8, validation_split=0.2, verbose=0)
    assert history["val_accuracy"][-1] > 0.93 and model.step.compilations == 1
    assert sorted(model.parameters) == ["out.bias", "out.weight", "shared.bias", "shared.weight"]
    by_list, by_dict = model.predict([x[:, :15], x[:, 15:]]), model.predict({"right": x[:, 15:], "left": x[:, :15]})
    assert (by_list == by_dict).all()
    weights = model.get_weights()
    parts = x[:, :15], x[:, 15:]
    hidden = [np.maximum(part @ weights["shared.weight"] + weights["shared.bias"], 0) for part in parts]
    joined = np.concatenate([hidden[0], hidden[1] * 2 + 1], axis=1)
    expected = 1 / (1 + np.exp(-(joined @ weights["out.weight"] + weights["out.bias"])))
    np.testing.assert_allclose(by_list, expected, rtol=1e-4, atol=1e-6)


def test_several_outputs_with_losses_weights_and_metrics_by_name(cancer, backend):
    x, y = cancer
    image = gc.nn.Input((30,), name="x")
    hidden = gc.nn.Dense(8, "relu", name="hidden")(image)
    outputs = {"kind": gc.nn.Dense(1, "sigmoid")(hidden), "copy": gc.nn.Dense(30)(hidden), "hidden": hidden}
    model = gc.Model(image, outputs)
    model.compile(
        "adam", loss={"kind": "binary_crossentropy", "copy": "mse"}, loss_weights={"copy": 0.5},
        metrics={"kind": ["accuracy"]}, backend=backend,
    )  # fmt: skip
    history = model.fit(x, {"kind": y, "copy": x}, epochs=5, validation_split=0.2, verbose=0)
    assert list(history)[:4] == ["loss", "kind_loss", "copy_loss", "kind_accuracy"]
    assert history["loss"][-1] == pytest.approx(history["kind_loss"][-1] + 0.5 * history["copy_loss"][-1])
    predictions = model.predict(x)
    assert {name: value.shape for name, value in predictions.items()} == {
        "kind": (569, 1), "copy": (569, 30), "hidden": (569, 8),
    }  # fmt: skip
    data = gc.data.from_arrays(x, y, x).batch(64)
    assert model.evaluate(data) == model.evaluate(x, [y, x], batch_size=64)


def test_models_nest_and_share_parameters():
    gc.nn.reset_names()
    encoder = gc.Sequential([gc.nn.Dense(4, "relu"), gc.nn.Dropout(0.5), gc.nn.Dense(2)], name="encoder")
    a, b = gc.nn.Input((3,), name="a"), gc.nn.Input((3,), name="b")
    inner = gc.Model([a, b], gc.sum(gc.square(encoder(a) - encoder(b)), axis=-1, keepdims=True), name="distance")
    p, q = gc.nn.Input((5, 3), name="p"), gc.nn.Input((3,), name="q", batch="rows")
    outer = gc.Model([p, q], inner(p[:, 0], q))
    assert outer.layers == [inner] and outer.parameters.keys() == encoder.parameters.keys()
    first = np.random.default_rng(0).normal(size=(6, 5, 3)).astype("float32")
    other = np.random.default_rng(1).normal(size=(6, 3)).astype("float32")
    assert (outer.predict([first, other]) == inner.predict([first[:, 0], other])).all()


def test_a_model_acts_as_in_training_when_it_is_applied_in_a_block():
    x = gc.nn.Input((6,), name="x")
    drop = gc.nn.Dropout(0.5, name="drop")
    model = gc.Model(x, drop(x * 2.0) + 1.0)
    z = gc.nn.Input((6,), name="z", batch="rows")
    with gc.nn.training() as updates:
        trained = model(z)
    f = gc.function([z], [trained, model(z)], updates=updates, backend="numpy")
    dropped, kept = f(np.ones((100, 6), "float32"))
    assert set(np.unique(dropped)) == {1.0, 5.0} and set(np.unique(kept)) == {3.0}


def test_a_layer_with_several_results(backend):
    x = gc.nn.Input((7, 2), name="x")
    sequence, last, _ = gc.nn.LSTM(3, return_sequences=True, return_state=True, name="lstm")(x)
    model = gc.Model(x, [sequence, gc.nn.Dense(1, name="d")(last)])
    z = gc.nn.Input((7, 2), name="z", batch="rows")
    again = model(z)
    f = gc.function([z], list(again), backend=backend)
    data = np.random.default_rng(0).normal(size=(4, 7, 2)).astype("float32")
    for one, other in zip(f(data), model.predict(data)):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_deep_model_needs_no_recursion():
    x = gc.nn.Input((2,), name="x")
    y = x
    for _ in range(3000):
        y = y + 1.0
    drop = gc.nn.Dropout(0.5)
    for _ in range(300):
        y = drop(y * 1.0)
    model = gc.Model(x, y)
    assert len(model.layers) == 1
    assert model(gc.nn.Input((2,))).type == x.type


def test_training_differs_from_inference_in_dropout_and_batch_norm(cancer, backend):
    x, y = cancer
    norm, drop = gc.nn.BatchNorm(name="norm"), gc.nn.Dropout(0.5, name="drop")
    model = gc.Sequential([norm, drop, gc.nn.Dense(1, "sigmoid")])
    model.compile(gc.optim.SGD(0.0), loss="binary_crossentropy", backend=backend)
    before = model.predict(x)
    assert (before == model.predict(x)).all()
    moving, seed = norm.state["norm.mean"].value, drop.state["drop.seed"].value
    history = model.fit(x + 1, y, epochs=2, verbose=0)
    assert not np.allclose(norm.state["norm.mean"].value, moving)
    assert (drop.state["drop.seed"].value != seed).any()
    assert history["loss"][0] != history["loss"][1] != model.evaluate(x + 1, y)["loss"]
    state = model.get_weights()
    model.evaluate(x, y), model.predict(x)
    assert all((state[name] == value).all() for name, value in model.get_weights().items())


def test_frozen_layers_are_not_trained(cancer, backend):
    x, y = cancer
    model = gc.Sequential([gc.nn.Dense(4, "relu", name="a", trainable=False), gc.nn.Dense(1, "sigmoid", name="b")])
    model.compile("adam", loss="binary_crossentropy", backend=backend)
    model.predict(x)
    before = model.get_weights()
    model.fit(x, y, verbose=0)
    after = model.get_weights()
    assert (before["a.weight"] == after["a.weight"]).all() and (before["b.weight"] != after["b.weight"]).any()
