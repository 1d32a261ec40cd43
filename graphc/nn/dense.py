"""`Dense`: activation(x @ weight + bias).

Invariant: the weight is (in, out), and only the last axis of the input is used up.
"""

from __future__ import annotations

from typing import Any

import graphc as gc
from graphc.nn import activations, initializers
from graphc.nn.activations import Activation
from graphc.nn.checking import flag, positive_integer
from graphc.nn.initializers import Initializer
from graphc.nn.layer import Layer


class Dense(Layer):
    """A fully connected layer on the last axis: (..., in) -> (..., units).

    Args:
        units: the number of outputs.
        activation: what follows, by name or as a function.
        use_bias: whether a bias is added.
        weight_init, bias_init: initialisers, by name, config or as objects.

    Raises:
        ArgumentError: an argument is not what it should be.
        ShapeError: at the call: the input is a scalar, or its last extent is not known or has changed.

    >>> import graphc as gc
    >>> hidden = gc.nn.Dense(10, activation="relu", name="hidden")
    >>> hidden(gc.nn.Input((30,))).type, {name: v.shape for name, v in hidden.parameters.items()}
    (f32[batch,10], {'hidden.weight': (30, 10), 'hidden.bias': (10,)})
    """

    def __init__(
        self,
        units: int,
        activation: str | Activation | None = None,
        *,
        use_bias: bool = True,
        weight_init: str | Initializer | dict[str, Any] = "glorot_uniform",
        bias_init: str | Initializer | dict[str, Any] = "zeros",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.units = positive_integer(self.name, "units", units)
        self.activation = activations.get(activation)
        self.use_bias = flag(self.name, "use_bias", use_bias)
        self.weight_init = initializers.get(weight_init)
        self.bias_init = initializers.get(bias_init)

    def build(self, x: gc.Tensor) -> None:
        """Make weight and bias."""
        self.expect_axes(x, 1, "(..., features)")
        features = self.extent(x, -1, "the number of features")
        self.weight = self.parameter("weight", (features, self.units), self.weight_init)
        self.bias = self.parameter("bias", (self.units,), self.bias_init) if self.use_bias else None

    def call(self, x: gc.Tensor) -> gc.Tensor:
        """activation(x @ weight + bias)."""
        y = gc.matmul(self.operand(x), self.weight)
        return self.activation(y if self.bias is None else y + self.bias)
