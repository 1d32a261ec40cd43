"""The workloads in graphc: symbolic tensors of known extents, one compiled function, parameters as variables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import graphc as gc
from benchmarks import by_hand
from benchmarks.program import NotThereError, Program, Programs
from benchmarks.workload import Inputs, Sizes
from benchmarks.workloads.large_graphs import links
from benchmarks.workloads.rows import EPSILON

LIBRARIES = ("graphc-compiler", "llvmlite", "numpy")

Tensors = Sequence[gc.Tensor]


def settle() -> None:
    """Until the code of the first tier has been replaced."""
    from graphc.backends.llvm import tiers

    tiers.wait()


def placeholders(arrays: dict[str, np.ndarray]) -> list[gc.Tensor]:
    """A placeholder for each array."""
    return [gc.placeholder(array.shape, array.dtype.name, name=name) for name, array in arrays.items()]


def pure(compute: Callable[..., Any], *needed: str) -> Callable[[Inputs, Sizes], Program]:
    """The program of a function of tensors, which gets the sizes last; it needs functions of these names."""

    def program(inputs: Inputs, sizes: Sizes) -> Program:
        require(needed)
        symbols = placeholders(inputs.data)
        function = gc.function(symbols, compute(*symbols, sizes))
        return Program(partial(function, *inputs.data.values()), as_list)

    return program


def training(
    loss: Callable[..., gc.Tensor],
    method: Callable[..., dict[gc.Variable, gc.Tensor]],
    *needed: str,
) -> Callable[[Inputs, Sizes], Program]:
    """The program of a step: the loss of parameters and data, and how parameters follow its gradient."""

    def program(inputs: Inputs, sizes: Sizes) -> Program:
        require(needed)
        symbols = placeholders(inputs.data)
        parameters = [gc.variable(value, name=name) for name, value in inputs.parameters.items()]
        value = loss(parameters, *symbols)
        step = gc.function(symbols, value, updates=method(value, parameters, sizes["rate"]), name="step")
        return Program(partial(step, *inputs.data.values()), lambda last: [last, *(p.value for p in parameters)])

    return program


def require(names: Sequence[str]) -> None:
    """Make sure that this version has these functions."""
    missing = [f"gc.{name}" for name in names if not hasattr(gc, name)]
    if missing:
        raise NotThereError(f"{', '.join(missing)}: not in this version")


def as_list(found: Any) -> list[np.ndarray]:
    """One array, or several."""
    return list(found) if isinstance(found, (list, tuple)) else [found]


def descent(loss: gc.Tensor, parameters: Sequence[gc.Variable], rate: float) -> dict[gc.Variable, gc.Tensor]:
    """Gradient descent."""
    return {p: p - rate * g for p, g in zip(parameters, gc.grad(loss, parameters))}


def adam(loss: gc.Tensor, parameters: Sequence[gc.Variable], rate: float) -> dict[gc.Variable, gc.Tensor]:
    """Adam."""
    step = gc.variable(np.float32(0), name="step")
    now = step + 1
    scale, root = rate / (1 - by_hand.BETA1**now), gc.sqrt(1 - by_hand.BETA2**now)
    updates = {step: now}
    for p, g in zip(parameters, gc.grad(loss, parameters)):
        m, v = (gc.variable(np.zeros(p.shape, np.float32)) for _ in range(2))
        mean, square = m + (1 - by_hand.BETA1) * (g - m), v + (1 - by_hand.BETA2) * (g * g - v)
        updates |= {m: mean, v: square, p: p - scale * mean / (gc.sqrt(square) / root + by_hand.EPSILON)}
    return updates


def expression(a: gc.Tensor, b: gc.Tensor, c: gc.Tensor, sizes: Sizes) -> gc.Tensor:
    """Three functions in one expression."""
    return gc.tanh(a * b + c) * gc.exp(-a * a) + gc.log1p(gc.abs(b))


def layer_norm(x: gc.Tensor, scale: gc.Tensor, shift: gc.Tensor, sizes: Sizes) -> gc.Tensor:
    """Layer norm of rows."""
    centred = x - gc.mean(x, axis=1, keepdims=True)
    variance = gc.mean(centred * centred, axis=1, keepdims=True)
    return centred * gc.rsqrt(variance + EPSILON) * scale + shift


def matmul(x: gc.Tensor, y: gc.Tensor, sizes: Sizes) -> gc.Tensor:
    """A product of operands that may be stored transposed."""
    left, right = (gc.matrix_transpose(t) if how == "T" else t for t, how in zip((x, y), sizes["stored"]))
    return left @ right


def logistic_gradient(x: gc.Tensor, t: gc.Tensor, w: gc.Tensor, sizes: Sizes) -> list[gc.Tensor]:
    """Value and gradient of minus the log-likelihood."""
    loss = gc.sum(gc.binary_cross_entropy_from_logits(x @ w, t))
    return [loss, *gc.grad(loss, [w])]


def dense_loss(parameters: Tensors, x: gc.Tensor, t: gc.Tensor) -> gc.Tensor:
    """Dense layers with relu between them, mean cross-entropy."""
    *hidden, (w, b) = zip(parameters[::2], parameters[1::2])
    for before, bias in hidden:
        x = gc.relu(x @ before + bias)
    return gc.mean(gc.cross_entropy(x @ w + b, t))


def autoencoder_loss(parameters: Tensors, x: gc.Tensor, noise: gc.Tensor) -> gc.Tensor:
    """The variational autoencoder's bound."""
    w1, b1, w_mean, b_mean, w_spread, b_spread, w2, b2, w3, b3 = parameters
    hidden = gc.relu(x @ w1 + b1)
    mean, spread = hidden @ w_mean + b_mean, hidden @ w_spread + b_spread
    z = mean + gc.exp(0.5 * spread) * noise
    logits = gc.relu(z @ w2 + b2) @ w3 + b3
    entropy = gc.sum(gc.binary_cross_entropy_from_logits(logits, x))
    return (entropy - 0.5 * gc.sum(1 + spread - mean * mean - gc.exp(spread))) / x.shape[0]


