"""Joining and splitting: the `concat` op, and stack, unstack, split, tile, repeat and roll made of slices.

Invariant: every element of a result is an element of an operand; nothing is computed but sizes.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir import dims
from graphc.ir.build import TensorLike, apply, as_tensor, promote
from graphc.ir.dims import Dim, Size
from graphc.ir.location import here
from graphc.ir.opdef import FUNCTIONS, OPS, Trait, define, public
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType
from graphc.ir.verify import require_equal
from graphc.ops.arguments import as_axes, as_axis, as_integer, as_size, is_integer
from graphc.ops.movement import broadcast_to, expand_dims, reshape
from graphc.ops.slicing import narrowed

# concat ---------------------------------------------------------------------------------------------------


def _concat_type(*xs: TensorType, axis: int) -> TensorType:
    if not xs:
        raise ShapeError("there is nothing to join")
    first = xs[0]
    if not 0 <= axis < first.rank:
        raise ShapeError(f"axis {axis} is out of bounds for an array of rank {first.rank}")
    shape = list(first.shape)
    for x in xs[1:]:
        if x.dtype != first.dtype:
            raise DTypeError("the operands have different dtypes")
        if x.rank != first.rank:
            raise ShapeError("the operands have different ranks")
        for i, size in enumerate(x.shape):
            if i == axis:
                shape[i] = shape[i] + size
            else:
                shape[i] = require_equal(shape[i], size, f"the operands differ off axis {axis}")
    return first.with_shape(tuple(shape))


def _concat_gradient(g: Tensor, y: Tensor, *xs: Tensor, axis: int) -> tuple[Tensor, ...]:
    parts: list[Tensor] = []
    start: Size = 0
    for x in xs:
        parts.append(narrowed(g, axis, start, x.shape[axis]))
        start = start + x.shape[axis]
    return tuple(parts)


define(
    "concat",
    operands=("*xs",),
    attrs=("axis",),
    infer=_concat_type,
    eval=lambda *xs, axis: np.concatenate(xs, axis=axis),
    vjp=_concat_gradient,
    traits={Trait.MOVEMENT},
    doc="the operands one after another along an axis",
)


@public
def concat(xs: Sequence[TensorLike], axis: int | None = 0) -> Tensor:
    """The tensors `xs` one after another along `axis`.

    Args:
        xs: at least one; of one rank, and of equal sizes off `axis`. Their dtypes are promoted.
        axis: which one; None joins the flattened tensors.

    Raises:
        ShapeError: there are none, their shapes do not fit, or there is no such axis.

    >>> import graphc as gc
    >>> gc.concat([gc.placeholder(("n", 3)), gc.placeholder((2, 3))], axis=0).type
    f32[n+2,3]
    """
    tensors = _several("concat", xs)
    if axis is None:
        tensors, axis = tuple(reshape(t, (-1,)) for t in tensors), 0
    place = as_axis("concat", axis, tensors[0].ndim)
    return tensors[0] if len(tensors) == 1 else apply(OPS["concat"], *tensors, axis=place)


def _several(function: str, xs: Sequence[TensorLike]) -> tuple[Tensor, ...]:
    if isinstance(xs, Tensor) or not isinstance(xs, (tuple, list)):
        raise ArgumentError(f"{function}: needs a list or tuple of tensors, not {type(xs).__name__}", location=here())
    if not xs:
        raise ShapeError(f"{function}: there is nothing to join", location=here())
    # Python scalars join as the arrays they are: only operators take them as weak.
    return promote(*(as_tensor(x) for x in xs))


@public
def stack(xs: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """The tensors `xs`, all of one shape, along a new axis that stands at `axis` in the result.

    Raises:
        ShapeError: there are none, their shapes differ, or the result has no such axis.

    >>> import graphc as gc
    >>> gc.stack([gc.placeholder(("n",)), gc.placeholder(("n",))], axis=-1).type
    f32[n,2]
    """
    tensors = _several("stack", xs)
    place = as_axis("stack", axis, tensors[0].ndim + 1)
    for t in tensors:
        if t.ndim != tensors[0].ndim:
            raise ShapeError(f"stack: {tensors[0].type!r} and {t.type!r} have different shapes", location=here())
    return concat([expand_dims(t, place) for t in tensors], place)


@public
def unstack(x: TensorLike, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices of `x` along `axis`, whose size must be a number, each without that axis.

    Raises:
        ShapeError: there is no such axis, or its size is symbolic.

    >>> import graphc as gc
    >>> [t.type for t in gc.unstack(gc.placeholder((2, "n")))]
    [f32[n], f32[n]]
    """
    tensor = as_tensor(x)
    place = as_axis("unstack", axis, tensor.ndim)
    size = _fixed("unstack", tensor.shape[place], place)
    rest = tensor.shape[:place] + tensor.shape[place + 1 :]
    return tuple(reshape(narrowed(tensor, place, i, 1), rest) for i in range(size))


