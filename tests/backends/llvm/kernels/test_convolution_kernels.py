"""Convolution and pooling kernels against NumPy: vector units, cuts among threads, guarded memory, planted bugs."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from harness import Compiled, assert_same_bits, placeholders

from graphc.backends.llvm.kernel import Kernel
from graphc.backends.llvm.kernels import (
    KERNELS,
    convolution_packing,
    convolution_product,
    convolution_weights,
    correlation,
    line_convolution,
    plane_convolution,
    pooling,
    sliding,
)
from graphc.backends.llvm.kernels import planes as plane_kernels
from graphc.backends.llvm.kernels.stages import Stage
from graphc.backends.llvm.target import host_target
from graphc.ir import dims
from graphc.ir.build import apply
from graphc.ir.evaluate import bind_symbols, evaluate_tensor
from graphc.ir.opdef import OPS

HOST = host_target()
#: Machines whose vector units the host can stand in for.
UNITS = {
    "host": HOST,
    "avx2": replace(HOST, vector_bits=min(HOST.vector_bits, 256), vector_registers=16),
    "scalar": replace(HOST, vector_bits=64, vector_registers=16, has_fma=False),
}
CUTS = ((), (0.5,), (0.1, 0.35, 0.8))


def windows(strides, before, after, dilation) -> dict[str, Any]:
    return {"strides": strides, "before": before, "after": after, "dilation": dilation}


#: (image, weights, attributes): ragged panels, several blocks of k, borders, phases, groups, depthwise.
CASES: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 19, 4, 5), (37, 5, 3, 3), windows((1, 1), (1, 1), (1, 1), (1, 1)) | {"groups": 1}),
    ((1, 8, 7, 33), (64, 33, 3, 3), windows((2, 1), (0, 2), (1, 0), (1, 2)) | {"groups": 1}),
    ((3, 5, 6, 450), (3, 450, 1, 2), windows((1, 1), (0, 0), (0, 0), (1, 1)) | {"groups": 1}),
    ((2, 9, 8, 6), (9, 2, 3, 2), windows((3, 2), (2, 0), (0, 1), (1, 1)) | {"groups": 3}),
    ((2, 9, 10, 21), (21, 1, 3, 3), windows((1, 2), (1, 1), (1, 1), (1, 1)) | {"groups": 21}),
    ((2, 7, 7, 70), (70, 1, 3, 3), windows((1, 1), (1, 1), (1, 1), (1, 1)) | {"groups": 70}),
    ((40, 13, 1), (20, 1, 4), windows((1,), (0,), (0,), (1,)) | {"groups": 1}),
    ((1, 4, 5, 6, 3), (4, 3, 2, 2, 3), windows((1, 2, 1), (0, 1, 1), (0, 0, 1), (1, 1, 1)) | {"groups": 1}),
]  # fmt: skip

#: The same of lines that are known and long enough for `line_convolution.py`: several tiles and alike ones, parts of
#: the border, strides, dilation, groups, blocks of channels, of lines of the window and of slabs, one axis and three.
LINES: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 9, 11, 5), (37, 5, 3, 3), windows((1, 1), (1, 1), (1, 1), (1, 1)) | {"groups": 1}),
    ((2, 5, 26, 3), (37, 3, 3, 3), windows((1, 1), (2, 2), (2, 2), (1, 1)) | {"groups": 1}),
    ((1, 9, 70, 40), (32, 40, 7, 5), windows((2, 1), (3, 1), (0, 2), (1, 1)) | {"groups": 1}),
    ((2, 6, 29, 4), (6, 2, 3, 3), windows((1, 2), (1, 2), (1, 2), (2, 3)) | {"groups": 2}),
    ((1, 3, 13, 300), (20, 300, 2, 3), windows((1, 1), (1, 1), (0, 1), (1, 1)) | {"groups": 1}),
    ((3, 31, 2), (70, 2, 4), windows((1,), (3,), (0,), (1,)) | {"groups": 1}),
    ((1, 4, 3, 12, 50), (8, 50, 3, 2, 3), windows((1, 1, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1)) | {"groups": 1}),
]  # fmt: skip


def run_kernels(built: Kernel | tuple[Stage, ...], arrays, shape, dtype, sizes, cuts: Sequence[float]) -> np.ndarray:
    """The result of a kernel, or of stages one after the other."""
    if isinstance(built, Kernel):
        return Compiled(built)(arrays, shape, dtype, sizes, cuts)
    known = list(arrays)
    for stage in built:
        wanted = [dims.evaluate(size, sizes) for size in stage.result.shape]
        operands = [known[i] for i in stage.operands]
        known.append(Compiled(stage.kernel)(operands, wanted, stage.result.dtype, sizes, cuts))
    return known[-1]


def compare(op, arrays, attrs, unit="host", symbolic=False, exact=False):
    """The kernels give what the op's evaluation gives, and the same bits wherever their turns are cut."""
    tensor = apply(OPS[op], *placeholders(arrays, False), **attrs)
    if symbolic:
        weights = tensor.inputs[1]
        tensor = apply(OPS[op], placeholders(arrays, True)[0], weights, **attrs)
    sizes = bind_symbols(tensor.inputs, arrays)
    with np.errstate(all="ignore"):
        wanted = evaluate_tensor(tensor, arrays, sizes)
    built = KERNELS[op](tensor, UNITS[unit])  # type: ignore[call-arg]
    found = [run_kernels(built, arrays, wanted.shape, wanted.dtype, sizes, cuts) for cuts in CUTS]
    for other in found[1:]:
        assert_same_bits(other, found[0])
    if exact:
        np.testing.assert_array_equal(found[0], wanted)
    else:
        tolerance = 2e-5 if wanted.dtype == np.float32 else 1e-12
        scale = max(float(np.abs(a[np.isfinite(a)]).max(initial=1)) for a in arrays)
        np.testing.assert_allclose(found[0], wanted, rtol=tolerance, atol=tolerance * scale * 20)


