"""Batches put together again: what a function gives for each batch, as if it had been called on all of them.

Invariant: the result has the structure of each part, arrays are joined along their first axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import graphc as gc


def joined(parts: Sequence[Any]) -> Any:
    """The outputs of batches in one array each.

    Args:
        parts: for each batch an array, or a list, tuple or dict of such outputs.

    Raises:
        ArgumentError: there is none.

    >>> joined([[np.array([1, 2])], [np.array([3])]])
    [array([1, 2, 3])]
    """
    if not parts:
        raise gc.ArgumentError("predict: the data has no batches")
    first = parts[0]
    if isinstance(first, dict):
        return {name: joined([part[name] for part in parts]) for name in first}
    if isinstance(first, (list, tuple)):
        return type(first)(joined(pieces) for pieces in zip(*parts))
    return first if len(parts) == 1 else np.concatenate(parts)
