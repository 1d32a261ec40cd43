"""Samples that occur more than once.

Invariant: of equal samples the first one stays, and the order of those that stay is theirs before.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.data.samples import same_length


def drop_duplicates(*arrays: Any) -> tuple[np.ndarray, ...]:
    """The samples that are not, in all arrays, those of an earlier one.

    Raises:
        ShapeError: the arrays differ in length.

    >>> import graphc as gc
    >>> gc.data.drop_duplicates([[1, 2], [3, 4], [1, 2]], [0, 1, 0])
    (array([[1, 2],
           [3, 4]]), array([0, 1]))
    """
    given = same_length("drop_duplicates", arrays)
    numbers = [np.unique(array.reshape(len(array), -1), axis=0, return_inverse=True)[1].ravel() for array in given]
    _, first = np.unique(np.stack(numbers, axis=1), axis=0, return_index=True)
    kept = np.sort(first)
    return tuple(array[kept] for array in given)
