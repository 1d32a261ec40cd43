"""What a callback is: hooks that `fit` calls, and what it keeps in checkpoints.

Invariant: a callback reaches the training through `self.run` alone, and whatever decides its later behaviour is in
`state()` and `variables()`, so that a resumed run behaves as the uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import graphc as gc

if TYPE_CHECKING:
    from graphc.training.run import Run
    from graphc.training.trainable import Trainable


class Callback(gc.arguments.Checked):
    """Base of all callbacks; override the hooks that you need.

    Attributes:
        run: where the training stands; set before `on_train_begin`. `run.stop(reason)` ends it after this step.
        runs_last: whether its hooks are called after those of all other callbacks, as checkpoints need it.

    >>> class Report(Callback):
    ...     def on_epoch_end(self, epoch, logs):
    ...         print(f"epoch {epoch}: {logs['loss']:.3f}")
    >>> Report().on_epoch_end(3, {"loss": 0.25})
    epoch 3: 0.250
    """

    runs_last: ClassVar[bool] = False
    run: Run

    @property
    def model(self) -> Trainable:
        """The model that is being trained."""
        return self.run.model

    def on_train_begin(self) -> None:
        """Before the first epoch; the model is built and compiled."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Before an epoch."""

    def on_batch_begin(self, batch: int) -> None:
        """Before a training step; `batch` counts from 0 in each epoch."""

    def on_batch_end(self, batch: int, logs: Mapping[str, float]) -> None:
        """After a training step; `logs` holds the loss of this batch as "loss"."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """After an epoch and its validation; entries added to `logs` go into the history."""

    def on_train_end(self) -> None:
        """After the last epoch, and after Ctrl-C or `run.stop`."""

    def listens(self, hook: str) -> bool:
        """Whether it does anything in a hook: `fit` calls no others, so that steps cost nothing.

        >>> Callback().listens("on_batch_end")
        False
        """
        return getattr(getattr(self, hook), "__func__", None) is not getattr(Callback, hook)

    def state(self) -> dict[str, Any]:
        """Plain data that a checkpoint is to keep: numbers, texts, lists, dicts."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` returned; the variables are those of the checkpoint already."""

    def variables(self) -> dict[str, gc.Variable]:
        """Arrays that a checkpoint is to keep; asked for after `on_train_begin`."""
        return {}


__all__ = ["Callback"]
