"""Running a model without training it: losses and metrics, and predictions.

Invariant: no variable of the model changes, but for the states that stateful layers carry from batch to batch.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

import graphc as gc
from graphc.training.scores import Scores
from graphc.training.streams import (
    Stream,
    inputs_of,
    is_stream,
    read_examples,
    read_inputs,
    stream_from,
    stream_of,
)
from graphc.training.weights import ClassWeight

if TYPE_CHECKING:
    from graphc.training.trainable import Trainable


def evaluated(
    model: Trainable,
    function: str,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    class_weight: ClassWeight = None,
    batch_size: int = 256,
) -> dict[str, float]:
    """The losses and metrics on the examples."""
    return scores_on(model, evaluation_stream(model, function, x, y, sample_weight, class_weight, batch_size))


def evaluation_stream(
    model: Trainable, function: str, x: Any, y: Any, sample_weight: Any, class_weight: ClassWeight, batch_size: int
) -> Stream:
    """The examples in batches, in their own order.

    Raises:
        ShapeError: the model has a fixed batch, and the examples do not fill their last one.
    """
    if is_stream(x):
        return stream_from(function, model, functools.partial(model.prepared, function), x, class_weight)
    steps = model.prepared(function, model.preprocessed(x))
    examples = read_examples(function, model, steps, x, y, sample_weight, class_weight)
    fixed = steps.fixed_batch
    if fixed and examples.count % fixed:
        raise gc.ShapeError(
            f"{function}: {examples.count} examples do not fill batches of {fixed}, which the model takes"
        )
    return stream_of(examples, fixed or checked_batch_size(function, batch_size))


def scores_on(model: Trainable, stream: Stream) -> dict[str, float]:
    """The losses and metrics on one epoch of a stream."""
    steps = model.steps
    scores, function = Scores(steps.objective, len(steps.inputs)), steps.evaluate(stream.labels)
    for batch in stream:
        scores.add(batch, function(*batch))
    return scores.result()


def predicted(model: Trainable, x: Any, batch_size: int | None) -> Any:
    """The outputs for all examples, in the form that the model has them in.

    Raises:
        ArgumentError: there are no batches, where x is a stream.
    """
    if is_stream(x):
        items = x if isinstance(x, (gc.data.Dataset, Iterator)) else x()
        return joined([_outputs(model, inputs_of(model, item)) for item in items])
    if batch_size is None:
        return _outputs(model, x)
    size = checked_batch_size("predict", batch_size)
    raw = model.preprocessed(x)
    arrays = read_inputs("predict", model, model.predict_function(raw).graph.inputs, x)
    function = model.predict_function()
    return joined([function(*(a[start : start + size] for a in arrays)) for start in range(0, len(arrays[0]), size)])


def _outputs(model: Trainable, x: Any) -> Any:
    """The outputs for examples, in one call."""
    raw = model.preprocessed(x)
    function = model.predict_function(raw)
    return function(*read_inputs("predict", model, function.graph.inputs, x))


def joined(parts: list[Any]) -> Any:
    """The outputs of batches in one array each.

    Raises:
        ArgumentError: there is none.

    >>> joined([[np.array([1, 2])], [np.array([3])]])
    [array([1, 2, 3])]
    """
    if not parts:
        raise gc.ArgumentError("predict: the data has no batches")
    if isinstance(parts[0], dict):
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if isinstance(parts[0], list):
        return [np.concatenate(pieces) for pieces in zip(*parts)]
    return np.concatenate(parts)


def checked_batch_size(function: str, batch_size: Any) -> int:
    """A whole number, at least 1.

    Raises:
        ArgumentError: it is none, or smaller.

    >>> checked_batch_size("fit", 32)
    32
    """
    if isinstance(batch_size, (int, np.integer)) and not isinstance(batch_size, bool) and batch_size >= 1:
        return int(batch_size)
    raise gc.ArgumentError(f"{function}: batch_size must be a whole number >= 1, not {batch_size!r}")


__all__ = ["checked_batch_size", "evaluated", "evaluation_stream", "joined", "predicted", "scores_on"]
