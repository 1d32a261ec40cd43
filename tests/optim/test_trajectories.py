"""Each optimiser's path over twenty given gradients, against its formulas written in NumPy, and against PyTorch."""

import numpy as np
import pytest

import graphc as gc

BACKENDS = ("numpy", "llvm")
STEPS = 20
W0 = np.array([[0.5, -1.0, 2.0], [0.0, 3.0, -0.25]])
GRADIENTS = np.random.default_rng(5).normal(size=(STEPS, 2, 3))


def path_of(optimizer, dtype="float64", backend="llvm"):
    """The parameter before the first step and after each, given GRADIENTS, by compiled steps."""
    w = gc.variable(W0, dtype, name="w")
    g = gc.placeholder((2, 3), dtype, name="g")
    step = gc.function([g], [], updates=optimizer.updates_from({w: g}), backend=backend)
    path = [w.value]
    for gradient in GRADIENTS:
        step(gradient.astype(dtype))
        path.append(w.value)
    return np.array(path)


# The formulas: functions of the dtype, the settings and GRADIENTS, one loop each.


def reference(update, dtype, **settings):
    """The path of `update(w, g, state, t, **settings) -> w`."""
    w, state, path = W0.astype(dtype), {}, [W0.astype(dtype)]
    for t, g in enumerate(GRADIENTS.astype(dtype), 1):
        w = update(w, g, state, t, **settings).astype(dtype)
        path.append(w)
    return np.array(path)


def descent(w, g, state, t, rate):
    return w - rate * g


def momentum(w, g, state, t, rate, mu, nesterov=False):
    v = state["v"] = mu * state.get("v", 0 * w) + g
    return w - rate * (g + mu * v if nesterov else v)


def adagrad(w, g, state, t, rate, start=0.0, eps=1e-10):
    s = state["s"] = state.get("s", 0 * w + start) + g**2
    return w - rate * g / (np.sqrt(s) + eps)


def rmsprop(w, g, state, t, rate, rho=0.9, mu=0.0, eps=1e-7, centered=False):
    s = state["s"] = rho * state.get("s", 0 * w) + (1 - rho) * g**2
    if centered:
        m = state["m"] = rho * state.get("m", 0 * w) + (1 - rho) * g
        s = np.maximum(s - m**2, 0)
    q = g / (np.sqrt(s) + eps)
    v = state["v"] = mu * state.get("v", 0 * w) + q
    return w - rate * v


def adadelta(w, g, state, t, rate, rho=0.95, eps=1e-6):
    s = state["s"] = rho * state.get("s", 0 * w) + (1 - rho) * g**2
    d = np.sqrt(state.get("u", 0 * w) + eps) / np.sqrt(s + eps) * g
    state["u"] = rho * state.get("u", 0 * w) + (1 - rho) * d**2
    return w - rate * d


def adam(w, g, state, t, rate, b1=0.9, b2=0.999, eps=1e-8, amsgrad=False, decay=0.0):
    m = state["m"] = b1 * state.get("m", 0 * w) + (1 - b1) * g
    v = state["v"] = b2 * state.get("v", 0 * w) + (1 - b2) * g**2
    if amsgrad:
        v = state["x"] = np.maximum(state.get("x", 0 * w), v)
    m_hat, v_hat = m / (1 - b1**t), v / (1 - b2**t)
    return w * (1 - rate * decay) - rate * m_hat / (np.sqrt(v_hat) + eps)


def subgradient(w, g, state, t, rate, power=0.5, normalized=False):
    return w - rate / t**power * g / (np.linalg.norm(g) if normalized else 1)


def soft(v, threshold):
    return np.sign(v) * np.maximum(abs(v) - threshold, 0)


def ista(w, g, state, t, rate, l1, l2=0.0):
    return soft(w - rate * g, rate * l1) / (1 + rate * l2)


def fista(w, g, state, t, rate, l1):
    x, k = soft(w - rate * g, rate * l1), state.get("k", 1.0)
    following = (1 + np.sqrt(1 + 4 * k**2)) / 2
    ahead = x + (k - 1) / following * (x - state.get("x", W0.astype(w.dtype)))
    state.update(x=x, k=following)
    return ahead


