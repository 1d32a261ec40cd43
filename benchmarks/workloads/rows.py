"""Reductions, and what is made of them: softmax, layer norm, the gradient of logsumexp, sums over each axis and all."""

from __future__ import annotations

import numpy as np

from benchmarks.workload import DOUBLE, Inputs, Make, Reference, Sizes, Tolerance, Workload

#: What keeps layer norm from dividing by zero, as in PyTorch.
EPSILON = 1e-5


def matrix(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    """A matrix x of normal numbers."""
    shape = sizes["rows"], sizes["columns"]
    return Inputs({"x": rng.standard_normal(shape).astype(sizes.get("dtype", "float32"))})


def matrix_above_zero(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    """A matrix x of normal numbers around 1: their sums do not cancel, so that errors are relative to something."""
    x = matrix(rng, sizes).data["x"]
    return Inputs({"x": x + x.dtype.type(1)})


def matrix_and_scales(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    """A matrix x, and a scale and a shift for each column."""
    x = matrix(rng, sizes).data["x"]
    scale, shift = (rng.standard_normal(sizes["columns"], np.float32) for _ in range(2))
    return Inputs({"x": x, "scale": scale, "shift": shift})


def softmax(inputs: Inputs, sizes: Sizes) -> list[np.ndarray]:
    """The softmax of each row, which is also the gradient of sum(logsumexp(x, axis=1))."""
    x = inputs.data["x"]
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return [e / e.sum(axis=1, keepdims=True)]


def layer_norm(inputs: Inputs, sizes: Sizes) -> list[np.ndarray]:
    """Each row less its mean, over its standard deviation, scaled and shifted."""
    x = inputs.data["x"]
    centred = x - x.mean(axis=1, keepdims=True)
    deviation = np.sqrt((centred * centred).mean(axis=1, keepdims=True) + EPSILON)
    return [centred / deviation * inputs.data["scale"] + inputs.data["shift"]]


def sums(inputs: Inputs, sizes: Sizes) -> list[np.ndarray]:
    """The sum over an axis, or over all (axis None)."""
    return [np.sum(inputs.data["x"], axis=sizes["axis"])]


SHAPE = {"rows": 4096, "columns": 1024}
SMALL = {"rows": 24, "columns": 100}


def _of_rows(name: str, program: str, reference: Reference, bar: float, make: Make = matrix) -> Workload:
    def moved(sizes: Sizes) -> int:
        return 8 * sizes["rows"] * sizes["columns"]

    return Workload(name, program, SHAPE, SMALL, make, reference, bar, bytes=moved)


def _sum_of(axis: int | None, words: str, dtype: str) -> Workload:
    single = dtype == "float32"
    return Workload(
        f"sum {words}, 4096x4096 {'f32' if single else 'f64'}",
        "sum",
        {"rows": 4096, "columns": 4096, "axis": axis, "dtype": dtype},
        SMALL,
        matrix_above_zero,
        sums,
        bar=1.2,
        bytes=lambda sizes: sizes["rows"] * sizes["columns"] * np.dtype(sizes["dtype"]).itemsize,
        tolerance=Tolerance(1e-5, 1e-5) if single else DOUBLE,
    )


WORKLOADS = [
    _of_rows("softmax over rows of 4096x1024", "softmax", softmax, bar=1.3),
    _of_rows("layer norm over rows of 4096x1024", "layer_norm", layer_norm, bar=1.2, make=matrix_and_scales),
    _of_rows("gradient of sum(logsumexp), 4096x1024", "logsumexp_gradient", softmax, bar=1.5),
    *(
        _sum_of(axis, words, dtype)
        for dtype in ("float32", "float64")
        for axis, words in ((0, "over rows (axis 0)"), (1, "over columns (axis 1)"), (None, "over all"))
    ),
]
