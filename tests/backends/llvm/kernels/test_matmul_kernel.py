import itertools
from dataclasses import replace

import numpy as np
import pytest
from harness import Compiled, assert_same_bits, check, values

from graphc.backends.llvm.emitter import Value
from graphc.backends.llvm.kernels import matmul, packing, row_product
from graphc.backends.llvm.kernels import product as product_module
from graphc.backends.llvm.kernels.dots import FEW_ROWS, suits_dots
from graphc.backends.llvm.kernels.matmul import blocked_kernel, matmul_kernel
from graphc.backends.llvm.kernels.microkernel import Blocking, blocking
from graphc.backends.llvm.kernels.product import canonical
from graphc.backends.llvm.target import Target, host_target
from graphc.ir import dims
from graphc.ir.types import DTYPES, FLOATS, INTEGERS, TensorType, as_dtype

HOST = host_target()
#: Machines whose vector units the host can stand in for.
UNITS = {
    "avx2": replace(HOST, vector_bits=min(HOST.vector_bits, 256), vector_registers=16),
    "sse2": replace(HOST, vector_bits=min(HOST.vector_bits, 128), vector_registers=16, has_fma=False),
    "scalar": replace(HOST, vector_bits=64, vector_registers=16, has_fma=False),
}
TRANSPOSED = [(False, False), (False, True), (True, False), (True, True)]
SYMBOLS = tuple(map(dims.symbol, "mkn"))


def stored(shape, transposed):
    return (*shape[:-2], *shape[:-3:-1]) if transposed else tuple(shape)


def kernel_of(dtype, x, y, transpose_x=False, transpose_y=False, target=None):
    """The kernel for operands of these shapes, before transposition."""
    batch = np.broadcast_shapes(x[:-2], y[:-2])
    types = (TensorType(as_dtype(dtype), tuple(s)) for s in (stored(x, transpose_x), stored(y, transpose_y)))
    result = TensorType(as_dtype(dtype), (*batch, x[-2], y[-1]))
    return matmul_kernel(*types, result, transpose_x=transpose_x, transpose_y=transpose_y, target=target)


def multiply(compiled, x, y, transpose_x=False, transpose_y=False, sizes=None, cuts=()):
    """What a kernel makes of two stacks of matrices."""
    shape = (*np.broadcast_shapes(x.shape[:-2], y.shape[:-2]), x.shape[-2], y.shape[-1])
    operands = [
        np.ascontiguousarray(a.swapaxes(-1, -2) if transposed else a)
        for a, transposed in ((x, transpose_x), (y, transpose_y))
    ]
    return compiled(operands, shape, x.dtype, sizes, cuts)


def assert_close(found, x, y):
    """Assert an error of at most twice NumPy's own and 2 ULP, relative to the products' magnitudes."""
    exact = x.astype(np.longdouble) @ y.astype(np.longdouble)
    scale = np.abs(x).astype(np.longdouble) @ np.abs(y).astype(np.longdouble)
    scale += np.finfo(x.dtype).tiny
    assert found.shape == exact.shape
    if found.size:
        ours, numpys = (np.max(np.abs(result - exact) / scale) for result in (found, x @ y))
        assert ours <= 2 * numpys + 2 * np.finfo(x.dtype).eps


EXTENTS = [
    (1, 1, 1), (2, 3, 2), (8, 8, 8), (16, 16, 16), (32, 128, 64), (13, 5, 33), (1, 50, 40), (3, 70, 129),
    (7, 64, 3), (50, 33, 2), (12, 400, 32), (61, 31, 65), (5, 100, 10), (1, 300, 1), (40, 40, 1),
    (33, 17, 16), (11, 390, 17),
]  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(("transpose_x", "transpose_y"), TRANSPOSED)
def test_extents_that_are_numbers(dtype, transpose_x, transpose_y):
    rng = np.random.default_rng(1)
    for m, k, n in EXTENTS:
        x, y = values(rng, (m, k), dtype), values(rng, (k, n), dtype)
        compiled = Compiled(kernel_of(dtype, x.shape, y.shape, transpose_x, transpose_y))
        assert_close(multiply(compiled, x, y, transpose_x, transpose_y), x, y)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(("transpose_x", "transpose_y"), TRANSPOSED)
