"""The coefficient of determination, R^2.

Invariant: the spread of the labels is gathered around their running mean, never as a difference of large sums of
squares (T. Chan, G. Golub, R. LeVeque: Algorithms for Computing the Sample Variance, 1983); and the mean is kept as a
distance from an origin near the labels, so that it is not rounded in units of theirs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gc
from graphc.metrics.metric import Metric, Totals, quotient
from graphc.metrics.reading import pair, weights_of


class R2(Metric):
    """1 - sum((y_pred - y_true)^2) / sum((y_true - mean(y_true))^2), averaged over outputs.

    As in scikit-learn, it is 1 where both sums are 0 and 0 where only the second is; and NaN of fewer than two
    examples.

    >>> import graphc as gc
    >>> metric = gc.metrics.R2()
    >>> metric.update([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
    >>> metric.result()
    0.5
    """

    kind = "r2"

    def empty(self) -> Totals:
        """See `Metric`."""
        return {"examples": 0.0, "weight": 0.0, **{name: np.zeros(0) for name in ("origin", "mean", "spread", "error")}}

    def update(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of one shape, (n,) or (n, outputs); see `Metric.update`."""
        labels, predictions = (array.astype(np.float64) for array in pair(self.name, y_true, y_pred))
        weights = weights_of(self.name, sample_weight, labels.shape[:1]) if labels.ndim in (1, 2) else None
        outputs = 1 if labels.ndim < 2 else labels.shape[1]
        seen = self.totals["mean"].size
        if weights is None or (seen and seen != outputs):
            wanted = f"(examples, {seen})" if seen > 1 else "(examples,) or (examples, outputs)"
            raise gc.ShapeError(f"{self.name}: takes arrays {wanted}, not {labels.shape}", location=gc.location.here())
        total = np.sum(weights)
        if not total:
            return
        rows = labels.reshape(-1, outputs)
        before = self.totals
        if not seen:
            nothing = dict.fromkeys(("mean", "spread", "error"), np.zeros(outputs))
            before = {**before, **nothing, "origin": weights @ rows / total}
        error = weights @ (predictions.reshape(-1, outputs) - rows) ** 2
        rows = rows - before["origin"]
        mean = weights @ rows / total
        spread = weights @ (rows - mean) ** 2
        weight = before["weight"] + total
        shift = mean - before["mean"]
        self.totals = {
            "examples": before["examples"] + np.count_nonzero(weights),
            "weight": weight,
            "origin": before["origin"],
            "mean": before["mean"] + shift * (total / weight),
            "spread": before["spread"] + spread + shift**2 * (before["weight"] * total / weight),
            "error": before["error"] + error,
        }

    def result(self) -> float:
        """The coefficient."""
        if self.totals["examples"] < 2:
            return float("nan")
        error, spread = self.totals["error"], self.totals["spread"]
        constant = np.where(error == 0, 1.0, 0.0)
        return float(np.mean(np.where(spread == 0, constant, 1 - quotient(error, spread, 0.0))))
