"""Losses of predicted distributions: cross-entropies, log loss, Kullback-Leibler divergence, Poisson.

Probabilities that are the result of `gc.sigmoid` or `gc.softmax` (along the last axis) are not used: the loss is
computed from what they were made of, so that it and its gradient are right where the probability rounds to 0 or 1.
Other probabilities are moved into [e, 1 - e], with e the dtype's epsilon, before their logarithm is taken; the
gradient is that at the place they were moved to, so a hopeless prediction still learns.

Invariant: finite logits give finite losses and gradients, and a class of probability 0 costs nothing.
"""

from __future__ import annotations

from typing import Any

import graphc as gc
from graphc.nn.losses.examples import as_predictions, averaged, expect_shape, matched, reduced, refused

_EPSILON = {"float32": 2.0**-23, "float64": 2.0**-52}


def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    sample_weight: Any = None,
    reduction: str = "mean",
    *,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
) -> gc.Tensor:
    """-mean(y * log(p) + (1 - y) * log(1 - p)) along the last axis: independent yes-or-no questions.

    Of logits z it is mean(y * softplus(-z) + (1 - y) * softplus(z)), as p is sigmoid(z).

    Args:
        y_true: 0 and 1, or probabilities, of y_pred's shape and any dtype.
        y_pred: floats: the probabilities p of "yes", or logits.
        sample_weight: a factor for each example, or None.
        reduction: "mean", "sum", "none" or "mean_with_sample_weight"; see `graphc.nn.losses`.
        from_logits: whether `y_pred` holds logits.
        label_smoothing: s in [0, 1]; labels become y * (1 - s) + s / 2.

    Raises:
        ShapeError: the shapes differ.
        DTypeError: `y_pred` holds no floats.
        ArgumentError: an option is outside its range; or `y_pred` holds logits and `from_logits` does not say so.

    >>> import graphc as gc
    >>> logits = gc.placeholder(("batch", 1), "float32")
    >>> gc.nn.losses.binary_crossentropy(gc.placeholder(("batch", 1), "bool"), gc.sigmoid(logits)).type
    f32[]
    """
    name = "binary_crossentropy"
    labels, predictions = matched(name, y_true, y_pred)
    labels = _smoothed(name, labels, label_smoothing, 2)
    logits = _logits(name, predictions, from_logits, "sigmoid")
    if logits is not None:
        values = gc.binary_cross_entropy_from_logits(logits, labels)
    else:
        inner = _inside(predictions)
        values = -(labels * gc.log(inner) + (1.0 - labels) * gc.log1p(-inner))
    return averaged(name, values, sample_weight, reduction)


def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    sample_weight: Any = None,
    reduction: str = "mean",
    *,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
) -> gc.Tensor:
    """-sum(y * log(p)) along the last axis: one of several classes, with labels in one-hot form.

    Of logits z, log(p) is log_softmax(z).

    Args:
        y_true: one-hot labels or probabilities of classes, of y_pred's shape and any dtype.
        y_pred: floats: the probabilities p of the classes, which add up to 1 along the last axis, or logits.
        sample_weight: a factor for each example, or None.
        reduction: "mean", "sum", "none" or "mean_with_sample_weight"; see `graphc.nn.losses`.
        from_logits: whether `y_pred` holds logits.
        label_smoothing: s in [0, 1]; labels become y * (1 - s) + s / classes (C. Szegedy et al.: Rethinking the
            Inception Architecture for Computer Vision, 2016).

    Raises:
        ShapeError: the shapes differ, or there is no axis of classes.
        DTypeError: `y_pred` holds no floats.
        ArgumentError: an option is outside its range.

    >>> import graphc as gc
    >>> logits = gc.placeholder(("batch", 10), "float32")
    >>> y_true = gc.placeholder(("batch", 10), "float32")
    >>> gc.nn.losses.categorical_crossentropy(y_true, logits, from_logits=True, reduction="none").type
    f32[batch]
    """
    name = "categorical_crossentropy"
    labels, predictions = matched(name, y_true, y_pred)
    _expect_classes(name, predictions)
    labels = _smoothed(name, labels, label_smoothing, predictions.shape[-1])
    logits = _logits(name, predictions, from_logits, "softmax")
    if logits is not None:
        losses = gc.cross_entropy(logits, labels)
    else:
        losses = -gc.sum(labels * gc.log(_inside(predictions)), axis=-1)
    return reduced(name, losses, sample_weight, reduction)