def test_one_kernel_serves_every_extent(dtype, transpose_x, transpose_y):
    rng = np.random.default_rng(2)
    m, k, n = SYMBOLS
    compiled = Compiled(kernel_of(dtype, (m, k), (k, n), transpose_x, transpose_y))
    some = itertools.product((0, 1, 2, 11, 12, 13), (0, 1, 31), (0, 1, 31, 33))
    for m, k, n in (*some, (100, 400, 300), (97, 2, 600), *EXTENTS):
        x, y = values(rng, (m, k), dtype), values(rng, (k, n), dtype)
        found = multiply(compiled, x, y, transpose_x, transpose_y, {"m": m, "k": k, "n": n})
        assert_close(found, x, y)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(("transpose_x", "transpose_y"), TRANSPOSED)
def test_blocks_of_other_machines_and_sizes(unit, transpose_x, transpose_y):
    """Blocks so small that every loop of the blocked algorithm runs several times and ends ragged."""
    rng = np.random.default_rng(3)
    target, (m, k, n) = UNITS[unit], SYMBOLS
    for dtype in FLOATS:
        shapes = stored((m, k), transpose_x), stored((k, n), transpose_y), (m, n)
        product = canonical(*(TensorType(dtype, shape) for shape in shapes), transpose_x, transpose_y)
        shape = blocking(dtype, target, product.m, product.n, by_column=product.transposed_x)
        shape = replace(shape, depth=2 * shape.lanes, width=2 * shape.columns)
        compiled = Compiled(blocked_kernel(product, shape, target))
        for extents in [
            (1, 1, 1), (0, 3, 4), (5, 0, 3), (5, 4, 0), (29, 41, 75), (60, 33, 64), (3, 32, 31), (6, 7, 8),
        ]:  # fmt: skip
            x, y = values(rng, extents[:2], dtype), values(rng, extents[1:], dtype)
            found = multiply(compiled, x, y, transpose_x, transpose_y, dict(zip("mkn", extents)))
            assert_close(found, x, y)


@pytest.mark.parametrize("unit", UNITS)
def test_dots_of_other_machines(unit):
    rng = np.random.default_rng(4)
    for dtype, (m, k, n) in itertools.product(FLOATS, [(3, 37, 9), (9, 37, 3), (1, 100, 1)]):
        x, y = values(rng, (m, k), dtype), values(rng, (k, n), dtype)
        types = (TensorType(dtype, s) for s in ((m, k), (n, k), (m, n)))
        assert suits_dots(canonical(*types, False, True), UNITS[unit])
        for transpose_y in (False, True):
            compiled = Compiled(kernel_of(dtype, x.shape, y.shape, False, transpose_y, UNITS[unit]))
            assert_close(multiply(compiled, x, y, False, transpose_y), x, y)


BATCHES = [
    ((5,), (5,)), ((5,), ()), ((), (5,)), ((5,), (1,)), ((1,), (5,)), ((2, 3), (2, 3)), ((2, 1), (1, 3)),
    ((2, 3), (3,)), ((4, 1, 3), (2, 3)), ((0,), (0,)), ((2, 0), (1, 1)), ((1, 1), (1,)),
]  # fmt: skip


@pytest.mark.parametrize(("x_batch", "y_batch"), BATCHES, ids=str)
def test_batches_broadcast(x_batch, y_batch):
    rng = np.random.default_rng(5)
    for dtype, (m, k, n) in itertools.product(("float32", "int32"), [(3, 5, 17), (4, 40, 1), (1, 6, 2)]):
        x, y = values(rng, (*x_batch, m, k), dtype), values(rng, (*y_batch, k, n), dtype)
        for transposed in TRANSPOSED:
            found = multiply(Compiled(kernel_of(dtype, x.shape, y.shape, *transposed)), x, y, *transposed)
            if dtype == "float32":
                assert_close(found, x, y)
            else:
                assert_same_bits(found, x @ y)