def _fixed(function: str, size: Size, axis: int) -> int:
    if isinstance(size, Dim):
        raise ShapeError(
            f"{function}: the size {size} of axis {axis} is symbolic, so the number of results is open",
            location=here(),
        )
    return size


@public
def split(x: TensorLike, indices_or_sections: int | Sequence[Any], axis: int = 0) -> list[Tensor]:
    """`x` cut into pieces along `axis`.

    Args:
        x: any tensor.
        indices_or_sections: a number of equal pieces; or the places to cut at, ascending: numbers, which
            count from the end if negative, or symbolic sizes.
        axis: which one.

    Raises:
        ShapeError: the axis does not divide into equal pieces, a place is no size, or there is no such axis.

    >>> import graphc as gc
    >>> [t.type for t in gc.split(gc.placeholder(("n", 6)), [1, 4], axis=1)]
    [f32[n,1], f32[n,3], f32[n,2]]
    """
    tensor = as_tensor(x)
    place = as_axis("split", axis, tensor.ndim)
    extent = tensor.shape[place]
    if is_integer(indices_or_sections):
        count = as_integer("split", "indices_or_sections", indices_or_sections, least=1)
        size = dims.floordiv(extent, count)
        if isinstance(extent, int) and extent % count:
            raise ShapeError(
                f"split: axis {place} of size {extent} does not divide into {count} pieces", location=here()
            )
        # The reshape states what a symbolic size must obey: that the pieces use the axis up.
        whole = tensor.shape[:place] + (count, size) + tensor.shape[place + 1 :]
        if isinstance(extent, Dim):
            return list(unstack(reshape(tensor, whole), place))
        return [narrowed(tensor, place, i * size, size) for i in range(count)]
    if not isinstance(indices_or_sections, (tuple, list, np.ndarray)):
        raise ShapeError(f"split: {indices_or_sections!r} is neither a number nor a list of places", location=here())
    cuts = [None, *indices_or_sections, None]
    keys = [(slice(None),) * place + (slice(a, b),) for a, b in itertools.pairwise(cuts)]
    return [FUNCTIONS["getitem"](tensor, key) for key in keys]


@public
def tile(x: TensorLike, repetitions: Any) -> Tensor:
    """`x` laid out `repetitions` times along each axis, as `numpy.tile` does.

    Args:
        x: any tensor.
        repetitions: one count for each of the last axes; more counts than axes make new ones in front.

    Raises:
        ShapeError: a count is not a size.

    >>> import graphc as gc
    >>> gc.tile(gc.placeholder(("n",)), (2, 3)).type
    f32[2,3*n]
    """
    tensor = as_tensor(x)
    given = repetitions if isinstance(repetitions, (tuple, list)) else (repetitions,)
    counts: list[Size] = [1] * (tensor.ndim - len(given))
    counts += [as_size("tile", "repetitions", r) for r in given]
    shape = (1,) * (len(counts) - tensor.ndim) + tensor.shape
    # a b -> [a b] [a b] -> a b a b: an axis of copies in front of each axis, then both as one.
    single = [s for size in shape for s in (1, size)]
    copied = [s for count, size in zip(counts, shape) for s in (count, size)]
    return reshape(broadcast_to(reshape(tensor, single), copied), [c * s for c, s in zip(counts, shape)])