def convolve(case, dtype, unit="host"):
    image, weights, attrs = case
    rng = np.random.default_rng(11)
    x, w = rng.standard_normal(image).astype(dtype), rng.standard_normal(weights).astype(dtype)
    y = rng.standard_normal(apply(OPS["conv"], *placeholders([x, w], False), **attrs).shape).astype(dtype)
    compare("conv", [x, w], attrs, unit)
    compare("conv_transpose", [y, w], {"size": image[1:-1], **attrs}, unit)
    compare("conv_weights", [x, y], {"window": weights[2:], **attrs}, unit)


@pytest.mark.parametrize("case", CASES, ids=lambda case: "x".join(map(str, case[0])))
def test_convolutions(case):
    convolve(case, np.float32)


@pytest.mark.parametrize("case", CASES[:5], ids=lambda case: "x".join(map(str, case[0])))
@pytest.mark.parametrize(("unit", "dtype"), [("avx2", np.float64), ("scalar", np.float32)])
def test_convolutions_of_other_vector_units(case, unit, dtype):
    convolve(case, dtype, unit)


@pytest.mark.parametrize("case", LINES, ids=lambda case: "x".join(map(str, case[0])))
@pytest.mark.parametrize(("unit", "dtype"), [("host", np.float32), ("avx2", np.float64), ("scalar", np.float32)])
def test_convolutions_by_lines(case, unit, dtype):
    image, weights, attrs = case
    operands = placeholders([np.zeros(image), np.zeros(weights)], False)
    work = correlation.correlation_of(apply(OPS["conv"], *operands, **attrs))
    shape = convolution_product.product_blocking(work, UNITS[unit])
    assert line_convolution.known_lines(work, shape, UNITS[unit]) is not None
    convolve(case, dtype, unit)


