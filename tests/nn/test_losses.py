"""Losses: their formulas, gradients at the edges of floats, weights, reductions, and what they refuse."""

import inspect

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

import graphc as gc

losses = gc.nn.losses
BACKENDS = ("numpy", "llvm")
rng = np.random.default_rng(3)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


Y, P = rng.normal(size=(6, 4)), rng.normal(size=(6, 4))
BITS = rng.integers(0, 2, (6, 4))
CLASSES = rng.integers(0, 4, 6)
ONE_HOT = np.eye(4)[CLASSES]
SHARES, Q = softmax(rng.normal(size=(6, 4))), softmax(P)
CHANCE = rng.uniform(0.02, 0.98, (6, 4))
SIGNS = 2.0 * BITS - 1

# name, options, y_true, y_pred, the loss of each example by NumPy
FORMULAS = [
    ("mean_squared_error", {}, Y, P, ((P - Y) ** 2).mean(-1)),
    ("mean_absolute_error", {}, Y, P, abs(P - Y).mean(-1)),
    ("mean_absolute_percentage_error", {}, Y, P, 100 * abs((P - Y) / Y).mean(-1)),
    ("mean_squared_logarithmic_error", {}, CHANCE, Q, ((np.log1p(Q) - np.log1p(CHANCE)) ** 2).mean(-1)),
    ("huber", {}, Y, P, np.where(abs(P - Y) <= 1, (P - Y) ** 2 / 2, abs(P - Y) - 0.5).mean(-1)),
    ("huber", {"delta": 0.3}, Y, P, np.where(abs(P - Y) <= 0.3, (P - Y) ** 2 / 2, 0.3 * (abs(P - Y) - 0.15)).mean(-1)),
    ("log_cosh", {}, Y, P, np.log(np.cosh(P - Y)).mean(-1)),
    ("hinge", {}, BITS, P, np.maximum(0, 1 - SIGNS * P).mean(-1)),
    ("hinge", {}, SIGNS, P, np.maximum(0, 1 - SIGNS * P).mean(-1)),
    ("squared_hinge", {}, BITS, P, (np.maximum(0, 1 - SIGNS * P) ** 2).mean(-1)),
    ("categorical_hinge", {}, ONE_HOT, P,
     np.maximum(0, 1 + np.where(ONE_HOT > 0, -np.inf, P).max(-1) - (ONE_HOT * P).sum(-1))),
    ("binary_crossentropy", {}, BITS, CHANCE, -np.log(np.where(BITS > 0, CHANCE, 1 - CHANCE)).mean(-1)),
    ("binary_crossentropy", {"from_logits": True}, BITS, P, np.log1p(np.exp(-SIGNS * P)).mean(-1)),
    ("binary_crossentropy", {"from_logits": True, "label_smoothing": 0.2}, BITS, P,
     (0.9 * np.log1p(np.exp(-SIGNS * P)) + 0.1 * np.log1p(np.exp(SIGNS * P))).mean(-1)),
    ("categorical_crossentropy", {}, ONE_HOT, Q, -np.log(Q[np.arange(6), CLASSES])),
    ("categorical_crossentropy", {"from_logits": True}, SHARES, P, -(SHARES * np.log(Q)).sum(-1)),
    ("categorical_crossentropy", {"from_logits": True, "label_smoothing": 0.2}, ONE_HOT, P,
     -((0.8 * ONE_HOT + 0.05) * np.log(Q)).sum(-1)),
    ("sparse_categorical_crossentropy", {}, CLASSES, Q, -np.log(Q[np.arange(6), CLASSES])),
    ("sparse_categorical_crossentropy", {"from_logits": True}, CLASSES, P, -np.log(Q[np.arange(6), CLASSES])),
    ("sparse_categorical_crossentropy", {"label_smoothing": 0.2}, CLASSES, Q,
     -((0.8 * ONE_HOT + 0.05) * np.log(Q)).sum(-1)),
    ("log_loss", {}, CLASSES, Q, -np.log(Q[np.arange(6), CLASSES])),
    ("log_loss", {}, BITS, CHANCE, -np.log(np.where(BITS > 0, CHANCE, 1 - CHANCE)).mean(-1)),
    ("kl_divergence", {}, SHARES, Q, (SHARES * np.log(SHARES / Q)).sum(-1)),
    ("kl_divergence", {"from_logits": True}, ONE_HOT, P, -np.log(Q[np.arange(6), CLASSES])),
    ("poisson", {}, CLASSES[:, None] + BITS, CHANCE, (CHANCE - (CLASSES[:, None] + BITS) * np.log(CHANCE)).mean(-1)),
]  # fmt: skip


