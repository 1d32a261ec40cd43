"""Mistakes in compile and fit are typed, and say what is wrong and what there is."""

import numpy as np
import pytest

import graphc as gc

X, Y = np.zeros((10, 3), "float32"), np.zeros(10, "int64")


def net(**options):
    model = gc.Sequential([gc.nn.Dense(1, "sigmoid")], name="net")
    model.compile(**{"optimizer": "adam", "loss": "binary_crossentropy", "backend": "numpy", **options})
    return model


def test_fit_before_compile():
    model = gc.Sequential([gc.nn.Dense(1)], name="net")
    for call in (model.fit, model.evaluate, model.train_on_batch, model.compare):
        with pytest.raises(gc.GraphError, match=rf"{call.__name__}: net is not compiled\n  hint: call compile"):
            call(X, Y)
    with pytest.raises(gc.GraphError, match="was not trained yet"):
        _ = model.step


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"optimizer": "adm"}, "did you mean 'adam'"),
        ({"loss": "binary_crosentropy"}, "did you mean 'binary_crossentropy'"),
        ({"metrics": ["acuracy"]}, "did you mean 'accuracy'"),
        ({"backend": "lvm"}, "did you mean 'llvm'"),
        ({"loss": None}, "no output has a loss"),
        ({"loss": {"nett": "mse"}}, "there is no output 'nett'.*\n.*did you mean 'net'"),
        ({"loss": 3}, "a loss is a name or a function, not int"),
    ],
)
def test_compile(options, text):
    with pytest.raises(gc.ArgumentError, match=text):
        net(**options)


@pytest.mark.parametrize(
    ("x", "y", "error", "text"),
    [
        (X, Y[:7], gc.ShapeError, "fit: x has 10 rows, y has 7"),
        (X[:0], Y[:0], gc.ShapeError, "fit: x has no rows"),
        (X, None, gc.ArgumentError, "fit: y is missing"),
        (X, np.zeros((10, 2)), gc.ShapeError, "y_true and y_pred must have one shape"),
        (np.float32(3), Y, gc.ShapeError, "x: a single number has no rows"),
        (np.array([["a"]] * 10), Y, gc.FeedError, "holds no numbers\n  hint: gc.data has encoders"),
        (np.array([["a", 1]] * 10, object), Y, gc.FeedError, "not an array of numbers"),
        (gc.constant(X), Y, gc.FeedError, "a symbolic tensor was given"),
        ([X, X], Y, gc.ShapeError, "x has 2 rows, y has 10"),
        ({"z": X}, Y, gc.ArgumentError, "there is no input 'z'"),
        (iter([]), None, gc.ArgumentError, "the data has no batches"),
        (iter([(X,)]), None, gc.ArgumentError, "a batch must be"),
    ],
)
def test_data(x, y, error, text):
    with pytest.raises(error, match=text):
        net().fit(x, y, verbose=0)


def test_the_shape_of_an_example_is_known_after_the_first_call():
    model = net()
    model.fit(X, Y, verbose=0)
    with pytest.raises(gc.ShapeError, match=r"takes arrays of shape \(rows, 3\), this one has shape \(10, 4\)"):
        model.predict(np.zeros((10, 4)))
    with pytest.raises(gc.ShapeError, match=r"this one has shape \(3,\)"):
        model.predict(np.zeros(3))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"validation_split": 0.0}, "validation_split must lie between 0 and 1, both excluded, not 0.0"),
        ({"validation_split": 1.0}, "validation_split must lie between 0 and 1"),
        ({"validation_split": 0.95}, "leaves nothing on one side"),
        ({"validation_split": 0.5, "validation_data": (X, Y)}, "not both"),
        ({"validation_data": X}, r"must be \(x, y\)"),
        ({"epochs": -1}, "epochs must be a whole number >= 0"),
        ({"batch_size": 0}, "batch_size must be a whole number >= 1"),
        ({"verbose": -3}, "verbose is a whole number"),
        ({"callbacks": [print]}, "is no callback"),
        ({"callbacks": [gc.training.EarlyStopping]}, "make an instance of it"),
        ({"sample_weight": -np.ones(10)}, "sample_weight holds a number that is negative"),
        ({"class_weight": {0: "x"}}, "the weight of class 0 must be a number"),
        ({"class_weight": 2.0}, "class_weight is a dict of numbers or 'balanced'"),
        ({"steps_per_epoch": 3}, "steps_per_epoch is for streams"),
        ({"callbacks": [gc.training.EarlyStopping("val_loss")]}, "give fit validation_data"),
        ({"callbacks": [gc.training.EarlyStopping("los")]}, "did you mean 'loss'"),
    ],
)
def test_arguments_of_fit(options, text):
    model = net()
    with pytest.raises(gc.ArgumentError, match=text):
        model.fit(X, Y, **{"verbose": 0, **options})


def test_a_loss_that_is_no_number(backend):
    rng = np.random.default_rng(0)
    model = gc.Sequential([gc.nn.Dense(1)])
    model.compile(gc.optim.SGD(1e30), loss="mse", backend=backend)
    with pytest.raises(gc.CheckError, match=r"the loss is nan in epoch \d+, step \d+\n  hint: lower the learning rate"):
        model.fit(rng.normal(size=(64, 3)), rng.normal(size=64), epochs=50, batch_size=16, verbose=0)


