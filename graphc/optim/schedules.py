"""Schedules: learning rates as functions of the step, which are part of the compiled training step.

A schedule is called with the number of updates made so far, a tensor, and gives a float64 scalar. It has no state of
its own, so a restored step restores the rate.

Invariant: `schedule.at(k)` is what the k-th update (from 0) uses, computed by the same graph.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

import graphc as gc
from graphc.optim.arguments import number, whole_number


class Schedule(gc.arguments.Checked):
    """A learning rate that depends on the step. Subclasses say how in `rate`.

    Attributes:
        kind: the schedule's name in `config()`.
    """

    kind: ClassVar[str] = ""

    def rate(self, step: gc.Tensor) -> gc.Tensor:
        """The rate at a step, given as float64 of any shape."""
        raise NotImplementedError

    def __call__(self, step: gc.Tensor) -> gc.Tensor:
        """The rate as a float64 tensor of the step's shape; the step may have any numeric dtype."""
        return self.rate(gc.astype(step, "float64"))

    def at(self, step: Any) -> np.ndarray:
        """The rate at a step, or at each of an array of steps, as numbers.

        >>> ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5).at([0, 10, 20])
        array([0.1  , 0.05 , 0.025])
        """
        return np.asarray(gc.function([], self(gc.constant(step)), backend="numpy")())

    def config(self) -> dict[str, Any]:
        """The schedule as plain data, from which `schedule_from` makes it again."""
        return {"schedule": self.kind, **{p: plain(getattr(self, p)) for p in inspect.signature(type(self)).parameters}}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{p}={getattr(self, p)!r}" for p in inspect.signature(type(self)).parameters)
        return f"{type(self).__name__}({arguments})"


def plain(value: Any) -> Any:
    """A setting as plain data: numbers, strings, lists, dicts."""
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value.config() if hasattr(value, "config") else value


def _power(base: float, exponent: gc.Tensor) -> gc.Tensor:
    return gc.pow(gc.constant(base, "float64"), exponent)


class Constant(Schedule):
    """The same rate always.

    >>> Constant(0.1).at(7)
    array(0.1)
    """

    kind = "constant"

    def __init__(self, learning_rate: float) -> None:
        self.learning_rate = number(self.kind, "learning_rate", learning_rate, "not negative")

    def rate(self, step: gc.Tensor) -> gc.Tensor:
        """See the class."""
        return gc.full_like(step, self.learning_rate)


class PiecewiseConstant(Schedule):
    """`rates[0]` before step `boundaries[0]`, `rates[1]` from there on, and so forth.

    >>> PiecewiseConstant([100, 200], [0.1, 0.01, 0.001]).at([0, 99, 100, 200])
    array([0.1  , 0.1  , 0.01 , 0.001])
    """

    kind = "piecewise_constant"

    def __init__(self, boundaries: Sequence[int], rates: Sequence[float]) -> None:
        self.boundaries = [whole_number(self.kind, "a boundary", b) for b in boundaries]
        self.rates = [number(self.kind, "a rate", r, "not negative") for r in rates]
        if len(self.rates) != len(self.boundaries) + 1 or self.boundaries != sorted(set(self.boundaries)):
            raise gc.arguments.refusal(
                f"{self.kind}: takes increasing boundaries and one rate more, not {boundaries!r} and {rates!r}"
            )

    def rate(self, step: gc.Tensor) -> gc.Tensor:
        """See the class."""
        result = gc.full_like(step, self.rates[0])
        for boundary, rate in zip(self.boundaries, self.rates[1:]):
            result = gc.where(step < boundary, result, rate)
        return result


class StepDecay(Schedule):
    """learning_rate * factor^floor(step / every): a drop after each `every` steps.

    >>> StepDecay(0.1, every=30, factor=0.5).at([0, 29, 30, 60])
    array([0.1  , 0.1  , 0.05 , 0.025])
    """

    kind = "step_decay"

    def __init__(self, learning_rate: float, every: int, factor: float = 0.1) -> None:
        self.learning_rate = number(self.kind, "learning_rate", learning_rate, "not negative")
        self.every = whole_number(self.kind, "every", every)
        self.factor = number(self.kind, "factor", factor, "positive")

    def rate(self, step: gc.Tensor) -> gc.Tensor:
        """See the class."""
        return self.learning_rate * _power(self.factor, gc.floor(step / float(self.every)))


