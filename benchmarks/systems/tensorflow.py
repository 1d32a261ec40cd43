"""The workloads in TensorFlow: `tf.function` of known extents, by XLA except where its own kernels are faster.

Images are NHWC, the only layout that TensorFlow's CPU kernels take.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks import by_hand
from benchmarks.program import Program, Programs
from benchmarks.systems import layouts
from benchmarks.workload import Arrays, Inputs, Sizes
from benchmarks.workloads.large_graphs import links
from benchmarks.workloads.rows import EPSILON

tf.config.threading.set_intra_op_parallelism_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
tf.config.threading.set_inter_op_parallelism_threads(1)

LIBRARIES = ("tensorflow-cpu", "keras", "numpy")

Tensor = tf.Tensor


def tensors(arrays: Arrays) -> list[Tensor]:
    """The arrays as constants; labels as int32."""
    return [tf.constant(a.astype(np.int32) if a.dtype == np.int64 else a) for a in arrays.values()]


def as_list(last: Any) -> list[np.ndarray]:
    """One result or several, as NumPy arrays."""
    return [np.asarray(t) for t in (last if isinstance(last, (list, tuple)) else [last])]


def pure(
    compute: Callable[..., Any], xla: bool = True, layout: layouts.Layout = layouts.AS_IT_IS
) -> Callable[[Inputs, Sizes], Program]:
    """The program of a function of tensors, which gets the sizes last."""

    def program(inputs: Inputs, sizes: Sizes) -> Program:
        arrays = tensors(layout.into(inputs.data))
        function = tf.function(lambda *arrays: compute(*arrays, sizes), jit_compile=xla, autograph=False)
        concrete = function.get_concrete_function(*(tf.TensorSpec(t.shape, t.dtype) for t in arrays))
        return Program(partial(concrete, *arrays), lambda last: layout.back(as_list(last)))

    return program


def training(
    loss: Callable[..., Tensor],
    adapts: bool = False,
    xla: bool = True,
    layout: layouts.Layout = layouts.AS_IT_IS,
) -> Callable[[Inputs, Sizes], Program]:
    """The program of a step of gradient descent, or of Adam."""

    def program(inputs: Inputs, sizes: Sizes) -> Program:
        data = tensors(layout.into(inputs.data))
        parameters = [tf.Variable(p) for p in layout.into(inputs.parameters).values()]
        moments = [[tf.Variable(tf.zeros_like(p)) for p in parameters] for _ in range(2 * adapts)]
        count, rate = tf.Variable(0.0), sizes["rate"]

        def step(*data: Tensor) -> Tensor:
            with tf.GradientTape() as tape:
                value = loss(parameters, *data)
            slopes = tape.gradient(value, parameters)
            if adapts:
                adam(parameters, slopes, *moments, count, rate)
            else:
                for p, g in zip(parameters, slopes):
                    p.assign_sub(rate * g)
            return value

        function = tf.function(step, jit_compile=xla, autograph=False)
        concrete = function.get_concrete_function(*(tf.TensorSpec(t.shape, t.dtype) for t in data))
        return Program(partial(concrete, *data), lambda last: layout.back(as_list([last, *parameters])))

    return program


def adam(
    parameters: Sequence[tf.Variable],
    slopes: Sequence[Tensor],
    means: Sequence[tf.Variable],
    squares: Sequence[tf.Variable],
    count: tf.Variable,
    rate: float,
) -> None:
    """One step of Adam."""
    now = count.assign_add(1.0)
    scale, root = rate / (1 - by_hand.BETA1**now), tf.sqrt(1 - by_hand.BETA2**now)
    for p, g, m, v in zip(parameters, slopes, means, squares):
        mean = m.assign_add((1 - by_hand.BETA1) * (g - m))
        square = v.assign_add((1 - by_hand.BETA2) * (g * g - v))
        p.assign_sub(scale * mean / (tf.sqrt(square) / root + by_hand.EPSILON))


def expression(a: Tensor, b: Tensor, c: Tensor, sizes: Sizes) -> Tensor:
    """Three functions in one expression."""
    return tf.tanh(a * b + c) * tf.exp(-a * a) + tf.math.log1p(tf.abs(b))


def layer_norm(x: Tensor, scale: Tensor, shift: Tensor, sizes: Sizes) -> Tensor:
    """Layer norm of rows."""
    mean, variance = tf.nn.moments(x, axes=[1], keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, shift, scale, EPSILON)


def logsumexp_gradient(x: Tensor, sizes: Sizes) -> Tensor:
    """The gradient of the sum of all rows' logsumexp."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = tf.reduce_sum(tf.reduce_logsumexp(x, axis=1))
    return tape.gradient(value, x)


def matmul(x: Tensor, y: Tensor, sizes: Sizes) -> Tensor:
    """A product of operands that may be stored transposed."""
    first, second = sizes["stored"]
    return tf.matmul(x, y, transpose_a=first == "T", transpose_b=second == "T")


def logistic_gradient(x: Tensor, t: Tensor, w: Tensor, sizes: Sizes) -> list[Tensor]:
    """Value and gradient of minus the log-likelihood."""
    with tf.GradientTape() as tape:
        tape.watch(w)
        score = tf.linalg.matvec(x, w)
        value = tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(labels=t, logits=score))
    return [value, tape.gradient(value, w)]


