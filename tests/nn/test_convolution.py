"""Convolutions, pooling and upsampling as layers, against loops over windows."""

import itertools

import numpy as np
import pytest

import graphc as gc
from graphc import nn


def windows(x, window, strides, padding, dilation, fill=0.0):
    """x (batch, channels, *extents) -> (batch, channels, *counts, *window), padded by `fill`."""
    rank = x.ndim - 2
    ends = padding if isinstance(padding, tuple) else ((padding, padding),) * rank
    x = np.pad(x, [(0, 0), (0, 0), *ends], constant_values=fill)
    counts = [(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], window, strides, dilation)]
    result = np.empty((*x.shape[:2], *counts, *window))
    for place in itertools.product(*map(range, counts)):
        cut = tuple(slice(p * s, p * s + (k - 1) * d + 1, d) for p, s, k, d in zip(place, strides, window, dilation))
        result[(slice(None), slice(None), *place)] = x[(slice(None), slice(None), *cut)]
    return result


def convolved(x, w, strides, padding, dilation, groups):
    rank = x.ndim - 2
    out = []
    for part, weights in zip(np.split(x, groups, 1), np.split(w, groups, 0)):
        cut = windows(part, w.shape[2:], strides, padding, dilation)
        axes = [1, *range(2 + rank, 2 + 2 * rank)]
        out.append(np.moveaxis(np.tensordot(cut, weights, [axes, list(range(1, rank + 2))]), -1, 1))
    return np.concatenate(out, 1)


