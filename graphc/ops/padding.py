"""The `pad` op and NumPy's padding modes.

Invariant: the result's extents are `before + size + after`, none of them negative; only mode `constant` is an
op, the others are slices joined.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import ArgumentError, DTypeError, ShapeError, nearest
from graphc.ir.build import TensorLike, apply, as_tensor, cast, constant, weak_constant
from graphc.ir.dims import Size
from graphc.ir.location import here
from graphc.ir.opdef import FUNCTIONS, OPS, Trait, define, public
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType
from graphc.ops.arguments import as_size
from graphc.ops.movement import require_not_negative
from graphc.ops.slicing import narrowed, padded, reverse, strided

Sizes = tuple[Size, ...]


def _pad_type(x: TensorType, value: TensorType, *, before: Sizes, after: Sizes) -> TensorType:
    if not len(before) == len(after) == x.rank:
        raise ShapeError(f"before and after must have {x.rank} entries each")
    if value.shape != ():
        raise ShapeError("the value must be a scalar")
    if value.dtype != x.dtype:
        raise DTypeError("the value has another dtype than the array")
    for size in (*before, *after):
        require_not_negative(size)
    return x.with_shape(tuple(b + size + a for b, size, a in zip(before, x.shape, after)))


def _pad_eval(x: np.ndarray, value: np.ndarray, *, before: tuple[int, ...], after: tuple[int, ...]) -> np.ndarray:
    if min((*before, *after), default=0) < 0:
        raise ShapeError(f"negative padding: before {before}, after {after}")
    result = np.full([b + size + a for b, size, a in zip(before, x.shape, after)], value, x.dtype)
    result[tuple(slice(b, b + size) for b, size in zip(before, x.shape))] = x
    return result


def _pad_gradient(
    g: Tensor, y: Tensor, x: Tensor, value: Tensor, *, before: Sizes, after: Sizes
) -> tuple[Tensor, Tensor | None]:
    inside = strided(g, before, x.shape, (1,) * x.ndim)
    if value.op.name == "const":
        return inside, None
    # Summed over the padding alone: a difference of two sums would cancel.
    here_ = padded(apply(OPS["broadcast_to"], constant(False), shape=x.shape), before, after, True)
    outside = apply(OPS["where"], here_, g, constant(0, g.dtype))
    return inside, apply(OPS["sum"], outside, axis=tuple(range(g.ndim)), keepdims=False)


define(
    "pad",
    operands=("x", "value"),
    attrs=("before", "after"),
    infer=_pad_type,
    eval=_pad_eval,
    vjp=_pad_gradient,
    traits={Trait.MOVEMENT},
    doc="a scalar before and after the elements of each axis",
)


@public
def pad(x: TensorLike, pad_width: Any, mode: str = "constant", constant_values: TensorLike = 0) -> Tensor:
    """`x` with elements added at both ends of its axes, as `numpy.pad` adds them.

    Args:
        x: any tensor.
        pad_width: how many: one number for all ends; `(before, after)` for all axes; or such a pair per axis.
        mode: `constant`; `edge` (the border element repeated); `reflect` (mirrored without the border
            element); `symmetric` (mirrored with it); `wrap` (from the other end).
        constant_values: a scalar, the value of mode `constant`.

    Raises:
        ShapeError: `pad_width` does not fit the rank, is negative, or, in a mirroring or wrapping mode, is
            larger than what the axis has to give.
        ArgumentError: another mode.
        DTypeError: the value does not fit the dtype.

    >>> import graphc as gc
    >>> gc.pad(gc.placeholder(("n", 3)), ((1, 2), (0, 0))).type
    f32[n+3,3]
    """
    tensor = as_tensor(x)
    before, after = _widths(pad_width, tensor.ndim)
    if mode == "constant":
        if isinstance(constant_values, Tensor):
            value = cast(constant_values, tensor.dtype)
        else:
            value = weak_constant(constant_values, tensor.dtype)
        if all(s == 0 for s in (*before, *after)):
            return tensor
        return apply(OPS["pad"], tensor, value, before=before, after=after)
    if mode not in _MODES:
        hint = nearest(mode, ["constant", *_MODES])
        raise ArgumentError(f"pad: mode {mode!r} is none of constant, {', '.join(_MODES)}", location=here(), hint=hint)
    for axis in range(tensor.ndim):
        if before[axis] != 0 or after[axis] != 0:
            tensor = _MODES[mode](tensor, axis, before[axis], after[axis])
    return tensor


def _widths(pad_width: Any, rank: int) -> tuple[Sizes, Sizes]:
    def size(value: Any) -> Size:
        return as_size("pad", "pad_width", value)

    entries = pad_width if isinstance(pad_width, (tuple, list, np.ndarray)) else (pad_width,)
    rows = [tuple(entry) if isinstance(entry, (tuple, list, np.ndarray)) else entry for entry in entries]
    if all(isinstance(row, tuple) and len(row) in (1, 2) for row in rows):
        pairs = [(size(row[0]), size(row[-1])) for row in rows]
    elif len(rows) in (1, 2) and not any(isinstance(row, tuple) for row in rows):
        pairs = [(size(rows[0]), size(rows[-1]))]
    else:
        raise ShapeError(f"pad: pad_width {pad_width!r} is not a number, a pair, or a pair per axis", location=here())
    if len(pairs) == 1:
        pairs = pairs * rank
    if len(pairs) != rank:
        raise ShapeError(f"pad: pad_width has {len(pairs)} pairs for an array of rank {rank}", location=here())
    return tuple(b for b, _ in pairs), tuple(a for _, a in pairs)


def _edge(x: Tensor, axis: int, before: Size, after: Size) -> Tensor:
    size = x.shape[axis]
    if size == 0:
        raise ShapeError(f"pad: axis {axis} is empty, so it has no edge", location=here())

    def repeated(start: Size, count: Size) -> Tensor:
        shape = tuple(count if i == axis else s for i, s in enumerate(x.shape))
        return apply(OPS["broadcast_to"], narrowed(x, axis, start, 1), shape=shape)

    return _joined(axis, before, after, lambda: repeated(0, before), x, lambda: repeated(size - 1, after))


def _mirror(x: Tensor, axis: int, before: Size, after: Size, skip: int) -> Tensor:
    size = x.shape[axis]
    _check_enough(axis, size - skip, before, after)

    def mirrored(start: Size, count: Size) -> Tensor:
        return reverse(narrowed(x, axis, start, count), (axis,))

    return _joined(axis, before, after, lambda: mirrored(skip, before), x, lambda: mirrored(size - skip - after, after))


def _wrap(x: Tensor, axis: int, before: Size, after: Size) -> Tensor:
    size = x.shape[axis]
    _check_enough(axis, size, before, after)
    return _joined(
        axis,
        before,
        after,
        lambda: narrowed(x, axis, size - before, before),
        x,
        lambda: narrowed(x, axis, 0, after),
    )


def _check_enough(axis: int, available: Size, before: Size, after: Size) -> None:
    for width in (before, after):
        if isinstance(available, int) and isinstance(width, int) and width > available:
            raise ShapeError(
                f"pad: width {width} is more than the {max(available, 0)} elements that axis {axis} can give",
                location=here(),
            )


def _joined(axis: int, before: Size, after: Size, left: Any, x: Tensor, right: Any) -> Tensor:
    parts = [*([left()] if before != 0 else []), x, *([right()] if after != 0 else [])]
    return FUNCTIONS["concat"](parts, axis=axis)


_MODES = {
    "edge": _edge,
    "reflect": lambda x, axis, before, after: _mirror(x, axis, before, after, skip=1),
    "symmetric": lambda x, axis, before, after: _mirror(x, axis, before, after, skip=0),
    "wrap": _wrap,
}
