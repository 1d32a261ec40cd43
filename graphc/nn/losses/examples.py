"""What all losses share: matching labels with predictions, weighting examples, and making one number of many.

A loss compares labels `y_true` with predictions `y_pred` of the same shape. The last axis holds the parts of one
example and is averaged (or added up, for distributions); what remains has one loss for each example:

    y_pred (batch, outputs)         losses (batch,)         sample_weight (batch,)
    y_pred (batch, time, outputs)   losses (batch, time)    sample_weight (batch, time) or (batch,)
    y_pred (batch,)                 losses (batch,)         sample_weight (batch,)

Invariant: labels and predictions are never broadcast against each other. (n,) against (n, 1) would silently compare
all pairs, so it is an error.
"""

from __future__ import annotations

from typing import Any

import graphc as gc

#: What makes one number of the losses of a batch.
REDUCTIONS = {name: name for name in ("mean", "sum", "none", "mean_with_sample_weight")}


def refused(error: type[gc.GraphcError], message: str, hint: str | None = None, **named: gc.Tensor) -> gc.GraphcError:
    """The error, with the caller's line and where the named tensors come from."""
    origins = {name: f"{t.op.name}, {t.location}" for name, t in named.items()}
    return error(message, location=gc.location.here(), origins=origins, hint=hint)


def as_predictions(loss: str, y_pred: Any) -> gc.Tensor:
    """`y_pred` as a tensor of floats.

    Raises:
        DTypeError: it holds integers or booleans.
    """
    tensor = y_pred if isinstance(y_pred, gc.Tensor) else gc.constant(y_pred)
    if tensor.dtype.kind != "f":
        raise refused(
            gc.DTypeError,
            f"{loss}: y_pred must be floats, not {tensor.dtype}",
            "y_true comes first, y_pred second",
            y_pred=tensor,
        )
    return tensor


def matched(loss: str, y_true: Any, y_pred: Any) -> tuple[gc.Tensor, gc.Tensor]:
    """Labels and predictions as tensors of one shape, in the predictions' dtype.

    Raises:
        ShapeError: the shapes differ.
        DTypeError: the predictions are no floats.
    """
    predictions = as_predictions(loss, y_pred)
    labels = y_true if isinstance(y_true, gc.Tensor) else gc.constant(y_true)
    expect_shape(loss, labels, predictions, predictions.shape)
    return gc.astype(labels, predictions.dtype), predictions


def expect_shape(loss: str, labels: gc.Tensor, predictions: gc.Tensor, shape: tuple[Any, ...]) -> None:
    """Refuse labels that have not `shape`; sizes that are equal only when it runs are checked then.

    Raises:
        ShapeError: they have another one.
    """
    if not _equal_shapes(labels.shape, shape):
        wanted = "y_true and y_pred must have one shape"
        if len(shape) < predictions.ndim:
            wanted = "y_true must have the shape of y_pred without its last axis"
        raise refused(
            gc.ShapeError,
            f"{loss}: {wanted}: y_true is {labels.type!r}, y_pred is {predictions.type!r}",
            _reshaping(labels.shape, shape),
            y_true=labels,
            y_pred=predictions,
        )


def _equal_shapes(left: tuple[Any, ...], right: tuple[Any, ...]) -> bool:
    """Whether two shapes are equal, or will be if some symbolic sizes are; a symbolic size is not taken to be 1."""
    return len(left) == len(right) and all(_may_equal(a, b) for a, b in zip(left, right))


def _may_equal(left: Any, right: Any) -> bool:
    if (isinstance(left, int) and isinstance(right, int)) or 1 in (left, right):
        return bool(left == right)
    return True


def _reshaping(found: tuple[Any, ...], wanted: tuple[Any, ...]) -> str | None:
    """How labels that lack a last axis of size 1, or have one too many, get the shape that is wanted."""
    if wanted and wanted[-1] == 1 and _equal_shapes(found, wanted[:-1]):
        return "gc.expand_dims(y_true, -1) has that shape; or drop the last axis of y_pred by gc.squeeze"
    if found and found[-1] == 1 and _equal_shapes(found[:-1], wanted):
        return "gc.squeeze(y_true, -1) has that shape"
    return None


def averaged(loss: str, values: gc.Tensor, sample_weight: Any, reduction: str) -> gc.Tensor:
    """The losses of examples whose parts have losses `values`: averaged along the last axis, then `reduced`.

    Of one axis, each element is an example of its own.
    """
    if values.ndim < 2 or (sample_weight is None and reduction in ("mean", "mean_with_sample_weight")):
        return reduced(loss, values, sample_weight, reduction)  # the mean of equally long means is one mean
    return reduced(loss, gc.mean(values, axis=-1), sample_weight, reduction)


def reduced(loss: str, losses: gc.Tensor, sample_weight: Any, reduction: str) -> gc.Tensor:
    """One number, or one for each example, of the losses of examples.

    Args:
        loss: the loss's name, for messages.
        losses: one loss for each example.
        sample_weight: what to multiply the losses by, of their shape or of its first axes; or None. An example of
            weight 0 counts nothing, even where its loss is infinite.
        reduction: "none"; "sum"; "mean", which divides by the number of examples whatever their weights are; or
            "mean_with_sample_weight", which divides by the sum of the weights, and is 0 where that is 0.

    Raises:
        ArgumentError: there is no such reduction.
        ShapeError: the weights do not fit.
    """
    gc.arguments.choose("reduction", REDUCTIONS, reduction)
    if sample_weight is None:
        weights, weighted = None, losses
    else:
        weights = _weights(loss, sample_weight, losses)
        weighted = gc.where(gc.equal(weights, 0), 0, weights * losses)
    if reduction == "none":
        return weighted
    if reduction == "sum":
        return gc.sum(weighted)
    if reduction == "mean" or weights is None:
        return gc.mean(weighted)
    total = gc.sum(gc.broadcast_to(weights, losses.shape))
    return gc.sum(weighted) / gc.where(gc.equal(total, 0), 1, total)


def _weights(loss: str, sample_weight: Any, losses: gc.Tensor) -> gc.Tensor:
    """The weights with an axis of size 1 for each axis of the losses that they lack."""
    weights = sample_weight if isinstance(sample_weight, gc.Tensor) else gc.constant(sample_weight)
    if not _equal_shapes(weights.shape, losses.shape[: weights.ndim]):
        raise refused(
            gc.ShapeError,
            f"{loss}: sample_weight must have the shape of the losses or of their first axes: "
            f"sample_weight is {weights.type!r}, the losses are {losses.type!r}",
            sample_weight=weights,
        )
    axes = tuple(range(weights.ndim, losses.ndim)) if weights.ndim else ()
    return gc.astype(gc.expand_dims(weights, axes) if axes else weights, losses.dtype)
