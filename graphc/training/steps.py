"""The compiled functions of a model: one training step, one evaluation, one prediction.

Invariant: each is compiled once for all batch sizes, and again only for labels of another type or for weights where
there were none; all share the model's placeholders and variables.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import graphc as gc
from graphc.data.pipeline import undone
from graphc.training.epochs import epoch_of
from graphc.training.objective import Objective
from graphc.training.scores import Scores

if TYPE_CHECKING:
    from graphc.training.compiled import Compiled


@dataclass(frozen=True)
class Labels:
    """The types of what comes with the examples.

    Attributes:
        types: dtype and extents, but for the number of rows, of the labels of each output that is trained. An extent
            is None where that of the prediction is symbolic: it is the same size then.
        weight_rank: the rank of the weights; None if there are none.
    """

    types: tuple[tuple[np.dtype[Any], tuple[int | None, ...]], ...]
    weight_rank: int | None = None

    @classmethod
    def of(cls, targets: Sequence[np.ndarray], weights: np.ndarray | None, predictions: Sequence[gc.Tensor]) -> Labels:
        """The types of these arrays, which are the labels of these predictions."""
        types = tuple((array.dtype, _extents(array, p)) for array, p in zip(targets, predictions))
        return cls(types, None if weights is None else weights.ndim)


def _extents(labels: np.ndarray, prediction: gc.Tensor) -> tuple[int | None, ...]:
    """The extents of labels behind the first, None where the prediction's is symbolic."""
    symbolic = [not isinstance(size, int) for size in prediction.shape]
    return tuple(None if axis < len(symbolic) and symbolic[axis] else extent
                 for axis, extent in enumerate(labels.shape) if axis)  # fmt: skip