def test_lines_that_are_too_short_or_lie_in_one_set_of_the_cache():
    def known(image, weights):
        attrs = windows((1, 1), (0, 0), (0, 0), (1, 1)) | {"groups": 1}
        x, w = placeholders([np.zeros(image, np.float32), np.zeros(weights, np.float32)], False)
        work = correlation.correlation_of(apply(OPS["conv"], x, w, **attrs))
        target = replace(HOST, vector_bits=512, vector_registers=32)
        return line_convolution.known_lines(work, convolution_product.product_blocking(work, target), target)

    assert [tile.rows for tile in known((1, 28, 28, 64), (64, 64, 3, 3)).tiles] == [13, 13]
    assert known((1, 28, 28, 1024), (64, 1024, 1, 1)) is None
    assert known((1, 5, 5, 64), (64, 64, 3, 3)) is None


def test_convolutions_of_symbolic_extents():
    for image, weights, attrs in CASES[:2]:
        rng = np.random.default_rng(12)
        arrays = [rng.standard_normal(s).astype(np.float32) for s in (image, weights)]
        compare("conv", arrays, attrs, symbolic=True)


@pytest.mark.parametrize("op", ["conv", "conv_transpose"])
@pytest.mark.parametrize("groups", [1, 20])
@pytest.mark.parametrize("length", [4, 16])
def test_weights_that_are_not_finite_meet_no_padding(op, groups, length):
    rng = np.random.default_rng(13)
    x = rng.standard_normal((2, 6, length, 20)).astype(np.float32)
    w = rng.standard_normal((20, 20 // groups, 3, 3)).astype(np.float32)
    w[3, 0, 0, 1], w[7, 0, 2, 2] = np.inf, np.nan
    attrs = windows((1, 1), (1, 1), (1, 1), (1, 1)) | {"groups": groups}
    more = {"size": (6, length)} if op == "conv_transpose" else {}
    compare(op, [x, w], more | attrs)


#: (image, attributes) of poolings.
POOLED: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 8, 6, 37), {"window": (2, 2)} | windows((2, 2), (0, 0), (0, 0), (1, 1))),
    ((2, 9, 7, 70), {"window": (3, 3)} | windows((2, 2), (1, 1), (1, 1), (1, 1))),
    ((1, 9, 9, 3), {"window": (5, 4)} | windows((1, 3), (2, 0), (0, 3), (1, 2))),
    ((3, 11, 130), {"window": (3,)} | windows((4,), (0,), (2,), (1,))),
    # Images of one channel: short and long lines, borders, strides, windows that do not touch, one axis and three.
    ((3, 8, 26, 1), {"window": (2, 2)} | windows((2, 2), (0, 0), (0, 0), (1, 1))),
    ((2, 6, 137, 1), {"window": (2, 3)} | windows((2, 3), (1, 2), (1, 0), (1, 1))),
    ((2, 9, 37, 1), {"window": (3, 3)} | windows((2, 2), (1, 1), (1, 1), (1, 1))),
    ((2, 7, 150, 1), {"window": (2, 2)} | windows((3, 4), (0, 0), (0, 0), (1, 2))),
    ((2, 4, 40, 1), {"window": (1, 2)} | windows((1, 6), (0, 1), (0, 0), (1, 1))),
    ((5, 70, 1), {"window": (2,)} | windows((2,), (1,), (1,), (1,))),
    ((2, 4, 3, 19, 1), {"window": (2, 1, 2)} | windows((2, 1, 2), (1, 0, 0), (1, 0, 0), (1, 1, 1))),
]


