"""What `fit` returns: every logged figure, epoch by epoch.

Invariant: each list of a history has one entry for each entry of `epoch`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import graphc as gc


class History(dict[str, list[float]]):
    """The figures of a training run: a dict from name ("loss", "val_accuracy") to one number for each epoch.

    Attributes:
        epoch: the numbers of the epochs that were completed, from 0.
        interrupted: whether Ctrl-C ended the run.
        stopped: why the run ended before its last epoch, or None.

    >>> history = History()
    >>> history.record(0, {"loss": 0.5}); history.record(1, {"loss": 0.25, "val_loss": 0.5})
    >>> history["loss"], history["val_loss"], history.epoch
    ([0.5, 0.25], [nan, 0.5], [0, 1])
    """

    def __init__(self) -> None:
        super().__init__()
        self.epoch: list[int] = []
        self.interrupted = False
        self.stopped: str | None = None

    @property
    def history(self) -> dict[str, list[float]]:
        """The history itself, under the name that Keras gives to the dict of lists."""
        return self

    def record(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Append the figures of one epoch; those that other epochs have and this one lacks are NaN."""
        for name, value in logs.items():
            self.setdefault(name, [float("nan")] * len(self.epoch)).append(float(value))
        self.epoch.append(epoch)
        for values in self.values():
            values += [float("nan")] * (len(self.epoch) - len(values))

    def as_json(self) -> dict[str, Any]:
        """Plain data, for a checkpoint."""
        logs = [[name, [plain_number(v) for v in values]] for name, values in self.items()]
        return {"epoch": list(self.epoch), "logs": logs}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> History:
        """The history that `as_json` wrote."""
        history = cls()
        history.epoch = [int(epoch) for epoch in data["epoch"]]
        history.update({str(name): [float(v) for v in values] for name, values in data["logs"]})
        return history

    def __missing__(self, name: str) -> list[float]:
        known = ", ".join(self) or "nothing yet"
        raise gc.ArgumentError(f"history: there is no {name!r}; logged are {known}", hint=gc.errors.nearest(name, self))

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self.items() if values)
        end = ", interrupted" if self.interrupted else ""
        return f"<History: {len(self.epoch)} epochs{', ' + last if last else ''}{end}>"


def plain_number(value: float) -> float | str:
    """A number as JSON can keep it: "nan" and "inf" are texts, which `float` reads.

    >>> plain_number(0.5), plain_number(float("inf"))
    (0.5, 'inf')
    """
    return float(value) if math.isfinite(value) else repr(float(value))


__all__ = ["History", "plain_number"]
