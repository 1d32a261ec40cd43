"""Every gradient rule against central differences along a random direction, in float64, of order 1 and 2."""

import numpy as np
import pytest
from running import check_gradient, run
from samples import SAMPLES, Sample

import graphc as gc
from graphc.ir.build import apply
from graphc.ir.opdef import NOT_DIFFERENTIABLE, OPS
from graphc.ir.types import DTYPES
from graphc.passes.gradient import grad

F64 = DTYPES["f64"]


def differentiable(sample: Sample) -> bool:
    entries = [sample.dtypes_of(entry, len(each.shapes)) for each in sample.cases for entry in sample.dtypes]
    return OPS[sample.op].vjp != NOT_DIFFERENTIABLE and sample.order > 0 and any(F64 in e for e in entries)


def has_float_result(sample, each, dtypes):
    type_ = sample.build(each, dtypes)[1].type
    return all(item.dtype == F64 for item in getattr(type_, "items", (type_,)))


@pytest.mark.parametrize("sample", [s for s in SAMPLES if differentiable(s)], ids=lambda s: s.op)
def test_gradient_equals_differences(sample: Sample):
    rng = np.random.default_rng(5)
    for each in sample.cases:
        dtypes = next(d for e in sample.dtypes if F64 in (d := sample.dtypes_of(e, len(each.shapes))))
        if not has_float_result(sample, each, dtypes):
            continue
        arrays = sample.arrays(each, dtypes, rng)
        places = [i for i, d in enumerate(dtypes) if d == F64]
        attrs = sample.attrs_for(each, dtypes)

        def function(*floats, arrays=arrays, places=places, attrs=attrs, name=sample.op):
            operands = [gc.constant(a) for a in arrays]
            for place, tensor in zip(places, floats):
                operands[place] = tensor
            result = apply(OPS[name], *operands, **attrs)
            count = len(getattr(result.type, "items", ()))
            return [apply(OPS["get"], result, index=i) for i in range(count)] if count else result

        check_gradient(function, *(arrays[p] for p in places), order=sample.order)


def slope(function, *points):
    """The gradient of `function` at scalars."""
    xs = [gc.placeholder((), "float64", name=f"x{i}") for i in range(len(points))]
    found = run(grad(function(*xs), xs), dict(zip(xs, points)))
    return [float(v) for v in found]


def test_conventions_at_kinks():
    assert slope(gc.abs, 0.0) == [0.0]
    assert slope(gc.relu, 0.0) == [0.0]
    assert slope(gc.maximum, 2.0, 2.0) == [0.5, 0.5]
    assert slope(gc.minimum, 2.0, 2.0) == [0.5, 0.5]
    assert slope(gc.hypot, 0.0, 0.0) == [0.0, 0.0]
    assert slope(gc.sign, 0.0) == slope(gc.floor, 1.0) == slope(gc.round, 0.5) == [0.0]
    assert slope(lambda x: gc.max(gc.stack([x, x, 0 * x])), 1.0) == [1.0]


def test_equal_maxima_share_the_gradient():
    x = gc.placeholder((4,), "float64", name="x")
    values = np.array([1.0, 3.0, 3.0, 2.0])
    np.testing.assert_array_equal(run(grad(gc.max(x), [x])[0], {x: values}), [0, 0.5, 0.5, 0])
    np.testing.assert_array_equal(run(grad(gc.min(x), [x])[0], {x: values}), [1, 0, 0, 0])


@pytest.mark.parametrize(
    ("x", "y", "wanted"),
    [
        (0.0, 0.0, [0.0, 0.0]),
        (2.0, 0.0, [0.0, np.log(2.0)]),
        (0.0, 1.0, [1.0, 0.0]),
        (0.0, 2.0, [0.0, 0.0]),
        (-2.0, 3.0, [12.0, 0.0]),
        (-2.0, -1.0, [-0.25, 0.0]),
        (np.inf, 0.0, [0.0, np.inf]),
    ],
)
def test_power_at_its_corners(x, y, wanted):
    np.testing.assert_allclose(slope(gc.pow, x, y), wanted, rtol=1e-15)
    assert slope(lambda t: t**y, x) == pytest.approx([wanted[0]])


def test_mixed_second_derivative_of_power_at_exponent_zero():
    x, y = gc.placeholder((), "float64", name="x"), gc.placeholder((), "float64", name="y")
    dx, _ = grad(gc.pow(x, y), [x, y])
    assert float(run(grad(dx, [y])[0], {x: 2.0, y: 0.0})) == 0.5  # d/dy (y * x**(y-1)) = 1/x


@pytest.mark.parametrize("values", [[2.0, 0.0, 3.0], [0.0, 0.0, 3.0], [2.0, 5.0, 3.0], [0.0], []])
def test_products_with_zeros(values):
    check_gradient(gc.prod, np.array(values))
    check_gradient(lambda x: gc.cumprod(x), np.array(values), order=2 if values.count(0.0) < 2 else 1)


def test_product_over_several_axes_with_zeros():
    x = np.random.default_rng(3).integers(-1, 2, (2, 3, 2)).astype(float)
    check_gradient(lambda t: gc.prod(t, axis=(0, 2)), x)


def test_gradient_of_broadcast_operands_has_their_type():
    x, y = gc.placeholder(("n", 1), "float64", name="x"), gc.placeholder((3,), "float64", name="y")
    dx, dy = grad(gc.sum(gc.exp(x) * y), [x, y])
    assert (dx.type, dy.type) == (x.type, y.type)
    values = {x: np.array([[1.0], [2.0]]), y: np.array([1.0, 2.0, 3.0])}
    np.testing.assert_allclose(run(dx, values), np.exp(values[x]) * 6)
    np.testing.assert_allclose(run(dy, values), np.full(3, np.exp(values[x]).sum()))


COMPOSITES = {
    "relu": gc.relu, "leaky_relu": gc.leaky_relu, "elu": gc.elu, "silu": gc.silu, "gelu": gc.gelu,
    "gelu_tanh": lambda x: gc.gelu(x, "tanh"), "log_sigmoid": gc.log_sigmoid, "square": gc.square,
    "reciprocal": lambda x: gc.reciprocal(x + 3), "clip": lambda x: gc.clip(x, -0.5, 0.5),
    "mean": lambda x: gc.mean(x, axis=1),
    "var": lambda x: gc.var(x, axis=0, correction=1), "std": lambda x: gc.std(x, axis=1),
    "cross_entropy_int": lambda x: gc.cross_entropy(x, [2, 0, 1]),
    "cross_entropy": lambda x: gc.cross_entropy(x, np.full((3, 4), 0.25)),
    "binary_cross_entropy": lambda x: gc.binary_cross_entropy_from_logits(x, np.eye(3, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPOSITES)
def test_functions_composed_of_ops(name):
    check_gradient(COMPOSITES[name], np.random.default_rng(11).uniform(-2, 2, (3, 4)))


def test_cross_entropy_by_its_labels():
    logits, labels = np.random.default_rng(2).uniform(0.1, 1, (2, 3, 4))
    check_gradient(gc.cross_entropy, logits, labels)
    check_gradient(gc.binary_cross_entropy_from_logits, logits, labels)
