"""The figures of an epoch while it goes on: mean losses, and metrics that stream over batches.

Invariant: a mean is over examples, not over batches, so a smaller last batch counts less; adding up is in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.training.history import plain_number
from graphc.training.objective import Metric, Objective


class Scores:
    """Adds up what the steps of one epoch, or of one evaluation, return.

    Args:
        objective: what the model is trained for.
        inputs: how many arrays of a batch are the model's inputs; the labels and weights follow.
        undo: what labels and predictions go through before metrics see them, to be in their own units again.
    """

    def __init__(
        self, objective: Objective, inputs: int, undo: Callable[[np.ndarray], np.ndarray] | None = None
    ) -> None:
        self._undo = undo
        self._names = objective.loss_names
        self._inputs = inputs
        self._weights = inputs + len(objective.trained)
        # Each metric with its name, the place of its labels in a batch and of its predictions in the outputs.
        self._metrics = [
            (_own(metric), name, inputs + objective.trained.index(goal), len(self._names) + place)
            for place, goal in enumerate(objective.goals)
            for metric, name in zip(goal.metrics, objective.metric_names(goal))
        ]
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self._count = 0
        self._sums = [0.0] * len(self._names)
        for metric, *_ in self._metrics:
            metric.reset()

    def add(self, batch: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> float:
        """Take in a step's batch and outputs; returns the loss."""
        count = len(batch[0])
        loss = float(outputs[0])
        self._count += count
        self._sums[0] += loss * count
        for place in range(1, len(self._names)):
            self._sums[place] += float(outputs[place]) * count
        if self._metrics:
            self._update_metrics(batch, outputs)
        return loss

    def add_steps(self, stacks: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> list[float]:
        """Take in many steps at once, stacked along a first axis, as `add` would one by one; returns their losses."""
        count = stacks[0].shape[1]
        self._count += count * len(stacks[0])
        for place in range(len(self._names)):
            total = self._sums[place]
            for loss in outputs[place].tolist():
                total += loss * count
            self._sums[place] = total
        if self._metrics:
            for number in range(len(stacks[0])):
                self._update_metrics([a[number] for a in stacks], [result[number] for result in outputs])
        losses: list[float] = outputs[0].tolist()
        return losses

    def _update_metrics(self, batch: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        weights = batch[self._weights] if len(batch) > self._weights else None
        for metric, _, labels, predictions in self._metrics:
            pair = batch[labels], outputs[predictions]
            metric.update(*(pair if self._undo is None else map(self._undo, pair)), weights)

    def result(self) -> dict[str, float]:
        """All figures so far."""
        logs = {name: total / max(self._count, 1) for name, total in zip(self._names, self._sums)}
        for metric, name, *_ in self._metrics:
            logs.update(named_numbers(name, metric.result()))
        return logs

    def state(self) -> dict[str, Any]:
        """The figures so far as plain data."""
        return {
            "count": self._count,
            "sums": [plain_number(total) for total in self._sums],
            "metrics": {
                name: {key: as_plain(value) for key, value in metric.state().items()}
                for metric, name, *_ in self._metrics
            },
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` returned."""
        self._count = state["count"]
        self._sums = [float(total) for total in state["sums"]]
        for metric, name, *_ in self._metrics:
            metric.restore({key: from_plain(value) for key, value in state["metrics"][name].items()})


def _own(metric: Metric) -> Metric:
    """A metric that nobody else updates, so that evaluating in the midst of an epoch leaves its figures alone."""
    return metric.copy() if hasattr(metric, "copy") else metric


def named_numbers(name: str, value: Any) -> dict[str, float]:
    """A metric's result for the history: one number, or one for each class or pair of classes.

    >>> named_numbers("f1", 0.5), named_numbers("f1", np.array([0.5, 1.0]))
    ({'f1': 0.5}, {'f1_0': 0.5, 'f1_1': 1.0})
    """
    array = np.asarray(value)
    return {"_".join([name, *map(str, place)]): float(number) for place, number in np.ndenumerate(array)}


def as_plain(value: Any) -> dict[str, list[Any]]:
    """An array of floats as plain data."""
    array = np.asarray(value, np.float64)
    return {"shape": list(array.shape), "values": [plain_number(number) for number in array.ravel().tolist()]}


def from_plain(data: Mapping[str, Any]) -> np.ndarray:
    """The array that `as_plain` wrote.

    >>> from_plain(as_plain(np.array([[1.0, float("inf")]])))
    array([[ 1., inf]])
    """
    return np.array([float(number) for number in data["values"]], np.float64).reshape(data["shape"])


__all__ = ["Scores"]
