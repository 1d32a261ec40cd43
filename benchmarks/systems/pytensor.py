"""The workloads in PyTensor, default mode (numba): shared parameters, trusted inputs, borrowed outputs.

PyTensor has no convolution of images any more (its predecessors had), so those rows are empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt

from benchmarks import by_hand
from benchmarks.program import Program, Programs
from benchmarks.workload import Arrays, Inputs, Sizes
from benchmarks.workloads.large_graphs import links
from benchmarks.workloads.rows import EPSILON

LIBRARIES = ("pytensor", "numba", "scipy", "numpy")

#: The C mode sets another one, see `pytensor_c.py`.
MODE: list[str] = ["NUMBA"]

Variable = pt.TensorVariable


def symbols_of(arrays: Arrays) -> list[Variable]:
    """A symbolic input of known extents for each array."""
    return [pt.tensor(name, dtype=array.dtype.name, shape=array.shape) for name, array in arrays.items()]


def compiled(symbols: Sequence[Variable], results: Any, updates: Any = None) -> Callable[..., Any]:
    """The function, which copies neither inputs nor outputs and checks nothing."""
    borrowed = [pytensor.In(symbol, borrow=True) for symbol in symbols]
    listed = results if isinstance(results, list) else [results]
    outputs = [pytensor.Out(result, borrow=True) for result in listed]
    chosen = outputs if isinstance(results, list) else outputs[0]
    function = pytensor.function(borrowed, chosen, updates=updates, mode=MODE[0])
    function.trust_input = True
    return function


def as_list(last: Any) -> list[np.ndarray]:
    """One result or several, as NumPy arrays."""
    return [np.asarray(array) for array in (last if isinstance(last, (list, tuple)) else [last])]


def pure(compute: Callable[..., Any]) -> Callable[[Inputs, Sizes], Program]:
    """The program of a function of variables, which gets the sizes last."""

    def program(inputs: Inputs, sizes: Sizes) -> Program:
        symbols = symbols_of(inputs.data)
        function = compiled(symbols, compute(*symbols, sizes))
        return Program(partial(function, *inputs.data.values()), as_list)

    return program


def training(loss: Callable[..., Variable], adapts: bool = False) -> Callable[[Inputs, Sizes], Program]:
    """The program of a step of gradient descent, or of Adam."""

    def program(inputs: Inputs, sizes: Sizes) -> Program:
        symbols = symbols_of(inputs.data)
        parameters = [shared(value, name) for name, value in inputs.parameters.items()]
        value = loss(parameters, *symbols)
        slopes = pytensor.grad(value, parameters)
        rate = np.float32(sizes["rate"])
        updates = adam(parameters, slopes, rate) if adapts else [(p, p - rate * g) for p, g in zip(parameters, slopes)]
        step = compiled(symbols, value, updates)
        call = partial(step, *inputs.data.values())
        return Program(call, lambda last: [np.asarray(last), *(p.get_value() for p in parameters)])

    return program


def shared(value: np.ndarray, name: str) -> Any:
    """A parameter of known extents."""
    return pytensor.shared(value, name, shape=value.shape)


def adam(parameters: Sequence[Any], slopes: Sequence[Variable], rate: np.float32) -> list[tuple[Any, Variable]]:
    """Updates of Adam, in float32 throughout."""
    one, beta1, beta2, epsilon = (np.float32(v) for v in (1, by_hand.BETA1, by_hand.BETA2, by_hand.EPSILON))
    step = pytensor.shared(np.float32(0), "step")
    now = step + one
    scale, root = rate / (one - beta1**now), pt.sqrt(one - beta2**now)
    updates = [(step, now)]
    for p, g in zip(parameters, slopes):
        zeros = np.zeros_like(p.get_value(borrow=True))
        m, v = (shared(zeros.copy(), "moment") for _ in range(2))
        mean, square = m + (one - beta1) * (g - m), v + (one - beta2) * (g * g - v)
        updates += [(m, mean), (v, square), (p, p - scale * mean / (pt.sqrt(square) / root + epsilon))]
    return updates


def expression(a: Variable, b: Variable, c: Variable, sizes: Sizes) -> Variable:
    """Three functions in one expression."""
    return pt.tanh(a * b + c) * pt.exp(-a * a) + pt.log1p(pt.abs(b))


def layer_norm(x: Variable, scale: Variable, shift: Variable, sizes: Sizes) -> Variable:
    """Layer norm of rows."""
    centred = x - x.mean(axis=1, keepdims=True)
    variance = (centred * centred).mean(axis=1, keepdims=True)
    return centred / pt.sqrt(variance + np.float32(EPSILON)) * scale + shift


def matmul(x: Variable, y: Variable, sizes: Sizes) -> Variable:
    """A product of operands that may be stored transposed."""
    left, right = (t.T if how == "T" else t for t, how in zip((x, y), sizes["stored"]))
    return pt.matmul(left, right) if sizes["batch"] else left @ right


def logistic_gradient(x: Variable, t: Variable, w: Variable, sizes: Sizes) -> list[Variable]:
    """Value and gradient of minus the log-likelihood."""
    score = x @ w
    loss = (pt.softplus(score) - t * score).sum()
    return [loss, pytensor.grad(loss, w)]


def dense_loss(parameters: Sequence[Variable], x: Variable, t: Variable) -> Variable:
    """Dense layers with relu between them, mean cross-entropy."""
    *hidden, (w, b) = zip(parameters[::2], parameters[1::2])
    for before, bias in hidden:
        x = pt.maximum(x @ before + bias, np.float32(0))
    rows = pt.arange(t.shape[0])
    return -pt.special.log_softmax(x @ w + b, axis=1)[rows, t].mean(dtype="float32")


def autoencoder_loss(parameters: Sequence[Variable], x: Variable, noise: Variable) -> Variable:
    """The variational autoencoder's bound."""
    w1, b1, w_mean, b_mean, w_spread, b_spread, w2, b2, w3, b3 = parameters
    zero, half, one = (np.float32(v) for v in (0, 0.5, 1))
    hidden = pt.maximum(x @ w1 + b1, zero)
    mean, spread = hidden @ w_mean + b_mean, hidden @ w_spread + b_spread
    z = mean + pt.exp(half * spread) * noise
    logits = pt.maximum(z @ w2 + b2, zero) @ w3 + b3
    entropy = (pt.softplus(logits) - logits * x).sum()
    divergence = half * (one + spread - mean * mean - pt.exp(spread)).sum()
    return (entropy - divergence) / np.float32(x.type.shape[0])


