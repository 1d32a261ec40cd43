"""User-defined ops: made, run, differentiated, printed; and what a wrong body or rule is told."""

import numpy as np
import pytest
from running import check_gradient, run, same

import graphc as gc
from graphc.errors import ArgumentError, DTypeError, GradientError, ShapeError
from graphc.ir.close import close
from graphc.ir.opdef import OPS
from graphc.ir.types import TensorType
from graphc.passes.gradient import grad


@pytest.fixture(autouse=True)
def no_ops_left_behind():
    before = set(OPS)
    yield
    for name in set(OPS) - before:
        del OPS[name]


def test_an_op_with_a_gradient():
    cube = gc.define_op("my.cube", eval=lambda x: x**3, infer=lambda x: x, vjp=lambda g, y, x: 3 * g * x * x)
    x = gc.placeholder(("n",), "float64", name="x")
    for n in (0, 1, 3):
        same(run(cube(x) + 1, {x: np.arange(float(n))}), np.arange(float(n)) ** 3 + 1)
    check_gradient(cube, np.array([0.5, -1.5]))
    assert "my.cube %x : f64[n]" in str(close("f", [x], [cube(x)]))
    assert cube.__name__ == "my.cube"


def test_the_decorator_attributes_and_arrays_as_operands():
    @gc.define_op("my.scale", infer=lambda x, *, factor, axes: x)
    def scale(x, *, factor, axes):
        """Scale along some axes."""
        return x * np.asarray(factor, x.dtype)

    same(run(scale([1.0, 2.0], factor=np.float64(3.0), axes=[0, 1])), np.array([3.0, 6.0]))
    assert "{factor=3.0, axes=(0, 1)}" in str(close("f", [], [scale(1.0, factor=3.0, axes=(0, 1))]))
    assert OPS["my.scale"].doc == "Scale along some axes."
    with pytest.raises(ArgumentError, match="keyword arguments are factor, axes"):
        scale(1.0, factor=2)
    with pytest.raises(ArgumentError, match="factor must be a number"):
        scale(1.0, factor=np.ones(3), axes=())


def test_several_results():
    def infer(x):
        return x.with_shape(x.shape[:-1]), x.with_shape(x.shape[:-1])

    def vjp(g, y, x):
        whole = [gc.expand_dims(t, -1) if t is not None else 0.0 for t in g]
        return whole[0] + 2 * x * whole[1]

    moments = gc.define_op(
        "my.moments",
        eval=lambda x: (np.asarray(x.sum(-1)), np.asarray((x * x).sum(-1))),
        infer=infer,
        vjp=vjp,
    )
    array = np.random.default_rng(0).standard_normal((2, 3))
    x = gc.placeholder(("n", 3), "float64", name="x")
    first, second = run(list(moments(x)), {x: array})
    np.testing.assert_allclose(first, array.sum(1))
    np.testing.assert_allclose(second, (array * array).sum(1))
    check_gradient(lambda x: moments(x), array)
    check_gradient(lambda x: moments(x)[1], array)


def test_a_result_of_another_type_is_refused_by_name():
    x = gc.placeholder(("n",), name="x")
    wide = gc.define_op("my.wide", eval=lambda x: x.astype("float64"), infer=lambda x: x)
    with pytest.raises(DTypeError, match=r"my.wide: its eval is of float64, its infer says f32\[2\]"):
        run(wide(x), {x: [1, 2]})
    short = gc.define_op("my.short", eval=lambda x: x[1:], infer=lambda x: x)
    with pytest.raises(ShapeError, match=r"my.short: its eval has shape \(1,\), its infer says f32\[2\]"):
        run(short(x), {x: [1, 2]})
    pair = gc.define_op("my.pair", eval=lambda x: x, infer=lambda x: (x, x))
    with pytest.raises(ShapeError, match="must give 2 arrays"):
        run(pair(x)[0], {x: [1, 2]})
    wrong = gc.define_op("my.wrong", eval=lambda x: x, infer=lambda x: "f32")
    with pytest.raises(ArgumentError, match=r"my\.wrong: its infer must give a type"):
        wrong(x)


def test_a_body_cannot_write_to_its_operands_nor_return_them():
    def body(x):
        x += 1
        return x

    bad = gc.define_op("my.bad", eval=body, infer=lambda x: x)
    x = gc.placeholder((2,), name="x")
    with pytest.raises(ValueError, match="read-only") as caught:
        run(bad(x), {x: [1, 2]})
    assert "my.bad" in caught.value.__notes__[0]
    same_ = gc.define_op("my.same", eval=lambda x: x[::-1], infer=lambda x: x)
    array = np.float32([1, 2])
    found = run(same_(x), {x: array})
    assert not np.shares_memory(found, array)
    assert found.flags.c_contiguous and found.flags.writeable


def test_odd_but_right_results_are_made_plain():
    x = gc.placeholder((2, 2), name="x")
    big = gc.define_op("my.big", eval=lambda x: np.asfortranarray(x * 2).astype(">f4"), infer=lambda x: x)
    found = run(big(x), {x: np.eye(2)})
    assert found.dtype.isnative and found.flags.c_contiguous
    same(found, 2 * np.eye(2, dtype="float32"))
    scalar = gc.define_op("my.scalar", eval=lambda x: x.sum(), infer=lambda x: TensorType(x.dtype, ()))
    same(run(scalar(x), {x: np.eye(2)}), np.float32(2))


def test_a_gradient_without_a_rule():
    x = gc.placeholder((2,), name="x")
    opaque = gc.define_op("my.opaque", eval=lambda x: x * 1, infer=lambda x: x)
    with pytest.raises(GradientError, match=r"my.opaque has no gradient: define_op was given no vjp"):
        grad(gc.sum(opaque(x)), [x])
    flat = gc.define_op("my.flat", eval=lambda x: x * 1, infer=lambda x: x, vjp="not differentiable")
    same(run([*grad(gc.sum(flat(x)), [x]), x], {x: [1, 2]})[0], np.float32([0, 0]))
    two = gc.define_op("my.two", eval=lambda x, y: x * y, infer=lambda x, y: x, vjp=lambda g, y, a, b: (g * b,))
    with pytest.raises(GradientError, match="tuple of 2 cotangents"):
        grad(gc.sum(two(x, x)), [x])


def test_names_are_checked():
    for name in ("exp", "a b", "", 3):
        with pytest.raises(ArgumentError):
            gc.define_op(name, eval=lambda x: x, infer=lambda x: x)
    with pytest.raises(ArgumentError, match=r"infer of my\.op must be a function"):
        gc.define_op("my.op", eval=lambda x: x, infer=None)
    gc.define_op("my.op", eval=lambda x: x, infer=lambda x: x)
    with pytest.raises(ArgumentError, match="already defined"):
        gc.define_op("my.op", eval=lambda x: x, infer=lambda x: x)