@pytest.mark.parametrize(
    ("dtype", "unit"),
    [("float32", "host"), ("float64", "host"), ("uint8", "host"), ("int64", "host"), ("float32", "avx2"),
     ("uint8", "scalar")],
)  # fmt: skip
def test_pooling(dtype, unit):
    rng = np.random.default_rng(14)
    for image, attrs in POOLED:
        x = rng.integers(0, 5, image).astype(dtype)
        if x.dtype.kind == "f":
            x[rng.random(image) < 0.05] = np.nan
        y = evaluate_tensor(apply(OPS["max_pool"], *placeholders([x], False), **attrs), [x], {})
        g, h = rng.integers(0, 9, y.shape).astype(dtype), rng.integers(0, 9, x.shape).astype(dtype)
        compare("max_pool", [x], attrs, unit, exact=True)
        compare("max_pool_spread", [g, x], attrs, unit, exact=True)
        compare("max_pool_pick", [h, x], attrs, unit, exact=True)
        if x.dtype.kind == "f":
            compare("sum_pool", [h], attrs, unit, exact=True)
            compare("sum_pool_spread", [g], {"size": image[1:-1], **attrs}, unit, exact=True)


#: (image, window, before, after, dilation) of depthwise convolutions with channels first.
PLANES = [
    ((2, 3, 26, 26), (3, 3), (0, 0), (0, 0), (1, 1)),
    ((2, 2, 9, 24), (3, 3), (2, 2), (2, 2), (1, 1)),
    ((3, 2, 7, 75), (3, 5), (1, 2), (1, 2), (1, 1)),
    ((1, 2, 12, 33), (2, 3), (1, 4), (2, 0), (3, 2)),
    ((1, 2, 2, 5), (3, 3), (1, 1), (1, 1), (1, 1)),
    ((2, 3, 4, 3, 18), (2, 1, 3), (1, 0, 1), (1, 0, 1), (1, 1, 1)),
    ((2, 5, 130), (4,), (1,), (2,), (1,)),
]  # fmt: skip


def planes(case, dtype, unit="host", poison=False):
    """Both ops; `poison` puts weights and elements that are not finite where padding meets them."""
    image, window, before, after, dilation = case
    attrs = {"before": before, "after": after, "dilation": dilation}
    rng = np.random.default_rng(15)
    x, w = rng.standard_normal(image).astype(dtype), rng.standard_normal((image[1], 1, *window)).astype(dtype)
    y = rng.standard_normal(apply(OPS["conv_planes"], *placeholders([x, w], False), **attrs).shape).astype(dtype)
    if poison:
        w[0].flat[0], w[1].flat[-1] = np.inf, np.nan
        y[0, 0].flat[0], y[-1, 1].flat[-1] = np.inf, np.nan
    compare("conv_planes", [x, w], attrs, unit)
    compare("conv_planes_weights", [x, y], {"window": window, **attrs}, unit)


@pytest.mark.parametrize("case", PLANES, ids=lambda case: "x".join(map(str, case[0])))
@pytest.mark.parametrize(("unit", "dtype"), [("host", np.float32), ("avx2", np.float64), ("scalar", np.float32)])
def test_depthwise_convolutions_of_planes(case, unit, dtype):
    planes(case, dtype, unit)
    planes(case, dtype, unit, poison=True)


def test_planes_of_unknown_extents_have_no_kernel():
    x, w = placeholders([np.zeros((2, 3, 5, 9), np.float32)], True)[0], placeholders([np.zeros((3, 1, 2, 2))], False)[0]
    attrs = {"before": (0, 0), "after": (0, 0), "dilation": (1, 1)}
    assert KERNELS["conv_planes"](apply(OPS["conv_planes"], x, apply(OPS["cast"], w, dtype=x.dtype), **attrs)) is None


# planted bugs ---------------------------------------------------------------------------------------------


def wrong(run) -> None:
    with pytest.raises(AssertionError):
        run()


def test_forgotten_borders_are_caught(monkeypatch):
    inside = convolution_product._Body._inside
    monkeypatch.setattr(
        convolution_product._Body, "_inside", lambda self, row, entries: (inside(self, row, entries)[0], self.b.i64(0))
    )
    wrong(lambda: convolve(CASES[0], np.float32))