def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    sample_weight: Any = None,
    reduction: str = "mean",
    *,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
) -> gc.Tensor:
    """-log(p[y]): one of several classes, with integer labels. The value is `categorical_crossentropy`'s.

    Args:
        y_true: the index of the class of each example, of y_pred's shape without its last axis.
        y_pred, sample_weight, reduction, from_logits, label_smoothing: as for `categorical_crossentropy`.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: `y_pred` holds no floats, or `y_true` no integers.
        ArgumentError: an option is outside its range.
        IndexOutOfBoundsError: when it runs, a label is no class.

    >>> import graphc as gc
    >>> probabilities = gc.softmax(gc.placeholder(("batch", 10), "float32"))
    >>> y_true = gc.placeholder(("batch",), "int64")
    >>> gc.nn.losses.sparse_categorical_crossentropy(y_true, probabilities).type
    f32[]
    """
    name = "sparse_categorical_crossentropy"
    predictions, labels = _with_class_indices(name, y_true, y_pred)
    smoothing = _fraction(name, label_smoothing)
    logits = _logits(name, predictions, from_logits, "softmax")
    if logits is not None:
        losses = gc.cross_entropy(logits, labels)
    else:
        chosen = gc.take_along_axis(predictions, gc.expand_dims(labels, -1), axis=-1)
        losses = -gc.log(_inside(gc.squeeze(chosen, -1)))
    if smoothing:
        scores = gc.log(_inside(predictions)) if logits is None else gc.log_softmax(logits)
        losses = (1.0 - smoothing) * losses - smoothing * gc.mean(scores, axis=-1)
    return reduced(name, losses, sample_weight, reduction)


def log_loss(y_true: Any, y_pred: Any, sample_weight: Any = None, reduction: str = "mean") -> gc.Tensor:
    """The negative mean log-likelihood of labels under predicted probabilities, as scikit-learn's `log_loss` has it.

    Args:
        y_true: labels: 0 and 1 of y_pred's shape, which is then `binary_crossentropy`; or the indices of classes, of
            y_pred's shape without its last axis, which is then `sparse_categorical_crossentropy`.
        y_pred: floats: probabilities.
        sample_weight, reduction: as for those.

    Raises:
        ShapeError, DTypeError, ArgumentError: as for those.

    >>> import graphc as gc
    >>> f = gc.function([], gc.nn.losses.log_loss([1, 0], gc.constant([0.5, 0.5])), backend="numpy")
    >>> f()
    array(0.69314718)
    """
    predictions = as_predictions("log_loss", y_pred)
    labels = y_true if isinstance(y_true, gc.Tensor) else gc.constant(y_true)
    chosen = sparse_categorical_crossentropy if labels.ndim == predictions.ndim - 1 else binary_crossentropy
    return chosen(labels, predictions, sample_weight, reduction)


def kl_divergence(
    y_true: Any, y_pred: Any, sample_weight: Any = None, reduction: str = "mean", *, from_logits: bool = False
) -> gc.Tensor:
    """sum(y * log(y / p)) along the last axis: the Kullback-Leibler divergence of distributions y from p.

    S. Kullback, R. Leibler: On Information and Sufficiency, 1951. Where y is 0, the term is 0.

    Args:
        y_true: probabilities that add up to 1 along the last axis, of y_pred's shape.
        y_pred: floats: the probabilities p, or logits.
        sample_weight, reduction: as for `categorical_crossentropy`.
        from_logits: whether `y_pred` holds logits.

    Raises:
        ShapeError: the shapes differ, or there is no axis of classes.
        DTypeError: `y_pred` holds no floats.
        ArgumentError: there is no such reduction.

    >>> import graphc as gc
    >>> y_true, y_pred = gc.constant([[0.0, 1.0]]), gc.constant([[0.5, 0.5]])
    >>> gc.function([], gc.nn.losses.kl_divergence(y_true, y_pred), backend="numpy")()
    array(0.69314718)
    """
    labels, predictions = matched("kl_divergence", y_true, y_pred)
    _expect_classes("kl_divergence", predictions)
    logits = _logits("kl_divergence", predictions, from_logits, "softmax")
    scores = gc.log(_inside(predictions)) if logits is None else gc.log_softmax(logits)
    present = labels > 0
    ratio = gc.log(gc.where(present, labels, 1)) - gc.where(present, scores, 0)
    losses = gc.sum(labels * ratio, axis=-1)
    return reduced("kl_divergence", losses, sample_weight, reduction)


def poisson(y_true: Any, y_pred: Any, sample_weight: Any = None, reduction: str = "mean") -> gc.Tensor:
    """mean(p - y * log(p)) along the last axis: counts y with Poisson distributions of rates p, but for log(y!).

    Args:
        y_true: counts, of y_pred's shape and any dtype.
        y_pred: floats: rates, which are positive; smaller ones than the dtype's epsilon count as that.
        sample_weight, reduction: as for `mean_squared_error`.

    Raises:
        ShapeError: the shapes differ.
        DTypeError: `y_pred` holds no floats.
        ArgumentError: there is no such reduction.

    >>> import graphc as gc
    >>> f = gc.function([], gc.nn.losses.poisson([0, 3], gc.constant([1.0, 1.0])), backend="numpy")
    >>> f()
    array(1.)
    """
    labels, predictions = matched("poisson", y_true, y_pred)
    values = predictions - labels * gc.log(_moved(predictions, upper=None))
    return averaged("poisson", values, sample_weight, reduction)


