"""Graphs that are large, not slow: what counts is the time until their first result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import by_hand
from benchmarks.workload import Inputs, Sizes, Tolerance, Workload
from benchmarks.workloads.training import dense_parameters


def deep_net(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    """Rows x, labels t, and very many layers, near the identity so that values neither die nor blow up."""
    widths = (sizes["width"],) * sizes["layers"] + (10,)
    x = rng.standard_normal((sizes["batch"], sizes["width"]), np.float32)
    t = rng.integers(0, 10, sizes["batch"])
    parameters = dense_parameters(rng, widths)
    for number in range(1, sizes["layers"]):
        parameters[f"w{number}"] = np.eye(sizes["width"], dtype=np.float32) + parameters[f"w{number}"] / 256
    return Inputs({"x": x, "t": t}, parameters)


def deep_step(inputs: Inputs, sizes: Sizes) -> list[np.ndarray]:
    """Loss and parameters after one step."""
    data, parameters = list(inputs.data.values()), list(inputs.parameters.values())
    return by_hand.descend(by_hand.dense_gradients, parameters, data, sizes["rate"], 1)


def vector(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    """A vector x between -1 and 1."""
    return Inputs({"x": rng.uniform(-1, 1, sizes["n"]).astype(np.float32)})


def chained(inputs: Inputs, sizes: Sizes) -> list[np.ndarray]:
    """The chain of `links`."""
    return [links(inputs.data["x"], sizes["ops"], np.tanh, np.maximum)]


def links(x: Any, ops: int, tanh: Callable[[Any], Any], maximum: Callable[[Any, Any], Any]) -> Any:
    """`ops` elementwise operations on top of each other, in any library's tensors.

    Products, sums and maxima, no two links alike; a tanh now and then keeps values in range.
    """
    y = x
    for number in range(ops):
        kind = number % 5
        if kind == 0:
            y = y * (1.0 + number * 2.0**-20)
        elif kind == 1:
            y = y + x
        elif kind == 2:
            y = maximum(y, x)
        elif kind == 3:
            y = y - 0.25
        else:
            y = tanh(y)
    return y


WORKLOADS = [
    Workload(
        "SGD step of a net of 1,000 layers of 64, batch 32",
        "deep_sgd",
        {"batch": 32, "width": 64, "layers": 1000, "rate": 1e-6},
        {"width": 6, "layers": 12, "batch": 4},
        deep_net,
        deep_step,
        bar=2.0,
        tolerance=Tolerance(1e-4, 1e-3),  # rounding adds up over a thousand layers
    ),
    Workload(
        "10,000 chained elementwise operations on 1,000 f32",
        "chain",
        {"n": 1000, "ops": 10_000},
        {"n": 20, "ops": 40},
        vector,
        chained,
        bar=2.0,
        tolerance=Tolerance(1e-5, 1e-4),
    ),
]
