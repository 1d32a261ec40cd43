"""Affine maps of images: each image of a batch sampled where its own matrix says, bilinearly.

Invariant: vectorised over the batch, and nothing but the image's own pixels and its own matrix enters an image, so
that it is the same in any batch.
"""

from __future__ import annotations

import numpy as np


def affine(images: np.ndarray, matrices: np.ndarray, offsets: np.ndarray, fill: float | str) -> np.ndarray:
    """The images with `out[p] = in[matrix @ (p - middle) + middle + offset]` for each pixel p = (row, column).

    Args:
        images: (batch, channels, rows, columns).
        matrices: (batch, 2, 2). offsets: (batch, 2).
        fill: the value outside the image, or "edge" for that of the nearest pixel.

    Returns:
        Float64, of the shape of `images`.

    >>> import numpy as np
    >>> image = np.arange(4.0).reshape(1, 1, 2, 2)
    >>> affine(image, np.array([[[0.0, 1.0], [-1.0, 0.0]]]), np.zeros((1, 2)), 0.0)[0, 0]    # a quarter turn
    array([[1., 3.],
           [0., 2.]])
    """
    rows, columns = images.shape[2:]
    middle = np.array([(rows - 1) / 2, (columns - 1) / 2])
    grid = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), axis=-1) - middle
    # Elementwise products: those of matmul may differ in the last bit with the number of images.
    row = matrices[:, 0, 0, None, None] * grid[..., 0] + matrices[:, 0, 1, None, None] * grid[..., 1]
    column = matrices[:, 1, 0, None, None] * grid[..., 0] + matrices[:, 1, 1, None, None] * grid[..., 1]
    return _bilinear(
        images,
        row + (middle[0] + offsets[:, 0])[:, None, None],
        column + (middle[1] + offsets[:, 1])[:, None, None],
        fill,
    )


def _bilinear(images: np.ndarray, row: np.ndarray, column: np.ndarray, fill: float | str) -> np.ndarray:
    """The images at fractional positions, each a weighted mean of the four pixels around it."""
    # A quarter turn is exact but for rounding of its cosine: 1e-9 of a pixel is no position between two.
    row, column = (np.where(np.abs(p - np.rint(p)) < 1e-9, np.rint(p), p) for p in (row, column))
    top, left = np.floor(row), np.floor(column)
    down, right = row - top, column - left
    result = np.zeros(images.shape, np.float64)
    for below in (0, 1):
        for beside in (0, 1):
            weight = (down if below else 1 - down) * (right if beside else 1 - right)
            result += weight[:, None] * _pixels(images, top + below, left + beside, fill)
    return result


def _pixels(images: np.ndarray, row: np.ndarray, column: np.ndarray, fill: float | str) -> np.ndarray:
    """The pixels at whole positions, which may lie outside."""
    rows, columns = images.shape[2:]
    inner_row = np.clip(row, 0, rows - 1).astype(np.int64)
    inner_column = np.clip(column, 0, columns - 1).astype(np.int64)
    place = inner_row * columns + inner_column
    flat = images.reshape(*images.shape[:2], rows * columns)
    found = np.take_along_axis(flat, place.reshape(len(images), 1, rows * columns), axis=2).reshape(images.shape)
    if isinstance(fill, str):
        return found
    outside = (row != inner_row) | (column != inner_column)
    return np.where(outside[:, None], fill, found)