def _inside(p: gc.Tensor) -> gc.Tensor:
    """p, moved into [e, 1 - e]."""
    return _moved(p, upper=1.0 - _EPSILON[p.dtype.name])


def _moved(p: gc.Tensor, upper: float | None) -> gc.Tensor:
    """p, raised to e and lowered to `upper`, with the derivative 1 everywhere: what is added is 0."""
    return gc.stop_gradient(gc.clip(p, _EPSILON[p.dtype.name], upper)) + (p - gc.stop_gradient(p))


def _logits(loss: str, predictions: gc.Tensor, from_logits: bool, activation: str) -> gc.Tensor | None:
    """The logits z of the predictions: they are some, or they are activation(z); None for other probabilities.

    Raises:
        ArgumentError: they cannot be probabilities.
    """
    if from_logits:
        return predictions
    logits = (_logits_of_sigmoid if activation == "sigmoid" else _logits_of_softmax)(predictions)
    if logits is None:
        _refuse_scores(loss, predictions, activation)
    return logits


def _logits_of_sigmoid(p: gc.Tensor) -> gc.Tensor | None:
    """z where p is sigmoid(z), perhaps reshaped."""
    if p.op.name == "reshape" and p.inputs[0].op.name == "sigmoid":
        return gc.reshape(p.inputs[0].inputs[0], p.shape)
    return p.inputs[0] if p.op.name == "sigmoid" else None


def _logits_of_softmax(p: gc.Tensor) -> gc.Tensor | None:
    """z where p is softmax(z) along the last axis."""
    return p.inputs[0] if p.op.name == "softmax" and p.attrs["axis"] == p.ndim - 1 else None


#: What passes numbers on, or adds a bias to them; and what makes numbers of any size.
_PASSING = {"add", "subtract", "cast", "reshape", "permute_dims", "broadcast_to", "slice", "where", "variable", "const"}
_UNBOUNDED = {"matmul", "conv"}


def _refuse_scores(loss: str, p: gc.Tensor, activation: str) -> None:
    """Refuse what cannot be probabilities: products with weights, with nothing but a bias or a relu behind them.

    Raises:
        ArgumentError: `p` is that. `activation` is what would make probabilities of it.
    """
    unbounded, seen, stack = False, {p}, [p]
    while stack:
        tensor = stack.pop()
        if tensor.op.name in _UNBOUNDED:
            unbounded = True
        elif tensor.op.name in _PASSING:
            operands = tensor.inputs[1:] if tensor.op.name == "where" else tensor.inputs
            stack += [operand for operand in operands if operand not in seen]
            seen.update(operands)
        else:
            return
    if unbounded:
        raise refused(
            gc.ArgumentError,
            f"{loss}: y_pred must be probabilities, but is the result of a layer without {activation}",
            f"let the net end with the activation {activation!r}, or take the loss '{loss}_from_logits'",
            y_pred=p,
        )


def _with_class_indices(loss: str, y_true: Any, y_pred: Any) -> tuple[gc.Tensor, gc.Tensor]:
    predictions = as_predictions(loss, y_pred)
    _expect_classes(loss, predictions)
    labels = y_true if isinstance(y_true, gc.Tensor) else gc.constant(y_true)
    if labels.dtype.kind == "f":
        raise refused(
            gc.DTypeError,
            f"{loss}: y_true must be the integer indices of classes, not {labels.dtype}",
            "categorical_crossentropy takes one-hot labels; y_true.astype('int64') makes indices of whole numbers",
            y_true=labels,
        )
    expect_shape(loss, labels, predictions, predictions.shape[:-1])
    return predictions, gc.astype(labels, "int64") if labels.dtype.kind == "b" else labels


def _expect_classes(loss: str, predictions: gc.Tensor) -> None:
    if predictions.ndim == 0:
        raise refused(gc.ShapeError, f"{loss}: y_pred has no axis of classes", y_pred=predictions)


def _fraction(loss: str, label_smoothing: float) -> float:
    if not 0.0 <= label_smoothing <= 1.0:
        raise refused(gc.ArgumentError, f"{loss}: label_smoothing must be in [0, 1], not {label_smoothing!r}")
    return float(label_smoothing)


def _smoothed(loss: str, labels: gc.Tensor, label_smoothing: float, classes: Any) -> gc.Tensor:
    """The labels, with a share of probability spread evenly over the classes."""
    share = _fraction(loss, label_smoothing)
    if not share:
        return labels
    even = share / classes if isinstance(classes, int) else share / gc.astype(classes, labels.dtype)
    return labels * (1.0 - share) + even
