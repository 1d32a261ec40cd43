"""Loops that several tests use, and their values by NumPy."""

import numpy as np

import graphc as gc


def recurrent(x_t, h, w, u):
    """A step of a plain recurrent net: the new state, which is also the output times two."""
    h = gc.tanh(x_t @ w + h @ u)
    return h, h * 2.0


def recurrent_by_numpy(xs, h, w, u, reverse=False):
    """The last state, and the states stacked."""
    states = np.empty((len(xs), *h.shape), h.dtype)
    for t in reversed(range(len(xs))) if reverse else range(len(xs)):
        h = np.tanh(xs[t] @ w + h @ u)
        states[t] = h
    return h, states


def arrays(steps, batch=2, features=3, units=4, seed=0, dtype="float64"):
    """Sequence, first state and weights of a recurrent net."""
    rng = np.random.default_rng(seed)
    shapes = ((steps, batch, features), (batch, units), (features, units), (units, units))
    return [(rng.normal(size=shape) * 0.7).astype(dtype) for shape in shapes]
