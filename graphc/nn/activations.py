"""Activation functions by name, reached as `gc.nn.activations`: the table that `activation="relu"` chooses from.

Invariant: each takes a tensor and gives one of the same shape; a name is the same in a layer's config.
"""

from __future__ import annotations

from collections.abc import Callable

import graphc as gc

Activation = Callable[[gc.Tensor], gc.Tensor]


def linear(x: gc.Tensor) -> gc.Tensor:
    """x itself.

    >>> import graphc as gc
    >>> x = gc.placeholder((3,))
    >>> gc.nn.activations.linear(x) is x
    True
    """
    return x


def selu(x: gc.Tensor) -> gc.Tensor:
    """A scaled elu, under which mean 0 and variance 1 are a fixed point.

    G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter: Self-Normalizing Neural Networks, 2017.

    >>> import graphc as gc
    >>> gc.nn.activations.selu(gc.placeholder((3,))).type
    f32[3]
    """
    return 1.0507009873554805 * gc.elu(x, 1.6732632423543772)


def softsign(x: gc.Tensor) -> gc.Tensor:
    """x / (1 + |x|), elementwise.

    >>> import graphc as gc
    >>> gc.nn.activations.softsign(gc.placeholder((3,))).type
    f32[3]
    """
    return x / (1.0 + gc.abs(x))


def hard_sigmoid(x: gc.Tensor) -> gc.Tensor:
    """x / 6 + 1/2, clipped to 0 and 1.

    >>> import graphc as gc
    >>> gc.nn.activations.hard_sigmoid(gc.placeholder((3,))).type
    f32[3]
    """
    return gc.clip(x / 6.0 + 0.5, 0.0, 1.0)


def relu6(x: gc.Tensor) -> gc.Tensor:
    """x clipped to 0 and 6.

    >>> import graphc as gc
    >>> gc.nn.activations.relu6(gc.placeholder((3,))).type
    f32[3]
    """
    return gc.clip(x, 0.0, 6.0)


def mish(x: gc.Tensor) -> gc.Tensor:
    """x tanh(softplus(x)), elementwise.

    D. Misra: Mish: A Self Regularized Non-Monotonic Activation Function, 2019.

    >>> import graphc as gc
    >>> gc.nn.activations.mish(gc.placeholder((3,))).type
    f32[3]
    """
    return x * gc.tanh(gc.softplus(x))


def softmax(x: gc.Tensor) -> gc.Tensor:
    """Softmax along the last axis.

    >>> import graphc as gc
    >>> gc.nn.activations.softmax(gc.placeholder((2, 3))).type
    f32[2,3]
    """
    return gc.softmax(x, axis=-1)


def log_softmax(x: gc.Tensor) -> gc.Tensor:
    """The logarithm of softmax along the last axis.

    >>> import graphc as gc
    >>> gc.nn.activations.log_softmax(gc.placeholder((2, 3))).type
    f32[2,3]
    """
    return gc.log_softmax(x, axis=-1)


#: Name -> function; what `get` chooses from.
ACTIVATIONS: dict[str, Activation] = {
    "elu": gc.elu,
    "exp": gc.exp,
    "gelu": gc.gelu,
    "hard_sigmoid": hard_sigmoid,
    "leaky_relu": gc.leaky_relu,
    "linear": linear,
    "log_sigmoid": gc.log_sigmoid,
    "log_softmax": log_softmax,
    "mish": mish,
    "relu": gc.relu,
    "relu6": relu6,
    "selu": selu,
    "sigmoid": gc.sigmoid,
    "silu": gc.silu,
    "softmax": softmax,
    "softplus": gc.softplus,
    "softsign": softsign,
    "swish": gc.silu,
    "tanh": gc.tanh,
}


def get(activation: str | Activation | None) -> Activation:
    """The function of that name; None is `linear`, a function is itself.

    Raises:
        ArgumentError: there is none of that name.

    >>> import graphc as gc
    >>> gc.nn.activations.get("relu") is gc.relu, gc.nn.activations.get(None)
    (True, <function linear at ...>)
    """
    if activation is None:
        return linear
    if callable(activation):
        return activation
    return gc.arguments.choose("activation", ACTIVATIONS, activation)


__all__ = [
    "ACTIVATIONS",
    "get",
    "hard_sigmoid",
    "linear",
    "log_softmax",
    "mish",
    "relu6",
    "selu",
    "softmax",
    "softsign",
]
