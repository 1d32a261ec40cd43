"""Checks of single entries: options of constructors, and what a saved state holds.

Invariant: a check gives the value in its own form, or raises `ValueError` (`TypeError` where it cannot even look).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gc

#: Checks one entry of a state and gives it in its own form; raises ValueError.
Check = Callable[[Any], Any]


def flag(value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def number(value: Any) -> float:
    """A finite number."""
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not is_number or not np.isfinite(value):
        raise ValueError(f"{value!r} is no finite number")
    return float(value)


def one_of(*words: str) -> Check:
    """One of some words."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"{value!r} is none of {', '.join(words)}")
        return value

    return check


def text(value: Any) -> str:
    """A string."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no string")
    return value


def floats(value: Any) -> np.ndarray:
    """An array of float64."""
    if not isinstance(value, np.ndarray) or value.dtype != np.float64:
        raise ValueError("it is no array of float64")
    return value


def scalars(value: Any) -> list[Any]:
    """A list of strings and numbers."""
    if not isinstance(value, list) or not all(isinstance(item, (str, int, float)) for item in value):
        raise ValueError("it is no list of strings and numbers")
    return value


def pair(value: Any) -> tuple[float, float]:
    """Two numbers, the first of them less."""
    if not isinstance(value, (list, tuple)) or len(value) != 2 or not number(value[0]) < number(value[1]):
        raise ValueError(f"{value!r} is no pair of numbers, the first of them less")
    return number(value[0]), number(value[1])


def axes(value: Any) -> tuple[int, ...]:
    """The axes that are learned over: the samples' axis 0 and others, rising."""
    given = (value,) if isinstance(value, (int, np.integer)) and not isinstance(value, bool) else value
    whole = isinstance(given, (list, tuple)) and all(isinstance(axis, (int, np.integer)) for axis in given)
    if not whole or 0 not in given or min(given) < 0 or len(set(given)) < len(given):
        raise ValueError(f"{value!r} are no axes from 0 on, with 0, that of the samples, among them")
    return tuple(sorted(int(axis) for axis in given))


def option(owner: str, name: str, check: Check, value: Any) -> Any:
    """An option of a constructor, checked.

    Raises:
        ArgumentError: `check` refuses it.
    """
    try:
        return check(value)
    except (ValueError, TypeError) as error:
        raise gc.ArgumentError(f"{owner}: {name}: {error}") from None
