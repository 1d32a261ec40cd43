"""Losses of classification, computed from logits: what a model gives before any softmax or sigmoid.

Invariant: no probability is ever formed and then taken the logarithm of; so the losses and their gradients
are right for logits of any size, and a class of probability 0 costs nothing even where its logit is -inf.
"""

from __future__ import annotations

from graphc.errors import ShapeError
from graphc.ir.build import TensorLike, apply, as_tensor, promote
from graphc.ir.location import here
from graphc.ir.opdef import FUNCTIONS, OPS, public
from graphc.ir.tensor import Tensor
from graphc.ops.arguments import as_axis
from graphc.ops.comparison import equal, isinf, where
from graphc.ops.elementwise import as_floats
from graphc.ops.softmax import log_softmax
from graphc.ops.transcendental import softplus


def _weighted(weight: Tensor, value: Tensor) -> Tensor:
    """weight * value, and 0 where that is 0 times an infinity."""
    nothing = equal(weight, 0) & isinf(value)
    return weight * where(nothing, 0, value)


@public
def cross_entropy(logits: TensorLike, labels: TensorLike, axis: int = -1) -> Tensor:
    """The cross-entropy of labels and softmax(logits): one loss for each example.

    -log_softmax(logits)[label], or -sum(labels * log_softmax(logits)) where the labels are probabilities.

    Args:
        logits: floats, with the classes along `axis`.
        labels: integers of logits' shape without `axis`, each the index of a class (negative ones count from
            the end, as in indexing); or floats of logits' shape, the classes' probabilities.
        axis: the axis of the classes.

    Returns:
        The losses, of logits' shape without `axis`; `gc.mean` makes them one number.

    Raises:
        ShapeError: the shapes do not fit, or there is no such axis.
        DTypeError: `logits` holds booleans or 8-bit integers.
        IndexOutOfBoundsError: when it runs, a label is no class.

    >>> import graphc as gc
    >>> logits = gc.placeholder(("batch", 10), "float32")
    >>> gc.cross_entropy(logits, gc.placeholder(("batch",), "int64")).type
    f32[batch]
    """
    (scores,), truth = as_floats("cross_entropy", logits), as_tensor(labels)
    axis = as_axis("cross_entropy", axis, scores.ndim)
    if truth.dtype.kind == "f":
        _expect_rank("probabilities", truth, scores.ndim)
        scores, truth = promote(scores, truth)
        products = _weighted(truth, log_softmax(scores, axis))
        return -apply(OPS["sum"], products, axis=(axis,), keepdims=False)
    _expect_rank("class indices", truth, scores.ndim - 1)
    places = FUNCTIONS["expand_dims"](truth, axis)
    chosen = apply(OPS["take_along_axis"], log_softmax(scores, axis), places, axis=axis)
    return -FUNCTIONS["squeeze"](chosen, axis)


def _expect_rank(kind: str, labels: Tensor, rank: int) -> None:
    if labels.ndim != rank:
        raise ShapeError(
            f"cross_entropy: labels that are {kind} must have rank {rank} here, not {labels.ndim}",
            location=here(),
            origins={"labels": f"{labels.type!r}, {labels.op.name}, {labels.location}"},
        )


@public
def binary_cross_entropy_from_logits(logits: TensorLike, labels: TensorLike) -> Tensor:
    """The cross-entropy of labels and sigmoid(logits), elementwise with broadcasting.

    -labels * log(sigmoid(logits)) - (1 - labels) * log(1 - sigmoid(logits)), with softplus(-x) for
    -log(sigmoid(x)) and softplus(x) for -log(1 - sigmoid(x)).

    Args:
        logits: floats.
        labels: the probability of "yes" for each: usually 0 or 1, of any dtype.

    Returns:
        The losses, of the broadcast shape.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: `logits` holds booleans or 8-bit integers.

    >>> import graphc as gc
    >>> logits, labels = gc.placeholder(("batch",), "float32"), gc.placeholder(("batch",), "bool")
    >>> gc.binary_cross_entropy_from_logits(logits, labels).type
    f32[batch]
    """
    (scores,), truth = as_floats("binary_cross_entropy_from_logits", logits), as_tensor(labels)
    if truth.dtype.kind != "f":
        truth = FUNCTIONS["astype"](truth, scores.dtype)
    scores, truth = promote(scores, truth)
    return _weighted(truth, softplus(-scores)) + _weighted(1 - truth, softplus(scores))
