"""Pooling and resizing against loops written out in the test, gradients against differences, and what is refused."""

import numpy as np
import pytest
from running import check_gradient, run, same

import graphc as gc
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.passes.gradient import grad

BACKENDS = ("numpy", "llvm")


def windows(x, window, strides, pads, dilation):
    """For each window (channels first), its place and the elements of it that lie inside, in row-major order."""
    space = x.shape[2:]
    counts = [
        (n + b + a - (k - 1) * d - 1) // s + 1
        for n, k, s, (b, a), d in zip(space, window, strides, pads, dilation)
    ]
    for place in np.ndindex(*counts):
        inside = []
        for tap in np.ndindex(*window):
            at = tuple(o * s + t * d - b for o, s, t, d, (b, _) in zip(place, strides, tap, dilation, pads))
            if all(0 <= i < n for i, n in zip(at, space)):
                inside.append(at)
        yield counts, place, inside


def pooled(function, x, *geometry):
    result = None
    for counts, place, inside in windows(x, *geometry):
        if result is None:
            result = np.zeros((*x.shape[:2], *counts), x.dtype)
        elements = np.stack([x[(slice(None), slice(None), *at)] for at in inside])
        result[(slice(None), slice(None), *place)] = function(elements)
    return result


#: (image, window, strides, padding, dilation)
CASES = [
    ((2, 3, 8), (2,), (2,), ((0, 0),), (1,)),
    ((2, 3, 8, 6), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    ((2, 17, 7, 9), (3, 3), (2, 1), ((1, 1), (0, 2)), (1, 1)),
    ((1, 40, 7, 9), (2, 3), (3, 3), ((0, 1), (2, 1)), (2, 2)),
    ((1, 2, 4, 5, 3), (2, 2, 2), (1, 2, 1), ((0, 0), (1, 0), (0, 1)), (1, 1, 1)),
    ((0, 3, 8, 6), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
]


def images(case, rng, dtype="float64"):
    x = rng.standard_normal(case[0]) * 9
    return x.astype(dtype)


def on_backends(tensor, placeholder, array):
    return [gc.function([placeholder], tensor, backend=backend)(array) for backend in BACKENDS]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "uint8"])
def test_max_pool_is_its_definition(case, dtype):
    x = images(case, np.random.default_rng(1), dtype)
    wanted = pooled(lambda elements: elements.max(axis=0), x, *case[1:])
    a = gc.placeholder(x.shape, dtype)
    window, strides, pads, dilation = case[1:]
    for found in on_backends(gc.max_pool(a, window, strides, pads, dilation=dilation), a, x):
        same(found, wanted)
    last = np.moveaxis(x, 1, -1)
    b = gc.placeholder(last.shape, dtype)
    for found in on_backends(gc.max_pool(b, window, strides, pads, "NHWC", dilation), b, last):
        same(found, np.moveaxis(wanted, 1, -1))


@pytest.mark.parametrize("case", [c for c in CASES if all(d == 1 for d in c[4])], ids=str)
@pytest.mark.parametrize("count_include_pad", [False, True])
def test_avg_pool_is_its_definition(case, count_include_pad):
    x = images(case, np.random.default_rng(2))
    window, strides, pads, dilation = case[1:]
    whole = np.prod(window)

    def average(elements):
        return elements.sum(axis=0) / (whole if count_include_pad else len(elements))

    wanted = pooled(average, x, window, strides, pads, dilation)
    a = gc.placeholder(x.shape, "float64")
    y = gc.avg_pool(a, window, strides, pads, count_include_pad=count_include_pad)
    for found in on_backends(y, a, x):
        np.testing.assert_allclose(found, wanted, atol=1e-13)


