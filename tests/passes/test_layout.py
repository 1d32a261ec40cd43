"""Transposes move to the edges of the graph; values stay."""

import inspect

import numpy as np
import pytest
from checking import ALL_NATIVE, check, graph, same_values, unchanged

import graphc as gc
from graphc.errors import PassError
from graphc.passes import layout as layout_module
from graphc.passes.layout import layout
from graphc.passes.manager import optimise

CONV = "{strides=(1, 1), before=(0, 0), after=(0, 0), dilation=(1, 1), groups=1}"
POOL = "{window=(2, 2), strides=(2, 2), before=(0, 0), after=(0, 0), dilation=(1, 1)}"
IMAGE = "%x: f32[n,5,5,3], %w: f32[4,3,2,2]"


def test_transposes_meet_through_ops_that_do_not_care():
    check(
        layout, f"{IMAGE}, %b: f32[4,1,1]",
        f"""
        %0 = conv %x, %w {CONV} : f32[n,4,4,4]
        %1 = permute_dims %0 {{axes=(0, 3, 1, 2)}} : f32[n,4,4,4]
        %2 = add %1, %b : f32[n,4,4,4]
        %3 = const {{value=0.0}} : f32[]
        %4 = maximum %2, %3 : f32[n,4,4,4]
        %5 = permute_dims %4 {{axes=(0, 2, 3, 1)}} : f32[n,4,4,4]
        %6 = max_pool %5 {POOL} : f32[n,2,2,4]
        """,
        f"""
        %0 = conv %x, %w {CONV} : f32[n,4,4,4]
        %1 = reshape %b {{shape=(1, 4, 1, 1)}} : f32[1,4,1,1]
        %2 = permute_dims %1 {{axes=(0, 2, 3, 1)}} : f32[1,1,1,4]
        %3 = add %0, %2 : f32[n,4,4,4]
        %4 = const {{value=0.0}} : f32[]
        %5 = maximum %3, %4 : f32[n,4,4,4]
        %6 = max_pool %5 {POOL} : f32[n,2,2,4]
        """,
    )  # fmt: skip


def after_conv(body: str) -> str:
    first = "%0 = conv %x, %w " + CONV + " : f32[n,4,4,4]\n%1 = permute_dims %0 {axes=(0, 3, 1, 2)} : f32[n,4,4,4]\n"
    return first + body


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "%2 = sum %1 {axis=(0, 2, 3), keepdims=false} : f32[4]",
            "%1 = sum %0 {axis=(0, 1, 2), keepdims=false} : f32[4]",
        ),
        (
            "%2 = sum %1 {axis=(2,), keepdims=false} : f32[n,4,4]",
            "%1 = sum %0 {axis=(1,), keepdims=false} : f32[n,4,4]\n%2 = permute_dims %1 {axes=(0, 2, 1)} : f32[n,4,4]",
        ),
        (
            "%2 = softmax %1 {axis=1} : f32[n,4,4,4]",
            "%1 = softmax %0 {axis=3} : f32[n,4,4,4]\n%2 = permute_dims %1 {axes=(0, 3, 1, 2)} : f32[n,4,4,4]",
        ),
        (
            "%2 = slice %1 {start=(0, 1, 0, 2), size=(n, 3, 4, 2), step=(1, 1, 1, 1)} : f32[n,3,4,2]",
            "%1 = slice %0 {start=(0, 0, 2, 1), size=(n, 4, 2, 3), step=(1, 1, 1, 1)} : f32[n,4,2,3]\n"
            "%2 = permute_dims %1 {axes=(0, 3, 1, 2)} : f32[n,3,4,2]",
        ),
        (
            "%2 = concat %1, %1 {axis=1} : f32[n,8,4,4]",
            "%1 = concat %0, %0 {axis=3} : f32[n,4,4,8]\n%2 = permute_dims %1 {axes=(0, 3, 1, 2)} : f32[n,8,4,4]",
        ),
    ],
)
def test_axes_are_renamed(before, after):
    first = "%0 = conv %x, %w " + CONV + " : f32[n,4,4,4]\n"
    check(layout, IMAGE, after_conv(before), first + after, "rounded")


