"""Writing checkpoints from which a run can be resumed, and keeping the best model.

Invariant: a checkpoint is written when the run stands between two steps, so that variables and position are of one
moment; files appear complete or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar

import graphc as gc
from graphc.training.callbacks.base import Callback
from graphc.training.callbacks.monitor import Monitor


class Checkpoint(Callback):
    """Writes all that the run depends on: weights, optimiser, random states, position, and the other callbacks.

    `fit(..., resume_from=folder)` goes on from the newest one, and ends with the bits of a run that never stopped.

    Args:
        folder: where the checkpoints go.
        every_epochs: write one after each so many epochs; None for no epoch.
        every_steps: write one after each so many steps of an epoch, too.
        keep: how many to keep.

    Raises:
        ArgumentError: a number is no whole number >= 1.

    >>> Checkpoint("run", every_steps=100).every_steps
    100
    """

    runs_last: ClassVar[bool] = True

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        every_epochs: int | None = 1,
        every_steps: int | None = None,
        keep: int = 3,
    ) -> None:
        for name, number in (("every_epochs", every_epochs), ("every_steps", every_steps)):
            if number is not None and (not isinstance(number, int) or number < 1):
                raise gc.ArgumentError(f"Checkpoint: {name} must be a whole number >= 1 or None, not {number!r}")
        self.folder = os.fspath(folder)
        self.every_epochs = every_epochs
        self.every_steps = every_steps
        self.files = gc.io.Checkpoints(self.folder, keep=keep)

    def listens(self, hook: str) -> bool:
        """Whether it does anything in a hook: at steps only with `every_steps`."""
        return super().listens(hook) and (hook != "on_batch_end" or self.every_steps is not None)

    def on_train_begin(self) -> None:
        """Find out now, not after an epoch, whether the position can be kept."""
        self.run.position()

    def on_batch_end(self, batch: int, logs: Mapping[str, float]) -> None:
        """Write one, if it is time to."""
        if self.every_steps is not None and (batch + 1) % self.every_steps == 0:
            self.save()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Write one, if it is time to."""
        if self.every_epochs is not None and (epoch + 1) % self.every_epochs == 0:
            self.save()

    def save(self) -> None:
        """Write one now."""
        self.files.save(self.run.variables(), self.run.position())


class SaveBest(Callback):
    """Saves the model, as `model.save` does, whenever a figure is better than ever before.

    Args:
        path: a folder, or a file that ends in `.gcm`; replaced each time.
        monitor: the figure to watch.
        mode: "min" or "max" is better; "auto" goes by the name of the figure.
        min_delta: by how much a value must be better to count.

    Raises:
        ArgumentError: an argument of the monitor is wrong.

    >>> SaveBest("best.gcm", monitor="val_accuracy").monitor.greater
    True
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str = "val_loss",
        *,
        mode: str = "auto",
        min_delta: float = 0.0,
    ) -> None:
        self.path = os.fspath(path)
        self.monitor = Monitor("SaveBest", monitor, mode, min_delta)

    def on_train_begin(self) -> None:
        """Watch anew."""
        self.monitor.best = None

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Save, if it got better."""
        if self.monitor.improved(logs):
            self.model.save(self.path)

    def state(self) -> dict[str, Any]:
        """What is to be bettered."""
        return self.monitor.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.monitor.restore(state)


__all__ = ["Checkpoint", "SaveBest"]
