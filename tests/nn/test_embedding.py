"""Embeddings, layers that move or merge, and attention."""

import numpy as np
import pytest
from scipy.special import softmax

import graphc as gc
from graphc import nn


def test_embedding(evaluate):
    ids = nn.Input((3,), "int32")
    layer = nn.Embedding(7, 4, dtype="float64")
    value = np.array([[0, 6, 2], [2, 2, 1]], "int32")
    np.testing.assert_array_equal(evaluate(layer(ids), {ids: value}), layer.weight.value[value])
    assert list(layer.parameters) == ["embedding.weight"]
    assert nn.layer_from({"layer": "Embedding", "config": layer.config()}).config() == layer.config()


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_an_index_outside_is_refused(backend):
    ids = nn.Input((3,), "int32")
    f = gc.function([ids], nn.Embedding(7, 4)(ids), backend=backend)
    with pytest.raises(gc.IndexOutOfBoundsError, match="index 7 is out of bounds for axis 0 with size 7"):
        f(np.array([[0, 7, 2]], "int32"))


def test_embedding_gradient_adds_up_repeated_rows():
    ids, layer = nn.Input((3,), "int32"), nn.Embedding(4, 2)
    y = layer(ids)
    (gradient,) = gc.grad(gc.sum(y), [layer.weight])
    value = gc.function([ids], gradient, backend="llvm")(np.array([[1, 1, 3]], "int32"))
    assert value.tolist() == [[0, 0], [2, 2], [0, 0], [1, 1]]


@pytest.mark.parametrize("units", [6, 7])
def test_sinusoids(evaluate, drawn, units):
    x = nn.Input(("time", units), "float64")
    value = drawn(2, 5, units)
    place, i = np.arange(5)[:, None], np.arange(units)
    half = (units + 1) // 2
    angle = place / 10000 ** (2 * (i % half) / units)
    table = np.where(i < half, np.sin(angle), np.cos(angle))
    np.testing.assert_allclose(evaluate(nn.PositionalEmbedding()(x), {x: value}), value + table, rtol=1e-12)


@pytest.mark.parametrize("time", [5, "time"])
def test_learned_places(evaluate, drawn, time):
    x, layer, value = nn.Input((time, 4), "float64"), nn.PositionalEmbedding("learned", length=8), drawn(2, 5, 4)
    y = layer(x)
    np.testing.assert_allclose(evaluate(y, {x: value}), value + layer.weight.value[:5], rtol=1e-13)
    with pytest.raises(gc.ShapeError, match="the longest sequence has length 8, not 9"):
        layer(nn.Input((9, 4)))


def test_layers_that_move(evaluate, drawn):
    x, value = nn.Input((3, 4, 5), "float64"), drawn(2, 3, 4, 5)
    layers = [nn.Flatten(), nn.Reshape((5, -1)), nn.Reshape((60,)), nn.Permute((3, 1, 2))]
    results = evaluate([layer(x) for layer in layers], {x: value})
    expected = [
        value.reshape(2, -1), value.reshape(2, 5, 12), value.reshape(2, 60), value.transpose(0, 3, 1, 2),
    ]  # fmt: skip
    for result, wanted in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, wanted)


def test_layers_that_merge(evaluate, drawn):
    x, y, z = (nn.Input((3,), "float64") for _ in range(3))
    a, b, c = drawn(2, 3), drawn(2, 3), drawn(2, 3)
    expected = {
        nn.Concatenate(): np.concatenate([a, b, c], -1), nn.Concatenate(axis=0): np.concatenate([a, b, c]),
        nn.Add(): a + b + c, nn.Subtract(): a - b - c, nn.Multiply(): a * b * c, nn.Average(): (a + b + c) / 3,
        nn.Maximum(): np.maximum(a, np.maximum(b, c)), nn.Minimum(): np.minimum(a, np.minimum(b, c)),
    }  # fmt: skip
    results = evaluate([layer(x, y, z) for layer in expected], {x: a, y: b, z: c})
    for result, (layer, wanted) in zip(results, expected.items()):
        np.testing.assert_allclose(result, wanted, rtol=1e-14, err_msg=layer.name)
        assert layer([x, y, z]).type == layer(x, y, z).type


# attention ------------------------------------------------------------------------------------------------------------


