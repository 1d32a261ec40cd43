"""fit, evaluate, predict: what they learn and return, from arrays and from streams."""

import numpy as np
import pytest

import graphc as gc


def test_a_net_learns_and_compiles_one_step_for_all_batch_sizes(cancer, backend):
    x, y = cancer
    model = gc.Sequential([gc.nn.Dense(10, "relu"), gc.nn.Dense(10, "relu"), gc.nn.Dense(1, "sigmoid")])
    model.compile(gc.optim.Adam(0.01), loss="binary_crossentropy", metrics=["accuracy"], backend=backend)
    history = model.fit(x, y, epochs=10, batch_size=32, validation_split=0.2, verbose=0)
    assert len(x) % 32
    assert model.step.compilations == 1
    assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert history.epoch == list(range(10)) and not history.interrupted and history.stopped is None
    assert history["val_accuracy"][-1] >= 0.95 and history["loss"][-1] < history["loss"][0] / 4
    assert history.history is history
    probabilities = model.predict(x)
    assert probabilities.shape == (569, 1) and probabilities.dtype == np.float32
    scores = model.evaluate(x, y)
    assert scores["accuracy"] == pytest.approx(np.mean((probabilities[:, 0] > 0.5) == y))
    assert model.step.backend == backend and "@" in model.step.dump()


def test_classes_by_index_and_by_one_hot_labels_agree(iris, backend):
    x, y = iris
    losses = []
    for loss, labels in (("sparse_categorical_crossentropy", y), ("categorical_crossentropy", np.eye(3)[y])):
        gc.nn.reset_names()
        model = gc.Sequential([gc.nn.Dense(16, "tanh"), gc.nn.Dense(3, "softmax")])
        model.compile(gc.optim.Adam(0.05), loss=loss, backend=backend)
        model.fit(x, labels, epochs=15, batch_size=16, verbose=0)
        losses.append(model.evaluate(x, labels)["loss"])
        assert np.mean(model.predict(x).argmax(axis=1) == y) > 0.95
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_the_loss_of_an_epoch_is_the_mean_over_examples(cancer, backend):
    x, y = cancer
    model = gc.Sequential([gc.nn.Dense(1, "sigmoid")])
    model.compile(gc.optim.SGD(0.0), loss="binary_crossentropy", backend=backend)
    history = model.fit(x, y, epochs=1, batch_size=64, verbose=0)
    assert history["loss"][0] == pytest.approx(model.evaluate(x, y, batch_size=569)["loss"], rel=1e-6)


def test_the_seed_determines_the_order(cancer, classifier, same_bits):
    x, y = cancer
    models = [classifier() for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2)):
        model.fit(x, y, epochs=2, seed=seed, verbose=0)
    same_bits(models[0], models[1])
    with pytest.raises(AssertionError):
        same_bits(models[0], models[2])


def test_two_calls_of_fit_go_on(cancer, classifier, same_bits):
    x, y = cancer
    whole, parts = classifier(), classifier()
    whole.fit(x, y, epochs=4, verbose=0)
    parts.fit(x, y, epochs=2, verbose=0)
    history = parts.fit(x, y, epochs=4, initial_epoch=2, verbose=0)
    same_bits(whole, parts)
    assert history.epoch == [2, 3] and parts.step.compilations == 1


def test_a_dataset_a_generator_function_and_arrays_give_the_same_bits(cancer, classifier, same_bits):
    x, y = cancer

    def batches():
        for start in range(0, len(x), 32):
            yield x[start : start + 32], y[start : start + 32]

    def endless():
        while True:
            yield from batches()

    models = [classifier() for _ in range(4)]
    models[0].fit(x, y, epochs=3, shuffle=False, verbose=0)
    models[1].fit(gc.data.from_arrays(x, y).batch(32).prefetch(2), epochs=3, verbose=0)
    models[2].fit(batches, epochs=3, verbose=0)
    models[3].fit(endless(), epochs=3, steps_per_epoch=18, verbose=0)
    for other in models[1:]:
        same_bits(models[0], other)
    assert models[0].evaluate(x, y, batch_size=32) == models[1].evaluate(batches)