@pytest.mark.parametrize("dtype", (*INTEGERS, DTYPES["bool"]), ids=str)
def test_integers_wrap_and_bools_are_any_of_ands(dtype):
    rng = np.random.default_rng(6)
    m, k, n = SYMBOLS
    for transposed in TRANSPOSED:
        compiled = Compiled(kernel_of(dtype, (m, k), (k, n), *transposed))
        for extents in [(3, 5, 2), (1, 1, 1), (4, 33, 17), (2, 0, 3), (0, 2, 3), (2, 3, 0), (5, 16, 32)]:
            x, y = values(rng, extents[:2], dtype), values(rng, extents[1:], dtype)
            if dtype.kind == "b":
                x &= rng.random(x.shape) < 0.3
            found = multiply(compiled, x, y, *transposed, dict(zip("mkn", extents)))
            assert_same_bits(found, x @ y)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64"])
def test_the_op_itself(dtype):
    rng = np.random.default_rng(7)
    check("matmul", [values(rng, (2, 3, 4), dtype), values(rng, (4, 40), dtype)])
    check("matmul", [values(rng, (3, 40), dtype), values(rng, (40, 1), dtype)])


def test_nan_and_infinities_go_where_they_belong():
    rng = np.random.default_rng(8)
    extents = [(13, 40, 33), (2, 50, 3), (40, 70, 1), (60, 20, 5), (1, 9, 70)]
    for dtype, (m, k, n) in itertools.product(FLOATS, extents):
        for _ in range(3):
            x, y = np.ones((m, k), dtype), np.ones((k, n), dtype)
            for array in (x, y):
                spots = rng.random(array.shape) < 2 / array.size
                array[spots] = rng.choice([np.nan, np.inf, -np.inf, 0.0], spots.sum())
            for transposed in TRANSPOSED:
                found = multiply(Compiled(kernel_of(dtype, x.shape, y.shape, *transposed)), x, y, *transposed)
                with np.errstate(invalid="ignore"):
                    np.testing.assert_allclose(found, x @ y, rtol=1e-6)


def test_products_that_vanish_below_zero_sum_to_positive_zero():
    for dtype, (m, k, n) in itertools.product(FLOATS, [(1, 1, 3), (1, 70, 3), (3, 70, 2), (40, 70, 33), (1, 64, 1)]):
        x, y = np.full((m, k), -np.finfo(dtype).tiny), np.full((k, n), np.finfo(dtype).tiny)
        for transposed in TRANSPOSED:
            found = multiply(Compiled(kernel_of(dtype, x.shape, y.shape, *transposed)), x, y, *transposed)
            assert_same_bits(found, np.zeros((m, n), dtype))


def test_an_element_does_not_depend_on_its_place():
    """The same bits for a row or a column, whatever tile and whatever row group it falls into."""
    rng = np.random.default_rng(9)
    m, k, n = SYMBOLS
    for transposed in TRANSPOSED:
        compiled = Compiled(kernel_of("float32", (m, k), (k, n), *transposed))
        x, y = values(rng, (61, 800), "float32"), values(rng, (800, 75), "float32")
        whole = multiply(compiled, x, y, *transposed, {"m": 61, "k": 800, "n": 75})
        for top, bottom, left, right in [(0, 5, 3, 75), (17, 40, 0, 32), (60, 61, 70, 71)]:
            if transposed == (False, True) and bottom - top < FEW_ROWS:
                continue
            a, b = x[top:bottom], y[:, left:right]
            part = multiply(compiled, a, b, *transposed, {"m": a.shape[0], "k": 800, "n": b.shape[1]})
            assert_same_bits(part, whole[top:bottom, left:right])


