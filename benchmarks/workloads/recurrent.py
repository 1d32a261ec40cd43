"""A training step of an LSTM that reads a sequence and answers yes or no: small and large."""

from __future__ import annotations

import numpy as np

from benchmarks import by_hand
from benchmarks.workload import Inputs, Sizes, Workload
from benchmarks.workloads.training import STEPS, TRAINED, trained


def sequences(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    """Sequences x (batch, time, features), answers t, parameters; gates are input, forget, candidate, output."""
    batch, time, features = sizes["shape"]
    states = sizes["states"]

    def weights(before: int, after: int) -> np.ndarray:
        return rng.normal(0, states**-0.5, (before, after)).astype(np.float32)

    x = rng.standard_normal((batch, time, features), np.float32)
    t = (rng.random((batch, 1)) < 0.5).astype(np.float32)
    b = np.zeros(4 * states, np.float32)
    b[states : 2 * states] = 1  # the forget gate begins open
    parameters = {
        "wx": weights(features, 4 * states), "wh": weights(states, 4 * states), "b": b,
        "w": weights(states, 1), "c": np.zeros(1, np.float32),
    }  # fmt: skip
    return Inputs({"x": x, "t": t}, parameters)


def flops(sizes: Sizes) -> int:
    """Of a step: the products of the cell forward, and twice backward, less those for x itself."""
    batch, time, features = sizes["shape"]
    states = sizes["states"]
    return batch * time * (6 * (features + states) - 2 * features) * 4 * states


def _lstm(states: int, shape: tuple[int, int, int], bar: float) -> Workload:
    return Workload(
        f"SGD step of LSTM({states}) on ({','.join(map(str, shape))})",
        "sequence_sgd",
        {"shape": shape, "states": states, "rate": 0.01},
        {"shape": (3, 5, 2), "states": 6},
        sequences,
        trained(by_hand.sequence_gradients),
        bar,
        flops,
        calls=STEPS,
        tolerance=TRAINED,
    )


WORKLOADS = [_lstm(50, (32, 10, 1), 3.0), _lstm(256, (32, 100, 64), 1.3)]