def value(tensors, backend="llvm"):
    return gc.function([], tensors, backend=backend)()


def compiled(name, options, y_true, y_pred, backend, **given):
    """The loss and its gradient as a function of arrays, with a symbolic batch."""
    kind = "float" if y_true.dtype.kind == "f" else y_true.dtype.name
    t = gc.placeholder(("batch", *y_true.shape[1:]), y_pred.dtype if kind == "float" else kind, name="t")
    p = gc.placeholder(("batch", *y_pred.shape[1:]), y_pred.dtype, name="p")
    loss = losses.get(name, **options)(t, p, **given) if options or given else losses.get(name)(t, p)
    total = gc.sum(loss)
    return gc.function([t, p], [loss, *gc.grad(total, [p])], backend=backend)(y_true, y_pred)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("name", "options", "y_true", "y_pred", "wanted"), FORMULAS)
def test_formula_reductions_and_dtypes(name, options, y_true, y_pred, wanted, backend):
    found, _ = compiled(name, options, y_true, y_pred, backend, reduction="none")
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14)
    for reduction, total in (("mean", np.mean), ("sum", np.sum), ("mean_with_sample_weight", np.mean)):
        number, _ = compiled(name, options, y_true, y_pred, backend, reduction=reduction)
        np.testing.assert_allclose(number, total(wanted))
    single, gradient = compiled(name, options, y_true.astype("f4") if y_true.dtype.kind == "f" else y_true,
                                y_pred.astype("f4"), backend)  # fmt: skip
    assert single.dtype == gradient.dtype == np.float32
    np.testing.assert_allclose(single, wanted.mean(), rtol=2e-5)


@pytest.mark.parametrize(("name", "options", "y_true", "y_pred", "wanted"), FORMULAS)
def test_gradient_is_the_slope(name, options, y_true, y_pred, wanted):
    direction, step = rng.normal(size=y_pred.shape), 1e-6
    ends = [compiled(name, options, y_true, y_pred + s * step * direction, "numpy")[0] for s in (1, -1)]
    _, gradient = compiled(name, options, y_true, y_pred, "numpy")
    assert np.sum(gradient * direction) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6, abs=1e-8)


def test_every_loss_has_a_formula_and_keras_arguments():
    assert set(losses.names()) == {name for name, *_ in FORMULAS}
    for name in losses.names():
        assert list(inspect.signature(losses.get(name)).parameters)[:4] == [
            "y_true", "y_pred", "sample_weight", "reduction"
        ]  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
def test_weights(backend):
    weights = rng.uniform(0.5, 2, 6)
    each = ((P - Y) ** 2).mean(-1)
    loss = losses.mean_squared_error
    for reduction, wanted in (
        ("none", weights * each),
        ("sum", np.sum(weights * each)),
        ("mean", np.mean(weights * each)),
        ("mean_with_sample_weight", np.average(each, weights=weights)),
    ):
        np.testing.assert_allclose(value(loss(Y, gc.constant(P), weights, reduction), backend), wanted, rtol=1e-13)
    sequence = losses.mean_absolute_error(np.zeros((6, 4, 1)), P[:, :, None], weights, "none")
    np.testing.assert_allclose(value(sequence, backend), abs(P) * weights[:, None])
    nothing = loss(Y, P, np.zeros(6), "mean_with_sample_weight")
    assert value(nothing, backend) == 0
    assert value(loss([1.0, 2.0], [np.inf, 3.0], [0.0, 1.0]), backend) == 0.5  # an example of weight 0 counts nothing


