"""Convolution and pooling beside PyTorch's (oneDNN), by turns in one process: `python benchmarks/convolution.py`.

Prints for each case, layout and direction the best time of each and the ratio: above 1 ours is faster. With one
thread (`GRAPHC_NUM_THREADS=1`) times are processor times, so that other processes disturb them little; with more,
they are elapsed times. Results are compared first.

Needs torch in the interpreter that runs it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

import graphc as gc

THREADS = int(os.environ.get("GRAPHC_NUM_THREADS", "2"))
#: Name -> (image, weights, strides, padding, groups), channels first.
CONVOLUTIONS: dict[str, tuple[tuple[int, ...], tuple[int, ...], int, int, int]] = {
    "second layer of the digits net": ((32, 32, 26, 26), (64, 32, 3, 3), 1, 0, 1),
    "first layer": ((32, 1, 32, 32), (32, 1, 3, 3), 1, 0, 1),
    "one image": ((1, 64, 56, 56), (64, 64, 3, 3), 1, 1, 1),
    "stride 2": ((8, 64, 28, 28), (128, 64, 3, 3), 2, 1, 1),
    "many channels": ((8, 256, 14, 14), (256, 256, 3, 3), 1, 1, 1),
    "1x1": ((8, 64, 28, 28), (128, 64, 1, 1), 1, 0, 1),
    "depthwise": ((8, 64, 56, 56), (64, 1, 3, 3), 1, 1, 64),
}
POOLED = (32, 64, 26, 26)
LAYOUTS = {"NCHW": torch.contiguous_format, "NHWC": torch.channels_last}


def best_times(calls: Sequence[Callable[[], object]], rounds: int = 40) -> list[float]:
    """The shortest time of each call, in milliseconds."""
    clock = time.process_time if THREADS == 1 else time.perf_counter
    best = [float("inf")] * len(calls)
    for number in range(rounds + 1):
        for i, call in enumerate(calls):
            before = clock()
            call()
            if number:
                best[i] = min(best[i], (clock() - before) * 1e3)
    return best


def compare(name: str, ours: Callable[[], Any], theirs: Callable[[], Any], layout: str) -> None:
    """One line of the table, of two calls that give lists of results."""
    for a, b in zip(ours(), theirs()):
        wanted = b.detach().numpy()
        found = a.transpose(0, 3, 1, 2) if layout == "NHWC" and a.shape != wanted.shape else a
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
    mine, peers = best_times([ours, theirs])
    print(f"{name:44} {layout}  {mine:8.3f} ms  torch {peers:8.3f} ms  ratio {peers / mine:5.2f}", flush=True)


def stored(array: np.ndarray, layout: str) -> np.ndarray:
    """A channels-first image as it lies in memory in a layout."""
    return array if layout == "NCHW" else np.ascontiguousarray(array.transpose(0, 2, 3, 1))


def convolution(name: str, layout: str) -> None:
    """Forward, and the two gradients."""
    image, weights, strides, padding, groups = CONVOLUTIONS[name]
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal(image, np.float32), rng.standard_normal(weights, np.float32)
    tx = torch.tensor(x).to(memory_format=LAYOUTS[layout])
    tw = torch.tensor(w)
    ty = functional.conv2d(tx, tw, stride=strides, padding=padding, groups=groups)
    g = rng.standard_normal(tuple(ty.shape), np.float32)
    tg = torch.tensor(g).to(memory_format=LAYOUTS[layout])
    a, b, c = (gc.placeholder(array.shape) for array in (stored(x, layout), w, stored(g, layout)))
    y = gc.conv(a, b, strides, padding, groups=groups, layout=layout)
    forward = gc.function([a, b], [y])
    backward = gc.function([a, b, c], gc.grad(gc.sum(y * c), [a, b]))
    arrays = stored(x, layout), w, stored(g, layout)
    compare(
        f"{name}: forward", lambda: forward(*arrays[:2]),
        lambda: [functional.conv2d(tx, tw, stride=strides, padding=padding, groups=groups)], layout,
    )  # fmt: skip
    compare(
        f"{name}: backward", lambda: backward(*arrays),
        lambda: torch.ops.aten.convolution_backward(
            tg, tx, tw, None, [strides] * 2, [padding] * 2, [1, 1], False, [0, 0], groups, [True, True, False]
        )[:2],
        layout,
    )  # fmt: skip


def pooling(layout: str) -> None:
    """Maximum and average of 2 by 2 windows, forward and with the gradient."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(POOLED, np.float32)
    for name, ours, theirs in (
        ("max_pool", gc.max_pool, functional.max_pool2d), ("avg_pool", gc.avg_pool, functional.avg_pool2d),
    ):  # fmt: skip
        tx = torch.tensor(x).to(memory_format=LAYOUTS[layout]).requires_grad_()
        tg = torch.ones_like(theirs(tx, 2))
        a = gc.placeholder(stored(x, layout).shape)
        y = ours(a, 2, layout=layout)
        forward, both = gc.function([a], [y]), gc.function([a], [y, *gc.grad(gc.sum(y), [a])])
        array = stored(x, layout)

        def with_gradient(theirs: Any = theirs, tx: Any = tx, tg: Any = tg) -> list[Any]:
            ty = theirs(tx, 2)
            return [ty, *torch.autograd.grad(ty, tx, tg)]

        compare(f"{name}: forward", lambda f=forward, v=array: f(v), lambda p=theirs, t=tx: [p(t, 2)], layout)  # type: ignore[misc]
        compare(f"{name}: forward and backward", lambda f=both, v=array: f(v), with_gradient, layout)  # type: ignore[misc]


if __name__ == "__main__":
    torch.set_num_threads(THREADS)
    for chosen in sys.argv[1:] or (*CONVOLUTIONS, "pooling"):
        for each in LAYOUTS:
            if chosen == "pooling":
                pooling(each)
            else:
                convolution(chosen, each)
