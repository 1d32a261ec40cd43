"""Small products of known extents: the bits of the blocked algorithm, in any parts; which are small; planted bugs."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from harness import Compiled, assert_same_bits, values

import graphc as gc
from graphc.backends.llvm.kernels import small_product
from graphc.backends.llvm.kernels.matmul import blocked_kernel
from graphc.backends.llvm.kernels.microkernel import blocking
from graphc.backends.llvm.kernels.product import canonical
from graphc.backends.llvm.kernels.small_product import small_product_kernel, suits_small_product
from graphc.backends.llvm.target import host_target
from graphc.ir.types import FLOATS, TensorType, as_dtype

HOST = host_target()
MASKED = replace(HOST, vector_bits=512, vector_registers=32)
EXTENTS = [
    (16, 50, 200), (16, 200, 50), (50, 320, 200), (32, 128, 64), (2, 1, 17), (64, 3, 18), (13, 20, 31), (7, 9, 45),
    (30, 2, 127), (11, 100, 33), (28, 5, 100), (3, 7, 24), (5, 4, 36),
]  # fmt: skip

pytestmark = pytest.mark.skipif(HOST.vector_bits < 512, reason="for registers with masks")


def product_of(dtype, m, k, n, transposed=False):
    shapes = (k, m) if transposed else (m, k), (k, n), (m, n)
    return canonical(*(TensorType(as_dtype(dtype), shape) for shape in shapes), transposed)


def blocked(product):
    shape = blocking(product.dtype, HOST, product.m, product.n, by_column=product.transposed_x)
    return blocked_kernel(product, shape, HOST)


def operands(dtype, m, k, n, transposed=False):
    rng = np.random.default_rng(m * k + n)
    return [values(rng, (k, m) if transposed else (m, k), dtype), values(rng, (k, n), dtype)]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("transposed", [False, True])
def test_bits_are_those_of_blocks_in_any_parts(dtype, transposed):
    for m, k, n in EXTENTS:
        product, arrays = product_of(dtype, m, k, n, transposed), operands(dtype, m, k, n, transposed)
        if not suits_small_product(product, HOST):
            assert as_dtype(dtype).itemsize == 8 and k > 192  # more than a block of float64
            continue
        wanted = Compiled(blocked(product))(arrays, (m, n), dtype)
        small = Compiled(small_product_kernel(product, HOST))
        for cuts in ((), (0.5,), (0.0, 0.1, 0.4, 0.4, 0.8, 1.0)):
            assert_same_bits(small(arrays, (m, n), dtype, None, cuts), wanted)


def test_nan_infinities_and_zeros_go_where_they_belong():
    for (m, k, n), transposed in itertools.product([(13, 20, 37), (16, 9, 50)], [False, True]):
        product, arrays = product_of("float32", m, k, n, transposed), operands("float32", m, k, n, transposed)
        for array, spot in zip(arrays, (np.nan, np.inf)):
            array[-1, -1] = spot
        arrays[0][0, 0] = -0.0
        wanted = Compiled(blocked(product))(arrays, (m, n), "float32")
        assert_same_bits(Compiled(small_product_kernel(product, HOST))(arrays, (m, n), "float32"), wanted)


def test_products_that_vanish_below_zero_sum_to_positive_zero():
    x, y = np.full((5, 8), -np.finfo("float32").tiny), np.full((8, 37), np.finfo("float32").tiny)
    compiled = Compiled(small_product_kernel(product_of("float32", 5, 8, 37), HOST))
    assert_same_bits(compiled([x, y], (5, 37), "float32"), np.zeros((5, 37), "float32"))


def test_a_bias_and_an_update_are_done_on_the_sums():
    """Full, by row, by column and a number, with whole and masked vectors; and in place."""
    rng = np.random.default_rng(3)
    for m, k, n in [(13, 20, 37), (16, 9, 50), (30, 40, 64)]:
        arrays = [values(rng, shape, "float32") for shape in ((m, k), (k, n), (n,), (m, 1), ())]
        a, b, row, column, number = (gc.placeholder(array.shape, "float32") for array in arrays)
        w = gc.variable(np.zeros((m, n), "float32"))
        rest = gc.maximum((a @ b + row) * column, number)
        apart = gc.function([a, b, row, column, number], [a @ b, rest])
        step = gc.function([a, b, row, column, number], updates={w: w + rest})
        wanted = apart(*arrays)[1]
        step(*arrays)
        assert_same_bits(w.value, wanted + np.float32(0))


@pytest.mark.parametrize(
    ("extents", "is_small"),
    [
        ((16, 50, 200), True), ((64, 384, 170), True), ((65, 50, 200), False), ((16, 385, 200), False),
        ((16, 50, 16), False), ((1, 50, 200), False), ((16, 0, 200), False), ((16, 256, 257), False),
    ],
)  # fmt: skip
def test_what_is_small(extents, is_small):
    assert suits_small_product(product_of("float32", *extents), MASKED) == is_small
    assert not suits_small_product(product_of("float32", *extents), replace(MASKED, vector_bits=256))


def test_sums_fit_the_registers_and_groups_are_even():
    for dtype, m, n in itertools.product(FLOATS, range(2, 65), (17, 50, 64, 100, 200, 255)):
        tiling = small_product._Tiling.of(product_of(dtype, m, 30, n), MASKED)
        across = max(map(len, tiling.columns))
        assert max(tiling.rows) * across + across + 2 <= MASKED.vector_registers
        assert sum(tiling.rows) == m and sum(map(sum, tiling.columns)) == n
        assert max(tiling.rows) - min(tiling.rows) <= 1


def _wrong(m, k, n):
    product, arrays = product_of("float32", m, k, n), operands("float32", m, k, n)
    wanted = Compiled(blocked(product))(arrays, (m, n), "float32")
    with pytest.raises(AssertionError):
        assert_same_bits(Compiled(small_product_kernel(product, HOST))(arrays, (m, n), "float32"), wanted)


def test_a_last_vector_that_is_cut_short_is_caught(monkeypatch):
    right = small_product.mask_below
    monkeypatch.setattr(small_product, "mask_below", lambda b, count, *rest: right(b, b.sub(count, 1), *rest))
    _wrong(13, 20, 37)


def test_a_group_that_begins_too_soon_is_caught(monkeypatch):
    monkeypatch.setattr(small_product, "_start", lambda b, number, sizes: b.mul(number, sizes[-1]))
    _wrong(29, 20, 64)


def test_the_function_of_other_tiles_is_caught(monkeypatch):
    monkeypatch.setattr(small_product, "_choose", lambda b, number, kinds, functions: functions[-1])
    _wrong(29, 20, 53)
