"""Reading axes, shapes and counts out of what a user may write for them.

Invariant: what leaves here is canonical (axes non-negative, each once; sizes `int` or `Dim`, never negative
numbers), and every refusal names the public function, the argument and the limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, ShapeError
from graphc.ir.dims import Dim, Size
from graphc.ir.location import here
from graphc.ir.size_text import parse_size


def is_integer(value: Any) -> bool:
    """Whether `value` is a whole number of Python's or NumPy's, and no bool."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))


def as_integer(function: str, argument: str, value: Any, *, least: int | None = None) -> int:
    """A whole number, at least `least`.

    Raises:
        ArgumentError: it is none, or smaller.
    """
    if not is_integer(value):
        raise ArgumentError(f"{function}: {argument} must be an integer, not {value!r}", location=here())
    if least is not None and value < least:
        raise ArgumentError(f"{function}: {argument} must be at least {least}, not {value}", location=here())
    return int(value)


def as_axis(function: str, axis: Any, rank: int, argument: str = "axis") -> int:
    """One axis of an array of `rank` dimensions, counted from the front.

    Raises:
        ArgumentError: it is no integer.
        ShapeError: the array has no such axis.

    >>> as_axis("concat", -1, 3)
    2
    """
    number = as_integer(function, argument, axis)
    if not -rank <= number < rank:
        raise ShapeError(
            f"{function}: {argument} {number} is out of bounds for an array of rank {rank}", location=here()
        )
    return number % rank


def as_axes(function: str, axes: Any, rank: int, argument: str = "axis") -> tuple[int, ...]:
    """Several different axes, in the order given; `None` is all of them.

    Raises:
        ArgumentError: an entry is no integer.
        ShapeError: the array has no such axis, or one is named twice.

    >>> as_axes("flip", (-1, 0), 3), as_axes("flip", None, 2), as_axes("flip", 1, 2)
    ((2, 0), (0, 1), (1,))
    """
    if axes is None:
        return tuple(range(rank))
    entries = axes if isinstance(axes, (tuple, list)) else (axes,)
    found = tuple(as_axis(function, axis, rank, argument) for axis in entries)
    if len(set(found)) != len(found):
        raise ShapeError(f"{function}: {argument} {tuple(entries)} names an axis twice", location=here())
    return found


def as_size(function: str, argument: str, value: Any) -> Size:
    """An extent: a number, a symbolic size, or the name of one.

    Raises:
        ShapeError: it is none of these, or negative.
    """
    if isinstance(value, Dim):
        return value
    if isinstance(value, str):
        try:
            return parse_size(value)
        except ValueError as error:
            raise ShapeError(f"{function}: {argument}: {error}", location=here()) from None
    if not is_integer(value):
        raise ShapeError(f"{function}: {argument} {value!r} is not a size", location=here())
    if value < 0:
        raise ShapeError(f"{function}: {argument} {value} is negative", location=here())
    return int(value)


def as_shape(function: str, shape: Any) -> tuple[Size, ...]:
    """A shape: a sequence of extents, or one extent alone.

    Raises:
        ShapeError: an entry is not a size.

    >>> as_shape("zeros", (2, "batch")), as_shape("zeros", 3)
    ((2, Dim('batch')), (3,))
    """
    entries: Sequence[Any] = shape if isinstance(shape, (tuple, list)) else (shape,)
    return tuple(as_size(function, f"extent {i}", entry) for i, entry in enumerate(entries))
