"""Reductions in two steps: any partition of the blocks gives the same bits, and they are the reduction's value."""

import numpy as np
import pytest
from harness import Compiled, assert_same_bits, values
from nests import body

import graphc as gc
from graphc.backends.llvm.kernel import Kernel
from graphc.backends.llvm.kernels import total_reductions
from graphc.backends.llvm.kernels.loops import build_loops
from graphc.backends.llvm.kernels.total_reductions import BLOCK_ELEMENTS, in_two_steps
from graphc.ir import dims
from graphc.ir.build import apply
from graphc.ir.evaluate import bind_symbols, evaluate
from graphc.ir.opdef import OPS

#: Where the turns are cut: in order, and with empty parts.
CUTS = [(0.5,), (0.0, 0.3, 0.3, 0.7, 1.0), (0.1, 0.2, 0.35, 0.5, 0.55, 0.8, 0.9)]
#: Around the ends of blocks.
COUNTS = [0, 1, 31, BLOCK_ELEMENTS - 1, BLOCK_ELEMENTS, BLOCK_ELEMENTS + 1, 5 * BLOCK_ELEMENTS, 300_001]
OPERATIONS = [
    ("sum", "float32"), ("sum", "float64"), ("max", "float32"), ("min", "float64"), ("prod", "float64"),
    ("sum", "int64"), ("prod", "int32"), ("max", "uint8"), ("min", "int16"), ("any", "bool"), ("all", "bool"),
]  # fmt: skip


def run(graph, array, cuts=()):
    """The partial results and the result of a body with one operand and one reduction."""
    steps = in_two_steps(graph)
    sizes = bind_symbols(graph.inputs, [array])
    (partial,) = steps.partials
    shape = [dims.evaluate(size, sizes) for size in partial.shape]
    made = Compiled(steps.part)([array], shape, partial.dtype, sizes, cuts)
    (result,) = steps.finish.outputs
    operands = [*([array] if steps.operands else []), made]
    kept = [dims.evaluate(size, sizes) for size in result.shape]
    return made, Compiled(build_loops(steps.finish))(operands, kept, result.dtype, sizes)


def some(rng, shape, dtype):
    """Elements of which products and sums are finite."""
    if np.dtype(dtype).kind == "f":
        return 1 + values(rng, shape, dtype) / 1e6
    return values(rng, shape, dtype)


def assert_near(found, expected, op="sum"):
    """Assert equality up to rounding; a product's errors grow with the number of its factors."""
    assert found.shape == expected.shape
    if found.dtype.kind == "f":
        np.testing.assert_allclose(found, expected, rtol=(1000 if op == "prod" else 8) * np.finfo(found.dtype).eps)
    else:
        assert_same_bits(found, expected)


@pytest.mark.parametrize(("op", "dtype"), OPERATIONS)
def test_everything(op, dtype):
    rng = np.random.default_rng(1)
    x = gc.placeholder(["n"], dtype)
    graph = body(apply(OPS[op], x, axis=(0,), keepdims=False))
    for count in COUNTS:
        array = some(rng, (count,), dtype)
        partials, found = run(graph, array)
        exact = array.astype(np.longdouble) if op in ("sum", "prod") and array.dtype.kind == "f" else array
        if count or op in ("sum", "prod", "any", "all"):
            expected = np.asarray(getattr(np, op)(exact) if array.dtype.kind == "f" else evaluate(graph, [array])[0])
            assert_near(found, expected.astype(dtype), op)
        assert len(partials) == -(-count // BLOCK_ELEMENTS)
        for cuts in CUTS:
            again, result = run(graph, array, cuts)
            assert_same_bits(again, partials)
            assert_same_bits(result, found)


@pytest.mark.parametrize(("op", "dtype"), OPERATIONS[:6])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        (("n", 3), (0,)), (("n", 16), (0,)), (("n", 2, 4), (0,)), (("n", 1, 5), (0, 1)), (("n", 200), (0, 1)),
        (("n", 3, 40), (0, 2)), ((2, "n"), (1,)), ((40_000, 3), (0,)), ((300, 400), (0, 1)), (("n", "n"), (0, 1)),
    ],
    ids=str,
)  # fmt: skip
def test_little_is_kept(op, dtype, shape, axes):
    rng = np.random.default_rng(2)
    x = gc.placeholder(shape, dtype)
    for keepdims in (False, True):
        graph = body(apply(OPS[op], x, axis=axes, keepdims=keepdims))
        for n in (1, 700):
            array = some(rng, [n if size == "n" else size for size in shape], dtype)
            partials, found = run(graph, array)
            exact = array.astype(np.longdouble) if array.dtype.kind == "f" else array
            expected = getattr(np, op)(exact, axis=axes, keepdims=keepdims)
            assert_near(found, expected.astype(dtype), op)
            for cuts in CUTS:
                assert_same_bits(run(graph, array, cuts)[0], partials)


