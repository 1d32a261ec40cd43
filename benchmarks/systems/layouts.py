"""How a system lays out images, kernels and weights, and the way back to the workloads' own layout.

A net that works on NHWC flattens its features in another order, so the weights of the dense layer behind them have
their rows in that order too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from benchmarks.workload import Arrays


class Layout(NamedTuple):
    """Two translations.

    Attributes:
        into: named arrays of a workload, as the system holds them.
        back: results (in the workload's order), in the workload's layout.
    """

    into: Callable[[Arrays], Arrays]
    back: Callable[[list[np.ndarray]], list[np.ndarray]]


AS_IT_IS = Layout(lambda arrays: arrays, lambda results: results)

IMAGE_NAMES, KERNEL_NAMES = ("x", "dy"), ("w", "k1", "k2")
IMAGE, IMAGE_BACK = (0, 2, 3, 1), (0, 3, 1, 2)
KERNEL, KERNEL_BACK = (2, 3, 1, 0), (3, 2, 0, 1)


def _into(arrays: Arrays) -> Arrays:
    axes = dict.fromkeys(IMAGE_NAMES, IMAGE) | dict.fromkeys(KERNEL_NAMES, KERNEL)
    found = {
        name: np.ascontiguousarray(a.transpose(axes[name])) if name in axes and a.ndim == 4 else a
        for name, a in arrays.items()
    }
    if "k2" in arrays:  # a net: its features are flattened with channels last
        channels = arrays["k2"].shape[0]
        side = _side(arrays["w1"], channels)
        rows = np.arange(channels * side * side).reshape(channels, side, side).transpose(1, 2, 0).ravel()
        found["w1"] = np.ascontiguousarray(arrays["w1"][rows])
    return found


def _side(weights: np.ndarray, channels: int) -> int:
    return round((weights.shape[0] / channels) ** 0.5)


def _back(results: list[np.ndarray]) -> list[np.ndarray]:
    if len(results) == 9:  # loss, k1, c1, k2, c2, w1, b1, w2, b2
        loss, k1, c1, k2, c2, w1, *others = results
        channels = k2.shape[-1]
        side = _side(w1, channels)
        rows = np.arange(channels * side * side).reshape(side, side, channels).transpose(2, 0, 1).ravel()
        return [loss, k1.transpose(KERNEL_BACK), c1, k2.transpose(KERNEL_BACK), c2, w1[rows], *others]
    if len(results) == 2:  # the gradients of image and kernel
        return [results[0].transpose(IMAGE_BACK), results[1].transpose(KERNEL_BACK)]
    return [result.transpose(IMAGE_BACK) for result in results]


#: Images NHWC, kernels (height, width, in, out): what XLA and TensorFlow run best on CPUs.
CHANNELS_LAST = Layout(_into, _back)