CASES = [
    (lambda: gc.optim.GradientDescent(0.1), descent, {"rate": 0.1}),
    (lambda: gc.optim.SGD(0.1), descent, {"rate": 0.1}),
    (lambda: gc.optim.SGD(0.1, momentum=0.9), momentum, {"rate": 0.1, "mu": 0.9}),
    (lambda: gc.optim.SGD(0.1, 0.8, nesterov=True), momentum, {"rate": 0.1, "mu": 0.8, "nesterov": True}),
    (lambda: gc.optim.Adagrad(0.3), adagrad, {"rate": 0.3}),
    (lambda: gc.optim.Adagrad(0.3, 0.1, 1e-7), adagrad, {"rate": 0.3, "start": 0.1, "eps": 1e-7}),
    (lambda: gc.optim.RMSProp(0.02), rmsprop, {"rate": 0.02}),
    (lambda: gc.optim.RMSProp(0.02, 0.8, 0.9, 1e-6), rmsprop, {"rate": 0.02, "rho": 0.8, "mu": 0.9, "eps": 1e-6}),
    (lambda: gc.optim.RMSProp(0.02, centered=True, epsilon=1e-3), rmsprop,
     {"rate": 0.02, "centered": True, "eps": 1e-3}),
    (lambda: gc.optim.Adadelta(), adadelta, {"rate": 1.0}),
    (lambda: gc.optim.Adadelta(0.5, 0.9, 1e-5), adadelta, {"rate": 0.5, "rho": 0.9, "eps": 1e-5}),
    (lambda: gc.optim.Adam(0.05), adam, {"rate": 0.05}),
    (lambda: gc.optim.Adam(0.05, 0.8, 0.9, 1e-3), adam, {"rate": 0.05, "b1": 0.8, "b2": 0.9, "eps": 1e-3}),
    (lambda: gc.optim.Adam(0.05, beta2=0.8, amsgrad=True), adam, {"rate": 0.05, "b2": 0.8, "amsgrad": True}),
    (lambda: gc.optim.AdamW(0.05), adam, {"rate": 0.05, "decay": 0.01}),
    (lambda: gc.optim.AdamW(0.05, weight_decay=0.3), adam, {"rate": 0.05, "decay": 0.3}),
    (lambda: gc.optim.Subgradient(0.3), subgradient, {"rate": 0.3}),
    (lambda: gc.optim.Subgradient(0.3, 1.0, normalized=True), subgradient,
     {"rate": 0.3, "power": 1.0, "normalized": True}),
    (lambda: gc.optim.ProximalGradient(0.1, gc.optim.L1(0.5)), ista, {"rate": 0.1, "l1": 0.5}),
    (lambda: gc.optim.ProximalGradient(0.1, gc.optim.ElasticNet(0.5, 2.0)), ista, {"rate": 0.1, "l1": 0.5, "l2": 2.0}),
    (lambda: gc.optim.ProximalGradient(0.1, gc.optim.L1(0.5), accelerated=True), fista, {"rate": 0.1, "l1": 0.5}),
]  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("make", "update", "settings"), CASES)
def test_path_is_the_formula(make, update, settings, backend):
    np.testing.assert_allclose(
        path_of(make(), "float64", backend), reference(update, "f8", **settings), rtol=1e-12, atol=1e-13
    )
    single = path_of(make(), "float32", backend)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, reference(update, "f4", **settings), rtol=3e-5, atol=3e-6)


def test_every_optimiser_has_a_path():
    assert {make().kind for make, *_ in CASES} == set(gc.optim.names())


TORCH = [
    ("SGD", {"lr": 0.1, "momentum": 0.9}, lambda: gc.optim.SGD(0.1, 0.9)),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.2},
     lambda: gc.optim.SGD(0.1, 0.9, nesterov=True, weight_decay=0.2)),
    ("Adagrad", {"lr": 0.1}, lambda: gc.optim.Adagrad(0.1)),
    ("RMSprop", {"lr": 0.1, "momentum": 0.5}, lambda: gc.optim.RMSProp(0.1, 0.99, 0.5, 1e-8)),
    ("RMSprop", {"lr": 0.1, "centered": True, "eps": 1e-3},
     lambda: gc.optim.RMSProp(0.1, 0.99, epsilon=1e-3, centered=True)),
    ("Adadelta", {"lr": 0.7, "weight_decay": 0.1}, lambda: gc.optim.Adadelta(0.7, 0.9, weight_decay=0.1)),
    ("Adam", {"lr": 0.1, "weight_decay": 0.1}, lambda: gc.optim.Adam(0.1, weight_decay=0.1)),
    ("Adam", {"lr": 0.1, "amsgrad": True}, lambda: gc.optim.Adam(0.1, amsgrad=True)),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.3}, lambda: gc.optim.AdamW(0.1, weight_decay=0.3)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "settings", "make"), TORCH)
def test_path_is_torchs(name, settings, make):
    torch = pytest.importorskip("torch")
    w = torch.nn.Parameter(torch.tensor(W0))
    optimizer = getattr(torch.optim, name)([w], **settings)
    path = [W0]
    for gradient in GRADIENTS:
        w.grad = torch.tensor(gradient)
        optimizer.step()
        path.append(w.detach().numpy().copy())
    np.testing.assert_allclose(path_of(make()), path, rtol=1e-11, atol=1e-12)
