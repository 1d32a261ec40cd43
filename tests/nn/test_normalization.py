"""Normalisation: values, running moments, what training and inference use, gradients."""

import numpy as np
import pytest

import graphc as gc
from graphc import nn


def normal(x, axes, epsilon=1e-5):
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon)


def perturbed(layer):
    """Other weights than 1 and 0, by which values are told apart."""
    rng = np.random.default_rng(0)
    for variable in layer.parameters.values():
        variable.assign(rng.normal(size=variable.shape))
    weight, bias = (layer.parameters.get(f"{layer.name}.{n}") for n in ("weight", "bias"))
    return 1.0 if weight is None else weight.value, 0.0 if bias is None else bias.value


@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("shape", [(3,), (3, 4, 3)])
@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_batch_norm_in_training_and_inference(drawn, axis, shape, backend):
    x = nn.Input(shape, "float64")
    layer = nn.BatchNorm(axis, momentum=0.75)
    with nn.training() as updates:
        y = layer(x)
    weight, bias = perturbed(layer)
    step = gc.function([x], y, updates=updates, backend=backend)
    infer = gc.function([x], layer(x), backend=backend)
    place = [1] * (len(shape) + 1)
    place[axis] = 3
    weight, bias = weight.reshape(place), bias.reshape(place)
    axes = tuple(a for a in range(len(place)) if a != axis % len(place))
    mean, variance = np.zeros(3), np.ones(3)
    for _ in range(3):
        value = 3 + 2 * drawn(5, *shape)
        running = (value - mean.reshape(place)) / np.sqrt(variance.reshape(place) + 1e-5) * weight + bias
        np.testing.assert_allclose(infer(value), running, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(step(value), normal(value, axes) * weight + bias, rtol=1e-11, atol=1e-12)
        mean = 0.75 * mean + 0.25 * value.mean(axes)
        variance = 0.75 * variance + 0.25 * value.var(axes, ddof=1)
        np.testing.assert_allclose(layer.state["batch_norm.mean"].value, mean, rtol=1e-12)
        np.testing.assert_allclose(layer.state["batch_norm.variance"].value, variance, rtol=1e-12)


def test_a_batch_of_one_leaves_finite_moments():
    x, layer = nn.Input((3,)), nn.BatchNorm()
    with nn.training() as updates:
        y = layer(x)
    gc.function([x], y, updates=updates, backend="llvm")(np.ones((1, 3), "float32"))
    assert np.isfinite(layer.state["batch_norm.variance"].value).all()


def test_a_frozen_batch_norm_uses_its_running_moments(drawn):
    x, layer = nn.Input((3,), "float64"), nn.BatchNorm(trainable=False)
    with nn.training() as updates:
        y = layer(x)
    assert updates == {}
    assert layer.parameters == {}
    value = drawn(5, 3)
    np.testing.assert_allclose(gc.function([x], y, backend="numpy")(value), value / np.sqrt(1 + 1e-5), rtol=1e-12)


CASES = [
    (nn.LayerNorm, {}, (4, 6), (-1,)),
    (nn.LayerNorm, {"axes": (1, 2), "epsilon": 0.1}, (4, 6), (1, 2)),
    (nn.LayerNorm, {"scale": False, "center": False}, (6,), (-1,)),
    (nn.InstanceNorm, {}, (4, 5, 6), (2, 3)),
    (nn.InstanceNorm, {"axis": -1}, (4, 5, 6), (1, 2)),
]


@pytest.mark.parametrize(("make", "options", "shape", "axes"), CASES)
def test_layer_and_instance_norm(evaluate, drawn, make, options, shape, axes):
    x, layer, value = nn.Input(shape, "float64"), make(**options), 3 + drawn(2, *shape)
    y = layer(x)
    weight, bias = perturbed(layer)
    if make is nn.InstanceNorm and options.get("axis") != -1:
        weight, bias = weight.reshape(4, 1, 1), bias.reshape(4, 1, 1)
    expected = normal(value, axes, options.get("epsilon", 1e-5)) * weight + bias
    np.testing.assert_allclose(evaluate(y, {x: value}), expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("axis", [1, -1])
def test_group_norm(evaluate, drawn, axis):
    value = 3 + drawn(2, 6, 4, 5)
    fed = np.moveaxis(value, 1, axis)
    x, layer = nn.Input(tuple(fed.shape[1:]), "float64"), nn.GroupNorm(3, axis=axis)
    y = layer(x)
    weight, bias = perturbed(layer)
    expected = normal(value.reshape(2, 3, 2, 4, 5), (2, 3, 4)).reshape(value.shape)
    expected = expected * weight.reshape(6, 1, 1) + bias.reshape(6, 1, 1)
    np.testing.assert_allclose(evaluate(y, {x: fed}), np.moveaxis(expected, 1, axis), rtol=1e-11, atol=1e-12)


def test_group_norm_of_images_of_any_size():
    x = nn.Input((6, "h", "w"))
    f = gc.function([x], nn.GroupNorm(2)(x))
    assert f(np.ones((2, 6, 3, 4), "float32")).shape == (2, 6, 3, 4)


@pytest.mark.parametrize("layer", [nn.BatchNorm(), nn.LayerNorm(), nn.GroupNorm(2), nn.InstanceNorm()])
def test_gradients(check_gradients, drawn, layer):
    x = nn.Input((4, 5), "float64")
    with nn.training():
        y = layer(x)
    perturbed(layer)
    check_gradients(y, {x: drawn(3, 4, 5)}, layer.parameters.values(), rtol=1e-5)


def test_moments(evaluate, drawn):
    x, value = nn.Input((4, 5), "float64"), drawn(3, 4, 5)
    mean, variance = evaluate(list(nn.moments(x, (0, 2))), {x: value})
    np.testing.assert_allclose(mean, value.mean((0, 2)), rtol=1e-12)
    np.testing.assert_allclose(variance, value.var((0, 2)), rtol=1e-12)
    with pytest.raises(gc.ShapeError, match="axis 3 is out of bounds"):
        nn.moments(x, 3)
