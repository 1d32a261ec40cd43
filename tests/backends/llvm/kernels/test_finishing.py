"""Products that the loop nest after them finishes: the bits of both apart, what is taken and what is not, in place."""

import numpy as np
import pytest
from harness import values

import graphc as gc
from graphc.backends.llvm.finished import single_op_body
from graphc.backends.llvm.kernels import finishing
from graphc.backends.llvm.plan import plan

SHAPES = [
    (784, 32, 128), (33, 17, 45), (1, 20, 40), (5, 3, 130), (100, 100, 10), (13, 150, 16), (50, 60, 33), (3, 9, 2),
    (0, 4, 5), (40, 0, 33), (4, 5, 0), (2, 1, 1), (12, 8, 32), (24, 1, 64),
]  # fmt: skip


def ops(f):
    """The steps of a function, each with the ops that it computes."""
    found = []
    for step in plan(f.optimized).steps:
        body = step.body.tensors if step.body is not None else (step.tensor,)
        found.append([t.op.name for t in body if t.op.name not in ("placeholder", "const")])
    return found


def placeholders(*arrays):
    return [gc.placeholder(array.shape, array.dtype.name) for array in arrays]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("transposed", [False, True])
def test_bits_are_those_of_a_product_and_a_loop(dtype, transposed):
    rng = np.random.default_rng(1)
    for m, k, n in SHAPES:
        x, y = values(rng, (k, m) if transposed else (m, k), dtype), values(rng, (k, n), dtype)
        others = [values(rng, shape, dtype) for shape in ((m, n), (n,), (1, n), (m, 1), (), (1, 1))]
        a, b, full, row, line, column, number, one = placeholders(x, y, *others)
        product = (a.T if transposed else a) @ b
        rest = gc.where(product + row <= 0.0, full, gc.maximum(product * column, line) - number * one)
        together = gc.function([a, b, full, row, line, column, number, one], rest)
        apart = gc.function([a, b, full, row, line, column, number, one], [product, rest])
        found, (_, wanted) = together(x, y, *others), apart(x, y, *others)
        assert found.tobytes() == wanted.tobytes(), (m, k, n)


def test_symbolic_rows():
    rng = np.random.default_rng(2)
    a, w, b = (gc.placeholder(shape, "float32") for shape in (("m", 30), (30, 50), (50,)))
    f = gc.function([a, w, b], gc.relu(a @ w + b))
    assert ops(f)[0][0] == "matmul" and len(ops(f)) == 1
    weights, bias = values(rng, (30, 50), "float32"), values(rng, (50,), "float32")
    product = gc.function([a, w], a @ w)
    for m in (0, 1, 5, 12, 200):
        x = values(rng, (m, 30), "float32")
        np.testing.assert_array_equal(f(x, weights, bias), np.maximum(product(x, weights) + bias, 0))


def test_a_weight_is_updated_in_place_and_its_gradient_is_never_stored():
    rng = np.random.default_rng(3)
    x, g = values(rng, (32, 70), "float32"), values(rng, (32, 45), "float32")
    w = gc.variable(values(rng, (70, 45), "float32"), name="w")
    a, b = placeholders(x, g)
    before, gradient = w.value, gc.function([a, b], a.T @ b)(x, g)
    step = gc.function([a, b], updates={w: w - 0.5 * (a.T @ b)})
    found = plan(step.optimized)
    assert [[b.kind for b in s.results] for s in found.steps] == [["variable"]] and not found.after
    step(x, g)
    np.testing.assert_array_equal(w.value, before - np.float32(0.5) * gradient)


def test_a_factor_is_not_written_over():
    start = values(np.random.default_rng(4), (40, 40), "float32")
    w = gc.variable(start, name="w")
    product = gc.function([], w @ w)()
    step = gc.function([], updates={w: w - 0.5 * (w @ w)})
    assert plan(step.optimized).after
    step()
    np.testing.assert_array_equal(w.value, start - np.float32(0.5) * product)


