"""Gradients that are too large, made smaller.

Norms are Euclidean and computed in float64, so that squares of large float32 gradients do not overflow.

Invariant: what is within the limit comes back unchanged, to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import graphc as gc


def global_norm(gradients: Sequence[gc.Tensor]) -> gc.Tensor:
    """The norm of all gradients together, as if they were one long vector; a float64 scalar.

    >>> import graphc as gc
    >>> norm = gc.optim.global_norm([gc.constant([3.0, 0.0], "float32"), gc.constant(4.0)])
    >>> gc.function([], norm, backend="numpy")()
    array(5.)
    """
    total = gc.constant(0.0, "float64")
    for gradient in gradients:
        total = total + gc.sum(gc.square(gc.astype(gradient, "float64")))
    return gc.sqrt(total)


def clip_by_value(gradient: gc.Tensor, limit: float) -> gc.Tensor:
    """Each element moved into [-limit, limit]; NaN stays.

    >>> import graphc as gc
    >>> clipped = gc.optim.clip_by_value(gc.constant([0.5, -7.0]), 1.0)
    >>> gc.function([], clipped, backend="numpy")()
    array([ 0.5, -1. ])
    """
    return gc.clip(gradient, -limit, limit)


def clip_by_norm(gradient: gc.Tensor, limit: float) -> gc.Tensor:
    """The gradient, shortened to the norm `limit` if it is longer.

    >>> import graphc as gc
    >>> clipped = gc.optim.clip_by_norm(gc.constant([3.0, 4.0]), 1.0)
    >>> gc.function([], clipped, backend="numpy")()
    array([0.6, 0.8])
    """
    return clip_by_global_norm([gradient], limit)[0]


def clip_by_global_norm(gradients: Sequence[gc.Tensor], limit: float) -> list[gc.Tensor]:
    """All gradients, shortened by one factor to the global norm `limit` if they are longer together.

    R. Pascanu, T. Mikolov, Y. Bengio: On the Difficulty of Training Recurrent Neural Networks, 2013.

    >>> import graphc as gc
    >>> clipped = gc.optim.clip_by_global_norm([gc.constant([3.0, 0.0]), gc.constant(4.0)], 1.0)
    >>> gc.function([], clipped, backend="numpy")()
    [array([0.6, 0. ]), array(0.8)]
    """
    scale = limit / gc.maximum(global_norm(gradients), limit)
    return [gradient * gc.astype(scale, gradient.dtype) for gradient in gradients]
