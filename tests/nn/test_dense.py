"""Dense, activations by name, initialisers, and the layers of functions."""

import numpy as np
import pytest
import scipy.special

import graphc as gc
from graphc import nn


def test_dense(evaluate, drawn):
    x = nn.Input((3,), "float64")
    dense = nn.Dense(4, activation="tanh", bias_init="normal")
    y, value = dense(x), drawn(5, 3)
    expected = np.tanh(value @ dense.weight.value + dense.bias.value)
    np.testing.assert_allclose(evaluate(y, {x: value}), expected, rtol=1e-13)


def test_dense_works_on_the_last_axis_only(evaluate, drawn):
    x = gc.placeholder(("n", "t", 3), "float64")
    dense = nn.Dense(4, use_bias=False)
    y, value = dense(x), drawn(2, 5, 3)
    assert list(dense.parameters) == ["dense.weight"]
    np.testing.assert_allclose(evaluate(y, {x: value}), value @ dense.weight.value, rtol=1e-13)


def test_dense_gradients(check_gradients, drawn):
    x = nn.Input((3,), "float64")
    dense = nn.Dense(4, activation="sigmoid")
    check_gradients(dense(x), {x: drawn(5, 3)}, dense.parameters.values())


SIGMOID = scipy.special.expit
FORMULAS = {
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "exp": np.exp,
    "gelu": lambda x: x * scipy.special.ndtr(x),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "linear": lambda x: x,
    "log_sigmoid": lambda x: np.log(SIGMOID(x)),
    "log_softmax": lambda x: scipy.special.log_softmax(x, -1),
    "mish": lambda x: x * np.tanh(np.logaddexp(x, 0)),
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    "sigmoid": SIGMOID,
    "silu": lambda x: x * SIGMOID(x),
    "softmax": lambda x: scipy.special.softmax(x, -1),
    "softplus": lambda x: np.logaddexp(x, 0),
    "softsign": lambda x: x / (1 + abs(x)),
    "swish": lambda x: x * SIGMOID(x),
    "tanh": np.tanh,
}


def test_every_activation_has_its_value(evaluate, drawn):
    assert FORMULAS.keys() == nn.activations.ACTIVATIONS.keys()
    x, value = nn.Input((6,), "float64"), 4 * drawn(5, 6)
    results = evaluate([nn.Activation(name)(x) for name in FORMULAS], {x: value})
    for (name, formula), result in zip(FORMULAS.items(), results):
        np.testing.assert_allclose(result, formula(value), rtol=1e-12, atol=1e-13, err_msg=name)


def test_lambda_takes_several_tensors_and_gives_several(evaluate, drawn):
    x, y = nn.Input((3,), "float64"), nn.Input((3,), "float64")
    both = nn.Lambda(lambda a, b: (a + b, a - b))
    total, difference = both(x, y)
    a, b = drawn(2, 3), drawn(2, 3)
    results = evaluate([total, difference], {x: a, y: b})
    np.testing.assert_array_equal(results, [a + b, a - b])
    assert nn.call_of(difference)[1] == 1


SHAPES = [(200, 300), (40, 30, 5, 5)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("name", "gain", "fan"),
    [
        ("glorot_uniform", 2, sum),
        ("glorot_normal", 2, sum),
        ("he_uniform", 2, lambda fans: fans[0]),
        ("he_normal", 2, lambda fans: fans[0]),
        ("lecun_uniform", 1, lambda fans: fans[0]),
        ("lecun_normal", 1, lambda fans: fans[0]),
    ],
)
def test_variance_scaling(name, gain, fan, shape):
    fans = (200, 300) if len(shape) == 2 else (30 * 25, 40 * 25)
    value = nn.initializers.get(name)(shape, "float64", seed=3)
    assert value.shape == shape
    assert abs(value.mean()) < 5 * np.sqrt(gain / fan(fans) / value.size)
    assert value.var() == pytest.approx(gain / fan(fans), rel=0.03)
    if name.endswith("uniform"):
        assert abs(value).max() <= np.sqrt(3 * gain / fan(fans))


def test_given_fans_count():
    he = nn.initializers.get("he_normal")
    assert he((100, 100), "float64", fans=(400, 1)).var() == pytest.approx(2 / 400, rel=0.05)


@pytest.mark.parametrize("shape", [(30, 20), (20, 30), (8, 3, 2, 2)])
def test_orthogonal(shape):
    matrix = nn.initializers.Orthogonal(2.0)(shape, "float64", seed=1).reshape(shape[0], -1)
    matrix = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    np.testing.assert_allclose(matrix @ matrix.T, 4 * np.eye(len(matrix)), atol=1e-13)


def test_the_other_initializers():
    value = {n: nn.initializers.get(n)((100, 100), "float64") for n in ("zeros", "ones", "normal", "uniform")}
    assert (value["zeros"] == 0).all()
    assert (value["ones"] == 1).all()
    assert value["normal"].std() == pytest.approx(0.05, rel=0.03)
    assert 0.0499 < abs(value["uniform"]).max() <= 0.05
    truncated = nn.initializers.TruncatedNormal(1.0, 0.5)((100, 100), "float64")
    assert abs(truncated - 1.0).max() <= 1.0
    assert truncated.std() == pytest.approx(0.5 * 0.8796, rel=0.03)
    assert nn.initializers.Constant([1.0, 2.0])((3, 2)).tolist() == [[1.0, 2.0]] * 3


def test_initializers_by_seed_and_config():
    make = nn.initializers.get({"name": "normal", "std": 2.0, "seed": 4})
    assert np.array_equal(make((3,), seed=1), make((3,), seed=2))
    for name in nn.initializers.INITIALIZERS:
        initializer = nn.initializers.get(name)
        assert nn.initializers.get(initializer.config()) == initializer
    with pytest.raises(gc.ArgumentError, match="did you mean 'std'"):
        nn.initializers.get({"name": "normal", "stdd": 2.0})
    with pytest.raises(gc.ShapeError, match="orthogonal: takes a shape of rank 2 or more"):
        nn.Dense(3, bias_init="orthogonal")(nn.Input((2,)))