class ExponentialDecay(Schedule):
    """learning_rate * decay_rate^(step / decay_steps); with `staircase`, of the whole part of step / decay_steps.

    >>> ExponentialDecay(1.0, decay_steps=2, decay_rate=0.25).at([0, 1, 2])
    array([1.  , 0.5 , 0.25])
    """

    kind = "exponential_decay"

    def __init__(self, learning_rate: float, decay_steps: int, decay_rate: float, staircase: bool = False) -> None:
        self.learning_rate = number(self.kind, "learning_rate", learning_rate, "not negative")
        self.decay_steps = whole_number(self.kind, "decay_steps", decay_steps)
        self.decay_rate = number(self.kind, "decay_rate", decay_rate, "positive")
        self.staircase = bool(staircase)

    def rate(self, step: gc.Tensor) -> gc.Tensor:
        """See the class."""
        periods = step / float(self.decay_steps)
        return self.learning_rate * _power(self.decay_rate, gc.floor(periods) if self.staircase else periods)


class InverseTimeDecay(Schedule):
    """learning_rate / (1 + decay_rate * step / decay_steps).

    The rates add up to infinity and their squares do not, which is what stochastic approximation asks for (H. Robbins,
    S. Monro: A Stochastic Approximation Method, 1951).

    >>> InverseTimeDecay(1.0, decay_steps=1).at([0, 1, 3])
    array([1.  , 0.5 , 0.25])
    """

    kind = "inverse_time_decay"

    def __init__(self, learning_rate: float, decay_steps: int, decay_rate: float = 1.0) -> None:
        self.learning_rate = number(self.kind, "learning_rate", learning_rate, "not negative")
        self.decay_steps = whole_number(self.kind, "decay_steps", decay_steps)
        self.decay_rate = number(self.kind, "decay_rate", decay_rate, "not negative")

    def rate(self, step: gc.Tensor) -> gc.Tensor:
        """See the class."""
        return self.learning_rate / (1.0 + self.decay_rate * step / float(self.decay_steps))


class PolynomialDecay(Schedule):
    """From `learning_rate` to `end` along (1 - step / decay_steps)^power, and `end` from step `decay_steps` on.

    >>> PolynomialDecay(1.0, decay_steps=4).at([0, 1, 4, 9])
    array([1.  , 0.75, 0.  , 0.  ])
    """

    kind = "polynomial_decay"

    def __init__(self, learning_rate: float, decay_steps: int, end: float = 0.0, power: float = 1.0) -> None:
        self.learning_rate = number(self.kind, "learning_rate", learning_rate, "not negative")
        self.decay_steps = whole_number(self.kind, "decay_steps", decay_steps)
        self.end = number(self.kind, "end", end, "not negative")
        self.power = number(self.kind, "power", power, "positive")

    def rate(self, step: gc.Tensor) -> gc.Tensor:
        """See the class."""
        left = 1.0 - gc.minimum(step, float(self.decay_steps)) / float(self.decay_steps)
        return self.end + (self.learning_rate - self.end) * gc.pow(left, self.power)


class CosineDecay(Schedule):
    """From `learning_rate` to `end` along half a cosine, and `end` from step `decay_steps` on.

        end + (learning_rate - end) * (1 + cos(pi * step / decay_steps)) / 2

    I. Loshchilov, F. Hutter: SGDR: Stochastic Gradient Descent with Warm Restarts, 2017.

    >>> CosineDecay(1.0, decay_steps=10).at([0, 5, 10, 11]).round(12)
    array([1. , 0.5, 0. , 0. ])
    """

    kind = "cosine_decay"

    def __init__(self, learning_rate: float, decay_steps: int, end: float = 0.0) -> None:
        self.learning_rate = number(self.kind, "learning_rate", learning_rate, "not negative")
        self.decay_steps = whole_number(self.kind, "decay_steps", decay_steps)
        self.end = number(self.kind, "end", end, "not negative")

    def rate(self, step: gc.Tensor) -> gc.Tensor:
        """See the class."""
        turn = math.pi * (gc.minimum(step, float(self.decay_steps)) / float(self.decay_steps))
        return self.end + (self.learning_rate - self.end) * (0.5 + 0.5 * gc.cos(turn))


