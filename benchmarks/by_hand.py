"""Losses and gradients of the benchmark's nets in plain NumPy, derived by hand: what all systems are checked against.

Run on float64 arrays they are the reference; run on float32 arrays, what a user of NumPy alone would write.
Invariant: each `*_gradients` takes the parameters in the order of the workload and returns (loss, gradients).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Array = np.ndarray
Gradients = tuple[Array, list[Array]]


def dense_gradients(parameters: Sequence[Array], x: Array, t: Array) -> Gradients:
    """Dense layers with relu between them, mean cross-entropy of the logits; parameters are w, b, w, b, ..."""
    weights, biases = parameters[::2], parameters[1::2]
    layers = [x]
    for number, (w, b) in enumerate(zip(weights, biases)):
        y = layers[-1] @ w + b
        layers.append(np.maximum(y, 0) if number < len(weights) - 1 else y)
    loss, dy = _cross_entropy(layers.pop(), t)
    gradients: list[Array] = []
    for w, layer in zip(reversed(weights), reversed(layers)):
        gradients[:0] = [layer.T @ dy, dy.sum(axis=0)]
        if layer is not x:
            dy = (dy @ w.T) * (layer > 0)
    return loss, gradients


def _cross_entropy(logits: Array, t: Array) -> Gradients:
    rows = np.arange(len(t))
    shifted = logits - logits.max(axis=1, keepdims=True)
    e = np.exp(shifted)
    total = e.sum(axis=1, keepdims=True)
    loss = (np.log(total[:, 0]) - shifted[rows, t]).mean()
    d = e / total
    d[rows, t] -= 1
    return loss, d / d.dtype.type(len(t))


def autoencoder_gradients(parameters: Sequence[Array], x: Array, noise: Array) -> Gradients:
    """A variational autoencoder with one hidden layer each way; loss: cross-entropy and KL divergence, mean over rows.

    D. P. Kingma, M. Welling, "Auto-Encoding Variational Bayes", 2014, appendix B.
    """
    w1, b1, w_mean, b_mean, w_spread, b_spread, w2, b2, w3, b3 = parameters
    rows = x.dtype.type(len(x))
    hidden = np.maximum(x @ w1 + b1, 0)
    mean, spread = hidden @ w_mean + b_mean, hidden @ w_spread + b_spread  # spread is the logarithm of the variance
    deviation = np.exp(spread * x.dtype.type(0.5))
    z = mean + deviation * noise
    decoded = np.maximum(z @ w2 + b2, 0)
    logits = decoded @ w3 + b3
    e = np.exp(-np.abs(logits))
    entropy = (np.maximum(logits, 0) - logits * x + np.log1p(e)).sum()
    divergence = -0.5 * (1 + spread - mean * mean - deviation * deviation).sum()
    d3 = (np.where(logits >= 0, 1, e) / (1 + e) - x) / rows
    d2 = (d3 @ w3.T) * (decoded > 0)
    dz = d2 @ w2.T
    d_mean = dz + mean / rows
    d_spread = dz * noise * deviation * x.dtype.type(0.5) + (deviation * deviation - 1) / (2 * rows)
    d1 = (d_mean @ w_mean.T + d_spread @ w_spread.T) * (hidden > 0)
    pairs = ((x, d1), (hidden, d_mean), (hidden, d_spread), (z, d2), (decoded, d3))
    gradients = [g for layer, d in pairs for g in (layer.T @ d, d.sum(axis=0))]
    return (entropy + divergence) / rows, gradients


def logistic_gradients(parameters: Sequence[Array], x: Array, t: Array) -> Gradients:
    """Minus the log-likelihood of labels t (0 or 1) under the odds exp(x @ w)."""
    (w,) = parameters
    score = x @ w
    e = np.exp(-np.abs(score))
    loss = (np.maximum(score, 0) - t * score + np.log1p(e)).sum()
    return loss, [x.T @ (np.where(score >= 0, 1, e) / (1 + e) - t)]


def convolution(x: Array, w: Array, groups: int = 1) -> Array:
    """Cross-correlation without padding: x (n, c, h, w), w (out, c/groups, kh, kw)."""
    windows = sliding_window_view(x, w.shape[2:], axis=(2, 3))
    parts = [
        np.tensordot(part, kernel, axes=((1, 4, 5), (1, 2, 3)))
        for part, kernel in zip(np.split(windows, groups, axis=1), np.split(w, groups))
    ]
    return np.moveaxis(np.concatenate(parts, axis=3), 3, 1)


def convolution_gradients(x: Array, w: Array, dy: Array, groups: int = 1) -> list[Array]:
    """The gradients of x and w for the gradient dy of `convolution(x, w, groups)`."""
    rows, columns = dy.shape[2:]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    inner, outer = w.shape[1], w.shape[0] // groups
    for group in range(groups):
        ins, outs = slice(group * inner, (group + 1) * inner), slice(group * outer, (group + 1) * outer)
        for i in range(w.shape[2]):
            for j in range(w.shape[3]):
                window = np.s_[:, ins, i : i + rows, j : j + columns]
                dx[window] += np.moveaxis(np.tensordot(dy[:, outs], w[outs, :, i, j], axes=(1, 0)), 3, 1)
                dw[outs, :, i, j] = np.tensordot(dy[:, outs], x[window], axes=((0, 2, 3), (0, 2, 3)))
    return [dx, dw]


def max_pool(x: Array) -> Array:
    """The greatest of each 2x2 window; a last odd row or column is left out."""
    return _windows(x).max(axis=(3, 5))


def max_pool_gradient(x: Array, dy: Array) -> Array:
    """The gradient of x: all of dy goes to the first greatest element of each window."""
    n, c, rows, columns = dy.shape
    flat = np.moveaxis(_windows(x), 4, 3).reshape(n, c, rows, columns, 4)
    chosen = np.arange(4) == flat.argmax(axis=4)[..., None]
    dx = np.zeros_like(x)
    _windows(dx)[...] = np.moveaxis((chosen * dy[..., None]).reshape(n, c, rows, columns, 2, 2), 3, 4)
    return dx


def _windows(x: Array) -> Array:
    """A view (n, c, rows, 2, columns, 2) of the windows."""
    n, c, rows, columns = x.shape
    even = x[:, :, : rows // 2 * 2, : columns // 2 * 2]
    s = even.strides
    return np.lib.stride_tricks.as_strided(
        even, (n, c, rows // 2, 2, columns // 2, 2), (s[0], s[1], 2 * s[2], s[2], 2 * s[3], s[3])
    )


def digits_gradients(parameters: Sequence[Array], x: Array, t: Array) -> Gradients:
    """Two convolutions, each with relu and pooling, then two dense layers; mean cross-entropy."""
    k1, c1, k2, c2, *dense = parameters
    first = np.maximum(convolution(x, k1) + c1[:, None, None], 0)
    pooled = max_pool(first)
    second = np.maximum(convolution(pooled, k2) + c2[:, None, None], 0)
    features = max_pool(second)
    flat = features.reshape(len(x), -1)
    loss, gradients = dense_gradients(dense, flat, t)
    hidden = np.maximum(flat @ dense[0] + dense[1], 0)
    d_hidden = (_cross_entropy(hidden @ dense[2] + dense[3], t)[1] @ dense[2].T) * (hidden > 0)
    d2 = max_pool_gradient(second, (d_hidden @ dense[0].T).reshape(features.shape)) * (second > 0)
    d_pooled, dk2 = convolution_gradients(pooled, k2, d2)
    d1 = max_pool_gradient(first, d_pooled) * (first > 0)
    _, dk1 = convolution_gradients(x, k1, d1)
    return loss, [dk1, d1.sum(axis=(0, 2, 3)), dk2, d2.sum(axis=(0, 2, 3)), *gradients]


def sequence_gradients(parameters: Sequence[Array], x: Array, t: Array) -> Gradients:
    """An LSTM over x (batch, time, features); its last state, a dense unit, binary cross-entropy of its logit.

    Columns of the gates are input, forget, candidate, output. S. Hochreiter, J. Schmidhuber, "Long Short-Term
    Memory", 1997, with the forget gate of F. A. Gers et al., 2000.
    """
    wx, wh, b, w, c = parameters
    states = len(wh)
    h = cell = np.zeros((len(x), states), x.dtype)
    trace = []
    for step in range(x.shape[1]):
        i, f, g, o = np.split(x[:, step] @ wx + h @ wh + b, 4, axis=1)
        i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
        new = f * cell + i * g
        trace.append((h, cell, new, i, f, g, o))
        h, cell = o * np.tanh(new), new
    loss, d_score = logistic_mean(h @ w + c, t)
    dh, d_cell = d_score @ w.T, np.zeros_like(cell)
    dwx, dwh, db = np.zeros_like(wx), np.zeros_like(wh), np.zeros_like(b)
    gradients = [h.T @ d_score, d_score.sum(axis=0)]
    for step in reversed(range(x.shape[1])):
        h, cell, new, i, f, g, o = trace[step]
        squashed = np.tanh(new)
        d_cell = d_cell + dh * o * (1 - squashed * squashed)
        d_input, d_forget = d_cell * g * i * (1 - i), d_cell * cell * f * (1 - f)
        d_candidate, d_output = d_cell * i * (1 - g * g), dh * squashed * o * (1 - o)
        d_gates = np.concatenate([d_input, d_forget, d_candidate, d_output], axis=1)
        dwx += x[:, step].T @ d_gates
        dwh += h.T @ d_gates
        db += d_gates.sum(axis=0)
        dh, d_cell = d_gates @ wh.T, d_cell * f
    return loss, [dwx, dwh, db, *gradients]


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def logistic_mean(score: Array, t: Array) -> Gradients:
    """The mean binary cross-entropy of logits, and its gradient."""
    e = np.exp(-np.abs(score))
    loss = (np.maximum(score, 0) - t * score + np.log1p(e)).mean()
    return loss, (np.where(score >= 0, 1, e) / (1 + e) - t) / score.dtype.type(score.size)


def descend(
    gradients: Callable[..., Gradients], parameters: Sequence[Array], data: Sequence[Array], rate: float, steps: int
) -> list[Array]:
    """The loss of the last of `steps` steps of gradient descent, and the parameters after it."""
    loss: Array = np.zeros(())
    parameters = list(parameters)
    for _ in range(steps):
        loss, slopes = gradients(parameters, *data)
        parameters = [p - p.dtype.type(rate) * g for p, g in zip(parameters, slopes)]
    return [loss, *parameters]


def adapt(
    gradients: Callable[..., Gradients], parameters: Sequence[Array], data: Sequence[Array], rate: float, steps: int
) -> list[Array]:
    """As `descend`, by Adam (D. P. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", 2015)."""
    loss: Array = np.zeros(())
    parameters = [p.copy() for p in parameters]
    m, v = ([np.zeros_like(p) for p in parameters] for _ in range(2))
    for step in range(1, steps + 1):
        loss, slopes = gradients(parameters, *data)
        adam(parameters, slopes, m, v, step, rate)
    return [loss, *parameters]


BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def adam(
    parameters: Sequence[Array], slopes: Sequence[Array], m: Sequence[Array], v: Sequence[Array], step: int, rate: float
) -> None:
    """One step of Adam, in place."""
    scale, root = rate / (1 - BETA1**step), (1 - BETA2**step) ** 0.5
    for p, g, mean, square in zip(parameters, slopes, m, v):
        mean += (1 - BETA1) * (g - mean)
        square += (1 - BETA2) * (g * g - square)
        p -= scale * mean / (np.sqrt(square) / root + EPSILON)
