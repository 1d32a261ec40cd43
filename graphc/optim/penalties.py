"""Penalties with a proximal operator: what `ProximalGradient` adds to a smooth loss.

The proximal operator of a convex function R answers: which point is near v, and has a small R?

    prox(v, t) = argmin over w of  R(w) + |w - v|^2 / (2 t)

N. Parikh, S. Boyd: Proximal Algorithms, 2014.

Invariant: an operator keeps shape and dtype, and NaN stays.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import graphc as gc
from graphc.optim.arguments import number


class Penalty(gc.arguments.Checked):
    """A convex function of a parameter; called with it, it gives its value, a scalar."""

    kind: ClassVar[str] = ""

    def __call__(self, w: gc.Tensor) -> gc.Tensor:
        """R(w), to be added to the loss for reports."""
        raise NotImplementedError

    def prox(self, v: gc.Tensor, step: gc.Tensor) -> gc.Tensor:
        """The proximal operator at `v`, with the scalar `step` of v's dtype."""
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        """The penalty as plain data."""
        return {"penalty": self.kind, **{p: getattr(self, p) for p in inspect.signature(type(self)).parameters}}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.config().items() if k != 'penalty')})"


def soft_threshold(v: gc.Tensor, threshold: gc.Tensor | float) -> gc.Tensor:
    """sign(v) * max(|v| - threshold, 0): moved towards 0 by the threshold, and exactly 0 within it.

    >>> import graphc as gc
    >>> gc.function([], soft_threshold(gc.constant([-3.0, 0.5, 2.0]), 1.0), backend="numpy")()
    array([-2.,  0.,  1.])
    """
    return v - gc.clip(v, -threshold, threshold)


class L1(Penalty):
    """strength * sum(|w|), the lasso's; its operator is the soft threshold, which makes weights exactly 0.

    R. Tibshirani: Regression Shrinkage and Selection via the Lasso, 1996.

    >>> import graphc as gc
    >>> gc.optim.L1(0.1)
    L1(strength=0.1)
    """

    kind = "l1"

    def __init__(self, strength: float) -> None:
        self.strength = number(self.kind, "strength", strength, "not negative")

    def __call__(self, w: gc.Tensor) -> gc.Tensor:
        """See the class."""
        return self.strength * gc.sum(gc.abs(w))

    def prox(self, v: gc.Tensor, step: gc.Tensor) -> gc.Tensor:
        """See the class."""
        return soft_threshold(v, step * self.strength)


class ElasticNet(Penalty):
    """l1 * sum(|w|) + l2 / 2 * sum(w^2).

    H. Zou, T. Hastie: Regularization and Variable Selection via the Elastic Net, 2005.

    >>> import graphc as gc
    >>> gc.optim.ElasticNet(0.1, 0.01)
    ElasticNet(l1=0.1, l2=0.01)
    """

    kind = "elastic_net"

    def __init__(self, l1: float, l2: float) -> None:
        self.l1 = number(self.kind, "l1", l1, "not negative")
        self.l2 = number(self.kind, "l2", l2, "not negative")

    def __call__(self, w: gc.Tensor) -> gc.Tensor:
        """See the class."""
        return self.l1 * gc.sum(gc.abs(w)) + 0.5 * self.l2 * gc.sum(w * w)

    def prox(self, v: gc.Tensor, step: gc.Tensor) -> gc.Tensor:
        """See the class."""
        return soft_threshold(v, step * self.l1) / (1.0 + step * self.l2)


class Box(Penalty):
    """0 where low <= w <= high everywhere, else infinity; its operator is the projection onto the box.

    With it, `ProximalGradient` is projected gradient descent. A side that is None is open.

    >>> import graphc as gc
    >>> gc.optim.Box(low=0.0)  # weights that are not negative
    Box(low=0.0, high=None)
    """

    kind = "box"

    def __init__(self, low: float | None = None, high: float | None = None) -> None:
        self.low, self.high = (None if x is None else number(self.kind, "a side", x, "finite") for x in (low, high))
        if self.low is not None and self.high is not None and self.low > self.high:
            raise gc.arguments.refusal(f"box: low must not exceed high, {low!r} does {high!r}")

    def __call__(self, w: gc.Tensor) -> gc.Tensor:
        """See the class."""
        outside = gc.any(gc.not_equal(self.prox(w, w), w))
        return gc.astype(gc.where(outside, math.inf, 0.0), w.dtype)

    def prox(self, v: gc.Tensor, step: gc.Tensor) -> gc.Tensor:
        """See the class."""
        return gc.clip(v, self.low, self.high)


PENALTIES: dict[str, type[Penalty]] = {penalty.kind: penalty for penalty in (L1, ElasticNet, Box)}


def penalty_from(config: Mapping[str, Any]) -> Penalty:
    """The penalty that a `config()` describes.

    Raises:
        ArgumentError: there is no such penalty, or it takes no such settings.

    >>> penalty_from(L1(0.1).config())
    L1(strength=0.1)
    """
    settings = dict(config)
    penalty = gc.arguments.choose("penalty", PENALTIES, settings.pop("penalty", None))
    try:
        return penalty(**settings)
    except TypeError as error:
        raise gc.arguments.refusal(f"{penalty.kind}: {error}") from None