def sequence_loss(parameters: Sequence[Variable], x: Variable, t: Variable) -> Variable:
    """An LSTM by `scan`; its last state through a dense unit."""
    wx, wh, b, w, c = parameters
    states = wh.type.shape[0]
    start = pt.zeros((x.type.shape[0], states), dtype="float32")

    def cell(gates: Variable, h: Variable, state: Variable, wh: Variable) -> list[Variable]:
        gates = gates + h @ wh
        i, f, g, o = (gates[:, n * states : (n + 1) * states] for n in range(4))
        state = pt.sigmoid(f) * state + pt.sigmoid(i) * pt.tanh(g)
        return [pt.sigmoid(o) * pt.tanh(state), state]

    gates = x.transpose(1, 0, 2) @ wx + b
    h, _ = pytensor.scan(
        cell, sequences=[gates], outputs_info=[start, start], non_sequences=[wh], strict=True, return_updates=False
    )
    score = h[-1] @ w + c
    return (pt.softplus(score) - t * score).mean(dtype="float32")


PROGRAMS: Programs = {
    "add": pure(lambda x, y, sizes: x + y),
    "expression": pure(expression),
    "softmax": pure(lambda x, sizes: pt.special.softmax(x, axis=1)),
    "layer_norm": pure(layer_norm),
    "logsumexp_gradient": pure(lambda x, sizes: pytensor.grad(pt.logsumexp(x, axis=1).sum(), x)),
    "sum": pure(lambda x, sizes: x.sum(axis=sizes["axis"])),
    "matmul": pure(matmul),
    "logistic_gradient": pure(logistic_gradient),
    "dense_sgd": training(dense_loss),
    "dense_adam": training(dense_loss, adapts=True),
    "autoencoder_sgd": training(autoencoder_loss),
    "sequence_sgd": training(sequence_loss),
    "deep_sgd": training(dense_loss),
    "chain": pure(lambda x, sizes: links(x, sizes["ops"], pt.tanh, pt.maximum)),
}
