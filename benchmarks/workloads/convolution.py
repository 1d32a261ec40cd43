"""Convolutions and pooling, forward and backward, and a training step of a small net of them.

Arrays here are NCHW and kernels (out, in/groups, *window); a system may hold them as it likes best, since within a net
they would stay that way, and gives results back in this layout.
"""

from __future__ import annotations

import numpy as np

from benchmarks import by_hand
from benchmarks.workload import Inputs, Sizes, Tolerance, Workload
from benchmarks.workloads.training import STEPS, TRAINED, dense_parameters, he_normal, trained


def image_and_kernel(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    """An image x, a kernel w, and a gradient dy of the result."""
    n, channels, rows, columns = sizes["image"]
    out, kh, kw = sizes["kernel"]
    x = rng.standard_normal(sizes["image"], np.float32)
    w = rng.standard_normal((out, channels // sizes["groups"], kh, kw), np.float32)
    dy = rng.standard_normal((n, out, rows - kh + 1, columns - kw + 1), np.float32)
    return Inputs({"x": x, "w": w} | ({"dy": dy} if sizes["backward"] else {}))


def convolved(inputs: Inputs, sizes: Sizes) -> list[np.ndarray]:
    """The result of the convolution, or the gradients of x and w."""
    arrays = inputs.data.values()
    if sizes["backward"]:
        return by_hand.convolution_gradients(*arrays, groups=sizes["groups"])
    return [by_hand.convolution(*arrays, groups=sizes["groups"])]


def flops(sizes: Sizes) -> int:
    """Of the convolution; twice that for its two gradients."""
    n, channels, rows, columns = sizes["image"]
    out, kh, kw = sizes["kernel"]
    count = 2 * n * out * (rows - kh + 1) * (columns - kw + 1) * (channels // sizes["groups"]) * kh * kw
    return count * (2 if sizes["backward"] else 1)


def image(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    """An image x, and a gradient dy of its pooled form. No two elements of a window are equal."""
    n, channels, rows, columns = sizes["image"]
    x = rng.permutation(n * channels * rows * columns).astype(np.float32).reshape(sizes["image"])
    dy = rng.standard_normal((n, channels, rows // 2, columns // 2), np.float32)
    return Inputs({"x": x} | ({"dy": dy} if sizes["backward"] else {}))


def pooled(inputs: Inputs, sizes: Sizes) -> list[np.ndarray]:
    """The pooled image, or the gradient of x."""
    if sizes["backward"]:
        return [by_hand.max_pool_gradient(*inputs.data.values())]
    return [by_hand.max_pool(inputs.data["x"])]


def digits(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    """Images x, labels t, and the parameters of the net."""
    size, first, second = sizes["size"], *sizes["channels"]
    x = rng.random((sizes["batch"], 1, size, size), np.float32)
    t = rng.integers(0, 10, sizes["batch"])
    left = ((size - 2) // 2 - 2) // 2
    kernels = {
        "k1": he_normal(rng, (first, 1, 3, 3), 9), "c1": np.zeros(first, np.float32),
        "k2": he_normal(rng, (second, first, 3, 3), 9 * first), "c2": np.zeros(second, np.float32),
    }  # fmt: skip
    return Inputs({"x": x, "t": t}, kernels | dense_parameters(rng, (second * left * left, sizes["hidden"], 10)))


def digits_flops(sizes: Sizes) -> int:
    """Of a step: each product forward, and two backward, less that for the image itself."""
    size, first, second = sizes["size"], *sizes["channels"]
    outer = size - 2
    inner = outer // 2 - 2
    features = second * (inner // 2) ** 2
    one = 2 * 9 * first * outer**2
    others = 2 * 9 * first * second * inner**2 + 2 * features * sizes["hidden"] + 2 * sizes["hidden"] * 10
    return sizes["batch"] * (2 * one + 3 * others)


def _pair(words: str, image: tuple[int, ...], kernel: tuple[int, ...], small: Sizes, groups: int = 1) -> list[Workload]:
    made = []
    for backward in (False, True):
        sizes = {"image": image, "kernel": kernel, "groups": groups, "backward": backward}
        program = "convolution_gradients" if backward else "convolution"
        name = f"{words} {'backward (dx, dw)' if backward else 'forward'}"
        tolerance = Tolerance(5e-6, 2e-5)
        made.append(Workload(name, program, sizes, small, image_and_kernel, convolved, 1.1, flops, tolerance=tolerance))
    return made


def _pool(image_shape: tuple[int, ...]) -> list[Workload]:
    shape = ",".join(map(str, image_shape))
    made = []
    for backward in (False, True):
        sizes = {"image": image_shape, "backward": backward}
        name = f"max-pool 2x2 ({shape}) {'backward' if backward else 'forward'}"
        program = "max_pool_gradient" if backward else "max_pool"
        small = {"image": (2, 3, 6, 8)}
        made.append(Workload(name, program, sizes, small, image, pooled, 1.1, bytes=_pool_bytes))
    return made


def _pool_bytes(sizes: Sizes) -> int:
    elements = int(np.prod(sizes["image"]))
    return 4 * elements + elements + (4 * elements if sizes["backward"] else 0)


SMALL = {"image": (2, 4, 7, 9), "kernel": (6, 3, 3)}

WORKLOADS = [
    Workload(
        "SGD step of a CNN on 32x32, batch 32",
        "digits_sgd",
        {"batch": 32, "size": 32, "channels": (32, 64), "hidden": 100, "rate": 0.01},
        {"batch": 3, "size": 14, "channels": (4, 6), "hidden": 8},
        digits,
        trained(by_hand.digits_gradients),
        bar=3.0,
        flops=digits_flops,
        calls=STEPS,
        tolerance=TRAINED,
    ),
    *_pair("conv (32,32,26,26) x 64x3x3", (32, 32, 26, 26), (64, 3, 3), SMALL),
    *_pair("conv (1,64,56,56) x 64x3x3", (1, 64, 56, 56), (64, 3, 3), SMALL),
    *_pair("depthwise conv (32,32,26,26) x 3x3", (32, 32, 26, 26), (32, 3, 3),
           {"image": (2, 4, 7, 9), "kernel": (4, 3, 3), "groups": 4}, groups=32),
    *_pool((32, 64, 26, 26)),
]  # fmt: skip
