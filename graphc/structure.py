"""Outputs in the shape that the user gave them: one tensor, or lists, tuples and dicts of them, nested.

Invariant: `unflatten(structure, flatten(structure))` is a copy of the structure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from graphc.errors import ArgumentError
from graphc.ir.location import here
from graphc.ir.tensor import Tensor

Structure = Any  # Tensor | None | list | tuple | dict of Structures


def flatten(structure: Structure, function: str = "function") -> list[Tensor]:
    """The tensors of a nested structure, left to right.

    Raises:
        ArgumentError: a leaf is not a tensor.
    """
    if isinstance(structure, Tensor):
        return [structure]
    if structure is None:
        return []
    if isinstance(structure, Mapping):
        return [t for item in structure.values() for t in flatten(item, function)]
    if isinstance(structure, (list, tuple)):
        return [t for item in structure for t in flatten(item, function)]
    raise ArgumentError(
        f"{function}: an output must be a tensor, or a list, tuple or dict of them, not {type(structure).__name__}",
        location=here(),
    )


def unflatten(structure: Structure, leaves: Sequence[Any]) -> Any:
    """`structure` with its tensors replaced by `leaves`, in order."""
    return _fill(structure, iter(leaves))


def _fill(structure: Structure, leaves: Iterator[Any]) -> Any:
    if isinstance(structure, Tensor):
        return next(leaves)
    if structure is None:
        return None
    if isinstance(structure, Mapping):
        return {key: _fill(item, leaves) for key, item in structure.items()}
    items = [_fill(item, leaves) for item in structure]
    if isinstance(structure, tuple):
        return type(structure)(*items) if hasattr(structure, "_fields") else tuple(items)
    return items
