"""The reductions as the user calls them, under their usual names.

They shadow Python's `sum`, `max`, `all` and so on, so nothing here may use those.

Invariant: the dtype of the result is NumPy's: the op is applied after a cast to the dtype that NumPy
accumulates in.
"""

from __future__ import annotations

from typing import Any

from graphc.errors import DTypeError
from graphc.ir.build import TensorLike, apply, as_tensor, cast
from graphc.ir.location import here
from graphc.ir.opdef import OPS, public
from graphc.ir.tensor import Tensor
from graphc.ir.types import BOOL, DTYPES, as_dtype
from graphc.ops.arguments import as_axes, as_axis

AxisArgument = int | tuple[int, ...] | None


def accumulator(function: str, x: Tensor, dtype: Any) -> Tensor:
    """`x` in the dtype that NumPy sums it in: the given one, else at least the machine's integer.

    Raises:
        DTypeError: `dtype` is not supported, or boolean.
    """
    if dtype is not None:
        try:
            wanted = as_dtype(dtype)
        except DTypeError as error:
            raise DTypeError(f"{function}: {error.message}", location=here(), hint=error.hint) from None
        if wanted == BOOL:
            raise DTypeError(
                f"{function}: cannot accumulate in bool", location=here(), hint="use gc.any or gc.all"
            )
        return cast(x, wanted)
    wide = {"b": DTYPES["i64"], "i": DTYPES["i64"], "u": DTYPES["u64"], "f": x.dtype}
    return cast(x, wide[x.dtype.kind])


def _reduce(name: str, x: Tensor, axis: AxisArgument, keepdims: bool) -> Tensor:
    axes = tuple(sorted(as_axes(name, axis, x.ndim)))
    return apply(OPS[name], x, axis=axes, keepdims=bool(keepdims))


def _reduce_ordered(name: str, x: Tensor, axis: AxisArgument, keepdims: bool) -> Tensor:
    """The op on numbers; booleans are ordered as 0 and 1."""
    if x.dtype == BOOL:
        return cast(_reduce(name, cast(x, DTYPES["u8"]), axis, keepdims), BOOL)
    return _reduce(name, x, axis, keepdims)


@public
def sum(x: TensorLike, axis: AxisArgument = None, *, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The sum along some axes.

    Args:
        x: any tensor; booleans count as 0 and 1.
        axis: an axis, several, or None for all.
        dtype: what to sum in; by default x's, but int64 for shorter signed integers and booleans, and
            uint64 for shorter unsigned ones.
        keepdims: whether the axes stay, with size 1.

    Raises:
        ShapeError: `x` has no such axis, or one is named twice.
        DTypeError: `dtype` is not supported.

    >>> import graphc as gc
    >>> gc.sum(gc.placeholder(("n", 3), "int8"), axis=0).type
    i64[3]
    """
    return _reduce("sum", accumulator("sum", as_tensor(x), dtype), axis, keepdims)


@public
def prod(x: TensorLike, axis: AxisArgument = None, *, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The product along some axes; arguments and dtype as for `gc.sum`.

    Its derivative is right where elements are zero, too.

    Raises:
        ShapeError: `x` has no such axis, or one is named twice.
        DTypeError: `dtype` is not supported.

    >>> import graphc as gc
    >>> gc.prod(gc.placeholder(("n", 3), "float32"), axis=1, keepdims=True).type
    f32[n,1]
    """
    return _reduce("prod", accumulator("prod", as_tensor(x), dtype), axis, keepdims)


@public
def max(x: TensorLike, axis: AxisArgument = None, *, keepdims: bool = False) -> Tensor:
    """The largest element along some axes; NaN if any is NaN. Equal ones share the gradient evenly.

    Args:
        x: any tensor.
        axis: an axis, several, or None for all. A symbolic size among them must not be 0 at a call.
        keepdims: whether the axes stay, with size 1.

    Raises:
        ShapeError: `x` has no such axis, or one that has no elements.

    >>> import graphc as gc
    >>> gc.max(gc.placeholder(("n", 3), "float32"), axis=-1).type
    f32[n]
    """
    return _reduce_ordered("max", as_tensor(x), axis, keepdims)


@public
def min(x: TensorLike, axis: AxisArgument = None, *, keepdims: bool = False) -> Tensor:
    """The smallest element along some axes; otherwise as `gc.max`.

    Raises:
        ShapeError: `x` has no such axis, or one that has no elements.

    >>> import graphc as gc
    >>> gc.min(gc.placeholder(("n", 3), "float32"), axis=-1).type
    f32[n]
    """
    return _reduce_ordered("min", as_tensor(x), axis, keepdims)


@public
def all(x: TensorLike, axis: AxisArgument = None, *, keepdims: bool = False) -> Tensor:
    """Whether all elements along some axes are true (not zero); true of nothing.

    Raises:
        ShapeError: `x` has no such axis, or one is named twice.

    >>> import graphc as gc
    >>> gc.all(gc.placeholder(("n", 3), "float32") > 0, axis=0).type
    bool[3]
    """
    return _reduce("all", cast(as_tensor(x), BOOL), axis, keepdims)


@public
def any(x: TensorLike, axis: AxisArgument = None, *, keepdims: bool = False) -> Tensor:
    """Whether any element along some axes is true (not zero); false of nothing.

    Raises:
        ShapeError: `x` has no such axis, or one is named twice.

    >>> import graphc as gc
    >>> gc.any(gc.placeholder(("n", 3), "float32") > 0, axis=0).type
    bool[3]
    """
    return _reduce("any", cast(as_tensor(x), BOOL), axis, keepdims)


def _choose(name: str, x: TensorLike, axis: int | None, keepdims: bool) -> Tensor:
    tensor = as_tensor(x)
    if axis is not None:
        return apply(OPS[name], tensor, axis=as_axis(name, axis, tensor.ndim), keepdims=bool(keepdims))
    flat = apply(OPS["reshape"], tensor, shape=(tensor.size,))
    found = apply(OPS[name], flat, axis=0, keepdims=False)
    return apply(OPS["reshape"], found, shape=(1,) * tensor.ndim) if keepdims else found


@public
def argmax(x: TensorLike, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """The index of the largest element along an axis: the first of equals; the first NaN, if there is one.

    Args:
        x: any tensor.
        axis: the axis, or None for the index among all elements in row-major order.
        keepdims: whether the axis stays, with size 1.

    Returns:
        An int64 tensor.

    Raises:
        ShapeError: `x` has no such axis, or the axis has no elements.

    >>> import graphc as gc
    >>> gc.argmax(gc.placeholder(("n", 3), "float32"), axis=1).type
    i64[n]
    """
    return _choose("argmax", x, axis, keepdims)


@public
def argmin(x: TensorLike, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """The index of the smallest element along an axis; otherwise as `gc.argmax`.

    Raises:
        ShapeError: `x` has no such axis, or the axis has no elements.

    >>> import graphc as gc
    >>> gc.argmin(gc.placeholder(("n", 3), "float32"), axis=1).type
    i64[n]
    """
    return _choose("argmin", x, axis, keepdims)