@pytest.mark.parametrize(("op", "dtype"), OPERATIONS)
@pytest.mark.parametrize(("shape", "axes"), [((4099, 257), (0,)), ((3, 401, 900), (0, 1)), ((1100, 31, 33), (0,))])
def test_long_columns(op, dtype, shape, axes):
    rng = np.random.default_rng(7)
    graph = body(apply(OPS[op], gc.placeholder(shape, dtype), axis=axes, keepdims=False))
    array = some(rng, shape, dtype)
    assert isinstance(in_two_steps(graph).part, Kernel)
    partials, found = run(graph, array)
    exact = array.astype(np.longdouble) if array.dtype.kind == "f" else array
    expected = getattr(np, op)(exact, axis=axes).astype(dtype)
    if op == "sum" and array.dtype.kind == "f":  # one addition after the other inside a block, as NumPy does
        np.testing.assert_allclose(found, expected, rtol=40 * np.finfo(dtype).eps)
    else:
        assert_near(found, expected, op)
    for cuts in CUTS:
        again = run(graph, array, cuts)
        assert_same_bits(again[0], partials)
        assert_same_bits(again[1], found)


def gradients_of_columns(height=50_001, width=33):
    """What the first step of a nest of columns writes on its way, and in place of an operand; the plan."""
    rng = np.random.default_rng(8)
    x, mask = gc.placeholder([height, width], "float32"), gc.placeholder([height, width], "bool")
    weights, bias = (gc.variable(rng.standard_normal(shape, np.float32)) for shape in ((height, width), (width,)))
    g = gc.where(mask, 0, x)
    updates = [(weights, weights - g), (bias, bias - gc.sum(g, axis=0))]
    step = gc.function([x, mask], [g, gc.max(weights, axis=0)], updates=updates)
    a, m = rng.standard_normal((height, width), np.float32), rng.random((height, width)) < 0.5
    before = weights.value.copy(), bias.value.copy()
    found = step(a, m)
    expected = np.where(m, np.float32(0), a)
    assert_same_bits(found[0], expected)
    assert_same_bits(found[1], before[0].max(axis=0))
    assert_same_bits(weights.value, before[0] - expected)
    np.testing.assert_allclose(bias.value, before[1] - expected.sum(0, dtype="float64"), rtol=1e-5, atol=1e-3)
    return step.artifacts["plan"]


def test_long_results_are_made_with_partial_ones():
    assert "partial" in gradients_of_columns()
    x = gc.placeholder([50_000, 33], "float32")
    graph = body(gc.exp(x), gc.sum(x, axis=0))
    assert in_two_steps(graph).direct == (0,)
    assert in_two_steps(body(x - gc.sum(x, axis=0))) is None, "a long result needs the sums"


def test_a_long_result_of_shortened_blocks_is_caught(monkeypatch):
    monkeypatch.setattr(total_reductions._PartKernel, "_bounds", _shortened(total_reductions._PartKernel._bounds))
    with pytest.raises(AssertionError):
        gradients_of_columns()