def test_two_weights_are_updated_by_one_step():
    """Momentum: two results, both in place."""
    rng = np.random.default_rng(5)
    x, g = values(rng, (20, 30), "float32"), values(rng, (20, 25), "float32")
    w, v = gc.variable(values(rng, (30, 25), "float32")), gc.variable(values(rng, (30, 25), "float32"))
    a, b = placeholders(x, g)
    gradient, before, speed = gc.function([a, b], a.T @ b)(x, g), w.value, v.value
    moved = 0.5 * v + a.T @ b
    step = gc.function([a, b], updates={v: moved, w: w - moved})
    assert len(ops(step)) == 1 and not plan(step.optimized).after
    step(x, g)
    speed = np.float32(0.5) * speed + gradient
    np.testing.assert_array_equal(v.value, speed)
    np.testing.assert_array_equal(w.value, before - speed)


@pytest.mark.parametrize(
    ("what", "shapes", "compute"),
    [
        ("read twice", ((20, 30), (30, 40)), lambda x, y: [x @ y, gc.abs(x @ y)]),
        ("folded", ((20, 30), (30, 40)), lambda x, y: gc.sum(gc.abs(x @ y), axis=0)),
        ("dear", ((20, 30), (30, 40)), lambda x, y: gc.exp(x @ y)),
        ("several blocks along k", ((20, 3000), (3000, 40)), lambda x, y: gc.abs(x @ y)),
        ("a stack", ((4, 20, 30), (4, 30, 40)), lambda x, y: gc.abs(x @ y)),
        ("another dtype", ((20, 30), (30, 40)), lambda x, y: gc.abs(x @ y) > 0),
        ("one row", ((1, 30), (30, 40)), lambda x, y: gc.abs(x @ y)),
        ("grown", ((1, 30), (30, 40)), lambda x, y: x @ y + gc.ones((5, 40), "float32")),
        ("moved", ((20, 30), (30, 40)), lambda x, y: gc.abs(x @ y)[:, ::2]),
    ],
)
def test_what_is_left_to_loops(what, shapes, compute):
    inputs = [gc.placeholder(shape, "float32") for shape in shapes]
    assert ["matmul"] in ops(gc.function(inputs, compute(*inputs)))


def test_a_product_is_one_of_two_that_a_nest_reads():
    rng = np.random.default_rng(6)
    arrays = [values(rng, shape, "float32") for shape in ((20, 30), (30, 40), (20, 10), (10, 40))]
    a, b, c, d = placeholders(*arrays)
    f = gc.function([a, b, c, d], gc.relu(a @ b + c @ d))
    assert ["matmul"] in ops(f) and all("matmul" in names for names in ops(f)) and len(ops(f)) == 2
    first, second = (gc.function([p, q], p @ q) for p, q in ((a, b), (c, d)))
    np.testing.assert_array_equal(f(*arrays), np.maximum(first(*arrays[:2]) + second(*arrays[2:]), 0))


def test_a_wrong_row_of_an_operand_is_caught(monkeypatch):
    """What the tests above are for: a column that is read for the first row only."""
    right = finishing.Finish._loaded
    monkeypatch.setattr(
        finishing.Finish, "_loaded",
        lambda self, b, operand, corner, row, *rest: right(self, b, operand, corner, b.i64(0), *rest),
    )  # fmt: skip
    with pytest.raises(AssertionError):
        test_bits_are_those_of_a_product_and_a_loop("float32", transposed=False)


def test_the_body_keeps_its_parameters_in_order():
    x, y, z = (gc.placeholder((4, 4), "float32") for _ in range(3))
    product = x @ y
    body, operands = single_op_body(z - product)
    found = finishing.finished_body(product, body, operands)
    assert [t.op.name for t in found.tensors] == ["placeholder"] * 3 + ["matmul", "subtract"]
    assert finishing.product_in(found).inputs == found.inputs[:2]
    assert [finishing.overwrites(found, t) for t in found.inputs] == [False, False, True]
