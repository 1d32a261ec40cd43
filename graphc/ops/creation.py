"""Tensors made from sizes: the `iota` op; zeros, ones, full, eye, arange, linspace, tril, triu, one_hot.

Invariant: all are `iota`, constants and elementwise ops broadcast to a shape, so that they fuse into whatever
reads them and take symbolic sizes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir import dims
from graphc.ir.build import TensorLike, apply, as_tensor, cast, constant, weak_constant
from graphc.ir.dims import Dim, Size
from graphc.ir.location import here
from graphc.ir.opdef import FUNCTIONS, NOT_DIFFERENTIABLE, OPS, Trait, define, public
from graphc.ir.tensor import Tensor
from graphc.ir.types import BOOL, DTYPES, TensorType, as_dtype
from graphc.ops.arguments import as_axis, as_integer, as_shape, as_size
from graphc.ops.movement import broadcast_to, expand_dims, require_not_negative, reshape
from graphc.ops.sources import size_value

_INT64 = DTYPES["i64"]


def _iota_type(*, size: Size, dtype: np.dtype[Any]) -> TensorType:
    if dtype == BOOL:
        raise DTypeError("there are no whole numbers of dtype bool")
    return TensorType(dtype, (require_not_negative(size),))


define(
    "iota",
    attrs=("size", "dtype"),
    infer=_iota_type,
    # Through int64, as the conversion of a count: the larger ones wrap in a narrow integer.
    eval=lambda *, size, dtype: np.arange(size, dtype=np.int64).astype(dtype),
    vjp=NOT_DIFFERENTIABLE,
    traits={Trait.SOURCE},
    doc="0, 1, ..., size-1",
)


def iota(size: Size, dtype: np.dtype[Any] = _INT64) -> Tensor:
    """0, 1, ..., size-1 in `dtype`."""
    return apply(OPS["iota"], size=size, dtype=dtype)


# constant fillings ----------------------------------------------------------------------------------------


def _dtype(function: str, dtype: Any) -> np.dtype[Any]:
    try:
        return as_dtype(dtype)
    except DTypeError as error:
        raise DTypeError(f"{function}: {error.message}", location=here(), hint=error.hint) from None


@public
def full(shape: Any, fill_value: TensorLike, dtype: Any = None) -> Tensor:
    """A tensor of `shape` with `fill_value` everywhere.

    Args:
        shape: extents; numbers, symbolic sizes or names of such.
        fill_value: a scalar, or what broadcasts to `shape`; a tensor too.
        dtype: by default NumPy's for the value.

    Raises:
        ShapeError: `shape` holds no sizes, or the value does not broadcast to it.
        DTypeError: the dtype is not supported, or cannot hold the value.

    >>> import graphc as gc
    >>> gc.full(("batch", 3), 1.5, "float32").type
    f32[batch,3]
    """
    extents = as_shape("full", shape)
    if dtype is None:
        value = as_tensor(fill_value)
    elif isinstance(fill_value, Tensor):
        value = cast(fill_value, _dtype("full", dtype))
    else:
        value = weak_constant(fill_value, _dtype("full", dtype))
    return broadcast_to(value, extents)


@public
def zeros(shape: Any, dtype: Any = "float64") -> Tensor:
    """A tensor of zeros; NumPy's default dtype. Errors: as of `full`.

    >>> import graphc as gc
    >>> gc.zeros((2, 3)).type
    f64[2,3]
    """
    return full(shape, 0, dtype)


@public
def ones(shape: Any, dtype: Any = "float64") -> Tensor:
    """A tensor of ones; NumPy's default dtype. Errors: as of `full`.

    >>> import graphc as gc
    >>> gc.ones((), "int32").type
    i32[]
    """
    return full(shape, 1, dtype)


@public
def full_like(x: TensorLike, fill_value: TensorLike, dtype: Any = None) -> Tensor:
    """A tensor with the shape of `x`, and its dtype if none is given. Errors: as of `full`.

    >>> import graphc as gc
    >>> gc.full_like(gc.placeholder(("n", 2)), 7).type
    f32[n,2]
    """
    tensor = as_tensor(x)
    return full(tensor.shape, fill_value, tensor.dtype if dtype is None else dtype)


@public
def zeros_like(x: TensorLike, dtype: Any = None) -> Tensor:
    """Zeros of the shape of `x`, and its dtype if none is given.

    >>> import graphc as gc
    >>> gc.zeros_like(gc.placeholder(("n", 2))).type
    f32[n,2]
    """
    return full_like(x, 0, dtype)


@public
def ones_like(x: TensorLike, dtype: Any = None) -> Tensor:
    """Ones of the shape of `x`, and its dtype if none is given.

    >>> import graphc as gc
    >>> gc.ones_like(gc.placeholder(("n", 2)), "bool").type
    bool[n,2]
    """
    return full_like(x, 1, dtype)


# ranges ---------------------------------------------------------------------------------------------------


@public
def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Tensor:
    """`start`, `start + step`, ... before `stop`, with NumPy's values.

    Args:
        start: the first value; with one argument alone, that is `stop` and the values start at 0.
        stop: where to end, exclusive. `start` and `stop` may be symbolic sizes; the step is an integer then.
        step: the distance; not 0.
        dtype: by default int64, or float64 where an argument is a float.

    Raises:
        ArgumentError: an argument is no number, or the step is 0.
        DTypeError: the dtype is not supported, or cannot hold the values.

    >>> import graphc as gc
    >>> x = gc.placeholder(("n", 2))
    >>> gc.arange(3).type, gc.arange(1, x.shape[0]).type, gc.arange(0.0, 1.0, 0.25).type
    (i64[3], i64[max(n-1,0)], f64[4])
    """
    first, last = (0, start) if stop is None else (start, stop)
    for name, value in (("start", first), ("stop", last), ("step", step)):
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating, Dim)):
            raise ArgumentError(f"arange: {name} must be a number or a symbolic size, not {value!r}", location=here())
    if step == 0:
        raise ArgumentError("arange: step is 0", location=here())
    wanted = None if dtype is None else _dtype("arange", dtype)
    if isinstance(first, Dim) or isinstance(last, Dim):
        return _symbolic_range(first, last, as_integer("arange", "step", step), wanted or _INT64)
    try:
        return constant(np.arange(first, last, step, dtype=wanted))
    except (TypeError, ValueError, OverflowError, MemoryError) as error:
        raise DTypeError(f"arange: {error}", location=here()) from None


def _symbolic_range(start: Any, stop: Any, step: int, dtype: np.dtype[Any]) -> Tensor:
    for name, value in (("start", start), ("stop", stop)):
        if not isinstance(value, Dim):
            as_integer("arange", name, value)
    # ceil((stop - start) / step), not below 0
    distance = stop - start if step > 0 else start - stop
    count = dims.maximum(dims.floordiv(distance + (abs(step) - 1), abs(step)), 0)
    numbers = iota(count)
    if step != 1:
        numbers = FUNCTIONS["multiply"](numbers, step)
    if not (isinstance(start, int) and start == 0):
        numbers = FUNCTIONS["add"](numbers, size_value(start))
    return cast(numbers, dtype)


@public
def linspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: Any = None) -> Tensor:
    """`num` evenly spaced numbers from `start` to `stop`, with NumPy's values where all are numbers.

    Args:
        start, stop: the ends; numbers or scalar tensors.
        num: how many; a number or a symbolic size.
        endpoint: whether `stop` is the last one.
        dtype: by default float64.

    Raises:
        ArgumentError: an end is not a scalar.
        ShapeError: `num` is no size.

    >>> import graphc as gc
    >>> gc.linspace(0, 1, 5).type
    f64[5]
    """
    count = as_size("linspace", "num", num)
    wanted = _dtype("linspace", "float64" if dtype is None else dtype)
    if isinstance(count, int) and not isinstance(start, Tensor) and not isinstance(stop, Tensor):
        for name, value in (("start", start), ("stop", stop)):
            if np.ndim(value) or np.asarray(value).dtype.kind not in "iuf":
                raise ArgumentError(f"linspace: {name} must be a number, not {value!r}", location=here())
        return constant(np.linspace(start, stop, count, endpoint, dtype=wanted))
    first, last = (_float_scalar(name, value) for name, value in (("start", start), ("stop", stop)))
    # numpy.linspace: start + i * ((stop - start) / div), and the last one is `stop` itself.
    intervals = count - 1 if endpoint else count
    divisor = cast(size_value(dims.maximum(intervals, 1)), DTYPES["f64"])
    numbers = cast(iota(count), DTYPES["f64"])
    values = FUNCTIONS["add"](FUNCTIONS["multiply"](numbers, FUNCTIONS["divide"](last - first, divisor)), first)
    if endpoint and count != 1:
        at_end = apply(OPS["equal"], iota(count), size_value(dims.maximum(intervals, 1)))
        values = apply(OPS["where"], at_end, last, values)
    if wanted.kind != "f":
        values = FUNCTIONS["floor"](values)
    return cast(values, wanted)


def _float_scalar(name: str, value: Any) -> Tensor:
    tensor = as_tensor(value)
    if tensor.shape != ():
        raise ArgumentError(f"linspace: {name} must be a scalar, not {tensor.type!r}", location=here())
    return cast(tensor, DTYPES["f64"])


# matrices -------------------------------------------------------------------------------------------------


def _diagonal_numbers(rows: Size, columns: Size) -> tuple[Tensor, Tensor]:
    """Row and column numbers that broadcast to a matrix."""
    return reshape(iota(rows), (rows, 1)), reshape(iota(columns), (1, columns))


@public
def eye(n_rows: Any, n_cols: Any = None, k: int = 0, dtype: Any = "float64") -> Tensor:
    """A matrix with ones on its `k`-th diagonal and zeros elsewhere.

    Args:
        n_rows, n_cols: the extents; the matrix is square without the second.
        k: which diagonal: above the main one if positive, below if negative.
        dtype: the element type.

    Raises:
        ShapeError: an extent is no size.
        ArgumentError: `k` is not an integer.

    >>> import graphc as gc
    >>> gc.eye(3).type, gc.eye("n", 2, dtype="int64").type
    (f64[3,3], i64[n,2])
    """
    rows = as_size("eye", "n_rows", n_rows)
    columns = rows if n_cols is None else as_size("eye", "n_cols", n_cols)
    row, column = _diagonal_numbers(rows, columns)
    on = apply(OPS["equal"], row + as_integer("eye", "k", k), column)
    return cast(on, _dtype("eye", dtype))


@public
def tril(x: TensorLike, k: int = 0) -> Tensor:
    """The lower triangle of a matrix, or of each of a stack: zero above the `k`-th diagonal.

    Raises:
        ShapeError: `x` has fewer than two axes.

    >>> import graphc as gc
    >>> gc.tril(gc.placeholder(("batch", 3, 3))).type
    f32[batch,3,3]
    """
    return _triangle("tril", x, k, lambda row, column: apply(OPS["greater_equal"], row, column))


@public
def triu(x: TensorLike, k: int = 0) -> Tensor:
    """The upper triangle of a matrix, or of each of a stack: zero below the `k`-th diagonal.

    Raises:
        ShapeError: `x` has fewer than two axes.

    >>> import graphc as gc
    >>> gc.triu(gc.placeholder((3, "n")), 1).type
    f32[3,n]
    """
    return _triangle("triu", x, k, lambda row, column: apply(OPS["less_equal"], row, column))


def _triangle(function: str, x: TensorLike, k: int, kept: Any) -> Tensor:
    tensor = as_tensor(x)
    if tensor.ndim < 2:
        raise ShapeError(f"{function}: {tensor.type!r} has fewer than two axes", location=here())
    row, column = _diagonal_numbers(*tensor.shape[-2:])
    inside = kept(row + as_integer(function, "k", k), column)
    return apply(OPS["where"], inside, tensor, constant(0, tensor.dtype))


@public
def one_hot(x: TensorLike, num_classes: Any, axis: int = -1, dtype: Any = "float32") -> Tensor:
    """Each integer `i` of `x` as a vector with 1 at place `i`; all zeros where `i` is no class.

    Args:
        x: integers.
        num_classes: the vectors' size.
        axis: where the vectors' axis stands in the result.
        dtype: the element type.

    Raises:
        DTypeError: `x` is not of integers.
        ShapeError: `num_classes` is no size, or there is no such axis.

    >>> import graphc as gc
    >>> gc.one_hot(gc.placeholder(("batch",), "int64"), 10).type
    f32[batch,10]
    """
    tensor = as_tensor(x)
    if tensor.dtype.kind not in "iu":
        raise DTypeError(f"one_hot: classes must be integers, not {tensor.dtype}", location=here())
    count = as_size("one_hot", "num_classes", num_classes)
    place = as_axis("one_hot", axis, tensor.ndim + 1)
    classes = reshape(iota(count), tuple(count if i == place else 1 for i in range(tensor.ndim + 1)))
    # uint64 above 2**63 would turn negative in int64, and match nothing: as it should.
    hit = apply(OPS["equal"], expand_dims(cast(tensor, _INT64), place), classes)
    return cast(hit, _dtype("one_hot", dtype))


@public
def meshgrid(*xs: TensorLike, indexing: str = "xy") -> list[Tensor]:
    """Coordinate arrays from vectors: the i-th result varies along the i-th axis as `xs[i]` does.

    Args:
        *xs: vectors or scalars.
        indexing: "ij", or "xy", where the first two axes are swapped.

    Raises:
        ShapeError: an operand has more than one axis.
        ArgumentError: another indexing.

    >>> import graphc as gc
    >>> [t.type for t in gc.meshgrid(gc.arange(3), gc.arange(2))]
    [i64[2,3], i64[2,3]]
    """
    if indexing not in ("xy", "ij"):
        raise ArgumentError(f"meshgrid: indexing {indexing!r} is neither 'xy' nor 'ij'", location=here())
    vectors = [as_tensor(x) for x in xs]
    for v in vectors:
        if v.ndim > 1:
            raise ShapeError(f"meshgrid: {v.type!r} is not a vector", location=here())
    vectors = [reshape(v, (v.size,)) for v in vectors]
    order = list(range(len(vectors)))
    if indexing == "xy" and len(vectors) > 1:
        order[:2] = [1, 0]
    shape = tuple(vectors[i].shape[0] for i in order)
    return [
        broadcast_to(reshape(v, tuple(v.shape[0] if order[i] == number else 1 for i in range(len(order)))), shape)
        for number, v in enumerate(vectors)
    ]
