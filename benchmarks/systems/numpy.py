"""The workloads in NumPy: gradients by hand, results into arrays that are there already where they are large."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks import by_hand
from benchmarks.program import Program, Programs
from benchmarks.workload import Inputs, Sizes
from benchmarks.workloads.large_graphs import links
from benchmarks.workloads.rows import EPSILON

LIBRARIES = ("numpy",)


def returned(last: np.ndarray) -> list[np.ndarray]:
    """The array that a call returned."""
    return [last]


def add(inputs: Inputs, sizes: Sizes) -> Program:
    """x + y, into an array that is there."""
    x, y = inputs.data.values()
    return Program(partial(np.add, x, y, np.empty_like(x)), returned)


def expression(inputs: Inputs, sizes: Sizes) -> Program:
    """The expression, with two arrays for all that lies between."""
    a, b, c = inputs.data.values()
    first, second = np.empty_like(a), np.empty_like(a)

    def call() -> np.ndarray:
        np.multiply(a, b, out=first)
        np.add(first, c, out=first)
        np.tanh(first, out=first)
        np.multiply(a, a, out=second)
        np.negative(second, out=second)
        np.exp(second, out=second)
        np.multiply(first, second, out=first)
        np.abs(b, out=second)
        np.log1p(second, out=second)
        return np.add(first, second, out=first)

    return Program(call, returned)


def softmax(inputs: Inputs, sizes: Sizes) -> Program:
    """Softmax of rows, which the gradient of logsumexp is too."""
    x = inputs.data["x"]
    out = np.empty_like(x)

    def call() -> np.ndarray:
        np.subtract(x, x.max(axis=1, keepdims=True), out=out)
        np.exp(out, out=out)
        return np.divide(out, out.sum(axis=1, keepdims=True), out=out)

    return Program(call, returned)


def layer_norm(inputs: Inputs, sizes: Sizes) -> Program:
    """Layer norm of rows."""
    x, scale, shift = inputs.data.values()
    out = np.empty_like(x)

    def call() -> np.ndarray:
        np.subtract(x, x.mean(axis=1, keepdims=True), out=out)
        variance = np.einsum("ij,ij->i", out, out) / np.float32(x.shape[1])
        np.multiply(out, 1 / np.sqrt(variance + np.float32(EPSILON))[:, None], out=out)
        np.multiply(out, scale, out=out)
        return np.add(out, shift, out=out)

    return Program(call, returned)


def total(inputs: Inputs, sizes: Sizes) -> Program:
    """A sum."""
    return Program(partial(np.sum, inputs.data["x"], axis=sizes["axis"]), returned)


def matmul(inputs: Inputs, sizes: Sizes) -> Program:
    """A product, by the BLAS that comes with NumPy."""
    x, y = (
        array.swapaxes(-1, -2) if how == "T" else array for array, how in zip(inputs.data.values(), sizes["stored"])
    )
    out = np.empty((*x.shape[:-1], y.shape[-1]), x.dtype)
    return Program(partial(np.matmul, x, y, out=out), returned)


def logistic_gradient(inputs: Inputs, sizes: Sizes) -> Program:
    """Value and gradient, as one writes them for SciPy's optimisers."""
    x, t, w = inputs.data.values()
    transposed = np.ascontiguousarray(x.T)

    def call() -> list[np.ndarray]:
        score = x @ w
        e = np.exp(-np.abs(score))
        loss = (np.maximum(score, 0.0) + np.log1p(e)).sum() - t @ score
        return [loss, transposed @ (np.where(score >= 0, 1.0, e) / (1.0 + e) - t)]

    return Program(call, list)


def training(gradients: Callable[..., by_hand.Gradients], adapts: bool = False) -> Callable[[Inputs, Sizes], Program]:
    """The program of a step of gradient descent, or of Adam, in place."""

    def program(inputs: Inputs, sizes: Sizes) -> Program:
        data, rate = list(inputs.data.values()), np.float32(sizes["rate"])
        parameters = [p.copy() for p in inputs.parameters.values()]
        m, v = ([np.zeros_like(p) for p in parameters] for _ in range(2))
        count = 0

        def adam() -> np.ndarray:
            nonlocal count
            count += 1
            loss, slopes = gradients(parameters, *data)
            by_hand.adam(parameters, slopes, m, v, count, float(rate))
            return loss

        def descend() -> np.ndarray:
            loss, slopes = gradients(parameters, *data)
            for p, g in zip(parameters, slopes):
                g *= rate
                p -= g
            return loss

        return Program(adam if adapts else descend, lambda last: [last, *parameters])

    return program


def chain(inputs: Inputs, sizes: Sizes) -> Program:
    """The chain, link by link."""
    return Program(lambda: links(inputs.data["x"], sizes["ops"], np.tanh, np.maximum), returned)


PROGRAMS: Programs = {
    "add": add,
    "expression": expression,
    "softmax": softmax,
    "layer_norm": layer_norm,
    "logsumexp_gradient": softmax,
    "sum": total,
    "matmul": matmul,
    "logistic_gradient": logistic_gradient,
    "dense_sgd": training(by_hand.dense_gradients),
    "dense_adam": training(by_hand.dense_gradients, adapts=True),
    "autoencoder_sgd": training(by_hand.autoencoder_gradients),
    "sequence_sgd": training(by_hand.sequence_gradients),
    "deep_sgd": training(by_hand.dense_gradients),
    "chain": chain,
}
