"""Which figure a callback watches, which way is better, and whether it got better.

Invariant: `best` is the best value that `improved` has seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import graphc as gc

#: A figure whose name holds one of these is better when it is greater.
GREATER_IS_BETTER = ("accuracy", "precision", "recall", "f1", "auc", "r2", "top_k")


class Monitor:
    """Watches one figure of the logs.

    Args:
        callback: whose it is, for messages.
        name: "loss", "val_loss", "val_accuracy", ...
        mode: "min" or "max" is better; "auto" goes by the name.
        min_delta: by how much a value must be better to count.

    Raises:
        ArgumentError: another mode, or a negative `min_delta`.

    >>> monitor = Monitor("EarlyStopping", "val_accuracy")
    >>> [monitor.improved({"val_accuracy": v}) for v in (0.5, 0.75, 0.625)], monitor.best
    ([True, True, False], 0.75)
    """

    def __init__(self, callback: str, name: str, mode: str = "auto", min_delta: float = 0.0) -> None:
        modes = ("auto", "min", "max")
        if mode not in modes:
            raise gc.ArgumentError(
                f"{callback}: mode must be {', '.join(map(repr, modes))}, not {mode!r}",
                hint=gc.errors.nearest(str(mode), modes),
            )
        if not min_delta >= 0:
            raise gc.ArgumentError(f"{callback}: min_delta must not be negative, it is {min_delta!r}")
        self.callback = callback
        self.name = name
        self.greater = mode == "max" or (mode == "auto" and any(part in name for part in GREATER_IS_BETTER))
        self.min_delta = float(min_delta)
        self.best: float | None = None

    def value(self, logs: Mapping[str, float]) -> float:
        """The watched figure.

        Raises:
            ArgumentError: it is not in the logs.
        """
        if self.name not in logs:
            hint = gc.errors.nearest(self.name, logs)
            if self.name.startswith("val_") and not any(name.startswith("val_") for name in logs):
                hint = "give fit validation_data or validation_split"
            raise gc.ArgumentError(
                f"{self.callback}: there is no {self.name!r} to watch; logged are {', '.join(logs)}", hint=hint
            )
        return float(logs[self.name])

    def improved(self, logs: Mapping[str, float]) -> bool:
        """Whether the figure is the best so far, which is then remembered; NaN and infinities never are."""
        value = self.value(logs)
        if not math.isfinite(value):
            return False
        if self.best is not None:
            gain = value - self.best if self.greater else self.best - value
            if not gain > self.min_delta:
                return False
        self.best = value
        return True

    def state(self) -> dict[str, Any]:
        """The best value, as plain data."""
        return {"best": self.best}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.best = None if state["best"] is None else float(state["best"])


__all__ = ["GREATER_IS_BETTER", "Monitor"]
