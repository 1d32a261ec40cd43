"""The history as a CSV file that grows while the training runs.

Invariant: after each epoch the file on disk holds one line for each epoch of the run so far.
"""

from __future__ import annotations

import csv
import os
from typing import ClassVar

from graphc.training.callbacks.base import Callback


class CSVLog(Callback):
    """Writes the figures of each epoch to a CSV file, with the column "epoch" first.

    The columns are those of the first epoch. A resumed run writes the epochs before it anew from the history.

    Args:
        path: the file; replaced at the end of the first epoch.

    >>> CSVLog("training.csv").path
    'training.csv'
    """

    runs_last: ClassVar[bool] = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._columns: list[str] = []

    def on_train_begin(self) -> None:
        """Begin anew."""
        self._columns = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Add a line; the first time, with the heading and the epochs of the run before it was resumed."""
        history = self.run.history
        first = not self._columns
        self._columns = self._columns or list(history)
        with open(self.path, "w" if first else "a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            if first:
                writer.writerow(["epoch", *self._columns])
            for row in range(0 if first else len(history.epoch) - 1, len(history.epoch)):
                writer.writerow([history.epoch[row], *(history[name][row] for name in self._columns)])


__all__ = ["CSVLog"]
