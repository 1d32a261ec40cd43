"""Arrays for random graphs: ordinary ones, and such as are full of what breaks arithmetic.

Invariant: the same generator state gives the same arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: Extents of axes. 0 and 1 are where loops go wrong, 33 is one more than a vector, 400 more than a block of
#: a matrix product along k.
EXTENTS = (1, 2, 3, 4, 5, 7, 8, 0, 16, 17, 33, 130, 400)
EXTENT_ODDS = np.array([12, 14, 14, 8, 10, 10, 6, 6, 4, 5, 7, 3, 1]) / 100


def special_values(dtype: np.dtype[Any]) -> np.ndarray:
    """The values of a dtype that break things."""
    if dtype.kind == "b":
        return np.array([False, True])
    if dtype.kind == "f":
        info = np.finfo(dtype)
        positive = [0.0, info.smallest_subnormal, info.smallest_normal, 0.5, 1.0, 1e10, info.max, np.inf, np.nan]
        return np.array([*positive, *(-x for x in positive)], dtype)
    info = np.iinfo(dtype)
    small = [0, 1, 2, 7, info.bits - 1, info.bits]
    return np.array([info.min, info.max, *small, *([-1, -2] if info.min < 0 else [])], dtype)


def ordinary(rng: np.random.Generator, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    """Values of moderate size; those of floats are all different."""
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind == "f":
        return np.asarray(rng.normal(0, 2, shape), dtype)
    return rng.integers(0 if dtype.kind == "u" else -9, 10, shape).astype(dtype)


def special(rng: np.random.Generator, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    """Ordinary values, with NaN, infinities, -0.0, subnormals and extreme integers among them."""
    chosen = rng.random(shape) < rng.choice([0.05, 0.4])
    return np.where(chosen, rng.choice(special_values(dtype), shape), ordinary(rng, dtype, shape))


def repeating(rng: np.random.Generator, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    """Few different values, so that sorts and maxima meet ties."""
    return ordinary(rng, dtype, shape) if dtype.kind == "b" else rng.integers(0, 3, shape).astype(dtype)


def scaled(rng: np.random.Generator, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    """Values of all magnitudes; integers over their whole range."""
    if dtype.kind == "b":
        return ordinary(rng, dtype, shape)
    if dtype.kind == "f":
        return np.asarray(rng.normal(0, 1, shape) * 10.0 ** rng.integers(-6, 7, shape), dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


#: Ways to fill an input, and how often each is taken.
KINDS = {ordinary: 0.55, special: 0.25, repeating: 0.1, scaled: 0.1}


def draw(rng: np.random.Generator, dtype: np.dtype[Any], shape: tuple[int, ...], kind: int | None = None) -> np.ndarray:
    """An array of one of the `KINDS`."""
    ways = list(KINDS)
    way = ways[rng.choice(len(ways), p=list(KINDS.values())) if kind is None else kind]
    return np.ascontiguousarray(np.asarray(way(rng, dtype, shape), dtype)).reshape(shape)
