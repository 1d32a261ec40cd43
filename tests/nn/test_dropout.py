"""Dropout: nothing in inference; in training the right share, the right scale, fresh at every call."""

import numpy as np
import pytest

import graphc as gc
from graphc import nn

ONES = np.ones((40, 50), "float32")


def trained(layer, x, backend):
    with nn.training() as updates:
        y = layer(x)
    return gc.function([x], y, updates=updates, backend=backend)


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_training_drops_a_share_and_scales_the_rest(backend):
    f = trained(nn.Dropout(0.2), nn.Input((50,)), backend)
    values = np.stack([f(ONES) for _ in range(5)])
    assert set(np.unique(values)) == {np.float32(0), np.float32(1.25)}
    assert (values == 0).mean() == pytest.approx(0.2, abs=0.02)
    assert not any(np.array_equal(values[0], v) for v in values[1:])


def test_both_backends_and_every_run_draw_the_same():
    runs = []
    for backend in ("numpy", "llvm", "numpy"):
        f = trained(nn.Dropout(0.5, name="d"), nn.Input((50,)), backend)
        runs.append([f(ONES), f(ONES)])
    assert np.array_equal(runs[0], runs[1])
    assert np.array_equal(runs[0], runs[2])


def test_layers_with_neighbouring_seeds_draw_different_numbers():
    first = trained(nn.Dropout(0.5, seed=0), nn.Input((50,)), "numpy")
    second = trained(nn.Dropout(0.5, seed=1), nn.Input((50,)), "numpy")
    later = [first(ONES), first(ONES)]
    assert not any(np.array_equal(second(ONES), v) for v in later)


def test_inference_is_the_identity():
    x = nn.Input((50,))
    f = gc.function([x], nn.Dropout(0.5)(x))
    assert np.array_equal(f(ONES), ONES)
    assert np.array_equal(trained(nn.Dropout(0.0), x, "numpy")(ONES), ONES)


def test_the_gradient_passes_where_nothing_was_dropped():
    x = nn.Input((50,))
    with nn.training():
        y = nn.Dropout(0.5)(x)
    value, gradient = gc.function([x], [y, *gc.grad(gc.sum(y * 3.0), [x])], backend="llvm")(ONES)
    assert np.array_equal(gradient, value * 3)


@pytest.mark.parametrize(("layout", "axes"), [("NCHW", (2, 3)), ("NHWC", (1, 2))])
def test_spatial_dropout_drops_whole_channels(layout, axes):
    x = nn.Input((20, 20, 20))
    values = trained(nn.SpatialDropout(0.5, layout=layout), x, "numpy")(np.ones((3, 20, 20, 20), "float32"))
    assert np.array_equal(values.min(axes), values.max(axes))
    assert 0 < (values.min(axes) == 0).mean() < 1


def test_as_a_function():
    x = gc.placeholder((40, 50), "float64")
    y = nn.dropout(x, 0.5, seed=1, shared_axes=(-1,))
    value = gc.function([x], y, backend="numpy")(ONES.astype("float64"))
    assert np.array_equal(value.min(1), value.max(1))
    with pytest.raises(gc.ShapeError, match=r"dropout: axis 2 is out of bounds for f64\[40,50\]"):
        nn.dropout(x, 0.5, seed=1, shared_axes=(2,))
