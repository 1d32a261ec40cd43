"""Running a model without training it: losses and metrics, and predictions.

Invariant: no variable of the model changes, but for the states that stateful layers carry from batch to batch.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

import graphc as gc
from graphc.data.joining import joined
from graphc.data.pipeline import undone
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
    metrics: Any = None,
) -> dict[str, float]:
    """The losses and metrics on the examples, and the further metrics."""
    stream = evaluation_stream(model, function, x, y, sample_weight, class_weight, batch_size)
    return scores_on(model, stream, metrics)


def evaluation_stream(
    model: Trainable, function: str, x: Any, y: Any, sample_weight: Any, class_weight: ClassWeight, batch_size: int
) -> Stream:
    """The examples in batches, in their own order.

    Raises:
        ShapeError: the model has a fixed batch, and the examples do not fill their last one.
    """
    if is_stream(x):
        return stream_from(function, model, functools.partial(model.prepared, function), x, class_weight)
    steps = model.prepared(function, x)
    examples = read_examples(function, model, steps, x, y, sample_weight, class_weight)
    fixed = steps.fixed_batch
    if fixed and examples.count % fixed:
        raise gc.ShapeError(
            f"{function}: {examples.count} examples do not fill batches of {fixed}, which the model takes"
        )
    return stream_of(examples, fixed or checked_batch_size(function, batch_size))


def scores_on(model: Trainable, stream: Stream, metrics: Any = None) -> dict[str, float]:
    """The losses and metrics on one epoch of a stream, and the further metrics."""
    steps = model.steps
    scores, function = steps.scores(metrics), steps.evaluate(stream.labels)
    for batch in stream:
        scores.add(batch, function(*batch))
    return scores.result()


def predicted(model: Trainable, x: Any, batch_size: int | None) -> Any:
    """The outputs for all examples, in the form that the model has them in, and in the units of the labels.

    Raises:
        ArgumentError: there are no batches, where x is a stream.
    """
    found = _predicted(model, x, batch_size)
    if not model.target_preprocessing:
        return found
    if isinstance(found, dict):
        return {name: undone(model.target_preprocessing, array) for name, array in found.items()}
    if isinstance(found, list):
        return [undone(model.target_preprocessing, array) for array in found]
    return undone(model.target_preprocessing, found)


def _predicted(model: Trainable, x: Any, batch_size: int | None) -> Any:
    if is_stream(x):
        items = x if isinstance(x, (gc.data.Dataset, Iterator)) else x()
        return joined([_outputs(model, inputs_of(model, item)) for item in items])
    if batch_size is None:
        return _outputs(model, x)
    size = checked_batch_size("predict", batch_size)
    function = model.predict_function(x)
    arrays = read_inputs("predict", model, function.graph.inputs, x)
    return joined([function(*(a[start : start + size] for a in arrays)) for start in range(0, len(arrays[0]), size)])


def _outputs(model: Trainable, x: Any) -> Any:
    """The outputs for examples, in one call."""
    function = model.predict_function(x)
    return function(*read_inputs("predict", model, function.graph.inputs, x))


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


__all__ = ["checked_batch_size", "evaluated", "evaluation_stream", "predicted", "scores_on"]
