"""Functions as layers: `Activation`, by name, and `Lambda`, any function.

Invariant: neither has parameters of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import graphc as gc
from graphc.nn import activations
from graphc.nn.layer import Layer


class Activation(Layer):
    """An activation function as a layer.

    Args:
        activation: its name, or a function of one tensor.

    Raises:
        ArgumentError: there is none of that name.

    >>> import graphc as gc
    >>> gc.nn.Activation("relu")(gc.nn.Input((3,))).type
    f32[batch,3]
    """

    def __init__(self, activation: str | activations.Activation | None, **options: Any) -> None:
        super().__init__(**options)
        self.activation = activations.get(activation)

    def call(self, x: gc.Tensor) -> gc.Tensor:
        """activation(x)."""
        return self.activation(self.operand(x))


class Lambda(Layer):
    """Any function of tensors as a layer, so that a functional model can hold it.

    Its config names the function but cannot make it again: a saved model needs no config, it holds the graph.

    Args:
        function: takes tensors, gives a tensor or a tuple of tensors.

    Raises:
        ArgumentError: it is no function.

    >>> import graphc as gc
    >>> gc.nn.Lambda(lambda x: x[:, -1])(gc.nn.Input((10, 3))).type
    f32[batch,3]
    """

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        super().__init__(**options)
        if not callable(function):
            self.refuse(gc.ArgumentError, f"{function!r} is no function")
        self.function = function

    def call(self, *inputs: Any, **options: Any) -> Any:
        """function(*inputs)."""
        return self.function(*inputs, **options)