@pytest.mark.parametrize("case", [c for c in CASES if c[0][0]], ids=str)
def test_gradients_equal_differences(case):
    x = images(case, np.random.default_rng(3))
    window, strides, pads, dilation = case[1:]
    check_gradient(lambda a: gc.max_pool(a, window, strides, pads, dilation=dilation), x)
    check_gradient(lambda a: gc.avg_pool(a, window, strides, pads), x)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_first_of_equal_maxima_has_the_gradient(backend):
    x = gc.placeholder((1, 1, 2, 4), "float64")
    (dx,) = grad(gc.sum(gc.max_pool(x, 2)), [x])
    values = np.array([[[[1.0, 7.0, -2.0, -2.0], [7.0, 7.0, -2.0, -2.0]]]])
    wanted = np.array([[[[0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]]])
    np.testing.assert_array_equal(gc.function([x], dx, backend=backend)(values), wanted)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("channels", [1, 40])
def test_nan_is_the_largest_and_padding_never_is(backend, channels):
    x = gc.placeholder((1, channels, 4), "float32")
    values = np.full((1, channels, 4), -np.inf, "float32")
    values[0, 0, 2] = np.nan
    y = gc.max_pool(x, 2, 1, 1)
    (dx,) = grad(gc.sum(y), [x])
    found, slope = gc.function([x], [y, dx], backend=backend)(values)
    np.testing.assert_array_equal(found[0, 0], [-np.inf, -np.inf, np.nan, np.nan, -np.inf])
    np.testing.assert_array_equal(slope[0, 0], [2, 0, 2, 1])


def test_second_derivative_picks_at_the_maxima():
    x = gc.placeholder((1, 1, 4), "float64")
    y = gc.max_pool(x, 2)
    (dx,) = grad(gc.sum(y * y * y), [x])
    (ddx,) = grad(gc.sum(dx * gc.constant([[[1.0, 10.0, 100.0, 1000.0]]])), [x])
    found = run(ddx, {x: [[[2.0, 3.0, 5.0, 4.0]]]})
    np.testing.assert_allclose(found, [[[0, 6 * 3 * 10, 6 * 5 * 100, 0]]])


def test_global_pooling():
    x = np.random.default_rng(4).standard_normal((2, 3, 4, 5))
    a = gc.placeholder(x.shape, "float64")
    np.testing.assert_allclose(run(gc.global_avg_pool(a), {a: x}), x.mean((2, 3)))
    same(run(gc.global_max_pool(a, keepdims=True), {a: x}), x.max((2, 3), keepdims=True))
    same(run(gc.global_max_pool(a, layout="NHWC"), {a: x}), x.max((1, 2)))


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize(("extents", "size"), [((7, 10), (3, 5)), ((4, 6), (2, 1)), ((2, 3), (4, 3))])
def test_adaptive_pooling_takes_pytorchs_parts(extents, size, symbolic):
    x = np.random.default_rng(5).standard_normal((2, 3, *extents))
    a = gc.placeholder((2, 3, "h", "w") if symbolic else x.shape, "float64")
    parts = [[(i * n // p, -(-(i + 1) * n // p)) for i in range(p)] for n, p in zip(extents, size)]
    for function, reduction in ((gc.adaptive_avg_pool, np.mean), (gc.adaptive_max_pool, np.max)):
        wanted = np.array([[reduction(x[:, :, r:s, c:d], (2, 3)) for c, d in parts[1]] for r, s in parts[0]])
        for found in on_backends(function(a, size), a, x):
            np.testing.assert_allclose(found, wanted.transpose(2, 3, 0, 1), atol=1e-13)


def interpolated(x, axis, size, align_corners):
    """Linear interpolation of one axis, element by element."""
    n, pieces = x.shape[axis], []
    for i in range(size):
        place = i * (n - 1) / max(size - 1, 1) if align_corners else min(max((i + 0.5) * n / size - 0.5, 0), n - 1)
        left = int(place)
        right = min(left + 1, n - 1)
        t = place - left
        pieces.append((1 - t) * np.take(x, left, axis) + t * np.take(x, right, axis))
    return np.stack(pieces, axis)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(8, 3), (4, 10), (5, 7)])
def test_resizing(size, align_corners):
    x = np.random.default_rng(6).standard_normal((2, 3, 4, 7))
    for shape in (x.shape, (2, 3, "h", "w")):
        a = gc.placeholder(shape, "float64")
        wanted = interpolated(interpolated(x, 2, size[0], align_corners), 3, size[1], align_corners)
        for found in on_backends(gc.resize(a, size, "linear", align_corners=align_corners), a, x):
            np.testing.assert_allclose(found, wanted, atol=1e-13)
        rows, columns = (np.arange(p) * n // p for p, n in zip(size, (4, 7)))
        for found in on_backends(gc.resize(a, size), a, x):
            same(found, x[:, :, rows][:, :, :, columns])


def test_upsampling():
    x = np.random.default_rng(7).standard_normal((2, 3, 4))
    a = gc.placeholder(x.shape, "float64")
    for found in on_backends(gc.upsample(a, 3), a, x):
        same(found, np.repeat(x, 3, axis=2))
    for found in on_backends(gc.upsample(a, 2, "linear"), a, x):
        np.testing.assert_allclose(found, interpolated(x, 2, 8, False), atol=1e-14)
    check_gradient(lambda t: gc.upsample(t, 2, "linear"), x)
    check_gradient(lambda t: gc.resize(t, 3), x)


def refused(error, text, function, *arguments, dtype="float32", **more):
    with pytest.raises(error, match=text):
        function(gc.placeholder((2, 3, 4, 5), dtype), *arguments, **more)


def test_wrong_arguments_are_named():
    refused(ShapeError, "padding is not smaller than the window", gc.max_pool, 2, padding=2)
    refused(ShapeError, "larger than the padded input", gc.max_pool, 5)
    refused(ShapeError, "window .* has not 2 entries", gc.max_pool, (2, 2, 2))
    refused(DTypeError, "not booleans", gc.max_pool, 2, dtype="bool")
    refused(DTypeError, "takes float32 or float64", gc.avg_pool, 2, dtype="int32")
    refused(ArgumentError, "layout 'CHWN' is none of", gc.global_max_pool, "CHWN")
    refused(ArgumentError, "size 0 is not a number above 0", gc.adaptive_max_pool, 0)
    refused(ShapeError, "size .* has not 2 entries", gc.adaptive_avg_pool, (1, 2, 3))
    refused(ArgumentError, "mode 'cubic' is neither nearest nor linear", gc.resize, 8, "cubic")
    refused(DTypeError, "linear interpolation takes floats", gc.resize, 8, "linear", dtype="int8")
    refused(ArgumentError, "scale must be at least 1", gc.upsample, 0)
