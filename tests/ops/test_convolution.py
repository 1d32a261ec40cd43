"""Convolutions against loops written out in the test, gradients against differences, and what is refused."""

import numpy as np
import pytest
from running import check_gradient, run

import graphc as gc
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.passes.gradient import grad


def convolved(x, w, strides, pads, dilation, groups):
    """The definition: for each window, for each tap inside the image (channels first)."""
    space, window = x.shape[2:], w.shape[2:]
    counts = [
        (n + b + a - (k - 1) * d - 1) // s + 1
        for n, k, s, (b, a), d in zip(space, window, strides, pads, dilation)
    ]
    y = np.zeros((x.shape[0], w.shape[0], *counts))
    out, depth = w.shape[0] // groups, w.shape[1]
    for place in np.ndindex(*counts):
        for tap in np.ndindex(*window):
            at = [o * s + t * d - b for o, s, t, d, (b, _) in zip(place, strides, tap, dilation, pads)]
            if all(0 <= i < n for i, n in zip(at, space)):
                for g in range(groups):
                    part = x[(slice(None), slice(g * depth, (g + 1) * depth), *at)]
                    rows = slice(g * out, (g + 1) * out)
                    y[(slice(None), rows, *place)] += part @ w[(rows, slice(None), *tap)].T
    return y


def transposed(y, w, size, strides, pads, dilation, groups):
    """The transpose of that: each element of y times w, added to its window."""
    x = np.zeros((y.shape[0], w.shape[1] * groups, *size))
    out, depth = w.shape[0] // groups, w.shape[1]
    for place in np.ndindex(*y.shape[2:]):
        for tap in np.ndindex(*w.shape[2:]):
            at = [o * s + t * d - b for o, s, t, d, (b, _) in zip(place, strides, tap, dilation, pads)]
            if all(0 <= i < n for i, n in zip(at, size)):
                for g in range(groups):
                    rows = slice(g * out, (g + 1) * out)
                    part = y[(slice(None), rows, *place)] @ w[(rows, slice(None), *tap)]
                    x[(slice(None), slice(g * depth, (g + 1) * depth), *at)] += part
    return x


