"""Metrics of rankings: the areas under the ROC curve and under the precision-recall curve.

Both are exact over the whole stream, with examples of equal score taken together. For that, the weight of "yes" and
"no" at each different score is kept, so memory grows with the number of different scores.

Invariant: scores in the totals are different and rise; what was added since then is in the pending lists, merged
before it outgrows them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gc
from graphc.metrics.metric import Metric, Totals, quotient
from graphc.metrics.reading import as_answers, pair, weights_of


class Ranking(Metric):
    """Base of metrics of how scores rank examples of "yes" above those of "no"."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self._pending: list[np.ndarray] = []

    def reset(self) -> None:
        """See `Metric`."""
        super().reset()
        self._pending = []

    def empty(self) -> Totals:
        """See `Metric`."""
        return {"scores": np.zeros(0), "yes": np.zeros(0), "no": np.zeros(0)}

    def update(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of labels 0 and 1 (or -1 and 1) and scores of one shape; see `Metric.update`.

        Raises:
            ShapeError, DTypeError, ArgumentError: the arrays do not fit, or a score is NaN.
        """
        labels, scores = pair(self.name, y_true, y_pred)
        if scores.ndim > 1 and scores.shape[-1] > 1:
            raise gc.ShapeError(
                f"{self.name}: takes one score for each example, not {scores.shape[-1]}",
                location=gc.location.here(),
                hint="pass the scores of one class, and whether each example is of it",
            )
        yes = as_answers(self.name, labels).ravel()
        flat = scores.astype(np.float64).ravel()
        if np.isnan(flat).any():
            raise gc.arguments.refusal(f"{self.name}: a score is NaN, which has no rank")
        examples = scores.shape[:-1] if scores.ndim > 1 else scores.shape
        weights = weights_of(self.name, sample_weight, examples).ravel()
        self._pending.append(np.stack([flat, weights * yes, weights * ~yes]))
        if sum(batch.shape[1] for batch in self._pending) > max(4096, self.totals["scores"].size):
            self._merge()

    def _merge(self) -> None:
        if not self._pending:
            return
        merged = np.stack([self.totals[name] for name in ("scores", "yes", "no")])
        scores, yes, no = np.concatenate([merged, *self._pending], axis=1)
        self._pending = []
        different, places = np.unique(scores, return_inverse=True)
        count = len(different)
        self.totals = {
            "scores": different,
            "yes": np.bincount(places, yes, count),
            "no": np.bincount(places, no, count),
        }

    def state(self) -> Totals:
        """See `Metric.state`."""
        self._merge()
        return super().state()

    def restore(self, state: Totals) -> None:
        """See `Metric.restore`."""
        super().restore(state)
        self._pending = []

    def result(self) -> float:
        """The figure over all batches."""
        self._merge()
        return self.figure(self.totals["yes"], self.totals["no"])

    def figure(self, yes: np.ndarray, no: np.ndarray) -> float:
        """The figure, of the weights of "yes" and "no" at each score, in rising order of scores."""
        raise NotImplementedError


class AUC(Ranking):
    """The area under the ROC curve: the chance that a "yes" has a higher score than a "no", ties counting half.

    NaN unless there are both. J. Hanley, B. McNeil: The Meaning and Use of the Area under a ROC Curve, 1982.

    >>> import graphc as gc
    >>> metric = gc.metrics.AUC()
    >>> metric.update([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])
    >>> metric.result()
    0.875
    """

    kind = "auc"

    def figure(self, yes: np.ndarray, no: np.ndarray) -> float:
        """See the class."""
        below = np.cumsum(no) - no
        return float(quotient(np.sum(yes * (below + 0.5 * no)), np.sum(yes) * np.sum(no), np.nan))


class AveragePrecision(Ranking):
    """The precision at each threshold, averaged by the recall that is gained there; 0 if there is no "yes".

        sum over falling scores of (R_n - R_(n-1)) * P_n

    >>> import graphc as gc
    >>> metric = gc.metrics.AveragePrecision()
    >>> metric.update([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> round(metric.result(), 6)
    0.833333
    """

    kind = "average_precision"

    def figure(self, yes: np.ndarray, no: np.ndarray) -> float:
        """See the class."""
        yes, no = yes[::-1], no[::-1]
        hits = np.cumsum(yes)
        precision = quotient(hits, hits + np.cumsum(no), 0.0)
        return float(quotient(np.sum(yes * precision), np.sum(yes), 0.0))