#: Where the turns are cut: in order, and with empty parts.
CUTS = [(0.5,), (0.0, 0.3, 0.3, 0.7, 1.0), (0.1, 0.2, 0.35, 0.5, 0.55, 0.8, 0.9)]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool"])
@pytest.mark.parametrize("transposed", TRANSPOSED)
def test_any_partition_of_the_turns_gives_the_same_bits(dtype, transposed):
    """Batches, blocks of columns and of rows, groups of lines, stretches of one row."""
    rng = np.random.default_rng(11)
    shapes = [
        ((2, 13, 20), (3, 1, 20, 33)), ((200, 9), (9, 300)), ((20, 400), (400, 70)), ((450, 40), (40, 300)),
        ((150, 70), (70, 3)), ((150, 40), (40, 7)), ((1, 40), (40, 900)), ((2, 40), (40, 300)), ((500, 3), (3, 10)),
        ((5, 0), (0, 3)), ((0, 5), (5, 3)), ((3, 1, 5, 40), (2, 40, 1)), ((1, 64), (64, 1)),
    ]  # fmt: skip
    for x_shape, y_shape in shapes:
        x, y = values(rng, x_shape, dtype), values(rng, y_shape, dtype)
        compiled = Compiled(kernel_of(dtype, x_shape, y_shape, *transposed))
        whole = multiply(compiled, x, y, *transposed)
        for cuts in CUTS:
            assert_same_bits(multiply(compiled, x, y, *transposed, None, cuts), whole)


def test_partitions_of_symbolic_sizes():
    """Blocks of few rows and columns, so that parts end inside blocks of columns and of k."""
    rng = np.random.default_rng(12)
    m, k, n = SYMBOLS
    for transposed in TRANSPOSED:
        shapes = stored((m, k), transposed[0]), stored((k, n), transposed[1]), (m, n)
        product = canonical(*(TensorType(np.dtype("float32"), shape) for shape in shapes), *transposed)
        shape = blocking(product.dtype, HOST, m, n, by_column=product.transposed_x)
        shape = replace(shape, depth=4 * shape.lanes, width=2 * shape.columns, height=2 * shape.rows)
        compiled = Compiled(blocked_kernel(product, shape, HOST))
        x, y = values(rng, (130, 200), "float32"), values(rng, (200, 150), "float32")
        sizes = {"m": 130, "k": 200, "n": 150}
        whole = multiply(compiled, x, y, *transposed, sizes)
        assert_close(whole, x, y)
        for cuts in CUTS:
            assert_same_bits(multiply(compiled, x, y, *transposed, sizes, cuts), whole)


def test_work_of_eight_microseconds_is_shared():
    """What threads are called for; the weight is in sixteenths of a nanosecond."""
    def microseconds(*extents):
        m, k, n = extents
        split = kernel_of("float32", (m, k), (k, n)).split
        return dims.product([*split.extents, split.weight]) / 16e3

    assert microseconds(8, 8, 8) < 0.1
    assert 20 < microseconds(256, 256, 256) < 4000
    assert microseconds(1, 784, 512) > 8
    assert microseconds(5000, 64, 3) > 8


def test_a_turn_that_is_left_out_is_caught(monkeypatch):
    right = product_module.broadcast_numbers
    monkeypatch.setattr(
        product_module, "broadcast_numbers", lambda b, axes, extents, number, arrays: right(
            b, axes, extents, b.intrinsic("smin", number, 0), arrays
        )
    )
    rng = np.random.default_rng(13)
    x, y = values(rng, (3, 5, 40), "float32"), values(rng, (3, 40, 33), "float32")
    with pytest.raises(AssertionError):
        assert_close(multiply(Compiled(kernel_of("float32", x.shape, y.shape)), x, y), x, y)


def test_products_of_any_size_share_one_kernel():
    texts = {Compiled(kernel_of("float32", (m, 784), (784, 512))).text for m in (240, 600, 6000)}
    symbolic = Compiled(kernel_of("float32", (SYMBOLS[0], 100), (100, 64))), Compiled(
        kernel_of("float32", (SYMBOLS[2], 300), (300, 640))
    )
    assert len(texts) == 1
    assert len({c.text for c in symbolic}) == 1


