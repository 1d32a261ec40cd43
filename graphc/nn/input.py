"""`Input`: the placeholder that a net begins with.

Invariant: its first axis is the batch; inputs that are given no batch of their own share one symbolic size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import graphc as gc


@gc.arguments.checked
def Input(  # noqa: N802 - named like the layers that it stands before
    shape: Sequence[Any] | int, dtype: Any = "float32", name: str | None = None, *, batch: Any = "batch"
) -> gc.Tensor:
    """A placeholder for a batch of examples.

    Args:
        shape: the extents of one example: numbers, None for a symbolic size, or the name of one.
        dtype: the element type.
        name: what calls, dumps and errors call it. Without one a model calls it by its place: "x" where it is the
            only input, else "input_0", "input_1".
        batch: the number of examples: a number, a symbolic size, or the name of one.

    Raises:
        ShapeError: an extent is none of these.
        DTypeError: the dtype is not supported.

    >>> import graphc as gc
    >>> gc.nn.Input((28, 28), name="image").type, gc.nn.Input((10, 1), batch=32).type
    (f32[batch,28,28], f32[32,10,1])
    """
    extents = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    return gc.placeholder((batch, *extents), dtype, name)
