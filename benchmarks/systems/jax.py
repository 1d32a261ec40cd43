"""The workloads in JAX: `jit`, arrays on the device, parameters donated, images as NHWC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks import by_hand
from benchmarks.program import Program, Programs
from benchmarks.systems import layouts
from benchmarks.workload import Arrays, Inputs, Sizes
from benchmarks.workloads.large_graphs import links
from benchmarks.workloads.rows import EPSILON

jax.config.update("jax_enable_x64", True)  # for rows in float64; float32 stays float32

LIBRARIES = ("jax", "jaxlib", "numpy")

Array = jax.Array


def on_device(arrays: Arrays) -> list[Array]:
    """The arrays as JAX holds them; labels as int32, its own default."""
    return [jnp.asarray(a.astype(np.int32) if a.dtype == np.int64 else a) for a in arrays.values()]


def as_list(last: Any) -> list[np.ndarray]:
    """One result or several, as NumPy arrays."""
    return [np.asarray(array) for array in (last if isinstance(last, (list, tuple)) else [last])]


def pure(compute: Callable[..., Any], layout: layouts.Layout = layouts.AS_IT_IS) -> Callable[[Inputs, Sizes], Program]:
    """The program of a function of arrays, which gets the sizes last."""

    def program(inputs: Inputs, sizes: Sizes) -> Program:
        function = jax.jit(lambda *arrays: compute(*arrays, sizes))
        call = partial(function, *on_device(layout.into(inputs.data)))
        return Program(call, lambda last: layout.back(as_list(last)), jax.block_until_ready)

    return program


def training(
    loss: Callable[..., Array], adapts: bool = False, layout: layouts.Layout = layouts.AS_IT_IS
) -> Callable[[Inputs, Sizes], Program]:
    """The program of a step of gradient descent, or of Adam."""

    def program(inputs: Inputs, sizes: Sizes) -> Program:
        data = on_device(layout.into(inputs.data))
        rate = sizes["rate"]

        def descend(parameters: list[Array], *data: Array) -> tuple[list[Array], Array]:
            value, slopes = jax.value_and_grad(loss)(parameters, *data)
            return [p - rate * g for p, g in zip(parameters, slopes)], value

        def adam(state: Any, *data: Array) -> tuple[Any, Array]:
            parameters, means, squares, step = state
            value, slopes = jax.value_and_grad(loss)(parameters, *data)
            step = step + 1
            means = [m + (1 - by_hand.BETA1) * (g - m) for m, g in zip(means, slopes)]
            squares = [v + (1 - by_hand.BETA2) * (g * g - v) for v, g in zip(squares, slopes)]
            scale, root = rate / (1 - by_hand.BETA1**step), jnp.sqrt(1 - by_hand.BETA2**step)
            moved = [
                p - scale * m / (jnp.sqrt(v) / root + by_hand.EPSILON) for p, m, v in zip(parameters, means, squares)
            ]
            return (moved, means, squares, step), value

        state: Any = on_device(layout.into(inputs.parameters))
        if adapts:
            zeros = [[jnp.zeros_like(p) for p in state] for _ in range(2)]
            state = (state, *zeros, jnp.float32(0))
        step = jax.jit(adam if adapts else descend, donate_argnums=0)

        def call() -> Array:
            nonlocal state
            state, value = step(state, *data)
            return value

        def results(last: Array) -> list[np.ndarray]:
            return layout.back([np.asarray(last), *map(np.asarray, state[0] if adapts else state)])

        return Program(call, results, lambda last: jax.block_until_ready((last, state)))

    return program


def expression(a: Array, b: Array, c: Array, sizes: Sizes) -> Array:
    """Three functions in one expression."""
    return jnp.tanh(a * b + c) * jnp.exp(-a * a) + jnp.log1p(jnp.abs(b))


def layer_norm(x: Array, scale: Array, shift: Array, sizes: Sizes) -> Array:
    """Layer norm of rows."""
    mean = x.mean(axis=1, keepdims=True)
    variance = x.var(axis=1, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + EPSILON) * scale + shift


def logsumexp_gradient(x: Array, sizes: Sizes) -> Array:
    """The gradient of the sum of all rows' logsumexp."""
    return jax.grad(lambda x: jax.nn.logsumexp(x, axis=1).sum())(x)


def matmul(x: Array, y: Array, sizes: Sizes) -> Array:
    """A product of operands that may be stored transposed."""
    left, right = (t.swapaxes(-1, -2) if how == "T" else t for t, how in zip((x, y), sizes["stored"]))
    return left @ right


