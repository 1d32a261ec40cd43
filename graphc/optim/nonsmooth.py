"""Methods for losses with kinks: the subgradient method, and proximal gradients for penalties with a known operator.

Neither goes down at every step, so what the guarantees speak of is not the last iterate: it is kept beside the
parameters, in `kept`, and `adopt` copies it there.

Invariant: the parameters hold the point at which the loss is differentiated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import numpy as np

import graphc as gc
from graphc.optim.arguments import number
from graphc.optim.clipping import global_norm
from graphc.optim.optimizer import Now, Optimizer, Options, Updates, like
from graphc.optim.penalties import Penalty
from graphc.optim.schedules import Schedule

Values = dict[str, gc.Tensor]


class KeepsIterate(Optimizer):
    """An optimiser whose answer is another point than the last one, in the slot `kept_slot`."""

    kept_slot: str | None = None

    @property
    def kept(self) -> dict[gc.Variable, gc.Variable]:
        """For each parameter the variable with the answer so far; empty if that is the parameter itself."""
        return {w: self._slot(w, self.kept_slot) for w in self._state.labels} if self.kept_slot else {}

    def adopt(self) -> None:
        """Copy the answer into the parameters."""
        for parameter, kept in self.kept.items():
            parameter.assign(kept.value)

    def slots(self) -> tuple[str, ...]:
        """What is kept."""
        return (self.kept_slot,) if self.kept_slot else ()

    def initial(self, slot: str, parameter: gc.Variable) -> np.ndarray:
        """It begins with the parameter's value when the updates are built."""
        return parameter.value


class Subgradient(KeepsIterate):
    """The subgradient method, for convex losses with kinks: w <- w - a_k * g, with steps that diminish.

        a_k = learning_rate / (k + 1)^power         k = 0, 1, 2, ...

    divided by the norm of the whole subgradient where `normalized`. A step may go up, so the guarantee is for the best
    iterate, or for the average of iterates weighted by their steps: with power 1/2, their loss comes down to the
    minimum like log(k) / sqrt(k).

    N. Shor: Minimization Methods for Non-Differentiable Functions, 1985; Y. Nesterov: Introductory Lectures on Convex
    Optimization, 2004, section 3.2.3. Which subgradient each op has is in docs/optimisers.md.

    Args:
        learning_rate: a number; or a schedule, which is then a_k itself.
        power: in 0 < x <= 1.
        normalized: whether the step's length is a_k, however long the subgradient is.
        keep: "last", "best" (of the losses given to `updates`) or "average".
        options: see `gc.optim.Options`.

    >>> import graphc as gc
    >>> w = gc.variable([3.0, -2.0], name="w")
    >>> loss = gc.sum(gc.abs(w))
    >>> optimizer = gc.optim.Subgradient(1.0, keep="best")
    >>> step = gc.function([], loss, updates=optimizer.updates(loss, [w]), backend="numpy")
    >>> values = [float(step()) for _ in range(200)]
    >>> optimizer.adopt()
    >>> bool(abs(w.value).sum() == min(values) < 0.1)
    True
    """

    kind = "subgradient"

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        power: float = 0.5,
        normalized: bool = False,
        keep: str = "last",
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.power = number(self.kind, "power", power, "in 0 < x <= 1")
        self.normalized = bool(normalized)
        self.keep = gc.arguments.choose("choice of iterate", {name: name for name in ("last", "best", "average")}, keep)
        self.kept_slot = None if self.keep == "last" else self.keep

    def shared(
        self, rate: gc.Tensor, time: gc.Tensor, gradients: Sequence[gc.Tensor], loss: gc.Tensor | None
    ) -> tuple[Values, Updates]:
        """The length of the step, and how much the present iterate counts."""
        length = gc.constant(1.0)
        if not isinstance(self.learning_rate, Schedule):
            length = gc.pow(time, -self.power)
        values, new = {"length": length}, {}
        if self.normalized:
            norm = global_norm(gradients)
            values["length"] = length / gc.where(norm > 0, norm, 1.0)
        if self.keep == "best":
            if loss is None:
                raise gc.arguments.refusal(
                    "subgradient: the best iterate needs the loss", "use updates, not updates_from"
                )
            best = self._state.scalar("best_loss", math.inf)
            now = gc.astype(loss, "float64")
            values["better"] = now < best
            new[best] = gc.where(values["better"], now, best)
        if self.keep == "average":
            total = self._state.scalar("total_length", 0.0)
            new[total] = total + rate * length
            values["share"] = gc.where(new[total] > 0, rate * length / new[total], 0.0)
        return values, new

    def step(self, w: gc.Variable, g: gc.Tensor, now: Now, slots: Mapping[str, gc.Tensor]) -> tuple[gc.Tensor, Values]:
        """See the class."""
        values = {}
        if self.keep == "best":
            values["best"] = gc.where(now.shared["better"], w, slots["best"])
        if self.keep == "average":
            values["average"] = slots["average"] + like(now.shared["share"], w) * (w - slots["average"])
        return w - like(now.rate * now.shared["length"], w) * g, values


