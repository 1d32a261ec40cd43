"""How a training run shows itself: a bar in a terminal, a line for each epoch elsewhere, or nothing.

Invariant: what a step costs here is one look at the clock; a bar is drawn anew ten times a second at most.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

import graphc as gc

_SECONDS_BETWEEN_DRAWINGS = 0.1


def progress_for(verbose: int, epochs: int) -> EpochLines:
    """What `verbose` asks for: 0 nothing; 1 a bar in a terminal, else as 2; 2 a line for each epoch; n for each n-th.

    Raises:
        ArgumentError: it is no whole number from 0 on.

    >>> type(progress_for(2, epochs=3)).__name__
    'EpochLines'
    """
    if not isinstance(verbose, int) or verbose < 0:
        raise gc.ArgumentError(f"fit: verbose is a whole number from 0 on, not {verbose!r}")
    if verbose == 0:
        return Silence(epochs)
    if verbose > 2:
        return EpochLines(epochs, every=verbose)
    return EpochBar(epochs) if verbose == 1 and sys.stdout.isatty() else EpochLines(epochs)


class EpochLines:
    """One line for each epoch:

        epoch 3/10: loss 0.4312, accuracy 0.8667, val_loss 0.4507, 1250 steps/s, 312 ms, 2.1 s left

    Args:
        epochs: how many epochs there are in all.
        clock: gives the present time in seconds.
        every: how many epochs there is a line for; the first and the last have one, too.
    """

    def __init__(self, epochs: int, clock: Callable[[], float] = time.perf_counter, every: int = 1) -> None:
        self.epochs = epochs
        self.every = every
        self.clock = clock
        self._epoch_began = self._run_began = self._steps_ended = clock()
        self._first: int | None = None

    def epoch_begins(self, epoch: int, steps: int | None, done: int = 0) -> None:
        """An epoch of `steps` steps begins, `done` of which were done before, by the run that is resumed."""
        self._epoch_began = self.clock()
        if self._first is None:
            self._first, self._run_began = epoch, self._epoch_began

    def step_ends(self, batch: int, scores: Callable[[], Mapping[str, float]]) -> None:
        """A step is done, number `batch` of the epoch; `scores` gives the epoch's figures so far."""

    def steps_end(self) -> None:
        """The steps of an epoch are done; its validation follows."""
        self._steps_ended = self.clock()

    def epoch_ends(self, epoch: int, steps: int, logs: Mapping[str, float]) -> None:
        """An epoch, with its validation, is done after `steps` steps."""
        if (epoch + 1) % self.every == 0 or epoch in (self._first, self.epochs - 1):
            self.show(f"epoch {epoch + 1}/{self.epochs}: {self._summary(epoch, steps, logs)}")

    def ends(self, message: str | None = None) -> None:
        """The run is over; `message` says why, if it did not just come to its end."""
        if message:
            self.show(message)

    def show(self, line: str) -> None:
        """Print a line."""
        print(line, flush=True)

    def _summary(self, epoch: int, steps: int, logs: Mapping[str, float]) -> str:
        now = self.clock()
        seconds = now - self._epoch_began
        first = epoch if self._first is None else self._first
        left = (now - self._run_began) / (epoch + 1 - first) * (self.epochs - epoch - 1)
        speed = steps / max(self._steps_ended - self._epoch_began, 1e-9)
        parts = [figures(logs), f"{speed:.0f} steps/s", duration(seconds)]
        if epoch + 1 < self.epochs:
            parts.append(f"{duration(left)} left")
        return ", ".join(part for part in parts if part)


class Silence(EpochLines):
    """Shows nothing."""

    def show(self, line: str) -> None:
        """Drop the line."""


class EpochBar(EpochLines):
    """A bar that runs through each epoch, with speed, loss and time left, and then becomes that epoch's line."""

    def __init__(self, epochs: int, clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__(epochs, clock)
        self._console = Console(highlight=False)
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._steps: int | None = None
        self._done_before = 0
        self._next_drawing = 0.0

    def epoch_begins(self, epoch: int, steps: int | None, done: int = 0) -> None:
        """Begin a bar."""
        super().epoch_begins(epoch, steps, done)
        self._steps, self._done_before, self._next_drawing = steps, done, 0.0
        note = TextColumn("{task.fields[note]}", table_column=Column(no_wrap=True, overflow="ellipsis"))
        columns = TextColumn("{task.description}", table_column=Column(no_wrap=True)), BarColumn(bar_width=20), note
        self._bar = Progress(*columns, console=self._console, auto_refresh=False, transient=True)
        self._task = self._bar.add_task(f"epoch {epoch + 1}/{self.epochs}", total=steps, completed=done, note="")
        self._bar.start()

    def step_ends(self, batch: int, scores: Callable[[], Mapping[str, float]]) -> None:
        """Draw the bar anew, if it is time to."""
        now = self.clock()
        if now < self._next_drawing or self._bar is None:
            return
        self._next_drawing = now + _SECONDS_BETWEEN_DRAWINGS
        done, seconds = batch + 1, max(now - self._epoch_began, 1e-9)
        speed = (done - self._done_before) / seconds
        note = f"step {done}{f'/{self._steps}' if self._steps else ''}, {figures(scores())}, {speed:.0f} steps/s"
        if self._steps:
            note += f", {duration((self._steps - done) / max(speed, 1e-9))} left"
        self._bar.update(self._task, completed=done, note=note, refresh=True)

    def ends(self, message: str | None = None) -> None:
        """Take the bar away."""
        self._stop_bar()
        super().ends(message)

    def show(self, line: str) -> None:
        """Print a line in place of the bar."""
        self._stop_bar()
        self._console.print(broken(line, self._console.width), markup=False, soft_wrap=True)

    def _stop_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def figures(logs: Mapping[str, float]) -> str:
    """The logged figures as text.

    >>> figures({"loss": 0.25, "learning_rate": 1e-5})
    'loss 0.2500, learning_rate 1e-05'
    """
    return ", ".join(f"{name} {value:.4f}" if _reads_well(value) else f"{name} {value:.4g}"
                     for name, value in logs.items())  # fmt: skip


def broken(line: str, width: int) -> str:
    """A line that is longer than the terminal's, broken between figures.

    >>> print(broken("epoch 1/2: loss 0.2500, accuracy 0.9000, val_loss 0.5000", 30))
    epoch 1/2: loss 0.2500,
      accuracy 0.9000,
      val_loss 0.5000
    """
    lines: list[str] = []
    for part in line.split(", "):
        if lines and len(lines[-1]) + len(part) + 3 <= width:  # ", " before it, "," behind it
            lines[-1] += f", {part}"
        else:
            lines.append(f"  {part}" if lines else part)
    return ",\n".join(lines)


def _reads_well(value: float) -> bool:
    """Whether four decimals show the value well."""
    return value == 0 or 1e-3 <= abs(value) < 1e4


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(0.0123), duration(1.25), duration(75), duration(7260)
    ('12 ms', '1.2 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


__all__ = ["EpochBar", "EpochLines", "Silence", "broken", "duration", "figures", "progress_for"]