def test_a_dataset_of_weighted_batches_and_validation_by_a_dataset(cancer, classifier, same_bits):
    x, y = cancer
    w = np.linspace(0, 2, len(x)).astype("float32")
    arrays, stream = classifier(), classifier()
    arrays.fit(x, y, sample_weight=w, shuffle=False, epochs=2, verbose=0)
    data = gc.data.from_arrays(x, y, w).batch(32)
    history = stream.fit(data, epochs=2, validation_data=gc.data.from_arrays(x, y).batch(64), verbose=0)
    same_bits(arrays, stream)
    assert history["val_loss"][-1] == pytest.approx(arrays.evaluate(x, y)["loss"])


def test_frames_lists_and_wider_floats_are_taken(cancer, classifier, same_bits):
    pandas = pytest.importorskip("pandas")
    x, y = cancer
    models = [classifier() for _ in range(3)]
    models[0].fit(x, y, verbose=0)
    models[1].fit(pandas.DataFrame(x), pandas.Series(y), verbose=0)
    models[2].fit(x.astype("float64"), y.tolist(), verbose=0)
    for other in models[1:]:
        same_bits(models[0], other)


def test_predict_in_batches(cancer, classifier):
    x, y = cancer
    model = classifier()
    model.fit(x, y, verbose=0)
    np.testing.assert_allclose(model.predict(x, batch_size=100), model.predict(x), rtol=1e-5)
    assert model.predict_function().compilations == 1


def test_predict_of_a_stream(cancer, classifier):
    x, y = cancer
    model = classifier()
    expected = model.predict(x, batch_size=50)
    assert (model.predict(gc.data.from_arrays(x, y).batch(50)) == expected).all()
    assert (model.predict(x[start : start + 50] for start in range(0, len(x), 50)) == expected).all()
    with pytest.raises(gc.ArgumentError, match="the data has no batches"):
        model.predict(iter([]))


def test_sequences_of_any_length_need_one_step(backend):
    rng = np.random.default_rng(0)

    def batches():
        for length in (3, 5, 8, 3):
            x = rng.normal(size=(6, length, 2))
            yield x, np.cumsum(x[:, :, :1], axis=1), np.ones((6, length))

    model = gc.Sequential([gc.nn.Input((None, 2)), gc.nn.SimpleRNN(4, return_sequences=True), gc.nn.Dense(1)])
    model.compile("adam", loss="mse", backend=backend)
    model.fit(batches, epochs=2, verbose=0)
    assert model.step.compilations == 1
    assert [str(t.shape[1]) for t in model.step.graph.inputs] == [str(model.step.graph.inputs[0].shape[1])] * 3


def test_predict_without_compile():
    model = gc.Sequential([gc.nn.Dense(2, weight_init="ones")])
    assert model.predict([[1.0, 2.0]]).tolist() == [[3.0, 3.0]]


def test_train_on_batch_is_a_step_of_fit(cancer, classifier, same_bits):
    x, y = cancer
    fitted, stepped = classifier(metrics=["accuracy"]), classifier(metrics=["accuracy"])
    history = fitted.fit(x[:32], y[:32], shuffle=False, verbose=0)
    logs = stepped.train_on_batch(x[:32], y[:32])
    same_bits(fitted, stepped)
    assert logs == {name: values[0] for name, values in history.items()}


def test_validation_does_not_change_the_training(cancer, classifier, same_bits):
    x, y = cancer
    plain, watched = classifier(metrics=["accuracy"]), classifier(metrics=["accuracy"])
    first = plain.fit(x[:400], y[:400], epochs=3, verbose=0)
    second = watched.fit(x[:400], y[:400], epochs=3, validation_data=(x[400:], y[400:]), verbose=0)
    same_bits(plain, watched)
    assert first["accuracy"] == second["accuracy"]


def test_the_split_takes_the_last_rows(cancer, classifier, same_bits):
    x, y = cancer
    split, given = classifier(), classifier()
    first = split.fit(x, y, validation_split=0.25, epochs=2, verbose=0)
    kept = int(len(x) * 0.75)
    second = given.fit(x[:kept], y[:kept], validation_data=(x[kept:], y[kept:]), epochs=2, verbose=0)
    same_bits(split, given)
    assert first == second


def test_a_model_in_float64(iris, backend):
    x, y = iris
    model = gc.Sequential([gc.nn.Dense(3, "softmax")], dtype="float64")
    model.compile("adam", loss="sparse_categorical_crossentropy", backend=backend)
    model.fit(x, y, verbose=0)
    assert model.predict(x).dtype == np.float64


