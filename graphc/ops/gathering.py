"""Ops that read at positions which integer tensors hold: take, take_along_axis, gather.

Negative positions count from the end. One outside its axis is an error: when the tensor is built, where both
are known, else when the graph runs.

Invariant: the gradient of a gather is a scatter that adds, so that it is right for repeated and for negative
positions.
"""

from __future__ import annotations

import numpy as np

from graphc.errors import DTypeError, IndexOutOfBoundsError, ShapeError
from graphc.ir.broadcast import broadcast_shapes
from graphc.ir.build import TensorLike, apply, as_tensor, constant
from graphc.ir.dims import Size
from graphc.ir.location import here
from graphc.ir.opdef import FUNCTIONS, OPS, Trait, define, public
from graphc.ir.tensor import Tensor
from graphc.ir.types import BOOL, DTYPES, TensorType
from graphc.ops.arguments import as_axis
from graphc.ops.movement import inverse_permutation, permuted, sum_to_shape, zeros_of
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
    if tensor.op.name == "const" and tensor.size == 0 and not isinstance(value, Tensor) and tensor.dtype.kind == "f":
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
    zeros = zeros_of(tuple(x.shape[i] for i in order), g.dtype)
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
        indices: integers of any shape, which takes the axis' place in the result's; negative ones count from
            the end.
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


def _take_along_axis_gradient(g: Tensor, y: Tensor, x: Tensor, indices: Tensor, *, axis: int) -> tuple[Tensor, None]:
    extent = x.shape[axis]
    whole = (*g.shape[:axis], extent, *g.shape[axis + 1 :])  # x as broadcast against the positions
    if indices.shape[axis] == 1:  # one position in each row: a comparison instead of a scatter
        wide = indices.astype("int64")
        wrapped = apply(OPS["where"], wide < 0, wide + size_value(extent), wide)
        chosen = apply(OPS["equal"], _positions(whole, axis), wrapped)
        spread = apply(OPS["where"], chosen, g, constant(0, g.dtype))
        return sum_to_shape(spread, x.shape), None
    grid = [_positions(g.shape, i) if i != axis else indices for i in range(g.ndim)]
    return sum_to_shape(apply(OPS["scatter_add"], zeros_of(whole, g.dtype), g, *grid), x.shape), None


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


def gathered_shape(x: TensorType, indices: tuple[TensorType, ...]) -> Shape:
    """For type rules: the shape of what positions on the first axes of `x` select."""
    _require_integers(*indices)
    if not indices:
        raise ShapeError("at least one array of positions is needed")
    if len(indices) > x.rank:
        raise ShapeError(f"{len(indices)} arrays of positions for an array of rank {x.rank}")
    points = broadcast_shapes(*(i.shape for i in indices), rule="the arrays of positions do not broadcast")
    return points + x.shape[len(indices) :]


def numpy_index(x: np.ndarray, indices: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """Positions on the first axes of an array, checked, in the dtype that NumPy wants for an index."""
    for axis, index in enumerate(indices):
        check_positions(index, axis, x.shape[axis])
    return tuple(index.astype(np.intp) for index in indices)


define(
    "gather",
    operands=("x", "*indices"),
    infer=lambda x, *indices: x.with_shape(gathered_shape(x, indices)),
    eval=lambda x, *indices: np.asarray(x[numpy_index(x, indices)]),
    vjp=lambda g, y, x, *indices: (
        apply(OPS["scatter_add"], zeros_of(x.shape, g.dtype), g, *indices),
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
    return apply(OPS["gather"], tensor, *checked_indices("gather", tensor, indices))


def checked_indices(function: str, x: Tensor, indices: tuple[TensorLike, ...]) -> list[Tensor]:
    """Positions on the first axes of `x` as integer tensors, checked as far as they are known.

    Raises:
        DTypeError: they are not integers.
        IndexOutOfBoundsError: a known one lies outside its axis.
    """
    positions = [as_indices(function, index) for index in indices]
    for axis, index in enumerate(positions[: x.ndim]):
        check_constant(function, index, axis, x.shape[axis])
    return positions
