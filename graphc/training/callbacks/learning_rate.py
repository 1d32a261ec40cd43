"""Changing the learning rate while the training runs.

Invariant: the rate is the optimiser's own variable, so it takes effect at the next step without compiling anew.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import graphc as gc
from graphc.training.callbacks.base import Callback
from graphc.training.callbacks.monitor import Monitor


class LearningRateSchedule(Callback):
    """Sets the learning rate before each epoch.

    Args:
        schedule: `schedule(epoch)` or `schedule(epoch, present rate)` gives the rate.

    >>> halved = LearningRateSchedule(lambda epoch, rate: rate / 2)
    >>> halved.takes_rate
    True
    """

    def __init__(self, schedule: Callable[..., float]) -> None:
        if not callable(schedule):
            raise gc.ArgumentError(
                f"LearningRateSchedule: schedule must be a function of the epoch, not {type(schedule).__name__}"
            )
        self.schedule = schedule
        required = [p for p in inspect.signature(schedule).parameters.values() if p.default is p.empty]
        self.takes_rate = len(required) > 1

    def on_epoch_begin(self, epoch: int) -> None:
        """Set the rate of this epoch."""
        arguments = (epoch, self.run.learning_rate) if self.takes_rate else (epoch,)
        self.run.learning_rate = float(self.schedule(*arguments))

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Log the rate."""
        logs["learning_rate"] = self.run.learning_rate


class ReduceOnPlateau(Callback):
    """Lowers the learning rate when a figure has not become better for `patience` epochs.

    Args:
        monitor: the figure to watch.
        factor: what to multiply the rate by, in (0, 1).
        patience: how many epochs without a better value to allow.
        min_delta: by how much a value must be better to count.
        mode: "min" or "max" is better; "auto" goes by the name of the figure.
        cooldown: how many epochs to wait after lowering before counting again.
        min_rate: the least rate.

    Raises:
        ArgumentError: an argument outside its range.

    >>> ReduceOnPlateau(factor=0.5, patience=2).factor
    0.5
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        *,
        min_delta: float = 1e-4,
        mode: str = "auto",
        cooldown: int = 0,
        min_rate: float = 0.0,
    ) -> None:
        if not 0 < factor < 1:
            raise gc.ArgumentError(f"ReduceOnPlateau: factor must lie between 0 and 1, not {factor!r}")
        if patience < 0 or cooldown < 0 or min_rate < 0:
            raise gc.ArgumentError("ReduceOnPlateau: patience, cooldown and min_rate must not be negative")
        self.monitor = Monitor("ReduceOnPlateau", monitor, mode, min_delta)
        self.factor = float(factor)
        self.patience = patience
        self.cooldown = cooldown
        self.min_rate = float(min_rate)
        self.waited = self.cooling = 0

    def on_train_begin(self) -> None:
        """Watch anew."""
        self.waited, self.cooling, self.monitor.best = 0, 0, None

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Count the epochs without a better value, and lower the rate when there are enough."""
        rate = logs["learning_rate"] = self.run.learning_rate
        improved = self.monitor.improved(logs)
        if self.cooling:
            self.cooling -= 1
            self.waited = 0
        elif improved:
            self.waited = 0
        else:
            self.waited += 1
            if self.waited >= self.patience and rate > self.min_rate:
                self.run.learning_rate = max(rate * self.factor, self.min_rate)
                self.waited, self.cooling = 0, self.cooldown

    def state(self) -> dict[str, Any]:
        """How long it has waited, and for what to be bettered."""
        return {**self.monitor.state(), "waited": self.waited, "cooling": self.cooling}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.monitor.restore(state)
        self.waited, self.cooling = state["waited"], state["cooling"]


__all__ = ["LearningRateSchedule", "ReduceOnPlateau"]
