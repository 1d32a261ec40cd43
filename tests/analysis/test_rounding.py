"""Monte Carlo arithmetic: exact graphs have no noise, badly conditioned ones have much."""

import numpy as np
import pytest

import graphc as gc
from graphc.analysis.rounding import rounding_noise
from graphc.ir.evaluate import evaluate

X = gc.placeholder(("n",), "float64", name="x")


def noise_of(result, x, **options):
    graph = gc.function([X], result, backend="numpy").graph
    arrays = [np.asarray(x, np.float64)]
    (noise,) = rounding_noise(graph, arrays, evaluate(graph, arrays), **options)
    return noise


@pytest.mark.parametrize("make", [lambda: X[::-1], lambda: X > 0, lambda: gc.maximum(X, 0.5), lambda: gc.argmax(X)])
def test_exact_ops_have_none(make):
    noise = noise_of(make(), [0.3, -1.0, 2.0], rewritten=True)
    assert noise.exact and not noise.spread.any() and not noise.unstable.any()


def test_ieee_arithmetic_has_none_unless_rewritten():
    assert noise_of(X * 3.0 + 0.1, [0.3, 1.0]).exact
    rewritten = noise_of(X * 3.0 + 0.1, [0.3, 1.0], rewritten=True)
    assert not rewritten.exact and (rewritten.spread > 0).all()


def test_the_spread_grows_with_the_condition():
    calm, wild = noise_of(gc.exp(X) - 1000.0, [0.0]), noise_of(1.0 / (gc.exp(X) - 1.0), [1e-9])
    assert calm.spread[0] < 1e-14
    assert wild.spread[0] > 1e9 * 1e-7  # the relative error of exp, 1e9 times over, on a value of 1e9


def test_a_step_is_unstable_only_at_its_edge():
    noise = noise_of(gc.floor(gc.exp(X) + 1.0), [0.0, 0.5])
    assert noise.unstable.tolist() == [False, False] and noise.spread.tolist() == [1.0, 0.0]
    assert noise_of(gc.exp(X) >= 1.0, [0.0, 0.5]).unstable.tolist() == [True, False]


def test_a_zero_among_zeros_of_both_signs_has_either_sign():
    assert noise_of(gc.max(X), [0.0, -0.0, -1.0]).unstable
    assert not noise_of(gc.max(X), [0.0, 0.0, -1.0]).unstable


def test_sums_are_tried_in_other_orders():
    x = np.random.default_rng(0).normal(size=1000)
    assert 0 < noise_of(gc.sum(X), x).spread < 1e-11


def test_the_same_seed_gives_the_same_noise():
    a, b = (noise_of(gc.sum(gc.exp(X)), [0.1, 0.2, 0.7], seed=1) for _ in range(2))
    assert a.spread == b.spread


def test_what_is_left_of_products_that_cancel_moves_with_their_magnitudes():
    terms = np.resize([3.0, -3.0], 306)
    terms[0] += 0.125
    weights = gc.constant(np.ones((306, 1)))
    noise = noise_of(gc.matmul(gc.reshape(X, (1, 306)), weights), terms)
    assert 0.9 <= noise.spread.max() / (np.finfo(np.float64).eps * np.abs(terms).sum()) < 3