def test_an_operand_that_would_have_to_be_transposed_is_so_only_if_the_result_is_wanted_last():
    unchanged(layout, f"{IMAGE}, %y: f32[n,4,4,4]", after_conv("%2 = add %1, %y : f32[n,4,4,4]"))
    check(
        layout, f"{IMAGE}, %y: f32[n,4,4,4]",
        after_conv("%2 = add %1, %y : f32[n,4,4,4]\n%3 = permute_dims %2 {axes=(0, 2, 3, 1)} : f32[n,4,4,4]"),
        f"""
        %0 = conv %x, %w {CONV} : f32[n,4,4,4]
        %1 = permute_dims %y {{axes=(0, 2, 3, 1)}} : f32[n,4,4,4]
        %2 = add %0, %1 : f32[n,4,4,4]
        """,
    )  # fmt: skip


def test_an_input_that_is_transposed_twice_is_the_input():
    x, w = gc.placeholder((2, 3, 4, 5), name="x"), gc.placeholder((4, 5, 1, 1), name="w")
    there = gc.permute_dims(x, (0, 3, 1, 2))
    f = gc.function([x, w], [gc.conv(there, w, layout="NCHW"), gc.permute_dims(there, (0, 2, 3, 1))])
    assert f.optimized.outputs[1] in f.optimized.inputs


def test_graphs_without_windows_are_left_alone():
    unchanged(
        layout, "%x: f32[n,4,4,4]",
        "%0 = permute_dims %x {axes=(0, 3, 1, 2)} : f32[n,4,4,4]\n%1 = exp %0 : f32[n,4,4,4]",
    )  # fmt: skip


def net(batch):
    """A small net in channels-first layout, with a residual, and its gradients."""
    x, w = gc.placeholder((batch, 3, 8, 8), name="x"), gc.placeholder((6, 3, 3, 3), name="w")
    v, scale = gc.placeholder((6, 6, 3, 3), name="v"), gc.placeholder((6,), name="scale")
    h = gc.relu(gc.conv(x, w, padding=1) * gc.reshape(scale, (6, 1, 1)))
    h = h + gc.relu(gc.conv(h, v, padding=1))
    h = gc.avg_pool(gc.max_pool(h, 2), 2)
    mean = gc.mean(h, axis=(0, 2, 3), keepdims=True)
    return [x, w, v, scale], gc.sum(gc.reshape((h - mean) ** 2, (h.shape[0], 24)) ** 2)


def test_a_whole_net_keeps_two_transposes():
    inputs, loss = net("n")
    f = gc.function(inputs, [loss, *gc.grad(loss, inputs)])
    moved = [t for t in f.optimized.tensors if t.op.name == "permute_dims"]
    bodies = [t.attrs["body"] for t in f.optimized.tensors if t.op.name == "fused"]
    moved += [t for body in bodies for t in body.tensors if t.op.name == "permute_dims"]
    # The image comes in, its gradient goes out; and the order of the flattened elements, there and back.
    assert len(moved) <= 5
    given = f.graph
    same_values(given, layout(given), "rounded")


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("_place", lambda axis, rank: axis),  # reductions keep their axes
        ("_reordered", lambda entries, axes: tuple(entries)),  # slices keep their starts
    ],
)
def test_planted_bugs_are_caught(monkeypatch, name, wrong):
    body = """
    %2 = add %1, %b : f32[n,4,4,4]
    %3 = slice %2 {start=(0, 0, 1, 2), size=(n, 2, 2, 2), step=(1, 1, 1, 1)} : f32[n,2,2,2]
    %4 = sum %3 {axis=(1,), keepdims=false} : f32[n,2,2]
    """
    of = graph(f"{IMAGE}, %b: f32[4]", after_conv(inspect.cleandoc(body)))
    optimise(of, native=ALL_NATIVE, check=3)
    monkeypatch.setattr(layout_module, name, wrong)
    with pytest.raises(PassError, match="layout"):
        optimise(of, native=ALL_NATIVE, check=3)


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_both_layouts_give_the_same(backend):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 3, 6, 7)), rng.standard_normal((4, 3, 3, 3))
    a, b = gc.placeholder(x.shape, "float64"), gc.placeholder(w.shape, "float64")
    first = gc.function([a, b], gc.max_pool(gc.tanh(gc.conv(a, b)), 2), backend=backend)(x, w)
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    c = gc.placeholder(last.shape, "float64")
    y = gc.max_pool(gc.tanh(gc.conv(c, b, layout="NHWC")), 2, layout="NHWC")
    second = gc.function([c, b], y, backend=backend)(last, w)
    np.testing.assert_array_equal(first, second.transpose(0, 3, 1, 2))
