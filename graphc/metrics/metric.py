"""`Metric`: a figure of merit over a stream of batches, in NumPy.

    metric = gc.metrics.Accuracy()
    for x, y in batches:
        metric.update(y, predict(x))
    metric.result()

Invariant: what a metric knows of the stream is in `totals`, arrays and numbers of float64 that batches are added to;
so the result does not depend, but for rounding, on how the stream was cut into batches.
"""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, Self

import numpy as np

import graphc as gc

Totals = dict[str, Any]


class Metric(gc.arguments.Checked):
    """Base of all metrics; see the module.

    Attributes:
        kind: the metric's name in `gc.metrics.get`.
        name: how logs and histories refer to it; by default its kind.
        totals: what was gathered so far.
    """

    kind: ClassVar[str] = ""

    def __init__(self, name: str | None = None) -> None:
        self.name = self.kind if name is None else str(name)
        self.totals = self.empty()

    def empty(self) -> Totals:
        """The totals of no batches."""
        raise NotImplementedError

    def update(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch.

        Args:
            y_true: what should have been predicted.
            y_pred: what was.
            sample_weight: how much each example counts, of the shape of the examples or of its first axes; or None.

        Raises:
            ShapeError, DTypeError, ArgumentError: the arrays do not fit together, or the metric.
        """
        raise NotImplementedError

    def result(self) -> Any:
        """The figure over all batches since the last `reset`: a float, or an array where there are several."""
        raise NotImplementedError

    def reset(self) -> None:
        """Forget all batches."""
        self.totals = self.empty()

    def state(self) -> Totals:
        """A copy of the totals, to go on from by `restore`."""
        return {name: np.array(value) for name, value in self.totals.items()}

    def restore(self, state: Totals) -> None:
        """Go on from what `state` gave.

        Raises:
            ArgumentError: it is the state of another kind of metric.

        >>> import graphc as gc
        >>> first, second = gc.metrics.Mean(), gc.metrics.Mean()
        >>> first.update([1.0, 2.0])
        >>> second.restore(first.state()); second.update(6.0)
        >>> second.result()
        3.0
        """
        if set(state) != set(self.totals):
            raise gc.arguments.refusal(f"{self.name}: a state of {sorted(state)} is none of {sorted(self.totals)}")
        self.totals = {name: np.array(value, np.float64) for name, value in state.items()}

    def config(self) -> dict[str, Any]:
        """All settings as plain data, from which `gc.metrics.get` makes the same metric, without its totals."""
        return {"metric": self.kind, **{p: getattr(self, p) for p in inspect.signature(type(self)).parameters}}

    def copy(self) -> Self:
        """A metric with the same settings that has seen nothing, as for validation beside training.

        >>> import graphc as gc
        >>> gc.metrics.TopKAccuracy(3).copy()
        TopKAccuracy(k=3, name='top_k_accuracy')
        """
        return type(self)(**{k: v for k, v in self.config().items() if k != "metric"})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.config().items() if k != 'metric')})"


def quotient(numerator: Any, denominator: Any, nothing: float) -> Any:
    """numerator / denominator, elementwise, and `nothing` where the denominator is 0.

    >>> quotient(np.array([1.0, 1.0]), np.array([2.0, 0.0]), 0.0)
    array([0.5, 0. ])
    """
    there = np.not_equal(denominator, 0)
    return np.where(there, numerator / np.where(there, denominator, 1), nothing)