CASES = [
    (nn.Conv1D, (4, 11), {"window": 3}, (1,), 0, (1,), 1),
    (nn.Conv1D, (4, 11), {"window": 3, "strides": 2, "padding": 2, "dilation": 2, "groups": 2}, (2,), 2, (2,), 2),
    (nn.Conv2D, (3, 8, 7), {"window": 3, "padding": "same"}, (1, 1), 1, (1, 1), 1),
    (nn.Conv2D, (4, 8, 7), {"window": (3, 2), "strides": (2, 1), "padding": ((1, 0), (0, 1)), "groups": 4},
     (2, 1), ((1, 0), (0, 1)), (1, 1), 4),
    (nn.Conv3D, (2, 5, 4, 6), {"window": 2, "use_bias": False}, (1, 1, 1), 0, (1, 1, 1), 1),
]  # fmt: skip


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(("make", "shape", "options", "strides", "padding", "dilation", "groups"), CASES)
def test_convolution(evaluate, drawn, layout, make, shape, options, strides, padding, dilation, groups):
    layer = make(8, **options, layout=layout, activation="relu", bias_init="normal")
    value = drawn(2, *shape)
    last = layout == "NHWC"
    fed = np.moveaxis(value, 1, -1) if last else value
    x = nn.Input(fed.shape[1:], "float64")
    result = evaluate(layer(x), {x: fed})
    y = convolved(value, layer.weight.value, strides, padding, dilation, groups)
    if layer.bias is not None:
        y = y + layer.bias.value.reshape(-1, *[1] * (len(shape) - 1))
    np.testing.assert_allclose(np.moveaxis(result, -1, 1) if last else result, np.maximum(y, 0), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("make", "shape", "options"),
    [
        (nn.Conv1DTranspose, (4, 5), {"window": 3, "strides": 2}),
        (nn.Conv2DTranspose, (4, 5, 3), {"window": 3, "strides": 2, "padding": 1, "groups": 2}),
        (nn.Conv3DTranspose, (4, 2, 3, 2), {"window": 2}),
    ],
)
def test_transposed_convolution_is_the_gradient_of_a_convolution(evaluate, drawn, make, shape, options):
    """<conv(z), x> = <z, conv_transpose(x)> for all z."""
    layer = make(6, **options, use_bias=False)
    x = nn.Input(shape, "float64")
    y, value = layer(x), drawn(2, *shape)
    result = evaluate(y, {x: value})
    assert layer.weight.shape[:2] == (4, 6 // options.get("groups", 1))
    z, rank = drawn(*result.shape), len(shape) - 1
    strides = (options.get("strides", 1),) * rank
    back = convolved(z, layer.weight.value, strides, options.get("padding", 0), (1,) * rank, options.get("groups", 1))
    np.testing.assert_allclose(np.sum(back * value), np.sum(z * result), rtol=1e-11)


def test_convolution_gradients(check_gradients, drawn):
    x = nn.Input((2, 6, 5), "float64")
    conv, up = nn.Conv2D(3, 3, 2, "SAME", "tanh"), nn.Conv2DTranspose(2, 3, 2)
    y = up(conv(x))
    check_gradients(y, {x: drawn(2, 2, 6, 5)}, [*conv.parameters.values(), *up.parameters.values()])


def test_one_layer_takes_images_of_every_size():
    conv = nn.Conv2D(4, 3, padding="SAME")
    x = nn.Input((3, "h", "w"))
    f = gc.function([x], nn.GlobalAvgPool()(conv(x)))
    assert [f(np.ones((2, 3, *size), "float32")).shape for size in ((4, 4), (7, 5))] == [(2, 4), (2, 4)]
    assert f.compilations == 1


POOLS = [
    (nn.MaxPool1D, nn.AvgPool1D, (3, 9)),
    (nn.MaxPool2D, nn.AvgPool2D, (3, 7, 8)),
    (nn.MaxPool3D, nn.AvgPool3D, (3, 5, 4, 6)),
]


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(("greatest", "average", "shape"), POOLS)
def test_pooling(evaluate, drawn, layout, greatest, average, shape):
    value, rank = drawn(2, *shape), len(shape) - 1
    last = layout == "NHWC"
    fed = np.moveaxis(value, 1, -1) if last else value
    x = nn.Input(fed.shape[1:], "float64")
    layers = [
        greatest(2, layout=layout),
        greatest(3, 2, 1, layout=layout),
        average(2, layout=layout),
        average(3, 2, 1, layout=layout),
        average(3, 2, 1, layout=layout, count_include_pad=True),
    ]
    results = [np.moveaxis(r, -1, 1) if last else r for r in evaluate([layer(x) for layer in layers], {x: fed})]
    one, axes = (1,) * rank, tuple(range(-rank, 0))
    whole = windows(value, (2,) * rank, (2,) * rank, 0, one)
    low = windows(value, (3,) * rank, (2,) * rank, 1, one, -np.inf)
    padded = windows(value, (3,) * rank, (2,) * rank, 1, one)
    expected = [
        whole.max(axes), low.max(axes), whole.mean(axes), padded.sum(axes) / np.isfinite(low).sum(axes),
        padded.mean(axes),
    ]  # fmt: skip
    for result, wanted in zip(results, expected):
        np.testing.assert_allclose(result, wanted, rtol=1e-13, atol=1e-15)


def test_global_pooling_and_upsampling(evaluate, drawn):
    x, value = nn.Input((3, 4, 5), "float64"), drawn(2, 3, 4, 5)
    greatest, average, kept, last, twice = evaluate(
        [
            nn.GlobalMaxPool()(x),
            nn.GlobalAvgPool()(x),
            nn.GlobalAvgPool(keepdims=True)(x),
            nn.GlobalMaxPool(layout="NHWC")(x),
            nn.Upsample((2, 3))(x),
        ],
        {x: value},
    )
    np.testing.assert_array_equal(greatest, value.max((2, 3)))
    np.testing.assert_allclose(average, value.mean((2, 3)), rtol=1e-13)
    np.testing.assert_allclose(kept, value.mean((2, 3), keepdims=True), rtol=1e-13)
    np.testing.assert_array_equal(last, value.max((1, 2)))
    np.testing.assert_array_equal(twice, value.repeat(2, 2).repeat(3, 3))


def test_adaptive_pooling(evaluate, drawn):
    """Parts from floor(i * extent / size) to ceil((i + 1) * extent / size)."""
    x, value = nn.Input((3, 7, 4), "float64"), drawn(2, 3, 7, 4)
    average, greatest = evaluate([nn.AdaptiveAvgPool((3, 2))(x), nn.AdaptiveMaxPool((3, 2))(x)], {x: value})
    parts = [(i * 7 // 3, -(-(i + 1) * 7 // 3)) for i in range(3)]
    for i, (start, stop) in enumerate(parts):
        for j in range(2):
            box = value[:, :, start:stop, 2 * j : 2 * j + 2]
            np.testing.assert_allclose(average[:, :, i, j], box.mean((2, 3)), rtol=1e-13)
            np.testing.assert_array_equal(greatest[:, :, i, j], box.max((2, 3)))


def test_pooling_gradients(check_gradients, drawn):
    x = nn.Input((2, 6, 6), "float64")
    y = nn.AvgPool2D(2)(nn.MaxPool2D(2, 1)(nn.Upsample(2)(x)))
    check_gradients(y, {x: drawn(2, 2, 6, 6)}, [])
