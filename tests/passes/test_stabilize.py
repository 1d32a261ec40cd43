"""Formulas by hand: the forms that the rules know, and that they are right where the formula as written is not."""

import numpy as np
import pytest
from checking import canonical, check, graph, optimised, rules_of, unchanged, values_of

import graphc as gc
from graphc.ir.close import close
from graphc.passes.rewrite import stabilize

RUN = rules_of(stabilize)
HARD = np.array([0.0, 1e-40, -1e-40, 1e-20, -1e-20, 17.0, -17.0, 88.0, -88.0, 710.0, -710.0, 1e30, -1e30])


def ops_of(build, shape=("n",)):
    x = gc.placeholder(shape, "float64", name="x")
    return {t.op.name for t in RUN(close("f", [x], [build(x)])).tensors} - {"placeholder", "const"}


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda x: gc.log(1 + x), {"log1p"}),
        (lambda x: gc.log(x + 1), {"log1p"}),
        (lambda x: gc.log(1 - x), {"log1p", "negative"}),
        (lambda x: gc.exp(x) - 1, {"expm1"}),
        (lambda x: -1 + gc.exp(x), {"expm1"}),
        (lambda x: 1 / (1 + gc.exp(-x)), {"sigmoid"}),
        (lambda x: 1 / (gc.exp(-x) + 1), {"sigmoid"}),
        (lambda x: 1 / (1 + gc.exp(x)), {"sigmoid", "negative"}),
        (lambda x: gc.log(1 + gc.exp(x)), {"softplus"}),
        (lambda x: gc.log1p(gc.exp(x)), {"softplus"}),
        (lambda x: gc.log(gc.sigmoid(x)), {"softplus", "negative"}),
        (lambda x: gc.log(1 / (1 + gc.exp(-x))), {"softplus", "negative"}),
        (lambda x: gc.log(1 - gc.sigmoid(x)), {"softplus", "negative"}),
        (lambda x: 1 - gc.sigmoid(x), {"sigmoid", "negative"}),
        (lambda x: 1 - gc.erf(x), {"erfc"}),
        (lambda x: 1 / gc.sqrt(x), {"rsqrt"}),
        (lambda x: gc.log(gc.exp(x) + gc.exp(2 * x)), {"logaddexp", "multiply"}),
        (lambda x: gc.log(gc.sum(gc.exp(x))), {"logsumexp"}),
        (lambda x: gc.log(gc.softmax(x, axis=0)), {"log_softmax"}),
    ],
)  # fmt: skip
def test_formulas_are_recognised(build, expected):
    assert ops_of(build) == expected


def test_a_softmax_by_hand():
    def build(x):
        e = gc.exp(x)
        return e / gc.sum(e, axis=1, keepdims=True)

    assert ops_of(build, ("n", 5)) == {"softmax"}
    assert ops_of(lambda x: gc.log(build(x)), ("n", 5)) == {"log_softmax"}


@pytest.mark.parametrize(
    ("build", "true"),
    [
        (lambda x: gc.log(1 + gc.exp(x)), lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))),
        (lambda x: gc.log(gc.sigmoid(x)), lambda x: -(np.maximum(-x, 0) + np.log1p(np.exp(-np.abs(x))))),
        (lambda x: gc.exp(x) - 1, np.expm1),
        (lambda x: gc.exp(x) / (1 + gc.exp(x)), lambda x: np.where(x > 0, 1, np.exp(x)) / (1 + np.exp(-np.abs(x)))),
        (lambda x: gc.log(gc.exp(x) + gc.exp(x)), lambda x: x + np.log(2)),
    ],
)  # fmt: skip
def test_values_are_true_where_the_formula_as_written_is_not(build, true):
    x = gc.placeholder(("n",), "float64", name="x")
    written = close("f", [x], [build(x)])
    found = values_of(optimised(written).graph, HARD)[0]
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(found, true(HARD), rtol=1e-14)
    assert not np.array_equal(values_of(written, HARD)[0], found)


@pytest.mark.parametrize(
    "body",
    [
        "%0 = const {value=2.0} : f32[]\n%1 = add %0, %x : f32[n]\n%2 = log %1 : f32[n]",
        "%0 = exp %x : f32[n]\n%1 = const {value=1.0} : f32[]\n%2 = subtract %1, %0 : f32[n]",
        "%0 = sum %x {axis=(0,), keepdims=false} : f32[]\n%1 = log %0 : f32[]",
        "%0 = exp %x : f32[n]\n%1 = exp %0 : f32[n]\n%2 = sum %1 {axis=(0,), keepdims=true} : f32[1]\n"
        "%3 = divide %0, %2 : f32[n]",
        "%0 = const {value=[1.0]} : f32[1]\n%1 = reshape %x {shape=(n, 1)} : f32[n,1]\n%2 = add %0, %1 : f32[n,1]",
    ],
)
def test_what_only_looks_like_it_is_left_alone(body):
    unchanged(RUN, "%x: f32[n]", body)


def test_a_one_that_broadcasts_the_operand_is_left_alone():
    body = "%0 = const {value=[1.0, 1.0]} : f32[2]\n%1 = add %x, %0 : f32[2]\n%2 = log %1 : f32[2]"
    unchanged(RUN, "%x: f32[]", body)


def test_the_text():
    check(
        RUN, "%x: f32[n]",
        "%0 = const {value=1.0} : f32[]\n%1 = add %x, %0 : f32[n]\n%2 = log %1 : f32[n]",
        "%0 = log1p %x : f32[n]", values="better",
    )  # fmt: skip
    assert canonical(graph("%x: f32[n]", "%0 = log1p %x : f32[n]"))
