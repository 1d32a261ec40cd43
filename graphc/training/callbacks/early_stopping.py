"""Ending a training that no longer gets better.

Invariant: with `restore_best_weights` the model leaves `fit` with the weights of its best epoch, however the run ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import graphc as gc
from graphc.training.callbacks.base import Callback
from graphc.training.callbacks.monitor import Monitor
from graphc.training.snapshot import Snapshot


class EarlyStopping(Callback):
    """Stops when a figure has not become better for `patience` epochs.

    Args:
        monitor: the figure to watch.
        patience: how many epochs without a better value to allow.
        min_delta: by how much a value must be better to count.
        mode: "min" or "max" is better; "auto" goes by the name of the figure.
        restore_best_weights: whether the model gets the weights of its best epoch when the run ends, be it by this
            callback, by the last epoch or by Ctrl-C.

    Raises:
        ArgumentError: `patience` is not a whole number >= 0, or an argument of the monitor is wrong.

    >>> EarlyStopping("val_accuracy", patience=5, restore_best_weights=True).monitor.greater
    True
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 0,
        *,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best_weights: bool = False,
    ) -> None:
        if not isinstance(patience, int) or patience < 0:
            raise gc.ArgumentError(f"EarlyStopping: patience must be a whole number >= 0, not {patience!r}")
        self.monitor = Monitor("EarlyStopping", monitor, mode, min_delta)
        self.patience = patience
        self.restore_best_weights = restore_best_weights
        self.waited = 0
        self.best_epoch: int | None = None
        self._best: Snapshot | None = None

    def on_train_begin(self) -> None:
        """Watch anew."""
        self.waited, self.best_epoch, self.monitor.best = 0, None, None
        self._best = Snapshot(self.model.variables) if self.restore_best_weights else None

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Count the epochs without a better value, and stop when there are too many."""
        if self.monitor.improved(logs):
            self.waited, self.best_epoch = 0, epoch
            if self._best is not None:
                self._best.take()
            return
        self.waited += 1
        if self.waited > self.patience:
            best = f"; the best was {self.monitor.best:.6g}" if self.monitor.best is not None else ""
            self.run.stop(f"{self.monitor.name} has not improved for {self.waited} epochs{best}")

    def on_train_end(self) -> None:
        """Put the best weights back, if asked to and if an epoch was completed."""
        if self._best is not None and self.best_epoch is not None:
            self._best.restore()

    def state(self) -> dict[str, Any]:
        """How long it has waited, and for what to be bettered."""
        return {**self.monitor.state(), "waited": self.waited, "best_epoch": self.best_epoch}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.monitor.restore(state)
        self.waited, self.best_epoch = state["waited"], state["best_epoch"]

    def variables(self) -> dict[str, gc.Variable]:
        """The best weights so far."""
        return dict(self._best.copies) if self._best is not None else {}


__all__ = ["EarlyStopping"]