@pytest.mark.parametrize("triple", ["x86_64-pc-linux-gnu", "aarch64-unknown-linux-gnu"])
def test_tiles_fit_the_registers(triple):
    for features in ("", "+avx2,+fma", "+avx2,+fma,+avx512f,+avx512vl,+avx512bw,+avx512dq"):
        target = Target.of(triple, "generic", features)
        for dtype, m, n in itertools.product(FLOATS, (1, 2, 5, 12, SYMBOLS[0]), (1, 10, 100, SYMBOLS[2])):
            shape = blocking(dtype, target, m, n, by_column=False)
            assert (shape.rows + 1) * shape.vectors + 1 <= target.vector_registers
            assert shape.depth * max(shape.k_step, shape.row_step) > 0


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("unit", UNITS)
def test_sums_in_registers_have_the_bits_of_sums_in_memory(dtype, unit, monkeypatch):
    rng = np.random.default_rng(15)
    for k, n in ((0, 3), (1, 1), (5, 2), (33, 20), (50, 16), (7, 64), (9, 63)):
        x, y = values(rng, (1, k), dtype), values(rng, (k, n), dtype)
        product = canonical(*(TensorType(as_dtype(dtype), shape) for shape in ((1, k), (k, n), (1, n))))
        found = []
        for registers in (64, 0):
            monkeypatch.setattr(row_product, "_REGISTERS", registers)
            found.append(multiply(Compiled(row_product.row_product_kernel(product, UNITS[unit])), x, y))
        assert_same_bits(*found)
        assert_close(found[0], x, y)


def test_two_threads_get_even_shares_of_columns():
    """Where there is one block of rows, no thread has much more than half of the columns."""
    for n, m in itertools.product(range(256, 3000, 16), (40, 128)):
        shape = blocking(np.dtype("float32"), HOST, m, n, by_column=False)
        width = shape.width
        if m > shape.height:
            continue
        blocks = [min(width, n - column) for column in range(0, n, width)]
        loads = [0, 0]
        for block in blocks:
            loads[loads.index(min(loads))] += block
        assert max(loads) <= 0.6 * n + 1


def test_threads_share_the_rows_of_a_weights_gradient():
    for n in (100, 256, 400, 1000):
        gradient = blocking(np.dtype("float32"), HOST, 128, n, by_column=True)
        forward = blocking(np.dtype("float32"), HOST, 128, n, by_column=False)
        transposing = blocking(np.dtype("float32"), HOST, 128, n, by_column=True, transposed_y=True)
        assert gradient.height < 48 and gradient.width >= min(n, 512)
        assert forward.height > 128 and forward.width <= n // 2 + 32
        assert transposing.height > 128 and transposing.width <= n // 2 + 32


def test_row_groups_cover_every_number_of_rows():
    shape = Blocking("float", 16, 12, 2, 64, 64)
    symbolic = shape.row_groups(dims.symbol("m"))
    for m in range(1, 60):
        left, used = m, []
        while left:
            used.append(next(rows for rows in symbolic if rows <= left))
            left -= used[-1]
        assert set(used) == set(shape.row_groups(m))


def _wrong(monkeypatch, m, k, n, transpose_x=False, transpose_y=False):
    rng = np.random.default_rng(10)
    x, y = values(rng, (m, k), "float32"), values(rng, (k, n), "float32")
    with pytest.raises(AssertionError):
        compiled = Compiled(kernel_of("float32", x.shape, y.shape, transpose_x, transpose_y))
        assert_close(multiply(compiled, x, y, transpose_x, transpose_y), x, y)


def test_a_ragged_edge_that_is_cut_short_is_caught(monkeypatch):
    right = packing.mask_below
    monkeypatch.setattr(packing, "mask_below", lambda b, count, *rest: right(b, b.sub(count, 1), *rest))
    _wrong(monkeypatch, 113, 20, 37)


def test_a_transpose_that_mixes_up_lanes_is_caught(monkeypatch):
    right = packing.transposed
    monkeypatch.setattr(packing, "transposed", lambda b, rows: right(b, rows)[::-1])
    _wrong(monkeypatch, 13, 64, 37, transpose_y=True)


def test_a_block_of_k_that_overwrites_is_caught(monkeypatch):
    always = Value("i1", "true")
    monkeypatch.setattr(matmul._BlockedBody, "_is_fresh", lambda self, block: always)
    _wrong(monkeypatch, 13, 1000, 37)
