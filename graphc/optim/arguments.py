"""Checking what a user gives to an optimiser or a schedule.

Invariant: every refusal names the object, the argument, the value and the limit, on the user's own line.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import graphc as gc

#: Range -> whether a number is in it.
_RANGES = {
    "positive": lambda x: 0 < x < math.inf,
    "not negative": lambda x: 0 <= x < math.inf,
    "in 0 <= x < 1": lambda x: 0 <= x < 1,
    "in 0 < x <= 1": lambda x: 0 < x <= 1,
    "at least 1": lambda x: 1 <= x < math.inf,
    "finite": math.isfinite,
}


def number(owner: str, argument: str, value: Any, within: str) -> float:
    """A number in one of the ranges of `_RANGES`.

    Raises:
        ArgumentError: it is none, or outside the range.

    >>> number("adam", "beta1", 0.9, "in 0 <= x < 1")
    0.9
    """
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not is_number or not _RANGES[within](float(value)):
        raise gc.arguments.refusal(f"{owner}: {argument} must be a number {within}, not {value!r}")
    return float(value)


def whole_number(owner: str, argument: str, value: Any) -> int:
    """A whole number, at least 1.

    Raises:
        ArgumentError: it is none, or smaller.

    >>> whole_number("sgd", "accumulation_steps", 4)
    4
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise gc.arguments.refusal(f"{owner}: {argument} must be a whole number, at least 1, not {value!r}")
    return int(value)
