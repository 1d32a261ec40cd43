"""Training curves as TensorBoard event files, through tensorboardX.

Invariant: training and validation figures of one name are written under one tag, in the folders `train` and
`validation`, so that TensorBoard draws them in one chart.
"""

from __future__ import annotations

import math
import os
from typing import Any, ClassVar

import graphc as gc
from graphc.training.callbacks.base import Callback


class TensorBoard(Callback):
    """Writes the figures of each epoch, and the learning rate, for TensorBoard.

    Needs tensorboardX: `pip install 'graphc-compiler[tensorboard]'`. Look at it by `tensorboard --logdir FOLDER`.

    Args:
        folder: where the event files go.

    Raises:
        ArgumentError: tensorboardX is not installed.

    >>> TensorBoard("logs").folder
    'logs'
    """

    runs_last: ClassVar[bool] = True

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = os.fspath(folder)
        self._writer_class = _summary_writer()
        self._writers: dict[str, Any] = {}

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Write the figures of this epoch."""
        for name, value in logs.items():
            part = "validation" if name.startswith("val_") else "train"
            self._writer(part).add_scalar(name.removeprefix("val_"), value, epoch)
        rate = self.run.learning_rate
        if "learning_rate" not in logs and not math.isnan(rate):
            self._writer("train").add_scalar("learning_rate", rate, epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _writer(self, part: str) -> Any:
        if part not in self._writers:
            self._writers[part] = self._writer_class(os.path.join(self.folder, part))
        return self._writers[part]


def _summary_writer() -> Any:
    """The class that writes event files."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise gc.ArgumentError(
            "TensorBoard: tensorboardX is not installed", hint="pip install 'graphc-compiler[tensorboard]'"
        ) from None
    return SummaryWriter


__all__ = ["TensorBoard"]
