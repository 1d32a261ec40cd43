"""The `slice` op, `out[i] = x[start + i*step]` along each axis; what a Python slice means for a size; `flip`.

Invariant: a slice that takes any element takes only elements that exist. Numbers are checked when the tensor
is built; for symbolic sizes the type rule proves it, or else states the constraint that each call checks. An
empty slice may start anywhere: so `x[2:]` of size `n` is `start=2, size=max(n-2,0)`, and `x[1:]` and `x[:-1]`
have sizes that are equal by form.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import ArgumentError, IndexOutOfBoundsError, ShapeError
from graphc.ir import dims
from graphc.ir.build import TensorLike, apply, as_tensor, constant
from graphc.ir.dims import Call, Dim, Size
from graphc.ir.location import here
from graphc.ir.opdef import OPS, Trait, define, public
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType
from graphc.ir.verify import require_equal
from graphc.ops.arguments import as_axes, is_integer
from graphc.ops.movement import require_not_negative

Sizes = tuple[Size, ...]


# the op ---------------------------------------------------------------------------------------------------


def _slice_type(x: TensorType, *, start: Sizes, size: Sizes, step: tuple[int, ...]) -> TensorType:
    if not len(start) == len(size) == len(step) == x.rank:
        raise ShapeError(f"start, size and step must have {x.rank} entries each")
    for axis in range(x.rank):
        if step[axis] == 0:
            raise ArgumentError("step is 0")
        require_not_negative(size[axis])
        _require_inside(axis, x.shape[axis], start[axis], size[axis], step[axis])
    return x.with_shape(size)


def _require_inside(axis: int, extent: Size, start: Size, size: Size, step: int) -> None:
    """The slice's first and last element lie in `0 .. extent-1`, unless it is empty."""
    if size == 0:
        return
    steps = _when_not_empty(size) - 1  # from the first element to the last; at least 0
    last = start + steps * step
    low, high = (start, last) if step > 0 else (last, start)
    if dims.never_negative(low) and dims.never_negative(extent - 1 - high):
        return
    if isinstance(start, int) and isinstance(size, int) and isinstance(extent, int):
        outside = start if not 0 <= start < extent else last
        raise IndexOutOfBoundsError(f"index {outside} is out of bounds for axis {axis} with size {extent}")
    rule = f"the slice from {start} in steps of {step} leaves axis {axis} of size {extent}"
    require_equal(low, dims.maximum(low, 0), rule)
    require_equal(extent, dims.maximum(extent, high + 1), rule)


def _when_not_empty(size: Size) -> Size:
    """`p` where the size is `max(p,0)`: the same number whenever there is any element."""
    if isinstance(size, Dim) and len(size.terms) == 1:
        ((monomial, factor),) = size.terms
        if factor == 1 and len(monomial) == 1 and isinstance(monomial[0], Call):
            call = monomial[0]
            if call.name == "max" and call.args[1] == 0:
                return call.args[0]
    return size


def _slice_eval(x: np.ndarray, *, start: tuple[int, ...], size: tuple[int, ...], step: tuple[int, ...]) -> np.ndarray:
    return np.asarray(x[tuple(_python_slice(*entry) for entry in zip(range(x.ndim), x.shape, start, size, step))])


def _python_slice(axis: int, extent: int, start: int, size: int, step: int) -> slice:
    if size < 0:
        raise ShapeError(f"the extent {size} of axis {axis} is negative")
    if size == 0:
        return slice(0, 0)
    last = start + (size - 1) * step
    for index in (start, last):
        if not 0 <= index < extent:
            raise IndexOutOfBoundsError(f"index {index} is out of bounds for axis {axis} with size {extent}")
    stop = last + (1 if step > 0 else -1)
    return slice(start, None if stop < 0 else stop, step)


def _slice_gradient(
    g: Tensor, y: Tensor, x: Tensor, *, start: Sizes, size: Sizes, step: tuple[int, ...]
) -> tuple[Tensor]:
    return (spread(g, x.shape, start, step),)


