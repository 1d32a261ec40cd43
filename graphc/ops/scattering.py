"""Ops that write at positions which integer tensors hold: scatter_add, scatter_set.

Positions are those of `gather`: on the first axes, negative ones from the end, none outside.

Invariant: updates act in order. So sums round alike everywhere, at a repeated position the last `scatter_set`
stays, and of the updates that it overwrote none has a gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir import dims
from graphc.ir.build import TensorLike, apply, as_tensor, cast, constant, promote
from graphc.ir.location import here
from graphc.ir.opdef import OPS, Trait, define, public
from graphc.ir.tensor import Tensor
from graphc.ir.types import BOOL, DTYPES, TensorType
from graphc.ir.verify import require_equal
from graphc.ops.gathering import checked_indices, gathered_shape, numpy_index
from graphc.ops.movement import broadcast_to, zeros_of


def _scatter_type(x: TensorType, updates: TensorType, *indices: TensorType) -> TensorType:
    if x.dtype != updates.dtype:
        raise DTypeError("the updates have another dtype than the array")
    shape = gathered_shape(x, indices)
    rule = f"the updates must have the shape ({', '.join(map(str, shape))}) of what the positions select"
    if len(shape) != updates.rank:
        raise ShapeError(rule)
    for size, update in zip(shape, updates.shape):
        require_equal(size, update, rule)
    return x


def _scatter_add_type(x: TensorType, updates: TensorType, *indices: TensorType) -> TensorType:
    if x.dtype == BOOL:
        raise DTypeError("bool has no addition", hint="cast to an integer first, or use scatter_set")
    return _scatter_type(x, updates, *indices)


def _scatter_add_eval(x: np.ndarray, updates: np.ndarray, *indices: np.ndarray) -> np.ndarray:
    result = x.copy()
    np.add.at(result, numpy_index(x, indices), updates)
    return result


def _scatter_set_eval(x: np.ndarray, updates: np.ndarray, *indices: np.ndarray) -> np.ndarray:
    index = numpy_index(x, indices)
    result = x.copy()
    if updates.size:
        # NumPy leaves open which of several assignments to one place stays; so only the last one is made.
        points = np.broadcast_shapes(*(i.shape for i in index))
        wrapped = tuple(np.broadcast_to(i % size, points).ravel() for i, size in zip(index, x.shape))
        places = np.ravel_multi_index(wrapped, x.shape[: len(index)])
        _, from_the_end = np.unique(places[::-1], return_index=True)
        last = places.size - 1 - from_the_end
        rows = x.shape[len(index) :]
        result.reshape(-1, *rows)[places[last]] = updates.reshape(-1, *rows)[last]
    return result


def _scatter_add_gradient(g: Tensor, y: Tensor, x: Tensor, updates: Tensor, *indices: Tensor) -> Any:
    return (g, apply(OPS["gather"], g, *indices), *(None for _ in indices))


def _scatter_set_gradient(g: Tensor, y: Tensor, x: Tensor, updates: Tensor, *indices: Tensor) -> Any:
    """Overwritten elements of `x` have no gradient, and of several updates of one place only the last has.

    Which one that was: each update writes its own number; who reads it back has won.
    """
    kept = apply(OPS["scatter_set"], g, zeros_of(updates.shape, g.dtype), *indices)
    points = updates.shape[: updates.ndim - (x.ndim - len(indices))]
    numbers = apply(OPS["iota"], size=dims.product(points), dtype=DTYPES["i64"])
    numbers = apply(OPS["reshape"], numbers, shape=points)
    board = zeros_of(x.shape[: len(indices)], DTYPES["i64"])
    winner = apply(OPS["gather"], apply(OPS["scatter_set"], board, numbers, *indices), *indices)
    won = apply(OPS["equal"], winner, numbers)
    aligned = apply(OPS["reshape"], won, shape=points + (1,) * (updates.ndim - len(points)))
    taken = apply(OPS["where"], aligned, apply(OPS["gather"], g, *indices), constant(0, g.dtype))
    return (kept, taken, *(None for _ in indices))


define(
    "scatter_add",
    operands=("x", "updates", "*indices"),
    infer=_scatter_add_type,
    eval=_scatter_add_eval,
    vjp=_scatter_add_gradient,
    traits={Trait.FALLIBLE},
    doc="updates added at positions on the first axes, in order",
)
define(
    "scatter_set",
    operands=("x", "updates", "*indices"),
    infer=_scatter_type,
    eval=_scatter_set_eval,
    vjp=_scatter_set_gradient,
    traits={Trait.FALLIBLE},
    doc="updates stored at positions on the first axes; the last one of each place stays",
)


@public
def scatter_add(x: TensorLike, updates: TensorLike, *indices: TensorLike) -> Tensor:
    """`x` with `updates` added at positions on its first axes; repeated positions add up.

    Args:
        x: a tensor of numbers.
        updates: what to add; broadcasts to the shape that `gather(x, *indices)` has.
        *indices: integers, one array for each of the first axes; they broadcast together.

    Raises:
        DTypeError: positions are not integers, or `x` is bool.
        ShapeError: the updates do not broadcast to what the positions select.
        IndexOutOfBoundsError: a position lies outside its axis; at the call, where it is not known before.

    >>> import graphc as gc
    >>> gc.scatter_add(gc.placeholder((5, 3)), 1.0, gc.placeholder(("k",), "int64")).type
    f32[5,3]
    """
    return _scatter("scatter_add", x, updates, indices)


@public
def scatter_set(x: TensorLike, updates: TensorLike, *indices: TensorLike) -> Tensor:
    """`x` with `updates` stored at positions on its first axes; at a repeated position the last one stays.

    Args, errors: as of `scatter_add`; any dtype.

    >>> import graphc as gc
    >>> gc.scatter_set(gc.placeholder((5, 3)), 0.0, gc.placeholder(("k",), "int64")).type
    f32[5,3]
    """
    return _scatter("scatter_set", x, updates, indices)


def _scatter(name: str, x: TensorLike, updates: TensorLike, indices: tuple[TensorLike, ...]) -> Tensor:
    tensor = as_tensor(x)
    positions = checked_indices(name, tensor, indices)
    target = apply(OPS["gather"], tensor, *positions).shape  # checks ranks, and gives the updates' shape
    return apply(OPS[name], tensor, broadcast_to(like(name, tensor, updates), target), *positions)


def like(function: str, x: Tensor, value: TensorLike) -> Tensor:
    """`value` as a tensor of the dtype of `x`, as NumPy's casting rule "same_kind" allows.

    Raises:
        DTypeError: it would lose more than precision: a fraction, a sign, or being a number.
    """
    scalar = type(value) in (bool, int, float)
    found = promote(x, value)[1] if scalar else as_tensor(value)
    if found.dtype != x.dtype and (scalar or not np.can_cast(found.dtype, x.dtype, "same_kind")):
        raise DTypeError(
            f"{function}: values of {found.dtype} cannot be stored in an array of {x.dtype}",
            location=here(),
            hint=f"cast them: gc.astype(value, '{x.dtype}')",
        )
    return cast(found, x.dtype)
