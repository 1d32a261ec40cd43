"""`Run`: where one `fit` stands, what callbacks may ask of it, and the loop over epochs and steps.

Invariant: what is to come depends on `variables()` and `position()` alone, so that a run which restores both goes on,
to the bit, as the one that saved them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import graphc as gc
from graphc.training.callbacks.base import Callback
from graphc.training.history import History
from graphc.training.progress import EpochLines
from graphc.training.streams import Stream

if TYPE_CHECKING:
    from graphc.training.trainable import Trainable


class Run:
    """One call of `fit`.

    Attributes:
        model: what is trained.
        history: the figures of the epochs so far.
        epochs: the number of epochs when the run is complete.
        epoch: the number of the present epoch, from 0.
        batch: how many steps of it are done.
        stopping: why the run is to end, once `stop` was called.
    """

    def __init__(
        self,
        model: Trainable,
        stream: Stream,
        epochs: int,
        first_epoch: int,
        callbacks: Sequence[Callback],
        progress: EpochLines,
        validate: Callable[[], dict[str, float]] | None = None,
        whole_epoch: Callable[[Run], None] | None = None,
    ) -> None:
        self.model = model
        self.history = History()
        self.epochs = epochs
        self.epoch = first_epoch
        self.batch = 0
        self.stopping: str | None = None
        self.scores = model.steps.scores()
        # Those that save the position come after those that are part of it.
        self.callbacks = sorted(callbacks, key=lambda callback: callback.runs_last)
        self._stream = stream
        self._progress = progress
        self._validate = validate
        self._whole_epoch = whole_epoch
        self._step = model.steps.train(stream.labels)
        for callback in self.callbacks:
            callback.run = self

    # for callbacks ------------------------------------------------------------------------------------------

    def stop(self, reason: str) -> None:
        """End the run after this step, or after this epoch if all its steps are done."""
        self.stopping = self.stopping or reason

    @property
    def learning_rate(self) -> float:
        """The optimiser's present learning rate; NaN where it has none to read.

        Raises:
            ArgumentError: when it is set, and the optimiser computes it from a schedule.
        """
        rate = getattr(self.model.optimizer, "learning_rate", None)
        return float(rate.value) if isinstance(rate, gc.Variable) else math.nan

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        rate = getattr(self.model.optimizer, "learning_rate", None)
        if not isinstance(rate, gc.Variable):
            raise gc.ArgumentError(
                "the learning rate cannot be set: the optimiser computes it from a schedule",
                hint="give the optimiser a number, or leave the callback out",
            )
        rate.assign(np.asarray(value, rate.dtype))

    def variables(self) -> dict[str, gc.Variable]:
        """All arrays that the rest of the run depends on: of the model, the optimiser and the callbacks."""
        found = {**self.model.variables, **self.model.optimizer.state}
        for name, callback in self._named_callbacks():
            found.update({f"{name}.{key}": variable for key, variable in callback.variables().items()})
        return found

    def position(self) -> dict[str, Any]:
        """Everything else that the rest of the run depends on, as plain data."""
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "data": self._stream.source.state(),
            "scores": self.scores.state(),
            "history": self.history.as_json(),
            "stopping": self.stopping,
            "callbacks": {name: callback.state() for name, callback in self._named_callbacks()},
        }

    def go_to(self, position: Mapping[str, Any]) -> None:
        """Continue at what `position` returned, in a run of the same model, data and callbacks."""
        self.epoch, self.batch = position["epoch"], position["batch"]
        self.history = History.from_json(position["history"])
        self.scores.restore(position["scores"])
        self.stopping = position["stopping"]
        self._stream.source.restore(position["data"])
        for name, callback in self._named_callbacks():
            if name in position["callbacks"]:
                callback.restore(position["callbacks"][name])

    def _named_callbacks(self) -> list[tuple[str, Callback]]:
        """Each callback with the name of its class, numbered from the second of a class on."""
        counts: dict[str, int] = {}
        named = []
        for callback in self.callbacks:
            kind = type(callback).__name__
            counts[kind] = counts.get(kind, 0) + 1
            named.append((kind if counts[kind] == 1 else f"{kind}_{counts[kind]}", callback))
        return named

    # the loop -----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Go to the first epoch, and tell the callbacks that the training begins."""
        self._stream.start_at(self.epoch)
        for callback in self.callbacks:
            callback.on_train_begin()

    def finish(self) -> History:
        """Go through the epochs; Ctrl-C ends that cleanly."""
        message = None
        try:
            self._epochs()
        except KeyboardInterrupt:
            self.history.interrupted = True
            message = f"interrupted in epoch {self.epoch + 1}, after step {self.batch}"
        self.history.stopped = self.stopping
        for callback in self.callbacks:
            callback.on_train_end()
        self._progress.ends(message or (f"stopped: {self.stopping}" if self.stopping else None))
        return self.history

    def _epochs(self) -> None:
        try:
            while self.epoch < self.epochs and not self.stopping:
                self._one_epoch()
        except BaseException:
            self._progress.ends()
            raise

    def _one_epoch(self) -> None:
        epoch = self.epoch
        if not self.batch:
            self.scores.reset()
            for callback in self.callbacks:
                callback.on_epoch_begin(epoch)
        self._progress.epoch_begins(epoch, self._stream.length, self.batch)
        if self._whole_epoch is not None and not self.batch:
            self._whole_epoch(self)
            self._stream.start_at(epoch + 1)
        else:
            self._steps()
        if self.stopping:  # in the midst of the epoch: its figures would be those of a part
            return
        if not self.batch:
            raise gc.ArgumentError(f"fit: the data has no batches left in epoch {epoch + 1}")
        self._progress.steps_end()
        logs = self.scores.result()
        if self._validate is not None:
            logs.update(self._validate())
        steps, self.epoch, self.batch = self.batch, epoch + 1, 0
        for callback in self.callbacks:
            if not callback.runs_last:
                callback.on_epoch_end(epoch, logs)
        self.history.record(epoch, logs)
        for callback in self.callbacks:
            if callback.runs_last:
                callback.on_epoch_end(epoch, logs)
        self._progress.epoch_ends(epoch, steps, logs)

    def _steps(self) -> None:
        """The steps that are left of this epoch."""
        before = [c.on_batch_begin for c in self.callbacks if c.listens("on_batch_begin")]
        after = [c.on_batch_end for c in self.callbacks if c.listens("on_batch_end") and not c.runs_last]
        saving = [c.on_batch_end for c in self.callbacks if c.listens("on_batch_end") and c.runs_last]
        step, add, show, figures = self._step, self.scores.add, self._progress.step_ends, self.scores.result
        for batch in self._stream:
            number = self.batch
            for on_batch_begin in before:
                on_batch_begin(number)
            loss = add(batch, step(*batch))
            self.batch = number + 1
            for on_batch_end in after:
                on_batch_end(number, {"loss": loss})
            if loss != loss and not self.stopping:
                raise self.not_a_number(number, batch)
            for on_batch_end in saving:
                on_batch_end(number, {"loss": loss})
            if self.stopping:
                return
            show(number, figures)

    def not_a_number(self, number: int, batch: Sequence[np.ndarray]) -> gc.CheckError:
        """The error of a loss that is NaN, after the step of this number and batch."""
        place = f"fit: the loss is nan in epoch {self.epoch + 1}, step {number + 1}"
        names = [tensor.name for tensor in self._step.graph.inputs]
        for name, array in zip(names, batch):
            if array.dtype.kind == "f" and np.isnan(array).any():
                hint = "the transformer gc.data.Imputer fills missing values, gc.data.drop_missing drops their rows"
                return gc.CheckError(f"{place}: {name} holds NaN", hint=hint)
        return gc.CheckError(
            place,
            hint="lower the learning rate or clip the gradients; with the callback TerminateOnNaN fit stops without "
            "an error, and can put the last good weights back",
        )


__all__ = ["Run"]