def test_a_fixed_batch_leaves_out_what_does_not_fill_it(iris, backend):
    x, y = iris
    model = gc.Sequential([gc.nn.Input((4,), batch=40), gc.nn.Dense(3, "softmax")])
    model.compile("adam", loss="sparse_categorical_crossentropy", backend=backend)
    steps = []
    count = gc.training.LambdaCallback(on_batch_end=lambda batch, logs: steps.append(batch))
    model.fit(x, y, callbacks=[count], verbose=0)
    assert steps == [0, 1, 2]
    with pytest.raises(gc.ShapeError, match="150 examples do not fill batches of 40"):
        model.evaluate(x, y)


def test_indices_go_into_an_embedding_unchanged(backend):
    words = np.random.default_rng(0).integers(0, 50, (200, 6))
    labels = (words[:, 0] > 24).astype("int64")
    model = gc.Sequential([gc.nn.Embedding(50, 8), gc.nn.Flatten(), gc.nn.Dense(1, "sigmoid")])
    model.compile(gc.optim.Adam(0.05), loss="binary_crossentropy", backend=backend)
    history = model.fit(words, labels, epochs=15, verbose=0)
    assert history["loss"][-1] < 0.2


def test_the_backends_agree_on_a_step(cancer, classifier):
    x, y = cancer
    model = classifier()
    model.fit(x, y, verbose=0)
    before = model.get_weights()
    assert model.compare(x[:32], y[:32]).ok
    assert all((before[name] == value).all() for name, value in model.get_weights().items())


def test_weights_can_be_taken_and_put_back(cancer, classifier):
    x, y = cancer
    model = classifier()
    model.fit(x, y, verbose=0)
    kept, predictions = model.get_weights(), model.predict(x)
    model.fit(x, y, epochs=2, verbose=0)
    model.set_weights(kept)
    assert (model.predict(x) == predictions).all()


def test_a_small_convolutional_net_learns_digits(digits, backend):
    x, y = digits
    model = gc.Sequential(
        [
            gc.nn.Reshape((1, 8, 8)),
            gc.nn.Conv2D(16, 3, activation="relu"),
            gc.nn.MaxPool2D(2),
            gc.nn.Flatten(),
            gc.nn.Dense(10, "softmax"),
        ]
    )
    metrics = ["accuracy", gc.metrics.F1("macro")]
    model.compile(gc.optim.Adam(0.01), "sparse_categorical_crossentropy", metrics, backend=backend)
    history = model.fit(x, y, epochs=10, batch_size=32, validation_split=0.1, verbose=0)
    assert history["accuracy"][-1] > 0.95 and history["val_f1"][-1] > 0.8 and model.step.compilations == 1


def test_augmented_training_is_that_of_an_augmented_stream(same_bits):
    x, y = np.random.default_rng(0).random((20, 1, 4, 4)).astype("float32"), np.arange(20) % 2
    augment = gc.data.Augmentation([gc.data.Flip(), gc.data.Noise(0.1)], seed=3)

    def net():
        gc.nn.reset_names()
        model = gc.Sequential([gc.nn.Flatten(), gc.nn.Dense(1, "sigmoid")])
        model.compile("sgd", loss="binary_crossentropy", backend="numpy")
        return model

    plain, changed, streamed = net(), net(), net()
    plain.fit(x, y, epochs=2, batch_size=8, verbose=0)
    changed.fit(x, y, epochs=2, batch_size=8, augment=augment, verbose=0)
    rows = gc.data.from_arrays(x, y).shuffle(seed=0).batch(8)
    streamed.fit(rows.map(augment, indexed=True), epochs=2, verbose=0)
    same_bits(changed, streamed)
    assert any((a != b).any() for a, b in zip(plain.get_weights().values(), changed.get_weights().values()))


def test_further_metrics_of_one_evaluation(classifier, cancer):
    model = classifier(metrics=["accuracy"])
    model.fit(*cancer, verbose=0)
    more = model.evaluate(*cancer, metrics=["auc", gc.metrics.F1(name="mine")])
    assert list(more) == ["loss", "accuracy", "auc", "mine"]
    assert list(model.evaluate(*cancer)) == ["loss", "accuracy"]