def attended(q, k, v, allowed=None):
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    if allowed is not None:
        scores = np.where(allowed, scores, -1e300)
    return softmax(scores, -1) @ v


def test_attention(evaluate, drawn):
    q, k, v = (gc.placeholder((2, n, d), "float64") for n, d in ((4, 8), (5, 8), (5, 3)))
    mask = gc.placeholder((2, 4, 5), "bool")
    feeds = {q: drawn(2, 4, 8), k: drawn(2, 5, 8), v: drawn(2, 5, 3), mask: drawn(2, 4, 5) > 0}
    feeds[mask][0, 0] = False  # a place that may look at nothing
    plain, masked, causal, both = evaluate(
        [
            nn.attention(q, k, v),
            nn.attention(q, k, v, mask=mask),
            nn.attention(q, k, v, causal=True),
            nn.attention(q, k, v, mask=mask, causal=True),
        ],
        feeds,
    )
    a, b, c, allowed = feeds.values()
    triangle = np.tri(4, 5, dtype=bool)
    np.testing.assert_allclose(plain, attended(a, b, c), rtol=1e-12)
    np.testing.assert_allclose(masked, attended(a, b, c, allowed), rtol=1e-12)
    np.testing.assert_allclose(masked[0, 0], c[0].mean(0), rtol=1e-12)
    np.testing.assert_allclose(causal, attended(a, b, c, triangle), rtol=1e-12)
    np.testing.assert_allclose(both, attended(a, b, c, allowed & triangle), rtol=1e-12)


def multi_head(layer, query, key, value, allowed=None):
    p = {n.partition(".")[2]: v.value for n, v in layer.parameters.items()}
    heads = []
    for x, name in ((query, "query"), (key, "key"), (value, "value")):
        mapped = x @ p[f"{name}_weight"] + p[f"{name}_bias"]
        heads.append(mapped.reshape(*x.shape[:2], layer.heads, -1).transpose(0, 2, 1, 3))
    found = attended(*heads, allowed).transpose(0, 2, 1, 3)
    return found.reshape(*query.shape[:2], -1) @ p["output_weight"] + p["output_bias"]


def test_multi_head_attention(evaluate, drawn):
    x, y, z = nn.Input(("places", 6), "float64"), nn.Input((5, 7), "float64"), nn.Input((5, 4), "float64")
    padding = nn.Input((5,), "bool")
    own = nn.MultiHeadAttention(2, bias_init="normal")
    cross = nn.MultiHeadAttention(3, 4, value_units=2, output_units=5, bias_init="normal")
    outputs = [own(x), own(x, causal=True), cross(x, y, z), cross(x, y, z, mask=padding[:, None, :])]
    a, b, c, there = drawn(2, 4, 6), drawn(2, 5, 7), drawn(2, 5, 4), np.array([[1, 1, 1, 0, 0], [1, 0, 1, 1, 0]], bool)
    results = evaluate(outputs, {x: a, y: b, z: c, padding: there})
    expected = [
        multi_head(own, a, a, a),
        multi_head(own, a, a, a, np.tri(4, dtype=bool)),
        multi_head(cross, a, b, c),
        multi_head(cross, a, b, c, there[:, None, None, :]),
    ]
    for result, wanted in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, wanted, rtol=1e-11, atol=1e-12)
    assert cross.parameters["multi_head_attention_1.value_weight"].shape == (4, 6)
    assert cross.parameter_count == 6 * 12 + 12 + 7 * 12 + 12 + 4 * 6 + 6 + 6 * 5 + 5


def test_multi_head_attention_gradients(check_gradients, drawn):
    x = nn.Input((4, 6), "float64")
    layer = nn.MultiHeadAttention(2)
    check_gradients(layer(x, causal=True), {x: drawn(2, 4, 6)}, layer.parameters.values(), rtol=1e-5)


def test_attention_drops_weights_in_training():
    x, layer = nn.Input((4, 6)), nn.MultiHeadAttention(2, dropout=0.5, name="a")
    with nn.training() as updates:
        y = layer(x)
    f = gc.function([x], y, updates=updates, backend="numpy")
    value = np.random.default_rng(0).normal(size=(2, 4, 6)).astype("float32")
    assert not np.array_equal(f(value), f(value))
    assert list(layer.state) == ["a.dropout.seed"]
    still = gc.function([x], layer(x), backend="numpy")
    assert np.array_equal(still(value), still(value))
