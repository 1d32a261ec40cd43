"""Optimisers arrive: at the minimum of a convex quadratic, at scikit-learn's lasso, at minima with kinks."""

import numpy as np
import pytest
from sklearn.linear_model import ElasticNet, Lasso

import graphc as gc

BACKENDS = ("numpy", "llvm")
rng = np.random.default_rng(2)
X = rng.normal(size=(40, 8))
TRUE = np.array([3.0, -2.0, 0, 0, 0, 1.5, 0, 0])
Y = X @ TRUE + 0.1 * rng.normal(size=40)
LIPSCHITZ = np.linalg.eigvalsh(X.T @ X / 40).max()

QUADRATIC = [
    (lambda: gc.optim.GradientDescent(1 / LIPSCHITZ), 500, 1e-10),
    (lambda: gc.optim.SGD(0.3 / LIPSCHITZ, 0.8), 500, 1e-10),
    (lambda: gc.optim.SGD(0.3 / LIPSCHITZ, 0.8, nesterov=True), 500, 1e-10),
    (lambda: gc.optim.Adagrad(1.0), 1000, 1e-8),
    (lambda: gc.optim.RMSProp(gc.optim.ExponentialDecay(0.1, 100, 0.3)), 1500, 1e-5),
    (lambda: gc.optim.Adadelta(gc.optim.CosineDecay(10.0, 1500), epsilon=1e-4), 1500, 1e-6),
    (lambda: gc.optim.Adam(gc.optim.CosineDecay(0.1, 1500)), 1500, 1e-8),
    (lambda: gc.optim.Adam(gc.optim.CosineDecay(0.1, 1500), amsgrad=True), 1500, 1e-8),
    (lambda: gc.optim.AdamW(gc.optim.CosineDecay(0.1, 1500), weight_decay=0.0), 1500, 1e-8),
]


def trained(optimizer, loss, w, steps, backend="llvm"):
    step = gc.function([], loss, updates=optimizer.updates(loss, [w]), backend=backend)
    return [float(step()) for _ in range(steps)]


@pytest.mark.parametrize(("make", "steps", "tolerance"), QUADRATIC)
def test_a_convex_quadratic(make, steps, tolerance):
    w = gc.variable(np.zeros(8), name="w")
    trained(make(), 0.5 * gc.mean(gc.square(gc.constant(X) @ w - Y)), w, steps)
    np.testing.assert_allclose(w.value, np.linalg.lstsq(X, Y)[0], atol=tolerance)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("accelerated", [False, True])
def test_lasso_is_scikit_learns(accelerated, backend):
    wanted = Lasso(alpha=0.2, fit_intercept=False, tol=1e-14, max_iter=100000).fit(X, Y).coef_
    w = gc.variable(np.zeros(8), name="w")
    loss = 0.5 * gc.mean(gc.square(gc.constant(X) @ w - Y))
    optimizer = gc.optim.ProximalGradient(1 / LIPSCHITZ, gc.optim.L1(0.2), accelerated=accelerated)
    trained(optimizer, loss, w, 400, backend)
    optimizer.adopt()
    np.testing.assert_allclose(w.value, wanted, atol=1e-9)
    np.testing.assert_array_equal(w.value == 0, wanted == 0)


def test_elastic_net_is_scikit_learns():
    wanted = ElasticNet(alpha=0.4, l1_ratio=0.5, fit_intercept=False, tol=1e-14, max_iter=100000).fit(X, Y).coef_
    w = gc.variable(np.zeros(8), name="w")
    loss = 0.5 * gc.mean(gc.square(gc.constant(X) @ w - Y))
    trained(gc.optim.ProximalGradient(1 / LIPSCHITZ, {"w": gc.optim.ElasticNet(0.2, 0.2)}), loss, w, 400)
    np.testing.assert_allclose(w.value, wanted, atol=1e-9)


def test_fista_is_faster():
    features = X * np.logspace(0, -1.5, 8)  # badly conditioned
    rate = 1 / np.linalg.eigvalsh(features.T @ features / 40).max()
    losses = []
    for accelerated in (False, True):
        w = gc.variable(np.zeros(8), name="w")
        loss = 0.5 * gc.mean(gc.square(gc.constant(features) @ w - Y))
        optimizer = gc.optim.ProximalGradient(rate, gc.optim.L1(1e-3), accelerated=accelerated)
        trained(optimizer, loss, w, 100)
        optimizer.adopt()
        losses.append(float(gc.function([], loss + gc.optim.L1(1e-3)(w))()))
    best = Lasso(alpha=1e-3, fit_intercept=False, tol=1e-14, max_iter=10**6).fit(features, Y).coef_
    least = 0.5 * np.mean((features @ best - Y) ** 2) + 1e-3 * abs(best).sum()
    slow, fast = np.array(losses) - least
    assert 0 <= fast < slow / 5


@pytest.mark.parametrize("keep", ["last", "best", "average"])
def test_subgradient_method_on_least_absolute_deviations(keep):
    """The median of numbers minimises the sum of distances to them."""
    numbers = np.array([1.0, 2.0, 7.0, 30.0, 100.0])
    w = gc.variable(0.0, name="w")
    loss = gc.mean(gc.abs(gc.constant(numbers) - w))
    optimizer = gc.optim.Subgradient(5.0, keep=keep, normalized=True)
    losses = trained(optimizer, loss, w, 2000)
    optimizer.adopt()
    assert w.value == pytest.approx(7, abs={"last": 0.2, "best": 0.05, "average": 1.0}[keep])
    if keep == "best":
        assert gc.function([], loss)() == min(losses)


def test_averaged_iterates_are_weighted_by_their_steps():
    w = gc.variable(0.0, name="w")
    gradients = rng.normal(size=10)
    g = gc.placeholder((), "float64")
    optimizer = gc.optim.Subgradient(0.5, keep="average")
    step = gc.function([g], w, updates=optimizer.updates_from({w: g}))
    visited = [float(step(value)) for value in gradients]
    assert optimizer.kept[w].value == pytest.approx(np.average(visited, weights=np.arange(1, 11) ** -0.5), rel=1e-12)


def test_projected_gradients_stay_in_the_box():
    w = gc.variable(np.zeros(8), name="w")
    loss = 0.5 * gc.mean(gc.square(gc.constant(X) @ w - Y))
    box = gc.optim.Box(0.0, 2.0)
    trained(gc.optim.ProximalGradient(1 / LIPSCHITZ, box), loss, w, 300)
    assert (w.value.min(), w.value.max()) == (0.0, 2.0)
    assert gc.function([], [box(w), box(w - 1.0)])() == [0.0, np.inf]
    (slope,) = gc.grad(loss, [w])
    free = (w.value > 0) & (w.value < 2)
    np.testing.assert_allclose(gc.function([], slope)()[free], 0, atol=1e-8)
