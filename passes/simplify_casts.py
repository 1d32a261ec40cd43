"""Identities of casts, rounding, and other ops that may have nothing to do.

Invariant: exact; a cast is left out only where it loses nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir.tensor import Tensor
from graphc.ir.types import is_float
from graphc.passes.patterns import is_op, make
from graphc.passes.rewrite import simplify

_ROUNDINGS = ("floor", "ceil", "trunc", "round")


@simplify(*_ROUNDINGS)
def round_of_whole(t: Tensor) -> Tensor | None:
    """floor(x) -> x where x is whole already: rounded, of integers, or cast from integers

    %x: f32[n]
    %0 = ceil %x : f32[n]
    %1 = floor %0 : f32[n]
    """
    (x,) = t.inputs
    from_integers = is_op(x, "cast") and x.inputs[0].dtype.kind in "iub"
    return x if x.dtype.kind in "iu" or from_integers or is_op(x, *_ROUNDINGS) else None


@simplify("cast")
def cast_to_itself(t: Tensor) -> Tensor | None:
    """cast(x, dtype of x) -> x

    %x: f32[n]
    %0 = cast %x {dtype=f32} : f32[n]
    """
    (x,) = t.inputs
    return x if x.dtype == t.dtype else None


@simplify("cast")
def cast_of_lossless_cast(t: Tensor) -> Tensor | None:
    """cast(cast(x, wider), dtype) -> cast(x, dtype)

    %x: f32[n]
    %0 = cast %x {dtype=f64} : f64[n]
    %1 = cast %0 {dtype=f32} : f32[n]
    """
    (y,) = t.inputs
    if not is_op(y, "cast"):
        return None
    (x,) = y.inputs
    if not _is_lossless(x.dtype, y.dtype):
        return None
    # A float out of an integer's range converts to whatever the machine's instruction for that pair of types
    # gives, so the way through a float may be left out only where everything is in range.
    if is_float(y.dtype) and t.dtype.kind in "iu" and not _is_lossless(x.dtype, t.dtype):
        return None
    return x if x.dtype == t.dtype else make("cast", x, dtype=t.dtype)


def _is_lossless(source: np.dtype[Any], target: np.dtype[Any]) -> bool:
    """Whether every value of `source` is one of `target`; NumPy's "safe" casts, without int64 -> float64."""
    if source == target or source.kind == "b":
        return True
    if source.kind in "iu" and target.kind == "f":
        return np.iinfo(source).bits <= np.finfo(target).nmant + 1
    return np.can_cast(source, target, "safe")


@simplify("stop_gradient")
def stop_gradient_is_done(t: Tensor) -> Tensor | None:
    """stop_gradient(x) -> x, since gradients are taken before the passes

    %x: f32[n]
    %0 = stop_gradient %x : f32[n]
    """
    return t.inputs[0]