def digits_loss(parameters: Tensors, x: gc.Tensor, t: gc.Tensor) -> gc.Tensor:
    """Two convolutions with pooling, two dense layers."""
    k1, c1, k2, c2, *dense = parameters
    for kernel, bias in ((k1, c1), (k2, c2)):
        x = gc.max_pool(gc.relu(gc.conv(x, kernel) + gc.reshape(bias, (-1, 1, 1))), 2)
    return dense_loss(dense, gc.reshape(x, (x.shape[0], -1)), t)


def sequence_loss(parameters: Tensors, x: gc.Tensor, t: gc.Tensor) -> gc.Tensor:
    """An LSTM; its last state through a dense unit."""
    wx, wh, b, w, c = parameters
    start = gc.zeros((x.shape[0], wh.shape[0]), "float32")

    def cell(gates: gc.Tensor, h: gc.Tensor, state: gc.Tensor) -> tuple[gc.Tensor, gc.Tensor]:
        i, f, g, o = gc.split(gates + h @ wh, 4, axis=1)
        state = gc.sigmoid(f) * state + gc.sigmoid(i) * gc.tanh(g)
        return gc.sigmoid(o) * gc.tanh(state), state

    gates = gc.permute_dims(x, (1, 0, 2)) @ wx + b
    h, _ = gc.scan(cell, sequences=[gates], init=[start, start]).last
    return gc.mean(gc.binary_cross_entropy_from_logits(h @ w + c, t))


def convolution_gradients(x: gc.Tensor, w: gc.Tensor, dy: gc.Tensor, sizes: Sizes) -> list[gc.Tensor]:
    """The gradients of image and kernel."""
    return gc.vjp(gc.conv(x, w, groups=sizes["groups"]), [x, w], dy)


PROGRAMS: Programs = {
    "add": pure(lambda x, y, sizes: x + y),
    "expression": pure(expression),
    "softmax": pure(lambda x, sizes: gc.softmax(x, axis=1)),
    "layer_norm": pure(layer_norm),
    "logsumexp_gradient": pure(lambda x, sizes: gc.grad(gc.sum(gc.logsumexp(x, axis=1)), [x])[0]),
    "sum": pure(lambda x, sizes: gc.sum(x, axis=sizes["axis"])),
    "matmul": pure(matmul),
    "logistic_gradient": pure(logistic_gradient),
    "dense_sgd": training(dense_loss, descent),
    "dense_adam": training(dense_loss, adam),
    "autoencoder_sgd": training(autoencoder_loss, descent),
    "digits_sgd": training(digits_loss, descent, "conv", "max_pool"),
    "sequence_sgd": training(sequence_loss, descent, "scan"),
    "convolution": pure(lambda x, w, sizes: gc.conv(x, w, groups=sizes["groups"]), "conv"),
    "convolution_gradients": pure(convolution_gradients, "conv"),
    "max_pool": pure(lambda x, sizes: gc.max_pool(x, 2), "max_pool"),
    "max_pool_gradient": pure(lambda x, dy, sizes: gc.vjp(gc.max_pool(x, 2), [x], dy), "max_pool"),
    "deep_sgd": training(dense_loss, descent),
    "chain": pure(lambda x, sizes: links(x, sizes["ops"], gc.tanh, gc.maximum)),
}