def dense_loss(parameters: Sequence[Tensor], x: Tensor, t: Tensor) -> Tensor:
    """Dense layers with relu between them, mean cross-entropy."""
    *hidden, (w, b) = zip(parameters[::2], parameters[1::2])
    for before, bias in hidden:
        x = tf.nn.relu(tf.nn.bias_add(tf.matmul(x, before), bias))
    logits = tf.nn.bias_add(tf.matmul(x, w), b)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=t, logits=logits))


def autoencoder_loss(parameters: Sequence[Tensor], x: Tensor, noise: Tensor) -> Tensor:
    """The variational autoencoder's bound."""
    w1, b1, w_mean, b_mean, w_spread, b_spread, w2, b2, w3, b3 = parameters
    hidden = tf.nn.relu(x @ w1 + b1)
    mean, spread = hidden @ w_mean + b_mean, hidden @ w_spread + b_spread
    z = mean + tf.exp(0.5 * spread) * noise
    logits = tf.nn.relu(z @ w2 + b2) @ w3 + b3
    entropy = tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=logits))
    return (entropy - 0.5 * tf.reduce_sum(1 + spread - mean * mean - tf.exp(spread))) / x.shape[0]


def convolve(x: Tensor, w: Tensor) -> Tensor:
    """A convolution of NHWC by HWIO."""
    return tf.nn.conv2d(x, w, strides=1, padding="VALID")


def pool(x: Tensor) -> Tensor:
    """Max-pooling by 2x2."""
    return tf.nn.max_pool2d(x, 2, 2, "VALID")


def digits_loss(parameters: Sequence[Tensor], x: Tensor, t: Tensor) -> Tensor:
    """Two convolutions with pooling, two dense layers."""
    k1, c1, k2, c2, *dense = parameters
    for kernel, bias in ((k1, c1), (k2, c2)):
        x = pool(tf.nn.relu(tf.nn.bias_add(convolve(x, kernel), bias)))
    return dense_loss(dense, tf.reshape(x, (x.shape[0], -1)), t)


def sequence_loss(parameters: Sequence[Tensor], x: Tensor, t: Tensor) -> Tensor:
    """An LSTM as a loop in the graph; its last state through a dense unit."""
    wx, wh, b, w, c = parameters
    time = x.shape[1]
    gates_of_all = tf.transpose(x, (1, 0, 2)) @ wx + b
    start = tf.zeros((x.shape[0], wh.shape[0]))

    def cell(step: Tensor, h: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        i, f, g, o = tf.split(gates_of_all[step] + h @ wh, 4, axis=1)
        state = tf.sigmoid(f) * state + tf.sigmoid(i) * tf.tanh(g)
        return step + 1, tf.sigmoid(o) * tf.tanh(state), state

    _, h, _ = tf.while_loop(lambda step, *_: step < time, cell, (0, start, start), maximum_iterations=time)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=t, logits=h @ w + c))


def convolution(x: Tensor, w: Tensor, sizes: Sizes) -> Tensor:
    """A convolution, depthwise where there are groups."""
    if sizes["groups"] == 1:
        return convolve(x, w)
    return tf.nn.depthwise_conv2d(x, tf.transpose(w, (0, 1, 3, 2)), strides=(1, 1, 1, 1), padding="VALID")


def convolution_gradients(x: Tensor, w: Tensor, dy: Tensor, sizes: Sizes) -> list[Tensor]:
    """The gradients of image and kernel, without a forward pass."""
    with tf.GradientTape() as tape:
        tape.watch([x, w])
        y = convolution(x, w, sizes)
    return tape.gradient(y, [x, w], output_gradients=dy)


def max_pool_gradient(x: Tensor, dy: Tensor, sizes: Sizes) -> Tensor:
    """The gradient of max-pooling."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = pool(x)
    return tape.gradient(y, x, output_gradients=dy)


LAST = layouts.CHANNELS_LAST

PROGRAMS: Programs = {
    "add": pure(lambda x, y, sizes: x + y, xla=False),
    "expression": pure(expression),
    "softmax": pure(lambda x, sizes: tf.nn.softmax(x, axis=1), xla=False),
    "layer_norm": pure(layer_norm),
    "logsumexp_gradient": pure(logsumexp_gradient),
    "sum": pure(lambda x, sizes: tf.reduce_sum(x, axis=sizes["axis"])),
    "matmul": pure(matmul),
    "logistic_gradient": pure(logistic_gradient),
    "dense_sgd": training(dense_loss),
    "dense_adam": training(dense_loss, adapts=True),
    "autoencoder_sgd": training(autoencoder_loss),
    "digits_sgd": training(digits_loss, xla=False, layout=LAST),
    "sequence_sgd": training(sequence_loss),
    "convolution": pure(convolution, xla=False, layout=LAST),
    "convolution_gradients": pure(convolution_gradients, xla=False, layout=LAST),
    "max_pool": pure(lambda x, sizes: pool(x), xla=False, layout=LAST),
    "max_pool_gradient": pure(max_pool_gradient, xla=False, layout=LAST),
    "deep_sgd": training(dense_loss),
    "chain": pure(lambda x, sizes: links(x, sizes["ops"], tf.tanh, tf.maximum)),
}