class ProximalGradient(KeepsIterate):
    """Gradient steps on a smooth loss, each followed by the proximal operator of a penalty (`L1`, `ElasticNet`, `Box`):

        w <- prox(w - learning_rate * g, learning_rate)                      ISTA, for the soft threshold of L1

    and, `accelerated` (FISTA), with the gradient taken at a point that looks ahead:

        x' <- prox(w - learning_rate * g, learning_rate)
        t' <- (1 + sqrt(1 + 4 t^2)) / 2                                      from t = 1
        w  <- x' + (t - 1) / t' * (x' - x)

    The loss that is given to `updates` is without the penalty. With a rate of at most 1 / L, L the Lipschitz constant
    of the gradient, the whole comes down to its minimum like 1/k, accelerated like 1/k^2. Where it is accelerated, the
    parameters hold w; the answer, with its exact zeros, is x: in `kept`.

    A. Beck, M. Teboulle: A Fast Iterative Shrinkage-Thresholding Algorithm for Linear Inverse Problems, 2009.

    Args:
        learning_rate: a number or a schedule.
        penalty: one for all parameters; or a dict, by variable or name, for some of them; or None.
        accelerated: whether FISTA is used.
        options: see `gc.optim.Options`.

    >>> import graphc as gc
    >>> w = gc.variable([0.0, 0.0], name="w")
    >>> loss = 0.5 * gc.sum(gc.square(w - [3.0, 0.5]))
    >>> optimizer = gc.optim.ProximalGradient(0.5, penalty=gc.optim.L1(1.0))
    >>> step = gc.function([], w, updates=optimizer.updates(loss, [w]), backend="numpy")
    >>> [step() for _ in range(40)][-1].round(6)
    array([2., 0.])
    """

    kind = "proximal_gradient"

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        penalty: Penalty | Mapping[gc.Variable, Penalty] | Mapping[str, Penalty] | None = None,
        accelerated: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        given: list[Any] = list(penalty.values()) if isinstance(penalty, Mapping) else [penalty]
        for entry in given:
            if not isinstance(entry, Penalty | None):
                raise gc.arguments.refusal(
                    f"{self.kind}: penalty must be a penalty, or a dict of them, not {entry!r}",
                    "gc.optim.L1(0.01) is one",
                )
        self.penalty: Any = penalty
        self.accelerated = bool(accelerated)
        self.kept_slot = "x" if self.accelerated else None

    def shared(
        self, rate: gc.Tensor, time: gc.Tensor, gradients: Sequence[gc.Tensor], loss: gc.Tensor | None
    ) -> tuple[Values, Updates]:
        """How far to look ahead."""
        if not self.accelerated:
            return {}, {}
        t = self._state.scalar("t", 1.0)
        following = 0.5 + 0.5 * gc.sqrt(1.0 + 4.0 * t * t)
        return {"ahead": (t - 1.0) / following}, {t: following}

    def step(self, w: gc.Variable, g: gc.Tensor, now: Now, slots: Mapping[str, gc.Tensor]) -> tuple[gc.Tensor, Values]:
        """See the class."""
        rate = like(now.rate, w)
        x = w - rate * g
        penalty = self._penalty_of(w)
        if penalty is not None:
            x = penalty.prox(x, rate)
        if not self.accelerated:
            return x, {}
        return x + like(now.shared["ahead"], w) * (x - slots["x"]), {"x": x}

    def _penalty_of(self, w: gc.Variable) -> Penalty | None:
        if isinstance(self.penalty, Penalty | None):
            return self.penalty
        return self._state.by_parameter("penalty", self.penalty).get(w)
