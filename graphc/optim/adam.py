"""Adam and AdamW.

Invariant: the corrections of the moments' bias are computed in float64 from the step alone, so they are no state and
have no rounding of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

import graphc as gc
from graphc.optim.arguments import number
from graphc.optim.optimizer import Now, Optimizer, Options, like
from graphc.optim.schedules import Schedule

Values = dict[str, gc.Tensor]


class Adam(Optimizer):
    """Momentum divided by the root of the mean square, both corrected for beginning at zero; t counts steps from 1.

        m <- beta1 * m + (1 - beta1) * g
        v <- beta2 * v + (1 - beta2) * g^2
        w <- w - learning_rate * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon)

    D. Kingma, J. Ba: Adam: A Method for Stochastic Optimization, 2015. With `amsgrad`, v is replaced in the last line
    by the largest v so far (S. Reddi, S. Kale, S. Kumar: On the Convergence of Adam and Beyond, 2018).

    Args:
        learning_rate: a number or a schedule.
        beta1, beta2: how much of the moments is kept at each step.
        epsilon: keeps the quotient finite; Keras' default is 1e-7.
        amsgrad: whether the divisor never falls.
        options: see `gc.optim.Options`; `weight_decay` adds to the gradient, and so to the moments.

    >>> import graphc as gc
    >>> w = gc.variable(1.0, name="w")
    >>> updates = gc.optim.Adam(0.125).updates(w * w, [w])
    >>> step = gc.function([], w, updates=updates, backend="numpy")
    >>> _, second = step(), step()
    >>> second.round(6)  # the first step is as long as the learning rate
    np.float64(0.875)
    """

    kind = "adam"

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        amsgrad: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta1 = number(self.kind, "beta1", beta1, "in 0 <= x < 1")
        self.beta2 = number(self.kind, "beta2", beta2, "in 0 <= x < 1")
        self.epsilon = number(self.kind, "epsilon", epsilon, "positive")
        self.amsgrad = bool(amsgrad)

    def slots(self) -> tuple[str, ...]:
        """The moments, and the largest second one for `amsgrad`."""
        return ("m", "v", "v_max") if self.amsgrad else ("m", "v")

    def step(self, w: gc.Variable, g: gc.Tensor, now: Now, slots: Mapping[str, gc.Tensor]) -> tuple[gc.Tensor, Values]:
        """See the class."""
        values = {
            "m": self.beta1 * slots["m"] + (1 - self.beta1) * g,
            "v": self.beta2 * slots["v"] + (1 - self.beta2) * (g * g),
        }
        v = values["v"]
        if self.amsgrad:
            v = values["v_max"] = gc.maximum(slots["v_max"], v)
        rate = like(now.rate / (1 - gc.pow(self.beta1, now.time)), w)
        root = like(1 / gc.sqrt(1 - gc.pow(self.beta2, now.time)), w)
        kept = like(1 - now.rate * now.decay, w) * w if now.decay else w
        return kept - rate * values["m"] / (gc.sqrt(v) * root + self.epsilon), values


class AdamW(Adam):
    """Adam with weight decay that does not go through the moments:

        w <- (1 - learning_rate * weight_decay) * w - the step of Adam

    I. Loshchilov, F. Hutter: Decoupled Weight Decay Regularization, 2019; the learning rate is the paper's
    eta_t * alpha.

    Args:
        learning_rate, beta1, beta2, epsilon, amsgrad: as for `Adam`.
        options: see `gc.optim.Options`; `weight_decay` is 0.01 where it is not given, and `undecayed` names exceptions,
            such as biases.

    >>> import graphc as gc
    >>> gc.optim.AdamW(0.001, undecayed=["dense1.bias"]).weight_decay
    0.01
    """

    kind = "adamw"
    usual_decay = 0.01
    decoupled_decay = True