#: (image, weights, strides, padding, dilation, groups)
CASES = [
    ((2, 3, 7), (4, 3, 3), (1,), ((0, 0),), (1,), 1),
    ((2, 3, 8), (5, 3, 3), (2,), ((2, 1),), (2,), 1),
    ((2, 3, 6, 5), (4, 3, 3, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((1, 4, 7, 9), (6, 2, 3, 3), (2, 3), ((1, 0), (2, 1)), (1, 2), 2),
    ((2, 5, 6, 6), (5, 1, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 5),
    ((2, 3, 5, 5), (9, 1, 3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), 3),
    ((1, 17, 4, 6), (18, 17, 2, 2), (1, 2), ((1, 1), (0, 1)), (1, 1), 1),
    ((1, 2, 4, 3, 5), (3, 2, 2, 2, 3), (1, 1, 2), ((0, 1), (0, 0), (1, 1)), (1, 1, 1), 1),
    ((0, 3, 6, 5), (4, 3, 3, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((2, 3, 2, 2), (2, 3, 5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1), 1),
]
LAYOUTS = {3: ("NCHW", "NCL", "NCW", "NLC", "NWC", "NHWC"), 4: ("NCHW", "NHWC"), 5: ("NCDHW", "NDHWC")}


def in_layout(array, layout):
    return array if layout[1] == "C" else np.moveaxis(array, 1, -1)


def sizes(case, rng):
    x, w, *_ = case
    return rng.standard_normal(x), rng.standard_normal(w)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_conv_is_its_definition(case):
    rng = np.random.default_rng(1)
    x, w = sizes(case, rng)
    strides, pads, dilation, groups = case[2:]
    wanted = convolved(x, w, strides, pads, dilation, groups)
    for layout in LAYOUTS[x.ndim]:
        image = in_layout(x, layout)
        a, b = gc.placeholder(image.shape, "float64", name="x"), gc.placeholder(w.shape, "float64", name="w")
        y = gc.conv(a, b, strides, pads, dilation, groups, layout)
        np.testing.assert_allclose(run(y, {a: image, b: w}), in_layout(wanted, layout), atol=1e-12)
        for backend in ("numpy", "llvm"):
            found = gc.function([a, b], y, backend=backend)(image, w)
            np.testing.assert_allclose(found, in_layout(wanted, layout), atol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_conv_transpose_is_the_transpose(case):
    rng = np.random.default_rng(2)
    x, w = sizes(case, rng)
    strides, pads, dilation, groups = case[2:]
    y = rng.standard_normal(convolved(x, w, strides, pads, dilation, groups).shape)
    # What conv cannot tell apart: how far the image reaches beyond its last window.
    extra = [
        n - ((p - 1) * s - b - a + (k - 1) * d + 1)
        for n, p, s, (b, a), k, d in zip(x.shape[2:], y.shape[2:], strides, pads, w.shape[2:], dilation)
    ]
    wanted = transposed(y, w, x.shape[2:], strides, pads, dilation, groups)
    for layout in LAYOUTS[x.ndim]:
        image = in_layout(y, layout)
        a, b = gc.placeholder(image.shape, "float64", name="y"), gc.placeholder(w.shape, "float64", name="w")
        result = gc.conv_transpose(a, b, strides, pads, extra, dilation, groups, layout)
        for backend in ("numpy", "llvm"):
            found = gc.function([a, b], result, backend=backend)(image, w)
            np.testing.assert_allclose(found, in_layout(wanted, layout), atol=1e-12)


@pytest.mark.parametrize("case", [c for c in CASES if c[0][0]], ids=str)
def test_gradients_equal_differences(case):
    rng = np.random.default_rng(3)
    x, w = sizes(case, rng)
    strides, pads, dilation, groups = case[2:]
    check_gradient(lambda a, b: gc.conv(a, b, strides, pads, dilation, groups), x, w)
    y = rng.standard_normal(convolved(x, w, strides, pads, dilation, groups).shape)
    check_gradient(lambda a, b: gc.conv_transpose(a, b, strides, pads, 0, dilation, groups), y, w)


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_one_compile_serves_every_size(backend):
    x, w = gc.placeholder(("n", 3, "h", "w"), "float64", name="x"), gc.placeholder((8, 3, 3, 3), "float64", name="k")
    y = gc.conv(x, w, strides=2, padding="SAME")
    assert str(y.type) == "f64[n,8,(h+1)//2,(w+1)//2]"
    f = gc.function([x, w], [y, *gc.grad(gc.sum(y * y), [x, w])], backend=backend)
    rng = np.random.default_rng(4)
    for n, height, width in ((2, 8, 9), (0, 8, 8), (1, 3, 17), (3, 2, 2)):
        image, weights = rng.standard_normal((n, 3, height, width)), rng.standard_normal((8, 3, 3, 3))
        found, dx, dw = f(image, weights)
        pads = [(t // 2, t - t // 2) for s in (height, width) for t in [max(-(-s // 2) * 2 - 2 + 3 - s, 0)]]
        wanted = convolved(image, weights, (2, 2), pads, (1, 1), 1)
        np.testing.assert_allclose(found, wanted, atol=1e-12)
        spread = transposed(2 * wanted, weights, (height, width), (2, 2), pads, (1, 1), 1)
        np.testing.assert_allclose(dx, spread, atol=1e-11)
        assert dw.shape == weights.shape
    assert f.compilations == 1
    with pytest.raises(ShapeError, match=r"conv needs .*, but -1 != 0: h = 2 is axis 2 of x"):
        valid = gc.function([x, w], gc.conv(x, w), backend=backend)
        valid(np.zeros((1, 3, 2, 9)), np.zeros((8, 3, 3, 3)))


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
@pytest.mark.parametrize("groups", [1, 2, 18])
def test_what_lies_in_the_padding_takes_no_part(backend, groups):
    """An infinite weight meets no zero of the padding; one on the image makes what IEEE 754 says."""
    channels = 18
    x, w = np.ones((1, channels, 4, 5)), np.ones((channels, channels // groups, 3, 3))
    w[1, 0, 0, 0], w[5, 0, 2, 1] = np.inf, np.nan
    a, b = gc.placeholder(x.shape, "float64"), gc.placeholder(w.shape, "float64")
    y = gc.conv(a, b, padding="SAME", groups=groups)
    found = gc.function([a, b], [y, gc.grad(gc.sum(y), [a])[0]], backend=backend)(x, w)
    pads, ones = ((1, 1), (1, 1)), (1, 1)
    np.testing.assert_array_equal(found[0], convolved(x, w, ones, pads, ones, groups))
    wanted = transposed(np.ones_like(found[0]), w, x.shape[2:], ones, pads, ones, groups)
    np.testing.assert_array_equal(found[1], wanted)


def test_same_padding_puts_the_odd_one_behind():
    x, w = gc.placeholder((1, 1, 4)), gc.placeholder((1, 1, 2))
    y = gc.conv(x, w, padding="SAME")
    assert (y.inputs[0].attrs["before"], y.inputs[0].attrs["after"]) == ((0,), (1,))
    assert gc.conv(x, w, strides=2, padding="same").shape == (1, 1, 2)
    assert gc.conv_transpose(x, w, strides=3, padding="SAME").shape == (1, 1, 12)
    assert gc.conv_transpose(x, w, strides=3, output_padding=2).shape == (1, 1, 13)


def refused(error, text, *shapes, function=gc.conv, **arguments):
    tensors = [gc.placeholder(s, "float32", name=n) for s, n in zip(shapes, ("x", "w"))]
    with pytest.raises(error, match=text):
        function(*tensors, **arguments)


def test_wrong_arguments_are_named():
    refused(ShapeError, "channels of x are not those that w takes", (1, 3, 8, 8), (4, 2, 3, 3))
    refused(ShapeError, "output channels do not divide into 2 groups", (1, 4, 8, 8), (3, 2, 3, 3), groups=2)
    refused(ShapeError, "window is larger than the padded input", (1, 3, 2, 8), (4, 3, 3, 3))
    refused(ShapeError, "w must have rank 4", (1, 3, 8, 8), (4, 3, 3))
    refused(ShapeError, "images have a batch axis", (3, 8), (4, 3))
    refused(ShapeError, "images have a batch axis", (3, 8, 8, 8, 8, 8), (4, 3))
    refused(ShapeError, "layout NCL has 3 axes", (1, 3, 8, 8), (4, 3, 3, 3), layout="NCL")
    refused(ArgumentError, "layout 'NHCW' is none of", (1, 3, 8, 8), (4, 3, 3, 3), layout="NHCW")
    refused(ArgumentError, "padding 'FULL' is neither", (1, 3, 8, 8), (4, 3, 3, 3), padding="FULL")
    refused(ShapeError, "padding -1 is negative", (1, 3, 8, 8), (4, 3, 3, 3), padding=-1)
    refused(ShapeError, "padding .* is not a number, nor 2", (1, 3, 8, 8), (4, 3, 3, 3), padding=(1, 1, 1))
    refused(ArgumentError, "strides must be at least 1", (1, 3, 8, 8), (4, 3, 3, 3), strides=0)
    refused(ShapeError, "strides .* has not 2 entries", (1, 3, 8, 8), (4, 3, 3, 3), strides=(1, 1, 1))
    refused(ArgumentError, "groups must be at least 1", (1, 3, 8, 8), (4, 3, 3, 3), groups=0)
    refused(ShapeError, "the window is empty", (1, 3, 8, 8), (4, 3, 0, 3))
    transpose, image, weights = gc.conv_transpose, (1, 4, 1, 8), (4, 3, 3, 3)
    more = {"output_padding": 2, "strides": 2}
    refused(ArgumentError, "must be less than the stride, 2", image, weights, function=transpose, **more)
    refused(ShapeError, "more is cut off than there is", image, weights, function=transpose, padding=3)
    with pytest.raises(DTypeError, match="takes float32 or float64"):
        gc.conv(gc.placeholder((1, 3, 8), "int32"), gc.placeholder((4, 3, 3), "int32"))


def test_gradient_of_the_gradient_is_made_of_convolutions():
    x, w = gc.placeholder((1, 2, 5, 5), "float64"), gc.placeholder((3, 2, 3, 3), "float64")
    (dw,) = grad(gc.sum(gc.conv(x, w) ** 2), [w])
    (ddx,) = grad(gc.sum(dw**2), [x])
    names = {t.op.name for t in gc.function([x, w], ddx).graph.tensors}
    assert {"conv", "conv_transpose", "conv_weights"} <= names


@pytest.mark.parametrize("case", [c for c in CASES if c[0][0]], ids=str)
def test_pytorch_agrees(case):
    torch = pytest.importorskip("torch")
    x, w = sizes(case, np.random.default_rng(6))
    strides, pads, dilation, groups = case[2:]
    if any(b != a for b, a in pads):
        pytest.skip("PyTorch pads both ends alike")
    before = tuple(b for b, _ in pads)
    rank = len(strides)
    a, b = gc.placeholder(x.shape, "float64"), gc.placeholder(w.shape, "float64")
    y = gc.conv(a, b, strides, pads, dilation, groups)
    found = gc.function([a, b], [y, *grad(gc.sum(y * y), [a, b])])(x, w)
    tx, tw = (torch.tensor(array, requires_grad=True) for array in (x, w))
    ty = getattr(torch.nn.functional, f"conv{rank}d")(tx, tw, None, strides, before, dilation, groups)
    wanted = [ty, *torch.autograd.grad((ty * ty).sum(), [tx, tw])]
    for ours, theirs in zip(found, wanted):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), atol=1e-10)
    c = gc.placeholder(found[0].shape, "float64")
    back = gc.function([c, b], gc.conv_transpose(c, b, strides, pads, 0, dilation, groups))(found[0], w)
    transpose = getattr(torch.nn.functional, f"conv_transpose{rank}d")
    theirs = transpose(torch.tensor(found[0]), tw, None, strides, before, 0, groups, dilation)
    np.testing.assert_allclose(back, theirs.detach().numpy(), atol=1e-10)
