"""Ending a training whose loss is no longer a number.

Invariant: a state of the weights counts as good once a finite loss was computed from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import graphc as gc
from graphc.training.callbacks.base import Callback
from graphc.training.snapshot import Snapshot


class TerminateOnNaN(Callback):
    """Stops at the first step whose loss is NaN or infinite.

    Without this callback `fit` raises `CheckError` when a loss is NaN.

    Args:
        restore_last_good: whether the model gets its last good weights back: those of the latest copy from which a
            finite loss was computed.
        every: how many steps lie between two copies.

    Raises:
        ArgumentError: `every` is not a whole number >= 1.

    >>> TerminateOnNaN(restore_last_good=True).every
    20
    """

    def __init__(self, *, restore_last_good: bool = False, every: int = 20) -> None:
        if not isinstance(every, int) or every < 1:
            raise gc.ArgumentError(f"TerminateOnNaN: every must be a whole number >= 1, not {every!r}")
        self.restore_last_good = restore_last_good
        self.every = every
        self._good: Snapshot | None = None
        self._candidate: Snapshot | None = None
        self._steps_until_copy = 0
        self._candidate_is_new = False

    def on_train_begin(self) -> None:
        """Take the weights as they are for good."""
        if self.restore_last_good:
            self._good, self._candidate = Snapshot(self.model.variables), Snapshot(self.model.variables)
        self._steps_until_copy, self._candidate_is_new = self.every, False

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take those of the checkpoint for good."""
        self.on_train_begin()

    def on_batch_end(self, batch: int, logs: Mapping[str, float]) -> None:
        """Look at the loss, which was computed from the weights before this step."""
        if not math.isfinite(logs["loss"]):
            restored = "; the last good weights are restored" if self._good is not None else ""
            where = f"in epoch {self.run.epoch + 1}, step {batch + 1}"
            self.run.stop(f"the loss is {logs['loss']} {where}{restored}")
            if self._good is not None:
                self._good.restore()
            return
        if self._candidate is None or self._good is None:
            return
        if self._candidate_is_new:
            self._good, self._candidate, self._candidate_is_new = self._candidate, self._good, False
        self._steps_until_copy -= 1
        if self._steps_until_copy == 0:
            self._candidate.take()
            self._candidate_is_new, self._steps_until_copy = True, self.every


__all__ = ["TerminateOnNaN"]