def test_what_feeds_a_reduction_and_what_it_feeds_is_computed_with_it():
    rng = np.random.default_rng(3)
    x, y = gc.placeholder(["n", 3], "float64"), gc.placeholder([3], "float64")
    call = gc.function([x, y], [gc.mean(gc.exp(x) * y, axis=0) + y, gc.sum(gc.abs(x)), gc.max(x - y) - x[0, 0]])
    for n in (1, 50, 70_000):
        a, b = rng.standard_normal((n, 3)), rng.standard_normal(3)
        found = call(a, b)
        np.testing.assert_allclose(found[0], (np.exp(a) * b).mean(0) + b, rtol=1e-12)
        np.testing.assert_allclose(found[1], np.abs(a).sum(), rtol=1e-12)
        np.testing.assert_allclose(found[2], (a - b).max() - a[0, 0], rtol=1e-12)


def test_nan_and_infinities():
    call = gc.function([x := gc.placeholder(["n"], "float32")], [gc.sum(x), gc.max(x), gc.min(x), gc.prod(x)])
    for at in (0, 65_535, 65_536, 199_999):
        for special in (np.nan, np.inf, -np.inf):
            array = np.ones(200_000, "float32")
            array[at] = special
            for found, name in zip(call(array), ("sum", "max", "min", "prod")):
                np.testing.assert_array_equal(found, getattr(np, name)(array))
    array[:2] = np.inf, -np.inf
    assert np.isnan(call(array)[0])


def test_sums_are_as_exact_as_pairwise_ones():
    rng = np.random.default_rng(4)
    array = rng.random(1_000_000, "float32")
    total = gc.function([x := gc.placeholder(["n"], "float32")], gc.sum(x))(array)
    exact = array.astype(np.longdouble).sum()
    assert abs(total - exact) <= 4 * np.finfo("float32").eps * exact


def test_what_is_not_in_two_steps():
    def steps(*outputs):
        return in_two_steps(body(*outputs))

    small, wide = gc.placeholder([100, 100], "float32"), gc.placeholder(["n", 500], "float32")
    x = gc.placeholder(["n"], "float32")
    assert steps(gc.sum(small)) is None, "too little work"
    assert steps(gc.sum(wide, axis=0)) is None, "vectors along what is kept"
    assert steps(gc.sum(wide, axis=1)) is None, "much is kept"
    assert steps(x + 1) is None, "no reduction"
    assert steps(x - gc.max(x)) is None, "a result as long as the operand"
    assert steps(gc.sum(gc.square(x - gc.mean(x)))) is None, "two sweeps"
    assert steps(gc.sum(x)) is not None
    few = gc.placeholder(["n", 16], "float32")
    assert steps(gc.sum(few * few, axis=0)) is not None


def test_the_plan_has_a_step_for_each():
    x = gc.placeholder(["n"], "float32")
    total = gc.function([x], gc.sum(x * x) / 2)
    assert "partial" in total.artifacts["plan"]
    state = gc.variable(np.float32(1))
    step = gc.function([x], [], updates=[(state, state + gc.sum(x))])
    step(np.ones(200_000, "float32"))
    step(np.ones(3, "float32"))
    assert state.value == 200_004


def _shortened(right):
    def shortened(self, group):
        first, stop = right(self, group)
        return first, self.b.sub(stop, 1) if first.level else stop

    return shortened


def test_a_block_that_is_left_out_is_caught(monkeypatch):
    monkeypatch.setattr(total_reductions._PartKernel, "_bounds", _shortened(total_reductions._PartKernel._bounds))
    graph = body(gc.sum(gc.placeholder(["n"], "float64")))
    with pytest.raises(AssertionError):
        assert_near(run(graph, np.ones(200_000))[1], np.asarray(200_000.0))