def logistic_gradient(x: Array, t: Array, w: Array, sizes: Sizes) -> tuple[Array, Array]:
    """Value and gradient of minus the log-likelihood."""

    def loss(w: Array) -> Array:
        score = x @ w
        return (jax.nn.softplus(score) - t * score).sum()

    return jax.value_and_grad(loss)(w)


def cross_entropy(logits: Array, t: Array) -> Array:
    """The mean cross-entropy of logits."""
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), t[:, None], axis=1).mean()


def dense_loss(parameters: Sequence[Array], x: Array, t: Array) -> Array:
    """Dense layers with relu between them."""
    *hidden, (w, b) = zip(parameters[::2], parameters[1::2])
    for before, bias in hidden:
        x = jax.nn.relu(x @ before + bias)
    return cross_entropy(x @ w + b, t)


def autoencoder_loss(parameters: Sequence[Array], x: Array, noise: Array) -> Array:
    """The variational autoencoder's bound."""
    w1, b1, w_mean, b_mean, w_spread, b_spread, w2, b2, w3, b3 = parameters
    hidden = jax.nn.relu(x @ w1 + b1)
    mean, spread = hidden @ w_mean + b_mean, hidden @ w_spread + b_spread
    z = mean + jnp.exp(0.5 * spread) * noise
    logits = jax.nn.relu(z @ w2 + b2) @ w3 + b3
    entropy = (jnp.maximum(logits, 0) - logits * x + jnp.log1p(jnp.exp(-jnp.abs(logits)))).sum()
    return (entropy - 0.5 * (1 + spread - mean * mean - jnp.exp(spread)).sum()) / x.shape[0]


def convolve(x: Array, w: Array, groups: int = 1) -> Array:
    """A convolution of NHWC by HWIO."""
    return lax.conv_general_dilated(
        x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups
    )


def pool(x: Array) -> Array:
    """Max-pooling of NHWC by 2x2."""
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def convolution_gradients(x: Array, w: Array, dy: Array, sizes: Sizes) -> tuple[Array, Array]:
    """The gradients of image and kernel."""
    return jax.vjp(lambda x, w: convolve(x, w, sizes["groups"]), x, w)[1](dy)


def digits_loss(parameters: Sequence[Array], x: Array, t: Array) -> Array:
    """Two convolutions with pooling, two dense layers."""
    k1, c1, k2, c2, *dense = parameters
    for kernel, bias in ((k1, c1), (k2, c2)):
        x = pool(jax.nn.relu(convolve(x, kernel) + bias))
    return dense_loss(dense, x.reshape(x.shape[0], -1), t)


def sequence_loss(parameters: Sequence[Array], x: Array, t: Array) -> Array:
    """An LSTM; its last state through a dense unit."""
    wx, wh, b, w, c = parameters
    start = jnp.zeros((x.shape[0], wh.shape[0]), x.dtype)

    def cell(carried: tuple[Array, Array], gates: Array) -> tuple[tuple[Array, Array], None]:
        h, state = carried
        i, f, g, o = jnp.split(gates + h @ wh, 4, axis=1)
        state = jax.nn.sigmoid(f) * state + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(state), state), None

    (h, _), _ = lax.scan(cell, (start, start), x.swapaxes(0, 1) @ wx + b)
    score = h @ w + c
    return (jax.nn.softplus(score) - t * score).mean()


PROGRAMS: Programs = {
    "add": pure(lambda x, y, sizes: x + y),
    "expression": pure(expression),
    "softmax": pure(lambda x, sizes: jax.nn.softmax(x, axis=1)),
    "layer_norm": pure(layer_norm),
    "logsumexp_gradient": pure(logsumexp_gradient),
    "sum": pure(lambda x, sizes: x.sum(axis=sizes["axis"])),
    "matmul": pure(matmul),
    "logistic_gradient": pure(logistic_gradient),
    "dense_sgd": training(dense_loss),
    "dense_adam": training(dense_loss, adapts=True),
    "autoencoder_sgd": training(autoencoder_loss),
    "digits_sgd": training(digits_loss, layout=layouts.CHANNELS_LAST),
    "sequence_sgd": training(sequence_loss),
    "convolution": pure(lambda x, w, sizes: convolve(x, w, sizes["groups"]), layouts.CHANNELS_LAST),
    "convolution_gradients": pure(convolution_gradients, layouts.CHANNELS_LAST),
    "max_pool": pure(lambda x, sizes: pool(x), layouts.CHANNELS_LAST),
    "max_pool_gradient": pure(lambda x, dy, sizes: jax.vjp(pool, x)[1](dy), layouts.CHANNELS_LAST),
    "deep_sgd": training(dense_loss),
    "chain": pure(lambda x, sizes: links(x, sizes["ops"], jnp.tanh, jnp.maximum)),
}