define(
    "slice",
    operands=("x",),
    attrs=("start", "size", "step"),
    infer=_slice_type,
    eval=_slice_eval,
    vjp=_slice_gradient,
    traits={Trait.MOVEMENT},
    doc="every step-th element from start, size of them, along each axis",
)


def strided(x: Tensor, start: Sizes, size: Sizes, step: tuple[int, ...]) -> Tensor:
    """The `slice` op; `x` itself where it takes everything in order."""
    if size == x.shape and all(s == 0 for s in start) and all(s == 1 for s in step):
        return x
    return apply(OPS["slice"], x, start=start, size=size, step=step)


def narrowed(x: Tensor, axis: int, start: Size, size: Size, step: int = 1) -> Tensor:
    """`size` elements of one axis from `start`; the other axes whole."""
    starts = tuple(start if i == axis else 0 for i in range(x.ndim))
    sizes = tuple(size if i == axis else extent for i, extent in enumerate(x.shape))
    return strided(x, starts, sizes, tuple(step if i == axis else 1 for i in range(x.ndim)))


# its transpose --------------------------------------------------------------------------------------------


def spread(x: Tensor, shape: Sizes, start: Sizes, step: tuple[int, ...], fill: Any = 0) -> Tensor:
    """The transpose of `slice`: an array of `shape` full of `fill`, with `x` at `start + i*step`.

    Made of pad, reshape and slice, so that it fuses and has a gradient. A second axis lays out a stride:

        a b c   ->   a .   ->   a . b . c .   ->   a . b . c   ->   . a . b . c .
                     b .
                     c .
    """
    reversed_axes = [axis for axis in range(x.ndim) if step[axis] < 0]
    first = list(start)
    for axis in reversed_axes:
        first[axis] = start[axis] + (_when_not_empty(x.shape[axis]) - 1) * step[axis]
    result = reverse(x, reversed_axes)
    for axis in range(x.ndim):
        if abs(step[axis]) != 1 and x.shape[axis] != 1:
            result = _dilate(result, axis, abs(step[axis]), fill)
    before: list[Size] = []
    after: list[Size] = []
    for axis, extent in enumerate(shape):
        room = extent - result.shape[axis]
        before.append(_clipped_start(first[axis], room, _when_not_empty(result.shape[axis]), extent))
        after.append(room - before[-1])
    return padded(result, tuple(before), tuple(after), fill)


def _clipped_start(first: Size, room: Size, size: Size, extent: Size) -> Size:
    """Where the elements begin, moved into `0 .. room` for an empty slice, which may start outside."""
    if first == 0:
        return 0
    if extent - first - size == 0:  # they end with the axis
        return room
    return dims.minimum(dims.maximum(first, 0), room)


def _dilate(x: Tensor, axis: int, step: int, fill: Any) -> Tensor:
    """`step - 1` fills between neighbours along `axis`."""
    size = x.shape[axis]
    columns = apply(OPS["reshape"], x, shape=(*x.shape[: axis + 1], 1, *x.shape[axis + 1 :]))
    before = (0,) * columns.ndim
    wide = padded(columns, before, tuple(step - 1 if i == axis + 1 else 0 for i in range(columns.ndim)), fill)
    flat = apply(OPS["reshape"], wide, shape=(*x.shape[:axis], size * step, *x.shape[axis + 1 :]))
    return narrowed(flat, axis, 0, dims.maximum(size * step - (step - 1), 0))


def padded(x: Tensor, before: Sizes, after: Sizes, fill: Any = 0) -> Tensor:
    """The `pad` op with a constant; `x` itself where nothing is added."""
    if all(s == 0 for s in (*before, *after)):
        return x
    return apply(OPS["pad"], x, constant(fill, x.dtype), before=before, after=after)


# flip -----------------------------------------------------------------------------------------------------


