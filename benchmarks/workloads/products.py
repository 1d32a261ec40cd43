"""Matrix products of float32: small, large, with a transposed operand, batched, and one row."""

from __future__ import annotations

import numpy as np

from benchmarks.workload import Inputs, Sizes, Tolerance, Workload


def operands(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    """x (m, k) and y (k, n), each stored the other way round where `stored` has a T; both with `batch` in front."""
    batch = (sizes["batch"],) if sizes.get("batch") else ()
    m, k, n = sizes["m"], sizes["k"], sizes["n"]
    x, y = sizes["stored"]
    return Inputs(
        {
            "x": rng.standard_normal((*batch, *((k, m) if x == "T" else (m, k))), np.float32),
            "y": rng.standard_normal((*batch, *((n, k) if y == "T" else (k, n))), np.float32),
        }
    )


def product(inputs: Inputs, sizes: Sizes) -> list[np.ndarray]:
    """x @ y."""
    x, y = (
        array.swapaxes(-1, -2) if stored == "T" else array
        for array, stored in zip(inputs.data.values(), sizes["stored"])
    )
    return [x @ y]


def _product_of(m: int, k: int, n: int, bar: float, stored: str = "NN", batch: int = 0) -> Workload:
    shape = f"{m}^3" if m == k == n else f"({m},{k},{n})"
    name = f"matmul f32 {f'{batch} x ' if batch else ''}{shape}{f' {stored}' if stored != 'NN' else ''}"
    return Workload(
        name,
        "matmul",
        {"m": m, "k": k, "n": n, "stored": stored, "batch": batch},
        {"m": min(m, 9), "k": min(k, 17), "n": min(n, 20), "batch": min(batch, 3)},
        operands,
        product,
        bar,
        flops=lambda sizes: 2 * (sizes["batch"] or 1) * sizes["m"] * sizes["k"] * sizes["n"],
        bytes=lambda sizes: 4 * (sizes["m"] * sizes["k"] + sizes["k"] * sizes["n"] + sizes["m"] * sizes["n"]),
        tolerance=Tolerance(2e-6, 1e-5),
        remark="(m, k, n); T: this operand is stored transposed" if stored != "NN" else "",
    )


WORKLOADS = [
    _product_of(32, 128, 64, 1.2),
    _product_of(128, 512, 784, 1.2),
    _product_of(256, 256, 256, 1.2),
    _product_of(1024, 1024, 1024, 1.0),
    _product_of(256, 256, 256, 1.2, "NT"),
    _product_of(256, 256, 256, 1.2, "TN"),
    _product_of(1024, 1024, 1024, 1.0, "NT"),
    _product_of(1024, 1024, 1024, 1.0, "TN"),
    _product_of(64, 64, 32, 1.2, batch=64),
    _product_of(1, 512, 512, 1.2),
]
