"""Steps of training: dense nets by SGD and Adam, a variational autoencoder; the gradient of a likelihood."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks import by_hand
from benchmarks.workload import Arrays, Inputs, Sizes, Tolerance, Workload

#: How many steps come before the parameters are compared.
STEPS = 3
#: Cancellation in gradients costs a digit or two.
TRAINED = Tolerance(1e-5, 1e-4)
#: Where a gradient is rounding noise, Adam's step is as long as anywhere, in either direction.
ADAPTED = Tolerance(2e-4, 1e-1)


def dense_parameters(rng: np.random.Generator, widths: Sequence[int]) -> Arrays:
    """He's initial weights and zero biases of dense layers: w1 (in, out), b1, w2, ..."""
    found: Arrays = {}
    for number, (before, after) in enumerate(itertools.pairwise(widths), 1):
        found[f"w{number}"] = he_normal(rng, (before, after), before)
        found[f"b{number}"] = np.zeros(after, np.float32)
    return found


def he_normal(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> np.ndarray:
    """Normal numbers of variance 2 / fan_in."""
    return rng.normal(0, np.sqrt(2 / fan_in), shape).astype(np.float32)


def classes(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    """Rows x, labels t, and the parameters of dense layers."""
    widths = sizes["widths"]
    x = rng.standard_normal((sizes["batch"], widths[0]), np.float32)
    t = rng.integers(0, widths[-1], sizes["batch"])
    return Inputs({"x": x, "t": t}, dense_parameters(rng, widths))


def autoencoder(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    """Rows x between 0 and 1, the noise of the draw, and the parameters of encoder and decoder."""
    pixels, hidden, latent = sizes["widths"]
    x = rng.random((sizes["batch"], pixels), np.float32)
    noise = rng.standard_normal((sizes["batch"], latent), np.float32)
    pairs = (pixels, hidden), (hidden, latent), (hidden, latent), (latent, hidden), (hidden, pixels)
    parameters: Arrays = {}
    for number, (before, after) in enumerate(pairs, 1):
        scale = 0.5 if after == latent else 1.0
        parameters[f"w{number}"] = he_normal(rng, (before, after), before) * np.float32(scale)
        parameters[f"b{number}"] = np.zeros(after, np.float32)
    return Inputs({"x": x, "noise": noise}, parameters)


def likelihood(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    """Observations x, outcomes t, and a guess w, in float64."""
    x = rng.standard_normal((sizes["rows"], sizes["columns"]))
    t = (rng.random(sizes["rows"]) < 0.4).astype(np.float64)
    return Inputs({"x": x, "t": t, "w": rng.normal(0, 0.3, sizes["columns"])})


def logistic(inputs: Inputs, sizes: Sizes) -> list[np.ndarray]:
    """The value and the gradient."""
    loss, (gradient,) = by_hand.logistic_gradients([inputs.data["w"]], inputs.data["x"], inputs.data["t"])
    return [loss, gradient]


def trained(
    gradients: Callable[..., by_hand.Gradients], method: Callable[..., list[np.ndarray]] = by_hand.descend
) -> Callable[[Inputs, Sizes], list[np.ndarray]]:
    """The reference of a training step: loss and parameters after `STEPS` steps."""

    def reference(inputs: Inputs, sizes: Sizes) -> list[np.ndarray]:
        data, parameters = list(inputs.data.values()), list(inputs.parameters.values())
        return method(gradients, parameters, data, sizes["rate"], STEPS)

    return reference


def dense_flops(sizes: Sizes) -> int:
    """Of a step of dense layers: each product forward, and two backward, less that for the input itself."""
    pairs = list(itertools.pairwise(sizes["widths"]))
    return sizes["batch"] * (sum(6 * a * b for a, b in pairs) - 2 * pairs[0][0] * pairs[0][1])


def autoencoder_flops(sizes: Sizes) -> int:
    """The same, of the autoencoder."""
    pixels, hidden, latent = sizes["widths"]
    return sizes["batch"] * (6 * (2 * pixels * hidden + 3 * hidden * latent) - 2 * pixels * hidden)


WORKLOADS = [
    Workload(
        "SGD step of 784-128-10, batch 32",
        "dense_sgd",
        {"batch": 32, "widths": (784, 128, 10), "rate": 0.1},
        {"batch": 5, "widths": (12, 9, 4)},
        classes,
        trained(by_hand.dense_gradients),
        bar=2.0,
        flops=dense_flops,
        calls=STEPS,
        tolerance=TRAINED,
    ),
    Workload(
        "Adam step of 784-512-512-10, batch 128",
        "dense_adam",
        {"batch": 128, "widths": (784, 512, 512, 10), "rate": 1e-3},
        {"batch": 5, "widths": (12, 9, 8, 4)},
        classes,
        trained(by_hand.dense_gradients, by_hand.adapt),
        bar=1.4,
        flops=dense_flops,
        calls=STEPS,
        tolerance=ADAPTED,
    ),
    Workload(
        "SGD step of a VAE 784-400-20, batch 128",
        "autoencoder_sgd",
        {"batch": 128, "widths": (784, 400, 20), "rate": 1e-3},
        {"batch": 5, "widths": (12, 9, 3)},
        autoencoder,
        trained(by_hand.autoencoder_gradients),
        bar=1.4,
        flops=autoencoder_flops,
        calls=STEPS,
        tolerance=TRAINED,
        remark="the noise of the draw is an input, so that all systems compute the same",
    ),
    Workload(
        "logistic regression, value and gradient, 1,000x20 f64",
        "logistic_gradient",
        {"rows": 1000, "columns": 20},
        {"rows": 30, "columns": 4},
        likelihood,
        logistic,
        bar=3.0,
        bytes=lambda sizes: 8 * sizes["rows"] * (sizes["columns"] + 1),
        tolerance=Tolerance(1e-12, 1e-11),
    ),
]