def test_taps_in_the_wrong_order_are_caught(monkeypatch):
    turned = correlation.Correlation._transposed_axis

    def straight(self, b, axis, n, k, reach, place):
        return turned(self, b, axis, n, k, reach, place)._replace(tap=b.i64(0), tap_stride=1)

    monkeypatch.setattr(correlation.Correlation, "_transposed_axis", straight)
    wrong(lambda: convolve(CASES[0], np.float32))


def test_an_unchecked_weight_is_caught(monkeypatch):
    monkeypatch.setattr(
        convolution_packing, "_write_check", lambda b, shape, panel, end: b.memset(end, 0, shape.panel_step)
    )
    with pytest.raises(AssertionError):
        test_weights_that_are_not_finite_meet_no_padding("conv", 1, 4)


def test_a_row_that_meets_no_padding_is_caught(monkeypatch):
    parts = line_convolution._parts

    def all_meet(place, rows, *others):
        return tuple(part._replace(low=0) for part in parts(place, rows, *others))

    monkeypatch.setattr(line_convolution, "_parts", all_meet)
    wrong(lambda: convolve(LINES[0], np.float32))


def test_a_forgotten_line_of_the_window_is_caught(monkeypatch):
    inside = line_convolution._Body._taps_inside

    def one_less(self, place, first):
        low, high = inside(self, place, first)
        return low, self.b.intrinsic("smax", low, self.b.sub(high, 1))

    monkeypatch.setattr(line_convolution._Body, "_taps_inside", one_less)
    wrong(lambda: convolve(LINES[2], np.float32))


def test_a_dropped_block_of_lines_is_caught(monkeypatch):
    monkeypatch.setattr(convolution_weights.Weighing, "blocks", 1)
    lines = convolution_weights._Body._lines
    monkeypatch.setattr(
        convolution_weights._Body, "_lines", lambda self, start, stop: lines(self, start, self.b.sub(stop, 1))
    )
    wrong(lambda: convolve(CASES[0], np.float32))


@pytest.mark.parametrize("channels", [False, True])
def test_a_later_maximum_is_caught(monkeypatch, channels):
    monkeypatch.setattr(sys.modules[__name__], "POOLED", [case for case in POOLED if (case[0][-1] > 1) == channels])
    monkeypatch.setattr(pooling._Pooling, "is_larger", lambda self, x, y: self.b.fcmp("oge", x, y))
    wrong(lambda: test_pooling("float32", "host"))


def test_windows_of_another_stride_are_caught(monkeypatch):
    monkeypatch.setattr(plane_kernels.PlaneKernel, "met", sliding.SlidingKernel.met)
    wrong(lambda: test_pooling("float32", "host"))


def test_lanes_in_the_padding_are_caught(monkeypatch):
    add = plane_convolution._PlaneTaps.add
    monkeypatch.setattr(
        plane_convolution._PlaneTaps, "add", lambda self, sums, x, y, mask: add(self, sums, x, y, (True,) * len(mask))
    )
    planes(PLANES[1], np.float32)
    wrong(lambda: planes(PLANES[1], np.float32, poison=True))


def test_a_forgotten_row_of_the_border_is_caught(monkeypatch):
    inside = plane_convolution.Planes.inside
    monkeypatch.setattr(plane_convolution.Planes, "inside", lambda self, axis: (0, inside(self, axis)[1]))
    wrong(lambda: planes(PLANES[1], np.float32))


def test_forgotten_taps_at_the_border_are_caught(monkeypatch):
    ranges = sliding.SlidingKernel._ranges

    def one_less(self, places):
        return [(low, self.b.sub(high, 1)) for low, high in ranges(self, places)]

    monkeypatch.setattr(sliding.SlidingKernel, "_ranges", one_less)
    wrong(lambda: compare("sum_pool", [np.ones(POOLED[1][0], np.float32)], POOLED[1][1], exact=True))