def reverse(x: Tensor, axes: Any) -> Tensor:
    """`x` with the order along `axes` reversed; `axes` canonical."""
    if not axes:
        return x
    start = tuple(s - 1 if i in axes else 0 for i, s in enumerate(x.shape))
    return strided(x, start, x.shape, tuple(-1 if i in axes else 1 for i in range(x.ndim)))


@public
def flip(x: TensorLike, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """`x` with the order of its elements along `axis` (by default every axis) reversed.

    Raises:
        ShapeError: there is no such axis.

    >>> import graphc as gc
    >>> gc.flip(gc.placeholder(("n", 3)), 0).type
    f32[n,3]
    """
    tensor = as_tensor(x)
    return reverse(tensor, as_axes("flip", axis, tensor.ndim))


# what a Python slice means ---------------------------------------------------------------------------------


def resolve_slice(key: slice, extent: Size, axis: int) -> tuple[Size, Size, int]:
    """The `(start, size, step)` that `key` takes of an axis of `extent` elements, as NumPy reads it.

    A symbolic bound is a position from the front: it must not be negative, which each call checks where it
    is not plain from its form.

    Raises:
        ShapeError: a bound is neither an integer nor a symbolic size.
        ArgumentError: the step is 0, or not an integer.

    >>> n = dims.symbol("n")
    >>> resolve_slice(slice(1, None), n, 0), resolve_slice(slice(-3, None), n, 0)
    ((1, Dim('max(n-1,0)'), 1), (Dim('-min(n,3)+n'), Dim('min(n,3)'), 1))
    """
    step = 1 if key.step is None else key.step
    if not is_integer(step):
        raise ArgumentError(f"getitem: axis {axis}: the step {step!r} of a slice must be an integer", location=here())
    step = int(step)
    if step == 0:
        raise ArgumentError(f"getitem: axis {axis}: the step of a slice is 0", location=here())
    start, stop = _bound(key.start, axis), _bound(key.stop, axis)
    if isinstance(extent, int) and not isinstance(start, Dim) and not isinstance(stop, Dim):
        taken = range(*slice(start, stop, step).indices(extent))
        return taken.start, len(taken), step
    if step > 0:
        if stop is None and isinstance(start, int) and start < 0 and step == 1:
            size = dims.minimum(extent, -start)
            return extent - size, size, 1
        first = _from_front(start, extent, 0, low=0)
        end = extent if stop is None else dims.minimum(_from_front(stop, extent, 0), extent)
        count = dims.floordiv(end - first + (step - 1), step)
    else:
        first = extent - 1 if start is None else dims.minimum(_from_front(start, extent, 0), extent - 1)
        end = _from_front(stop, extent, -1, low=-1)
        count = dims.floordiv(first - end - (step + 1), -step)
    known = all(not isinstance(b, Dim) or dims.never_negative(b) for b in (start, stop))
    return first, dims.maximum(count, 0) if known else count, step


def _from_front(bound: Size | None, extent: Size, default: Size, low: int | None = None) -> Size:
    """A bound counted from the front; at least `low` where a negative one would be less."""
    if bound is None:
        return default
    if isinstance(bound, int) and bound < 0:
        return extent + bound if low is None else dims.maximum(extent + bound, low)
    return bound


def _bound(value: Any, axis: int) -> Size | None:
    if value is None or isinstance(value, Dim):
        if isinstance(value, Dim) and dims.never_negative(-value):
            raise ShapeError(
                f"getitem: axis {axis}: the symbolic bound {value} of a slice is negative",
                location=here(),
                hint=f"count from the front: x.shape[{axis}] + ({value})",
            )
        return value
    if is_integer(value):
        return int(value)
    if isinstance(value, Tensor):
        raise ShapeError(
            f"getitem: axis {axis}: a tensor cannot bound a slice, since the size would depend on its value",
            location=here(),
            hint="gather with gc.take(x, start + gc.arange(size), axis)",
        )
    raise ShapeError(f"getitem: axis {axis}: a slice cannot be bounded by {value!r}", location=here())
