"""Graphs of pooling and depthwise convolutions stay channels first, if all of them fit; values stay."""

import numpy as np
import pytest
from checking import ALL_NATIVE, check, same_values, unchanged

import graphc as gc
from graphc.errors import PassError
from graphc.passes import planes as planes_module
from graphc.passes.layout import layout
from graphc.passes.manager import optimise

POOL = "{window=(2, 2), strides=(2, 2), before=(0, 0), after=(0, 0), dilation=(1, 1)}"


def test_pooling_of_each_channel_is_pooling_of_an_image():
    check(
        layout, "%x: f32[n,3,8,18]",
        f"""
        %0 = permute_dims %x {{axes=(0, 2, 3, 1)}} : f32[n,8,18,3]
        %1 = max_pool %0 {POOL} : f32[n,4,9,3]
        %2 = permute_dims %1 {{axes=(0, 3, 1, 2)}} : f32[n,3,4,9]
        """,
        f"""
        %0 = reshape %x {{shape=(3*n, 8, 18, 1)}} : f32[3*n,8,18,1]
        %1 = max_pool %0 {POOL} : f32[3*n,4,9,1]
        %2 = reshape %1 {{shape=(n, 3, 4, 9)}} : f32[n,3,4,9]
        """,
    )  # fmt: skip


def test_a_depthwise_convolution_is_one_of_planes():
    check(
        layout, "%x: f32[n,3,8,18], %w: f32[3,1,3,3]",
        """
        %0 = permute_dims %x {axes=(0, 2, 3, 1)} : f32[n,8,18,3]
        %1 = conv %0, %w {strides=(1, 1), before=(1, 1), after=(1, 0), dilation=(1, 1), groups=3} : f32[n,8,17,3]
        %2 = permute_dims %1 {axes=(0, 3, 1, 2)} : f32[n,3,8,17]
        """,
        "%0 = conv_planes %x, %w {before=(1, 1), after=(1, 0), dilation=(1, 1)} : f32[n,3,8,17]",
    )  # fmt: skip


def test_channels_last_stay_last():
    unchanged(layout, "%x: f32[n,8,18,3]", f"%0 = max_pool %x {POOL} : f32[n,4,9,3]")


def block(batch, kernel=3, padding=1, window=2):
    """A depthwise convolution, an activation and two poolings, with all gradients."""
    x, w = gc.placeholder((batch, 4, 17, 40), name="x"), gc.placeholder((4, 1, kernel, kernel), name="w")
    h = gc.tanh(gc.conv(x, w, padding=padding, groups=4))
    y = gc.avg_pool(gc.max_pool(h, window, 2), 2)
    loss = gc.sum(y * y)
    return [x, w], [loss, *gc.grad(loss, [x, w])]


def ops_of(function):
    return {t.op.name for t in function.optimized.tensors}


@pytest.mark.parametrize("batch", [2, "n"])
@pytest.mark.parametrize("padding", [0, 1, ((2, 0), (0, 1))])
def test_a_block_and_its_gradients_have_no_transpose(batch, padding):
    inputs, outputs = block(batch, padding=padding)
    f = gc.function(inputs, outputs)
    assert {"conv_planes", "conv_planes_weights", "max_pool_spread", "sum_pool_spread"} <= ops_of(f)
    assert "permute_dims" not in ops_of(f)
    same_values(f.graph, layout(f.graph), "rounded")


@pytest.mark.parametrize("options", [{"window": 3}, {"kernel": 6}, {"padding": 3}])
def test_where_one_does_not_fit_nothing_changes(options):
    """Windows that overlap and spread; too many taps; more padding than the window reaches."""
    inputs, outputs = block(2, **options)
    assert not {"conv_planes", "conv_planes_weights"} & ops_of(gc.function(inputs, outputs))


def test_another_convolution_keeps_channels_last():
    x, w, v = gc.placeholder((2, 4, 9, 40)), gc.placeholder((4, 1, 3, 3)), gc.placeholder((8, 4, 1, 1))
    y = gc.max_pool(gc.conv(gc.conv(x, w, groups=4), v), 2)
    f = gc.function([x, w, v], y)
    assert "conv_planes" not in ops_of(f)
    assert sum(t.op.name == "permute_dims" for t in f.optimized.tensors) == 2


@pytest.mark.parametrize(
    "made",
    [
        lambda x: gc.conv(x, gc.placeholder((4, 1, 3, 3), name="w"), 2, groups=4),  # strides
        lambda x: gc.conv(x, gc.placeholder((8, 1, 3, 3), name="w"), groups=4),  # two channels of each
        lambda x: gc.max_pool(gc.conv(x[..., :9], gc.placeholder((4, 1, 3, 3), name="w"), groups=4), 1),  # short lines
    ],
)
def test_what_does_not_fit(made):
    y = made(gc.placeholder((2, 4, 9, 40), name="x"))
    while y.op.name != "conv":
        y = y.inputs[0]
    assert not planes_module.fits(y)


def test_both_backends_agree_to_the_bit_on_maxima():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, (2, 3, 7, 21)).astype("float32")
    x[rng.random(x.shape) < 0.1] = np.nan
    a = gc.placeholder(x.shape)
    outputs = [gc.max_pool(a, 2), *gc.grad(gc.sum(gc.max_pool(a, 2)), [a])]
    found, wanted = (gc.function([a], outputs, backend=backend)(x) for backend in ("llvm", "numpy"))
    for ours, theirs in zip(found, wanted):
        np.testing.assert_array_equal(ours, theirs)


def unturned(tensor):
    y, w = planes_module._first(tensor.inputs[0]), tensor.inputs[1]
    return planes_module.make("conv_planes", y, w, **planes_module._turned_geometry(tensor, w.shape[2:]))


def swapped(tensor, window):
    found = turned(tensor, window)
    return found | {"before": found["after"], "after": found["before"]}


turned = planes_module._turned_geometry


@pytest.mark.parametrize("wrong", ["unturned", "swapped"])
def test_planted_bugs_are_caught(monkeypatch, wrong):
    inputs, outputs = block(2, padding=((2, 0), (0, 1)))
    given = gc.function(inputs, outputs).graph
    optimise(given, native=ALL_NATIVE, check=3)
    if wrong == "unturned":
        monkeypatch.setitem(planes_module._RULES, "conv_transpose", unturned)
    else:
        monkeypatch.setattr(planes_module, "_turned_geometry", swapped)
    with pytest.raises(PassError, match="layout"):
        optimise(given, native=ALL_NATIVE, check=3)