def test_integers_into_a_model_of_integers_only():
    model = gc.Sequential([gc.nn.Input((3,), "int64"), gc.nn.Dense(1)])
    with pytest.raises(gc.DTypeError, match="the model takes int64, an array of float32 would lose values"):
        model.predict(X)


def test_models_refuse_what_is_no_layer():
    with pytest.raises(gc.ArgumentError, match="is no layer\n  hint: make an instance"):
        gc.Sequential([gc.nn.Dense])
    with pytest.raises(gc.ArgumentError, match="an Input comes first"):
        gc.Sequential([gc.nn.Dense(2), gc.nn.Input((3,))])
    x, z = gc.nn.Input((3,), name="x"), gc.nn.Input((3,), name="z")
    with pytest.raises(gc.ArgumentError, match=r"input 0 is no gc\.nn\.Input"):
        gc.Model(x + 1, x + 2)
    with pytest.raises(gc.GraphError, match="z is needed but is not among the inputs"):
        gc.Model(x, x + z)
    with pytest.raises(gc.GraphError, match="has not seen its input yet"):
        gc.Sequential([gc.nn.Dense(1)]).summary()


def test_weights_that_do_not_fit():
    model = net()
    model.fit(X, Y, verbose=0)
    weights = model.get_weights()
    with pytest.raises(gc.ArgumentError, match=r"has no variable 'dense\.weigth'\n.*did you mean 'dense\.weight'"):
        model.set_weights({"dense.weigth": 1, **weights})
    with pytest.raises(gc.ArgumentError, match=r"no value is given for 'dense\.weight'"):
        model.set_weights({"dense.bias": weights["dense.bias"]})


def test_several_outputs():
    x = gc.nn.Input((3,), name="x")
    model = gc.Model(x, {"a": gc.nn.Dense(1)(x), "b": gc.nn.Dense(1)(x)})
    with pytest.raises(gc.ArgumentError, match="the output 'b' has metrics but no loss"):
        model.compile(loss={"a": "mse"}, metrics={"b": ["mse"]})
    model.compile(loss=["mse", "mse"], backend="numpy")
    with pytest.raises(gc.ArgumentError, match=r"the model has 2 outputs \(a, b\), 1 given"):
        model.fit(X, Y, verbose=0)
    with pytest.raises(gc.ArgumentError, match="nothing is given for the output 'b'"):
        model.fit(X, {"a": Y}, verbose=0)
    with pytest.raises(gc.ArgumentError, match="class_weight is for models with one output"):
        model.fit(X, [Y, Y], class_weight={0: 1.0}, verbose=0)


@pytest.mark.parametrize("one_call", [False, True])
def test_nan_in_the_data_is_named(one_call):
    x, y = np.zeros((10, 3)), np.zeros(10)
    x[4, 1] = np.nan
    with pytest.raises(gc.CheckError, match=r"loss is nan in epoch 1, step 2: x holds NaN\n  hint: .*gc.data.Imputer"):
        net(loss="mse").fit(x, y, batch_size=4, shuffle=False, epoch_in_one_call=one_call, verbose=0)
    y[9] = np.nan
    with pytest.raises(gc.CheckError, match="step 3: y holds NaN"):
        net(loss="mse").fit(X, y, batch_size=4, shuffle=False, epoch_in_one_call=one_call, verbose=0)


def three_classes(loss="sparse_categorical_crossentropy", activation="softmax"):
    model = gc.Sequential([gc.nn.Dense(3, activation, name="out")], name="net")
    model.compile("adam", loss=loss, backend="numpy")
    return model


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ([0, 8], "y holds the label 8, but the model has 3 classes\n  hint: labels are whole numbers from 0 to 2$"),
        ([0, -1], "y holds the label -1, but the model has 3 classes"),
        ([1, 3], "y holds the label 3, but the model has 3 classes\n  hint: .* from 0 to 2; y - 1 has these"),
    ],
)
def test_labels_that_are_no_classes(labels, text):
    for call in ("fit", "evaluate", "train_on_batch"):
        with pytest.raises(gc.ArgumentError, match=f"{call}: {text}"):
            getattr(three_classes(), call)(X[:2], labels)


def test_logits_are_refused_where_probabilities_are_wanted():
    with pytest.raises(gc.ArgumentError, match="y_pred must be probabilities") as caught:
        three_classes(activation=None).fit(X, Y, verbose=0)
    assert "sparse_categorical_crossentropy_from_logits" in caught.value.hint
    assert three_classes("sparse_categorical_crossentropy_from_logits", None).fit(X, Y, verbose=0)["loss"][0] > 0


def test_a_single_example_gets_a_hint():
    model = gc.Sequential([gc.nn.Input((3,)), gc.nn.Dense(1)])
    with pytest.raises(gc.ShapeError, match=r"takes arrays of shape \(rows, 3\), .*\(3,\)(\n.*)*x\[None\]"):
        model.predict(np.zeros(3))


def test_augment_needs_arrays_and_steps():
    augment = gc.data.Augmentation([gc.data.Flip()])
    for options, text in (
        ({"augment": 3}, "augment is a gc.data.Augmentation, not 3"),
        ({"augment": augment, "epoch_in_one_call": True}, "with epoch_in_one_call there are none"),
    ):
        with pytest.raises(gc.ArgumentError, match=text):
            net().fit(X, Y, **options)
    with pytest.raises(gc.ArgumentError, match="augment needs arrays"):
        net().fit(gc.data.from_arrays(X, Y).batch(2), augment=augment)
