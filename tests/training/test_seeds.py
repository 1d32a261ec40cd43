"""Two models of one structure and one seed begin, and train, alike, whatever else the process has made before."""

import numpy as np
import pytest

import graphc as gc


def values(model):
    return list(model.get_weights().values())


def sequential(seed):
    rows = gc.nn.Bidirectional(gc.nn.GRU(2, return_sequences=True))
    layers = [gc.nn.Input((4, 3)), rows, gc.nn.Flatten(), gc.nn.Dropout(0.5), gc.nn.Dense(2), gc.nn.Dense(2)]
    return gc.Sequential(layers, seed=seed)


def functional(seed):
    x = gc.nn.Input((4, 3))
    rows = gc.nn.Bidirectional(gc.nn.GRU(2, return_sequences=True))(x)
    return gc.Model(x, gc.nn.Dense(2)(gc.nn.Dropout(0.5)(gc.nn.Flatten()(rows))), seed=seed)


@pytest.mark.parametrize("make", [sequential, functional])
def test_models_of_one_seed_are_equal_after_training(make):
    x, y = np.random.default_rng(0).normal(size=(8, 4, 3)), np.zeros((8, 2))
    trained = []
    for _ in range(2):
        model = make(7)
        model.compile("sgd", loss="mse", backend="numpy")
        model.fit(x, y, epochs=2, verbose=0)
        trained.append(values(model))
    for a, b in zip(*trained):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("make", [sequential, functional])
def test_seeds_and_places_differ(make):
    one, other = values(make(1)), values(make(2))
    assert any((a != b).any() for a, b in zip(one, other))
    weights = make(1).layers[0].parameters
    forward, backward = (v.value for name, v in weights.items() if name.endswith("ward.weight"))
    assert (forward != backward).any()


def test_a_layers_own_seed_counts():
    nets = [gc.Sequential([gc.nn.Input((3,)), gc.nn.Dense(2, seed=5), gc.nn.Dense(2)], seed=n) for n in (1, 2)]
    (own, _, first, _), (same, _, second, _) = map(values, nets)
    np.testing.assert_array_equal(own, same)
    assert (first != second).any()


def test_layers_that_are_added_later_leave_the_others_alone():
    whole = gc.Sequential([gc.nn.Input((3,)), gc.nn.Dense(2), gc.nn.Dense(2)], seed=3)
    grown = gc.Sequential([gc.nn.Input((3,)), gc.nn.Dense(2)], seed=3)
    grown.add(gc.nn.Dense(2))
    for a, b in zip(values(whole), values(grown)):
        np.testing.assert_array_equal(a, b)


def test_models_name_inputs_that_have_no_name():
    model = sequential(0)
    assert model.input_names == ["x"]
    assert [t.name for t in model.predict_function().graph.inputs] == ["x"]
    left, right = gc.nn.Input((3,)), gc.nn.Input((3,))
    twin = gc.Model([left, right], gc.nn.Dense(1)(left + right))
    assert [t.name for t in twin.predict_function().graph.inputs] == twin.input_names == ["input_0", "input_1"]
    assert twin.predict({"input_0": np.ones((2, 3)), "input_1": np.ones((2, 3))}).shape == (2, 1)
