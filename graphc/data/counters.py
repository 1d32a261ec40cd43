"""Random numbers that are functions of counters: (seed, epoch, sample, draw) -> value, with no state between.

Invariant: a value depends on nothing but its counters: not on the batch it was drawn in, nor on threads, nor on
what was drawn before; and the streams are fixed, whatever the NumPy version.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import graphc as gc

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def checked_seed(what: str, seed: Any) -> int:
    """`seed` as a Python integer below 2**64.

    Raises:
        ArgumentError: it is not one.
    """
    if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool) and 0 <= int(seed) < 2**64:
        return int(seed)
    raise gc.ArgumentError(f"{what}: seed must be a whole number from 0 to 2**64-1, not {seed!r}")


def permutation(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order in which `count` samples come in an epoch: an int64 array of 0..count-1.

    The ranks of words of Philox4x64 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) whose
    key is (seed, epoch). NumPy promises those words for good, unlike its `Generator.permutation`.

    >>> permutation(0, 0, 5), permutation(0, 1, 5)
    (array([0, 2, 1, 4, 3]), array([3, 2, 4, 1, 0]))
    """
    words = philox(seed, epoch).random_raw(count)
    return np.argsort(words, kind="stable").astype(np.int64, copy=False)


def philox(seed: int, epoch: int) -> np.random.Philox:
    """The bit generator of one seed and epoch."""
    return np.random.Philox(key=np.array([seed, epoch % 2**64], np.uint64))


def mix(*words: Any) -> np.ndarray:
    """One random uint64 for each element of the broadcast words.

    A chain of SplitMix64's finalisers (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).

    >>> import numpy as np
    >>> bool((mix(1, np.arange(3)) == mix(1, np.arange(6))[:3]).all())
    True
    """
    state = np.zeros((), np.uint64)
    with np.errstate(over="ignore"):
        for word in words:
            mixed = np.asarray(word).astype(np.uint64) + state + _GOLDEN
            mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
            mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
            state = mixed ^ (mixed >> np.uint64(31))
    return state


def uniform(*words: Any, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """A float64 in [low, high) for each element of the broadcast words."""
    unit = (mix(*words) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return low + (high - low) * unit


def normal(*words: Any) -> np.ndarray:
    """A standard normal float64 for each element of the broadcast words (Box and Muller, 1958)."""
    radius = np.sqrt(-2.0 * np.log1p(-uniform(*words, 0)))
    return radius * np.cos(2.0 * math.pi * uniform(*words, 1))