class Steps:
    """The functions of one compiled model.

    Args:
        model: whose they are.
        objective: what it is trained for.
        optimizer: makes updates of losses.
        backend: "llvm", "numpy" or None, the default.
        inputs: the placeholders of the model's inputs.
    """

    def __init__(
        self, model: Compiled, objective: Objective, optimizer: Any, backend: str | None, inputs: Sequence[gc.Tensor]
    ) -> None:
        self.model = model
        self.objective = objective
        self.optimizer = optimizer
        self.backend = backend
        self.inputs = list(inputs)
        with gc.nn.inference() as carried:
            self.predictions = model.apply(self.inputs)
        self._carried = carried
        self._targets: dict[Labels, tuple[list[gc.Tensor], gc.Tensor | None]] = {}
        self._functions: dict[tuple[str, Labels | None], gc.Function] = {}
        self.latest: dict[str, gc.Function] = {}

    @property
    def fixed_batch(self) -> int | None:
        """The number of examples that the model takes at a time, where its inputs fix that."""
        size = self.inputs[0].shape[0]
        return size if isinstance(size, int) else None

    @property
    def predict(self) -> gc.Function:
        """inputs -> predictions, in the form that the model has its outputs in."""
        return self._kept("predict", None, lambda: ([], self.model.structured(self.predictions), self._carried))

    def scores(self, metrics: Any = None) -> Scores:
        """What adds up the results of steps or evaluations; `metrics` are further ones, for this time alone."""
        objective = self.objective if metrics is None else self.objective.with_metrics(metrics)
        scaling = self.model.target_preprocessing
        return Scores(objective, len(self.inputs), functools.partial(undone, scaling) if scaling else None)

    @functools.cached_property
    def batch_scores(self) -> Scores:
        """What adds up the results of single steps; to be reset before each."""
        return self.scores()

    def evaluate(self, labels: Labels) -> gc.Function:
        """inputs, labels (, weights) -> losses, predictions."""

        def parts() -> _Parts:
            targets, weights = self.targets(labels)
            losses = self.objective.losses(targets, self.predictions, weights)
            return self._fed(targets, weights), [*losses, *self.predictions], self._carried

        return self._kept("evaluate", labels, parts)

    def train(self, labels: Labels) -> gc.Function:
        """inputs, labels (, weights) -> losses (, predictions if there are metrics); changes the variables."""

        def parts() -> _Parts:
            targets, weights = self.targets(labels)
            with gc.nn.training() as updates:
                predictions = self.model.apply(self.inputs)
            losses = self.objective.losses(targets, predictions, weights)
            trained = reached(losses[0], self.model.parameters)
            with gc.location.at(self.objective.line, "optimizer"):
                changed = {**self.optimizer.updates(losses[0], trained), **updates}
            outputs = [*losses, *(predictions if self.objective.has_metrics else ())]
            return self._fed(targets, weights), outputs, changed

        return self._kept("train", labels, parts)

    def epoch(self, labels: Labels) -> gc.Function:
        """The training step for many batches, stacked along a first axis, in one call."""
        if ("epoch", labels) not in self._functions:
            self._functions["epoch", labels] = epoch_of(self.train(labels))
        self.latest["epoch"] = self._functions["epoch", labels]
        return self.latest["epoch"]

    @property
    def trained_predictions(self) -> list[gc.Tensor]:
        """The predictions that labels are needed for."""
        return [p for goal, p in zip(self.objective.goals, self.predictions) if goal.loss is not None]

    def targets(self, labels: Labels) -> tuple[list[gc.Tensor], gc.Tensor | None]:
        """The placeholders of labels and weights."""
        if labels not in self._targets:
            batch = self.inputs[0].shape[0]
            names = ["y"] if len(labels.types) == 1 else [f"y_{goal.output}" for goal in self.objective.trained]
            taken = {tensor.name for tensor in self.inputs}
            targets = [
                gc.placeholder((batch, *_resolved(shape, prediction)), dtype, name=_free(name, taken))
                for name, (dtype, shape), prediction in zip(names, labels.types, self.trained_predictions)
            ]
            weights = None
            if labels.weight_rank is not None:
                shape = (batch, *targets[0].shape[1 : labels.weight_rank])
                weights = gc.placeholder(shape, "float32", name=_free("sample_weight", taken))
            self._targets[labels] = targets, weights
        return self._targets[labels]

    def _fed(self, targets: Sequence[gc.Tensor], weights: gc.Tensor | None) -> list[gc.Tensor]:
        return [*targets, *([] if weights is None else [weights])]

    def _kept(self, kind: str, labels: Labels | None, parts: Callable[[], _Parts]) -> gc.Function:
        """The function, compiled at its first use."""
        if (kind, labels) not in self._functions:
            more, outputs, updates = parts()
            name = f"{self.model.name}_{kind}"
            self._functions[kind, labels] = gc.function(
                [*self.inputs, *more], outputs, updates=updates, backend=self.backend, name=name.replace(".", "_")
            )
        self.latest[kind] = self._functions[kind, labels]
        return self.latest[kind]


#: What is fed beside the model's inputs, the outputs, and the new values of variables.
_Parts = tuple[Sequence[gc.Tensor], Any, Mapping[gc.Variable, gc.Tensor]]


def reached(loss: gc.Tensor, parameters: Mapping[str, gc.Variable]) -> dict[str, gc.Variable]:
    """The parameters that the loss depends on: those of an output without a loss are not trained.

    >>> import graphc as gc
    >>> v, w = gc.variable(1.0), gc.variable(2.0)
    >>> list(reached(w * w, {"v": v, "w": w}))
    ['w']
    """
    seen = {loss}
    stack = [loss]
    while stack:
        for operand in stack.pop().inputs:
            if operand not in seen:
                seen.add(operand)
                stack.append(operand)
    return {name: variable for name, variable in parameters.items() if variable in seen}


def _resolved(shape: Sequence[int | None], prediction: gc.Tensor) -> list[Any]:
    """The extents of labels, with those of the prediction where they are None."""
    return [prediction.shape[axis] if extent is None else extent for axis, extent in enumerate(shape, 1)]


def _free(name: str, taken: set[str | None]) -> str:
    """`name`, with a stroke at its end where an input of the model has it already."""
    return f"{name}_" if name in taken else name


__all__ = ["Labels", "Steps", "reached"]
