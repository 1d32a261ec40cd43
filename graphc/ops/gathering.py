"""Ops that read and write at positions which integer tensors hold: take, gather, scatter.

Negative positions count from the end. One outside its axis is an error: when the tensor is built, where both
are known, else when the graph runs.

Invariant: the gradient of every gather is a scatter and the reverse, repeated positions included: a gather's
gradient adds up at them, and of the updates that `scatter_set` overwrote none has a gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import DTypeError, IndexOutOfBoundsError, ShapeError
from graphc.ir.broadcast import broadcast_shapes
from graphc.ir.build import TensorLike, apply, as_tensor, cast, constant, promote
from graphc.ir.dims import Size
from graphc.ir.location import here
from graphc.ir.opdef import FUNCTIONS, OPS, Trait, define, public
from graphc.ir.tensor import Tensor
from graphc.ir.types import BOOL, DTYPES, TensorType
from graphc.ir.verify import require_equal
from graphc.ops.arguments import as_axis
from graphc.ops.movement import broadcast_to, inverse_permutation, permuted, sum_to_shape
from graphc.ops.sources import size_value

Shape = tuple[Size, ...]


# positions ------------------------------------------------------------------------------------------------


def check_positions(indices: np.ndarray, axis: int, size: int) -> None:
    """Check that every position lies in `-size .. size-1`.

    Raises:
        IndexOutOfBoundsError: one does not; names the first.
    """
    outside = (indices >= size) | (indices < -size)
    if outside.any():
        first = int(indices[outside].flat[0])
        raise IndexOutOfBoundsError(f"index {first} is out of bounds for axis {axis} with size {size}")


def check_constant(function: str, indices: Tensor, axis: int, size: Size) -> None:
    """`check_positions` now, where the positions are a constant and the size a number."""
    if indices.op.name == "const" and isinstance(size, int):
        try:
            check_positions(indices.attrs["value"], axis, size)
        except IndexOutOfBoundsError as error:
            raise IndexOutOfBoundsError(f"{function}: {error.message}", location=here()) from None


def as_indices(function: str, value: TensorLike) -> Tensor:
    """Positions as an integer tensor.

    Raises:
        DTypeError: they are not integers.
    """
    tensor = as_tensor(value)
    if (
        tensor.op.name == "const"
        and tensor.size == 0
        and not isinstance(value, Tensor)
        and tensor.dtype.kind == "f"
    ):
        return constant(np.zeros(tensor.attrs["value"].shape, np.int64))  # `[]` holds no fraction
    if tensor.dtype == BOOL:
        raise DTypeError(
            f"{function}: a boolean mask would make a size that depends on values",
            location=here(),
            hint="choose elementwise with gc.where(mask, x, other)",
        )
    if tensor.dtype.kind not in "iu":
        raise DTypeError(f"{function}: positions must be integers, not {tensor.dtype}", location=here())
    return tensor


def _require_integers(*indices: TensorType) -> None:
    for index in indices:
        if index.dtype.kind not in "iu":
            raise DTypeError("positions must be integers")


def _zeros(shape: Shape, dtype: np.dtype[Any]) -> Tensor:
    return broadcast_to(constant(0, dtype), shape)


def _positions(shape: Shape, axis: int) -> Tensor:
    """0, 1, 2, ... along `axis`, of size 1 along the others."""
    iota = apply(OPS["iota"], size=shape[axis], dtype=DTYPES["i64"])
    return apply(OPS["reshape"], iota, shape=tuple(s if i == axis else 1 for i, s in enumerate(shape)))


# take -----------------------------------------------------------------------------------------------------


def _take_type(x: TensorType, indices: TensorType, *, axis: int) -> TensorType:
    _require_integers(indices)
    if not 0 <= axis < x.rank:
        raise ShapeError(f"axis {axis} is out of bounds for an array of rank {x.rank}")
    return x.with_shape(x.shape[:axis] + indices.shape + x.shape[axis + 1 :])


def _take_eval(x: np.ndarray, indices: np.ndarray, *, axis: int) -> np.ndarray:
    check_positions(indices, axis, x.shape[axis])
    if x.shape[axis] == 0:  # there are no positions, since the check passed
        return np.empty(x.shape[:axis] + indices.shape + x.shape[axis + 1 :], x.dtype)
    return np.asarray(np.take(x, indices.astype(np.intp), axis))


def _take_gradient(g: Tensor, y: Tensor, x: Tensor, indices: Tensor, *, axis: int) -> tuple[Tensor, None]:
    order = (axis, *(i for i in range(x.ndim) if i != axis))  # the axis in front, as scatter wants it
    placed = tuple(range(axis, axis + indices.ndim))
    updates = permuted(g, (*placed, *(i for i in range(g.ndim) if i not in placed)))
    zeros = _zeros(tuple(x.shape[i] for i in order), g.dtype)
    return permuted(apply(OPS["scatter_add"], zeros, updates, indices), inverse_permutation(order)), None


define(
    "take",
    operands=("x", "indices"),
    attrs=("axis",),
    infer=_take_type,
    eval=_take_eval,
    vjp=_take_gradient,
    traits={Trait.MOVEMENT, Trait.FALLIBLE},
    doc="the slices of one axis at the given positions",
)


@public
def take(x: TensorLike, indices: TensorLike, axis: int | None = None) -> Tensor:
    """The slices of `x` along `axis` at the positions `indices`.

    Args:
        x: any tensor.
        indices: integers of any shape, which replaces the axis in the result's; negative ones count from the end.
        axis: which one; None takes from the flattened `x`.

    Raises:
        DTypeError: `indices` are not integers.
        ShapeError: there is no such axis.
        IndexOutOfBoundsError: a position lies outside the axis; at the call, where it is not known before.

    >>> import graphc as gc
    >>> table = gc.placeholder((1000, 64), name="table")
    >>> gc.take(table, gc.placeholder(("batch", 7), "int64"), axis=0).type
    f32[batch,7,64]
    """
    tensor, positions = as_tensor(x), as_indices("take", indices)
    if axis is None:
        tensor, axis = FUNCTIONS["reshape"](tensor, (-1,)), 0
    place = as_axis("take", axis, tensor.ndim)
    check_constant("take", positions, place, tensor.shape[place])
    return apply(OPS["take"], tensor, positions, axis=place)


# take_along_axis ------------------------------------------------------------------------------------------


def _take_along_axis_type(x: TensorType, indices: TensorType, *, axis: int) -> TensorType:
    _require_integers(indices)
    if x.rank != indices.rank:
        raise ShapeError("the positions need as many axes as the operand")
    if not 0 <= axis < x.rank:
        raise ShapeError(f"axis {axis} is out of bounds for an array of rank {x.rank}")
    others = (t.shape[:axis] + t.shape[axis + 1 :] for t in (x, indices))
    shape = broadcast_shapes(*others, rule=f"the shapes do not agree off axis {axis}")
    return x.with_shape((*shape[:axis], indices.shape[axis], *shape[axis:]))


def _take_along_axis_eval(x: np.ndarray, indices: np.ndarray, *, axis: int) -> np.ndarray:
    check_positions(indices, axis, x.shape[axis])
    return np.take_along_axis(x, indices.astype(np.int64), axis)


def _take_along_axis_gradient(
    g: Tensor, y: Tensor, x: Tensor, indices: Tensor, *, axis: int
) -> tuple[Tensor, None]:
    extent = x.shape[axis]
    whole = (*g.shape[:axis], extent, *g.shape[axis + 1 :])  # x as broadcast against the positions
    if indices.shape[axis] == 1:  # one position in each row: a comparison instead of a scatter
        wide = indices.astype("int64")
        wrapped = apply(OPS["where"], wide < 0, wide + size_value(extent), wide)
        chosen = apply(OPS["equal"], _positions(whole, axis), wrapped)
        spread = apply(OPS["where"], chosen, g, constant(0, g.dtype))
        return sum_to_shape(spread, x.shape), None
    grid = [_positions(g.shape, i) if i != axis else indices for i in range(g.ndim)]
    return sum_to_shape(apply(OPS["scatter_add"], _zeros(whole, g.dtype), g, *grid), x.shape), None


define(
    "take_along_axis",
    operands=("x", "indices"),
    attrs=("axis",),
    infer=_take_along_axis_type,
    eval=_take_along_axis_eval,
    vjp=_take_along_axis_gradient,
    traits={Trait.MOVEMENT, Trait.FALLIBLE},
    doc="in each row along an axis, the elements at that row's positions",
)


@public
def take_along_axis(x: TensorLike, indices: TensorLike, axis: int = -1) -> Tensor:
    """In each row of `x` along `axis`, the elements at the positions in the same row of `indices`.

    Args:
        x: any tensor.
        indices: integers of the same rank; off `axis`, the shapes broadcast.
        axis: the one to pick along.

    Raises:
        DTypeError: `indices` are not integers.
        ShapeError: the ranks differ, the shapes do not broadcast, or there is no such axis.
        IndexOutOfBoundsError: a position lies outside the axis; at the call, where it is not known before.

    >>> import graphc as gc
    >>> scores, label = gc.placeholder(("batch", 10)), gc.placeholder(("batch", 1), "int64")
    >>> gc.take_along_axis(scores, label, axis=1).type
    f32[batch,1]
    """
    tensor, positions = as_tensor(x), as_indices("take_along_axis", indices)
    place = as_axis("take_along_axis", axis, tensor.ndim)
    check_constant("take_along_axis", positions, place, tensor.shape[place])
    return apply(OPS["take_along_axis"], tensor, positions, axis=place)


# gather ---------------------------------------------------------------------------------------------------


def _gather_shape(x: TensorType, indices: tuple[TensorType, ...]) -> Shape:
    _require_integers(*indices)
    if not indices:
        raise ShapeError("at least one array of positions is needed")
    if len(indices) > x.rank:
        raise ShapeError(f"{len(indices)} arrays of positions for an array of rank {x.rank}")
    points = broadcast_shapes(*(i.shape for i in indices), rule="the arrays of positions do not broadcast")
    return points + x.shape[len(indices) :]


def _numpy_index(x: np.ndarray, indices: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    for axis, index in enumerate(indices):
        check_positions(index, axis, x.shape[axis])
    return tuple(index.astype(np.intp) for index in indices)


define(
    "gather",
    operands=("x", "*indices"),
    infer=lambda x, *indices: x.with_shape(_gather_shape(x, indices)),
    eval=lambda x, *indices: np.asarray(x[_numpy_index(x, indices)]),
    vjp=lambda g, y, x, *indices: (
        apply(OPS["scatter_add"], _zeros(x.shape, g.dtype), g, *indices),
        *(None for _ in indices),
    ),
    traits={Trait.MOVEMENT, Trait.FALLIBLE},
    doc="the elements at positions on the first axes",
)


@public
def gather(x: TensorLike, *indices: TensorLike) -> Tensor:
    """The elements of `x` at positions on its first axes: `x[indices[0], indices[1], ...]`.

    Args:
        x: any tensor.
        *indices: integers, one array for each of the first axes; they broadcast together.

    Returns:
        A tensor of the positions' joint shape, then the axes of `x` that have none.

    Raises:
        DTypeError: positions are not integers.
        ShapeError: there are none, more than axes, or they do not broadcast.
        IndexOutOfBoundsError: a position lies outside its axis; at the call, where it is not known before.

    >>> import graphc as gc
    >>> gc.gather(gc.placeholder((5, 6, 7)), [0, 4], [[1], [2], [3]]).type
    f32[3,2,7]
    """
    tensor = as_tensor(x)
    return apply(OPS["gather"], tensor, *_checked("gather", tensor, indices))


def _checked(function: str, x: Tensor, indices: tuple[TensorLike, ...]) -> list[Tensor]:
    positions = [as_indices(function, index) for index in indices]
    for axis, index in enumerate(positions[: x.ndim]):
        check_constant(function, index, axis, x.shape[axis])
    return positions


# scatter --------------------------------------------------------------------------------------------------


def _scatter_type(x: TensorType, updates: TensorType, *indices: TensorType) -> TensorType:
    if x.dtype != updates.dtype:
        raise DTypeError("the updates have another dtype than the array")
    shape = _gather_shape(x, indices)
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
    np.add.at(result, _numpy_index(x, indices), updates)
    return result


def _scatter_set_eval(x: np.ndarray, updates: np.ndarray, *indices: np.ndarray) -> np.ndarray:
    index = _numpy_index(x, indices)
    result = x.copy()
    points = np.broadcast_shapes(*(i.shape for i in index))
    # NumPy leaves the order of assignments to one place open; only the last update of each place is written.
    flat = (
        np.ravel_multi_index(
            tuple(np.broadcast_to(i % s, points).reshape(-1) for i, s in zip(index, x.shape)),
            x.shape[: len(index)],
        )
        if x.size and np.prod(points)
        else np.empty(0, np.intp)
    )
    _, last = np.unique(flat[::-1], return_index=True)
    last = flat.size - 1 - last
    rows = updates.reshape(-1, *x.shape[len(index) :]) if flat.size else updates
    if flat.size:
        result.reshape(-1, *x.shape[len(index) :])[flat[last]] = rows[last]
    return result


def _scatter_add_gradient(g: Tensor, y: Tensor, x: Tensor, updates: Tensor, *indices: Tensor) -> Any:
    return (g, apply(OPS["gather"], g, *indices), *(None for _ in indices))


def _scatter_set_gradient(g: Tensor, y: Tensor, x: Tensor, updates: Tensor, *indices: Tensor) -> Any:
    """Overwritten elements of `x` have no gradient, and of several updates of one place only the last has.

    Which one that was: each update writes its own number; who reads it back has won.
    """
    kept = apply(OPS["scatter_set"], g, _zeros(updates.shape, g.dtype), *indices)
    points = updates.shape[: updates.ndim - (x.ndim - len(indices))]
    count: Size = 1
    for size in points:
        count = count * size
    numbers = apply(OPS["reshape"], apply(OPS["iota"], size=count, dtype=DTYPES["i64"]), shape=points)
    board = _zeros(x.shape[: len(indices)], DTYPES["i64"])
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
    positions = _checked(name, tensor, indices)
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
