"""Optimisers whose rate follows the size of each weight's past gradients: Adagrad, RMSProp, Adadelta.

Invariant: squares are averaged per element and are never negative, so no root is NaN unless a gradient is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

import numpy as np

import graphc as gc
from graphc.optim.arguments import number
from graphc.optim.optimizer import Now, Optimizer, Options, like
from graphc.optim.schedules import Schedule

Values = dict[str, gc.Tensor]


class Adagrad(Optimizer):
    """The rate of each weight falls with the sum of its squared gradients:

        s <- s + g^2
        w <- w - learning_rate * g / (sqrt(s) + epsilon)

    J. Duchi, E. Hazan, Y. Singer: Adaptive Subgradient Methods for Online Learning and Stochastic Optimization, 2011.

    Args:
        learning_rate: a number or a schedule.
        initial_accumulator: what s begins with; Keras' default is 0.1.
        epsilon: keeps the quotient finite where s is 0.
        options: see `gc.optim.Options`.

    >>> import graphc as gc
    >>> gc.optim.Adagrad(0.1)
    Adagrad(learning_rate=0.1, initial_accumulator=0.0, epsilon=1e-10)
    """

    kind = "adagrad"

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        initial_accumulator: float = 0.0,
        epsilon: float = 1e-10,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.initial_accumulator = number(self.kind, "initial_accumulator", initial_accumulator, "not negative")
        self.epsilon = number(self.kind, "epsilon", epsilon, "positive")

    def slots(self) -> tuple[str, ...]:
        """The sum of squares."""
        return ("squares",)

    def initial(self, slot: str, parameter: gc.Variable) -> np.ndarray:
        """The sum begins with `initial_accumulator`."""
        return np.full_like(parameter.value, self.initial_accumulator)

    def step(self, w: gc.Variable, g: gc.Tensor, now: Now, slots: Mapping[str, gc.Tensor]) -> tuple[gc.Tensor, Values]:
        """See the class."""
        squares = slots["squares"] + g * g
        return w - like(now.rate, w) * g / (gc.sqrt(squares) + self.epsilon), {"squares": squares}


class RMSProp(Optimizer):
    """Adagrad with a sum that forgets:

        s <- rho * s + (1 - rho) * g^2
        w <- w - learning_rate * g / (sqrt(s) + epsilon)

    `centered` divides by the deviation from a mean gradient m instead, sqrt(max(s - m^2, 0)) + epsilon with
    m <- rho * m + (1 - rho) * g (A. Graves: Generating Sequences With Recurrent Neural Networks, 2013). With momentum,
    the quotient q is gathered: v <- momentum * v + q, w <- w - learning_rate * v.

    T. Tieleman, G. Hinton: Lecture 6.5 - RMSProp, COURSERA: Neural Networks for Machine Learning, 2012.

    Args:
        learning_rate: a number or a schedule.
        rho: how much of s is kept at each step; PyTorch's default is 0.99.
        momentum: in 0 <= x < 1.
        epsilon: keeps the quotient finite where s is 0.
        centered: whether the mean gradient is subtracted.
        options: see `gc.optim.Options`.

    >>> import graphc as gc
    >>> gc.optim.RMSProp(momentum=0.9, centered=True).slots()
    ('squares', 'mean', 'velocity')
    """

    kind = "rmsprop"

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.rho = number(self.kind, "rho", rho, "in 0 <= x < 1")
        self.momentum = number(self.kind, "momentum", momentum, "in 0 <= x < 1")
        self.epsilon = number(self.kind, "epsilon", epsilon, "positive")
        self.centered = bool(centered)

    def slots(self) -> tuple[str, ...]:
        """The mean square; the mean and the velocity where there are such."""
        return ("squares", *(["mean"] if self.centered else []), *(["velocity"] if self.momentum else []))

    def step(self, w: gc.Variable, g: gc.Tensor, now: Now, slots: Mapping[str, gc.Tensor]) -> tuple[gc.Tensor, Values]:
        """See the class."""
        values = {"squares": self.rho * slots["squares"] + (1 - self.rho) * (g * g)}
        spread = values["squares"]
        if self.centered:
            values["mean"] = self.rho * slots["mean"] + (1 - self.rho) * g
            # Rounding may make the difference slightly negative.
            spread = gc.maximum(spread - values["mean"] * values["mean"], 0)
        direction = g / (gc.sqrt(spread) + self.epsilon)
        if self.momentum:
            direction = values["velocity"] = self.momentum * slots["velocity"] + direction
        return w - like(now.rate, w) * direction, values


class Adadelta(Optimizer):
    """Steps in the units of the weights: as large, on average, as the last steps were.

        s <- rho * s + (1 - rho) * g^2
        d = sqrt(u + epsilon) / sqrt(s + epsilon) * g
        u <- rho * u + (1 - rho) * d^2
        w <- w - learning_rate * d

    M. Zeiler: ADADELTA: An Adaptive Learning Rate Method, 2012; its rate is 1.

    Args:
        learning_rate: a number or a schedule.
        rho: how much of the means is kept at each step.
        epsilon: begins the first step, and keeps the quotient finite.
        options: see `gc.optim.Options`.

    >>> import graphc as gc
    >>> gc.optim.Adadelta()
    Adadelta(learning_rate=1.0, rho=0.95, epsilon=1e-06)
    """

    kind = "adadelta"

    def __init__(
        self,
        learning_rate: float | Schedule = 1.0,
        rho: float = 0.95,
        epsilon: float = 1e-6,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.rho = number(self.kind, "rho", rho, "in 0 <= x < 1")
        self.epsilon = number(self.kind, "epsilon", epsilon, "positive")

    def slots(self) -> tuple[str, ...]:
        """The mean squares of gradients and of steps."""
        return ("squares", "steps")

    def step(self, w: gc.Variable, g: gc.Tensor, now: Now, slots: Mapping[str, gc.Tensor]) -> tuple[gc.Tensor, Values]:
        """See the class."""
        squares = self.rho * slots["squares"] + (1 - self.rho) * (g * g)
        delta = gc.sqrt(slots["steps"] + self.epsilon) / gc.sqrt(squares + self.epsilon) * g
        steps = self.rho * slots["steps"] + (1 - self.rho) * (delta * delta)
        return w - like(now.rate, w) * delta, {"squares": squares, "steps": steps}