@public
def repeat(x: TensorLike, repeats: Any, axis: int | None = None) -> Tensor:
    """Each element of `x` along `axis` repeated, as `numpy.repeat` does.

    Args:
        x: any tensor.
        repeats: how often each; one size, or one number for each position of the axis.
        axis: which one; None repeats in the flattened tensor.

    Raises:
        ShapeError: `repeats` has not one entry for each position, or is no size.

    >>> import graphc as gc
    >>> gc.repeat(gc.placeholder(("n", 2)), 3, axis=0).type
    f32[3*n,2]
    """
    tensor = as_tensor(x)
    if axis is None:
        tensor, axis = reshape(tensor, (-1,)), 0
    place = as_axis("repeat", axis, tensor.ndim)
    extent = tensor.shape[place]
    if isinstance(repeats, (tuple, list, np.ndarray)) and np.ndim(repeats):
        counts = [as_integer("repeat", "repeats", r, least=0) for r in np.asarray(repeats).ravel()]
        if len(counts) != 1:
            if len(counts) != _fixed("repeat", extent, place):
                raise ShapeError(f"repeat: {len(counts)} counts for axis {place} of size {extent}", location=here())
            return FUNCTIONS["take"](tensor, np.repeat(np.arange(len(counts)), counts), axis=place)
        repeats = counts[0]
    count = as_size("repeat", "repeats", repeats)
    before, after = tensor.shape[:place], tensor.shape[place + 1 :]
    copied = broadcast_to(expand_dims(tensor, place + 1), (*before, extent, count, *after))
    return reshape(copied, (*before, extent * count, *after))


@public
def roll(x: TensorLike, shift: Any, axis: Any = None) -> Tensor:
    """`x` shifted along `axis`; what leaves at one end enters at the other.

    Args:
        x: any tensor.
        shift: by how much, towards higher positions; a number, or one for each axis. It may exceed the size.
        axis: one or several; None rolls the flattened tensor and gives it its shape back.

    Raises:
        ShapeError: there is no such axis, or shifts and axes differ in number.

    >>> import graphc as gc
    >>> gc.roll(gc.placeholder(("n", 4)), 1, axis=0).type
    f32[n,4]
    """
    tensor = as_tensor(x)
    if axis is None:
        return reshape(roll(reshape(tensor, (-1,)), shift, 0), tensor.shape)
    entries = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = [as_axes("roll", a, tensor.ndim)[0] for a in entries]
    shifts = [
        s if isinstance(s, Dim) else as_integer("roll", "shift", s)
        for s in (shift if isinstance(shift, (tuple, list)) else (shift,))
    ]
    if len(shifts) not in (1, len(axes)) and len(axes) != 1:
        raise ShapeError(f"roll: {len(shifts)} shifts for {len(axes)} axes", location=here())
    count = max(len(shifts), len(axes))
    shifts, axes = shifts * (count // len(shifts)), axes * (count // len(axes))
    for amount, place in zip(shifts, axes):
        extent = tensor.shape[place]
        if extent == 0:
            continue
        cut = _modulo(-amount, extent)  # the first position of the result
        head, tail = narrowed(tensor, place, cut, extent - cut), narrowed(tensor, place, 0, cut)
        tensor = tensor if cut == 0 else concat([head, tail], place)
    return tensor


def _modulo(amount: Size, extent: Size) -> Size:
    """`amount % extent`, in a form that is plainly within `0 .. extent`, also where that is 0."""
    if isinstance(amount, int) and isinstance(extent, int):
        return amount % extent
    if amount == -1:
        return dims.maximum(extent - 1, 0)
    if amount == 1:
        return dims.minimum(1, extent)
    remainder = amount - dims.floordiv(amount, extent) * extent
    return dims.minimum(dims.maximum(remainder, 0), extent)