class CosineDecayRestarts(Schedule):
    """`CosineDecay`, begun again and again: each period is `period_factor` times as long as the one before.

    The i-th period (from 0) starts at `learning_rate * peak_factor^i`. Loshchilov and Hutter, as above.

    >>> CosineDecayRestarts(1.0, first_period=2, period_factor=2.0).at([0, 1, 2, 4, 6]).round(12)
    array([1. , 0.5, 1. , 0.5, 1. ])
    """

    kind = "cosine_decay_restarts"

    def __init__(
        self,
        learning_rate: float,
        first_period: int,
        period_factor: float = 1.0,
        peak_factor: float = 1.0,
        end: float = 0.0,
    ) -> None:
        self.learning_rate = number(self.kind, "learning_rate", learning_rate, "not negative")
        self.first_period = whole_number(self.kind, "first_period", first_period)
        self.period_factor = number(self.kind, "period_factor", period_factor, "at least 1")
        self.peak_factor = number(self.kind, "peak_factor", peak_factor, "positive")
        self.end = number(self.kind, "end", end, "not negative")

    def rate(self, step: gc.Tensor) -> gc.Tensor:
        """See the class."""
        elapsed, factor = step / float(self.first_period), self.period_factor
        if factor == 1.0:
            period = gc.floor(elapsed)
            share = elapsed - period
        else:
            # Period i starts at 1 + f + ... + f^(i-1) = (f^i - 1) / (f - 1). The logarithm of an exact f^i may come
            # out just below i: no step but the first of a period is as close to its start as 1e-9 of it.
            period = gc.floor(gc.log1p(elapsed * (factor - 1.0)) / math.log(factor) + 1e-9)
            length = _power(factor, period)
            share = gc.maximum(elapsed - (length - 1.0) / (factor - 1.0), 0.0) / length
        peak = self.learning_rate * _power(self.peak_factor, period)
        return self.end + (peak - self.end) * (0.5 + 0.5 * gc.cos(math.pi * share))


class Warmup(Schedule):
    """A straight line from `start` to what `then` begins with, in `steps` steps; and then that.

    Args:
        then: a schedule, which sees its step 0 after the warm-up; or a constant rate.
        steps: how long the line is.
        start: the rate at step 0.

    >>> Warmup(CosineDecay(1.0, decay_steps=10), steps=4).at([0, 1, 4, 9, 14]).round(12)
    array([0.  , 0.25, 1.  , 0.5 , 0.  ])
    """

    kind = "warmup"

    def __init__(self, then: Schedule | float, steps: int, start: float = 0.0) -> None:
        self.then = then if isinstance(then, Schedule) else Constant(then)
        self.steps = whole_number(self.kind, "steps", steps)
        self.start = number(self.kind, "start", start, "not negative")

    def rate(self, step: gc.Tensor) -> gc.Tensor:
        """See the class."""
        peak = self.then.rate(gc.zeros_like(step))
        line = self.start + (peak - self.start) * (step / float(self.steps))
        return gc.where(step < self.steps, line, self.then.rate(gc.maximum(step - float(self.steps), 0.0)))


SCHEDULES: dict[str, type[Schedule]] = {
    schedule.kind: schedule
    for schedule in (
        Constant, CosineDecay, CosineDecayRestarts, ExponentialDecay, InverseTimeDecay, PiecewiseConstant,
        PolynomialDecay, StepDecay, Warmup,
    )
}  # fmt: skip


def schedule_from(config: Mapping[str, Any]) -> Schedule:
    """The schedule that a `config()` describes.

    Raises:
        ArgumentError: there is no such schedule, or it takes no such settings.

    >>> schedule_from(CosineDecay(0.1, 50).config())
    CosineDecay(learning_rate=0.1, decay_steps=50, end=0.0)
    """
    settings = dict(config)
    schedule = gc.arguments.choose("schedule", SCHEDULES, settings.pop("schedule", None))
    for name, value in settings.items():
        gc.arguments.choose(f"setting of {schedule.kind}", inspect.signature(schedule).parameters, name)
        if isinstance(value, Mapping):
            settings[name] = schedule_from(value)
    try:
        return schedule(**settings)
    except TypeError as error:
        raise gc.arguments.refusal(f"{schedule.kind}: {error}") from None
