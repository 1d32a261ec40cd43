"""What a model is trained for: a loss and metrics for each output, and the sum of the losses.

Invariant: names of losses and metrics are resolved when the model is compiled, so that a misspelt one stops there.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import graphc as gc
from graphc.training.arrays import flat

#: A metric of `gc.metrics`: update, result, reset, name.
Metric = Any


@dataclass(frozen=True)
class Goal:
    """The part of one output.

    Attributes:
        output: the output's name.
        loss: of labels and predictions; None for an output that is not trained.
        weight: the factor of the loss in the sum.
        metrics: what else to tell about the output.
    """

    output: str
    loss: Callable[..., gc.Tensor] | None
    weight: float = 1.0
    metrics: tuple[Metric, ...] = field(default=())

    @property
    def takes_classes(self) -> bool:
        """Whether labels are indices of classes."""
        loss = self.loss.func if isinstance(self.loss, functools.partial) else self.loss
        return loss in (gc.nn.losses.sparse_categorical_crossentropy, gc.nn.losses.log_loss)

    def value(self, labels: gc.Tensor, predictions: gc.Tensor, weights: gc.Tensor | None) -> gc.Tensor:
        """The loss as one number; a loss of each example is averaged.

        Raises:
            ArgumentError: there are weights, and the loss gives one number and takes none.
        """
        assert self.loss is not None
        if weights is None:
            value = self.loss(labels, predictions)
        elif _takes_weights(self.loss):
            value = self.loss(labels, predictions, sample_weight=weights)
        else:
            value = self.loss(labels, predictions)
            if value.ndim == 0:
                raise gc.ArgumentError(
                    f"the loss of {self.output!r} is one number for the batch and cannot be weighted",
                    location=value.location,
                    hint="let it take sample_weight=None, or give one number for each example",
                )
            value = value * gc.astype(weights, value.dtype)
        return value if value.ndim == 0 else gc.mean(value)


class Objective:
    """The goals of all outputs.

    Args:
        names: of the outputs.
        loss: a name of `gc.nn.losses` or a function of labels and predictions; for several outputs a list or dict of
            them, in which None stands for an output that is not trained.
        loss_weights: the factors of the losses in the sum.
        metrics: names of `gc.metrics` or objects; for several outputs a list of lists or a dict of lists. With a
            loss `gc.nn.losses.get(..., from_logits=True)`, named ones take predictions above 0 for a yes.

    Attributes:
        line: where the model was compiled: what losses and updates are said to come from.

    Raises:
        ArgumentError: a name that there is not, another number of losses than of outputs, no loss at all.

    >>> import graphc as gc
    >>> [goal.output for goal in Objective(["a", "b"], {"a": "mse", "b": None}).trained]
    ['a']
    """

    def __init__(self, names: Sequence[str], loss: Any, loss_weights: Any = None, metrics: Any = None) -> None:
        self.line = gc.location.here()
        losses = flat("compile: loss", "output", _completed(loss, names, None), names)
        chosen_losses = [None if one is None else gc.nn.losses.get(one) for one in losses]
        factors = [1.0] * len(names)
        if loss_weights is not None:
            factors = flat("compile: loss_weights", "output", _completed(loss_weights, names, 1.0), names)
        self.goals = tuple(
            Goal(name, loss, float(factor), tuple(_made(loss, chosen)))
            for name, loss, factor, chosen in zip(names, chosen_losses, factors, _metrics_of(names, metrics))
        )
        self._check()
        if not self.trained:
            raise gc.ArgumentError("compile: no output has a loss", hint="pass loss=, such as loss='mse'")

    def _check(self) -> None:
        for goal in self.goals:
            if goal.metrics and goal.loss is None:
                raise gc.ArgumentError(f"the output {goal.output!r} has metrics but no loss, and so no labels")

    def with_metrics(self, metrics: Any) -> Objective:
        """The same goals with further metrics."""
        more = _metrics_of([goal.output for goal in self.goals], metrics)
        added = copy.copy(self)
        added.goals = tuple(
            dataclasses.replace(goal, metrics=(*goal.metrics, *_made(goal.loss, chosen)))
            for goal, chosen in zip(self.goals, more)
        )
        added._check()
        return added

    @property
    def trained(self) -> tuple[Goal, ...]:
        """The goals that have a loss: those that labels are needed for."""
        return tuple(goal for goal in self.goals if goal.loss is not None)

    @property
    def has_metrics(self) -> bool:
        """Whether there is any metric."""
        return any(goal.metrics for goal in self.goals)

    def losses(
        self, labels: Sequence[gc.Tensor], predictions: Sequence[gc.Tensor], weights: gc.Tensor | None
    ) -> list[gc.Tensor]:
        """The sum of the weighted losses, followed, where there are several, by each one."""
        chosen = [p for goal, p in zip(self.goals, predictions) if goal.loss is not None]
        with gc.location.at(self.line, "loss"):
            parts = [goal.value(y, p, weights) for goal, y, p in zip(self.trained, labels, chosen)]
            scaled = [part if goal.weight == 1.0 else part * goal.weight for goal, part in zip(self.trained, parts)]
            total = scaled[0]
            for part in scaled[1:]:
                total = total + part
        return [total, *parts] if len(parts) > 1 else [total]

    @property
    def loss_names(self) -> list[str]:
        """What `losses` gives, as the history calls it."""
        trained = self.trained
        return ["loss", *(f"{goal.output}_loss" for goal in trained)] if len(trained) > 1 else ["loss"]

    def metric_names(self, goal: Goal) -> list[str]:
        """What the history calls the metrics of an output."""
        prefix = f"{goal.output}_" if len(self.goals) > 1 else ""
        return [f"{prefix}{metric.name}" for metric in goal.metrics]


def _made(loss: Callable[..., gc.Tensor] | None, metrics: Sequence[Any]) -> list[Metric]:
    """The metrics of an output; where the loss takes logits, those asked for by name draw the line at 0."""
    logits = isinstance(loss, functools.partial) and loss.keywords.get("from_logits")
    found = [gc.metrics.get(metric) for metric in metrics]
    if logits:
        by_name = [isinstance(metric, str) and hasattr(made, "threshold") for metric, made in zip(metrics, found)]
        found = [gc.metrics.get(m, threshold=0.0) if n else made for m, n, made in zip(metrics, by_name, found)]
    return found


def _takes_weights(loss: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(loss).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(p.name == "sample_weight" or p.kind is p.VAR_KEYWORD for p in parameters)


def _completed(value: Any, names: Sequence[str], default: Any) -> Any:
    """A dict that leaves outputs out, with the default for those."""
    return {**dict.fromkeys(names, default), **value} if isinstance(value, Mapping) else value


def _metrics_of(names: Sequence[str], metrics: Any) -> list[list[Any]]:
    """A list of metrics for each output."""
    if metrics is None:
        return [[] for _ in names]
    if len(names) == 1 and not isinstance(metrics, Mapping):
        return [_listed(metrics)]
    return [_listed(m) for m in flat("compile: metrics", "output", _completed(metrics, names, []), names)]


def _listed(metrics: Any) -> list[Any]:
    return list(metrics) if isinstance(metrics, (list, tuple)) else [] if metrics is None else [metrics]


__all__ = ["Goal", "Metric", "Objective"]
