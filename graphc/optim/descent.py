"""Gradient descent, with and without momentum.

Invariant: of a batch of all examples, or of a random one (stochastic gradient descent), the formulas are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

import graphc as gc
from graphc.optim.arguments import number
from graphc.optim.optimizer import Now, Optimizer, Options, like
from graphc.optim.schedules import Schedule

Values = dict[str, gc.Tensor]


class GradientDescent(Optimizer):
    """w <- w - learning_rate * g.

    A. Cauchy, 1847; of random examples, with rates that diminish: H. Robbins, S. Monro: A Stochastic Approximation
    Method, 1951.

    Args:
        learning_rate: a number or a schedule.
        options: see `gc.optim.Options`.

    >>> import graphc as gc
    >>> w = gc.variable(1.0, name="w")
    >>> updates = gc.optim.GradientDescent(0.25).updates(w * w, [w])
    >>> step = gc.function([], w, updates=updates, backend="numpy")
    >>> step(), step(), step()
    (array(1.), array(0.5), array(0.25))
    """

    kind = "gradient_descent"

    def __init__(self, learning_rate: float | Schedule = 0.01, **options: Unpack[Options]) -> None:
        super().__init__(learning_rate, **options)

    def step(self, w: gc.Variable, g: gc.Tensor, now: Now, slots: Mapping[str, gc.Tensor]) -> tuple[gc.Tensor, Values]:
        """See the class."""
        return w - like(now.rate, w) * g, {}


class SGD(Optimizer):
    """Gradient descent with momentum:

        v <- momentum * v + g
        w <- w - learning_rate * v                        B. Polyak: Some methods of speeding up the convergence of
                                                          iteration methods, 1964 (the heavy ball)
        w <- w - learning_rate * (g + momentum * v)       with `nesterov`; Y. Nesterov: A method for solving the convex
                                                          programming problem with convergence rate O(1/k^2), 1983, in
                                                          the form of I. Sutskever et al., 2013

    The velocity v is of gradients, as in PyTorch. Keras keeps learning_rate * v, which is the same as long as the rate
    does not change. Without momentum there is no state, and it is `GradientDescent`.

    Args:
        learning_rate: a number or a schedule.
        momentum: in 0 <= x < 1.
        nesterov: whether the gradient looks ahead; needs momentum.
        options: see `gc.optim.Options`.

    >>> import graphc as gc
    >>> gc.optim.SGD(0.1, momentum=0.9, nesterov=True)
    SGD(learning_rate=0.1, momentum=0.9, nesterov=True)
    """

    kind = "sgd"

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.momentum = number(self.kind, "momentum", momentum, "in 0 <= x < 1")
        self.nesterov = bool(nesterov)
        if self.nesterov and not self.momentum:
            raise gc.arguments.refusal("sgd: nesterov needs a momentum")

    def slots(self) -> tuple[str, ...]:
        """The velocity, if there is momentum."""
        return ("velocity",) if self.momentum else ()

    def step(self, w: gc.Variable, g: gc.Tensor, now: Now, slots: Mapping[str, gc.Tensor]) -> tuple[gc.Tensor, Values]:
        """See the class."""
        rate = like(now.rate, w)
        if not self.momentum:
            return w - rate * g, {}
        velocity = self.momentum * slots["velocity"] + g
        direction = g + self.momentum * velocity if self.nesterov else velocity
        return w - rate * direction, {"velocity": velocity}