EXTREMES = [0.0, -0.0, 1e-40, -1e-40, 17.0, -17.0, 88.0, -88.0, 710.0, -710.0, 1e38, -1e38]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("way", ["logits", "sigmoid", "reshaped sigmoid"])
def test_binary_crossentropy_is_stable(backend, dtype, label, way):
    z = gc.constant(np.array(EXTREMES, dtype))
    labels = np.full(len(EXTREMES), label)
    if way == "logits":
        loss = losses.binary_crossentropy(labels, z, reduction="none", from_logits=True)
    elif way == "sigmoid":
        loss = losses.binary_crossentropy(labels, gc.sigmoid(z), reduction="none")
    else:
        rows = gc.sigmoid(gc.expand_dims(z, -1))
        loss = losses.binary_crossentropy(labels, gc.squeeze(rows, -1), reduction="none")
    found, slope = value([loss, *gc.grad(gc.sum(loss), [z])], backend)
    exact = np.array(EXTREMES, dtype).astype(np.longdouble)
    signed = -exact if label else exact
    np.testing.assert_allclose(found, np.maximum(signed, 0) + np.log1p(np.exp(-abs(exact))), rtol=1e-6,
                               atol=np.finfo(dtype).smallest_subnormal)  # fmt: skip
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(slope, 1 / (1 + np.exp(-exact)) - label, rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("way", ["logits", "softmax"])
@pytest.mark.parametrize("sparse", [True, False])
def test_categorical_crossentropy_is_stable(backend, way, sparse):
    rows = np.array([[1e38, -1e38, 0], [710, 0, -710], [88, 88, 88], [1e-40, 0, 0]], np.float32)
    z = gc.constant(rows)
    p = gc.softmax(z) if way == "softmax" else z
    options = {"from_logits": way == "logits", "reduction": "none"}
    labels = np.array([1, 2, 0, 1])
    if sparse:
        loss = losses.sparse_categorical_crossentropy(labels, p, **options)
    else:
        loss = losses.categorical_crossentropy(np.eye(3)[labels], p, **options)
    found, slope = value([loss, *gc.grad(gc.sum(loss), [z])], backend)
    np.testing.assert_allclose(found, [2e38, 1420, np.log(3), np.log(3)], rtol=1e-6)
    np.testing.assert_allclose(slope, softmax(rows) - np.eye(3)[labels], atol=1e-7)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_hopeless_probability_costs_a_finite_loss_and_still_learns(backend):
    p = gc.constant(np.array([0.0, 1.0, 1.0, 0.0, -5.0], np.float32))
    loss = losses.binary_crossentropy([1, 0, 1, 0, 1], p, reduction="none")
    found, slope = value([loss, *gc.grad(gc.sum(loss), [p])], backend)
    worst = -np.log(2.0**-23)
    np.testing.assert_allclose(found, [worst, worst, 2.0**-23, 2.0**-23, worst], rtol=1e-5)
    np.testing.assert_allclose(slope, [-(2.0**23), 2.0**23, -1, 1, -(2.0**23)], rtol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_regression_losses_at_the_ends_of_floats(backend):
    d = gc.constant(np.array([0.0, 1.0, -1.0, 1e-30, 1e30, -1e30, np.inf], np.float32))
    for name, wanted in (
        ("huber", [0, 0.5, 0.5, 0, 1e30, 1e30, np.inf]),
        ("log_cosh", [0, 0.4337808, 0.4337808, 0, 1e30, 1e30, np.inf]),
    ):
        loss = losses.get(name)(np.zeros(7), d, reduction="none")
        found, slope = value([loss, *gc.grad(gc.sum(loss), [d])], backend)
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-38)
        edge = 1 if name == "huber" else np.tanh(1)
        np.testing.assert_allclose(slope, [0, edge, -edge, 1e-30, 1, -1, 1], rtol=1e-6)


def test_subgradients_at_kinks():
    at_kink = gc.constant([1.0])
    for loss in (losses.hinge([1], at_kink), losses.mean_absolute_error([1.0], at_kink)):
        assert value(gc.grad(loss, [at_kink])[0]) == 0


def test_log_loss_is_scikit_learns():
    chances, labels, weights = CHANCE[:, 0], BITS[:, 0], rng.uniform(0.5, 2, 6)
    found = value(losses.log_loss(labels, chances, weights, "mean_with_sample_weight"))
    assert found == pytest.approx(sklearn_metrics.log_loss(labels, chances, sample_weight=weights), rel=1e-13)
    found = value(losses.log_loss(CLASSES, Q))
    assert found == pytest.approx(sklearn_metrics.log_loss(CLASSES, Q, labels=range(4)), rel=1e-13)
    surely_wrong = np.array([1.0, 0.0, 0.5])
    found = value(losses.log_loss([0, 1, 1], surely_wrong))
    assert found == pytest.approx(sklearn_metrics.log_loss([0, 1, 1], surely_wrong), rel=1e-13)


def test_pairs_are_never_compared_all_with_all():
    n, column = gc.placeholder(("n",), "float32", name="y"), gc.placeholder(("n", 1), "float32", name="p")
    for name in set(losses.names()) - {"sparse_categorical_crossentropy", "log_loss"}:
        with pytest.raises(gc.ShapeError, match=rf"{name}: y_true and y_pred must have one shape: y_true is f32\[n\]"):
            losses.get(name)(n, column)
        with pytest.raises(gc.ShapeError, match="y_pred is f32"):
            losses.get(name)(gc.placeholder((3, 1), "float32"), gc.placeholder((3, 2), "float32"))
    with pytest.raises(gc.ShapeError, match=r"gc.expand_dims\(y_true, -1\) has that shape"):
        losses.mean_squared_error(n, column)
    labels = gc.placeholder(("n", 1), "int64")
    with pytest.raises(gc.ShapeError, match=r"(?s)without its last axis.*gc.squeeze\(y_true, -1\) has that shape"):
        losses.sparse_categorical_crossentropy(labels, gc.placeholder(("n", 3), "float32"))
    batch = gc.function([n, m := gc.placeholder(("m",), "float32")], losses.mean_squared_error(n, m))
    with pytest.raises(gc.ShapeError):
        batch(np.zeros(3, "f4"), np.zeros(1, "f4"))


def test_refusals():
    p = gc.placeholder(("n", 3), "float32", name="p")
    with pytest.raises(gc.ArgumentError, match=r"(?s)'binary_crossentropi' is no loss.*mean 'binary_crossentropy'"):
        losses.get("binary_crossentropi")
    with pytest.raises(gc.ArgumentError, match="a name or a function"):
        losses.get(3)
    with pytest.raises(gc.ArgumentError, match=r"(?s)no option of huber.*did you mean 'delta'"):
        losses.get("huber", dleta=2)
    with pytest.raises(gc.ArgumentError, match="'avg' is no reduction"):
        losses.hinge(p, p, reduction="avg")
    with pytest.raises(gc.ArgumentError, match="label_smoothing must be in"):
        losses.categorical_crossentropy(p, p, label_smoothing=2)
    with pytest.raises(gc.ArgumentError, match="delta must be positive"):
        losses.huber(p, p, delta=0)
    with pytest.raises(gc.DTypeError, match=r"(?s)y_pred must be floats, not int64.*y_true comes first"):
        losses.hinge(p, gc.placeholder(("n", 3), "int64"))
    with pytest.raises(gc.DTypeError, match="integer indices of classes"):
        losses.sparse_categorical_crossentropy(gc.placeholder(("n",), "float32"), p)
    with pytest.raises(gc.ShapeError, match="sample_weight must have the shape of the losses"):
        losses.hinge(p, p, gc.placeholder(("n", 1), "float32"))
    with pytest.raises(gc.ShapeError, match="no axis of classes"):
        losses.kl_divergence(1.0, 1.0)


def test_against_torch():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    y, p, bits, classes = (torch.tensor(a) for a in (Y, P, BITS.astype(float), CLASSES))
    shares = torch.tensor(SHARES)
    pairs = [
        (losses.mean_squared_error(Y, P), functional.mse_loss(p, y)),
        (losses.mean_absolute_error(Y, P), functional.l1_loss(p, y)),
        (losses.huber(Y, P, delta=0.7), functional.huber_loss(p, y, delta=0.7)),
        (losses.binary_crossentropy(BITS, P, from_logits=True), functional.binary_cross_entropy_with_logits(p, bits)),
        (losses.sparse_categorical_crossentropy(CLASSES, P, from_logits=True, label_smoothing=0.1),
         functional.cross_entropy(p, classes, label_smoothing=0.1)),
        (losses.kl_divergence(SHARES, P, from_logits=True),
         functional.kl_div(torch.log_softmax(p, -1), shares, reduction="batchmean")),
        (losses.poisson(BITS, CHANCE), functional.poisson_nll_loss(torch.tensor(CHANCE), bits, log_input=False, eps=0)),
    ]  # fmt: skip
    for found, wanted in pairs:
        np.testing.assert_allclose(value(found), wanted.numpy(), rtol=1e-12)


@pytest.mark.parametrize("name", ["binary_crossentropy", "categorical_crossentropy", "kl_divergence", "log_loss"])
@pytest.mark.parametrize("activation", [None, "relu"])
def test_logits_are_no_probabilities(name, activation):
    layer = gc.nn.Dense(3, activation, name="out")
    scores = layer(gc.nn.Input((4,)))
    with pytest.raises(gc.ArgumentError, match=r"must be probabilities, but is the result of a layer.*\n") as caught:
        gc.nn.losses.get(name)(gc.placeholder(scores.shape, "float32"), scores)
    assert "y_pred: " in str(caught.value) and ", out" in str(caught.value)


def test_class_indices_with_logits():
    scores, labels = gc.nn.Dense(3)(gc.nn.Input((4,))), gc.placeholder(("batch",), "int64")
    hint = "activation 'softmax', or take the loss 'sparse_categorical_crossentropy_from_logits'"
    with pytest.raises(gc.ArgumentError, match=hint):
        gc.nn.losses.sparse_categorical_crossentropy(labels, scores)
    loss = gc.nn.losses.get("sparse_categorical_crossentropy_from_logits")
    assert loss(labels, scores).type == gc.placeholder((), "float32").type


@pytest.mark.parametrize(
    "make",
    [
        gc.softmax,
        lambda z: gc.softmax(z) * 0.9 + 0.05,
        lambda z: gc.exp(z) / gc.sum(gc.exp(z), axis=-1, keepdims=True),
        lambda z: gc.clip(z, 0.0, 1.0),
        lambda z: gc.reshape(gc.sigmoid(z), (-1, 3)),
    ],
)
def test_what_may_be_probabilities_is_taken(make):
    p = make(gc.nn.Dense(3)(gc.nn.Input((4,))))
    gc.nn.losses.binary_crossentropy(gc.zeros_like(p), p)


def test_a_loss_without_logits_has_no_such_name():
    with pytest.raises(gc.ArgumentError, match="'from_logits' is no option of mean_squared_error"):
        gc.nn.losses.get("mse_from_logits")
