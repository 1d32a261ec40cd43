"""Ops without operands, and the casts and projections that every other room needs.

Invariant: placeholders and variables are the only tensors whose value is not in the graph.
"""

from __future__ import annotations

import re
import reprlib
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, DTypeError, GraphcError, ShapeError
from graphc.ir import dims
from graphc.ir.build import apply, as_tensor, cast, checked_name, constant
from graphc.ir.dims import Size
from graphc.ir.location import here
from graphc.ir.opdef import NOT_DIFFERENTIABLE, OPS, Trait, define, public
from graphc.ir.size_text import parse_size
from graphc.ir.tensor import Tensor, Variable
from graphc.ir.types import DTYPES, TensorType, TupleType, Type, as_dtype, is_float


def _no_value(*_: Any, **__: Any) -> np.ndarray:
    raise AssertionError("a placeholder or variable is given its value by the call")


def _no_rule(*_: Any, **__: Any) -> Type:
    raise AssertionError("placeholders and variables carry their type themselves")


define("placeholder", infer=_no_rule, eval=_no_value, vjp=NOT_DIFFERENTIABLE, traits={Trait.SOURCE},
       doc="an input of the graph")
define("variable", infer=_no_rule, eval=_no_value, vjp=NOT_DIFFERENTIABLE, traits={Trait.SOURCE},
       doc="a tensor bound to storage that lives between calls")


def _const_type(*, value: np.ndarray) -> TensorType:
    return TensorType(value.dtype, value.shape)


define("const", attrs=("value",), infer=_const_type, eval=lambda *, value: value, vjp=NOT_DIFFERENTIABLE,
       traits={Trait.SOURCE}, doc="a fixed array")

define("dim", attrs=("size",), infer=lambda *, size: TensorType(DTYPES["i64"], ()),
       eval=lambda *, size: np.asarray(size, np.int64), vjp=NOT_DIFFERENTIABLE, traits={Trait.SOURCE},
       doc="a symbolic size as an int64 scalar")


def _get_type(results: Type, *, index: int) -> TensorType:
    if not isinstance(results, TupleType):
        raise DTypeError("the operand has a single result")
    if not 0 <= index < len(results.items):
        raise ArgumentError(f"result {index} of {len(results.items)}")
    return results.items[index]


# The walk in passes/gradient.py sends the cotangent of a `get` to its place in the tuple.
define("get", operands=("results",), attrs=("index",), infer=_get_type,
       eval=lambda results, *, index: results[index], vjp=NOT_DIFFERENTIABLE,
       doc="one result of an op that has several")


def _cast_type(x: TensorType, *, dtype: np.dtype[Any]) -> TensorType:
    return x.with_dtype(dtype)


def _cast_eval(x: np.ndarray, *, dtype: np.dtype[Any]) -> np.ndarray:
    """`astype`, but for floats as uint32 outside its range, where NumPy's value depends on whether the element
    is part of a full SIMD vector or left over: here it is always that of the latter, by way of int64."""
    if x.dtype.kind == "f" and dtype == np.uint32:
        return np.asarray(x.astype(np.int64).astype(dtype))
    return np.asarray(x.astype(dtype))


def _cast_gradient(g: Tensor, y: Tensor, x: Tensor, *, dtype: np.dtype[Any]) -> tuple[Tensor | None]:
    if not (is_float(x.dtype) and is_float(dtype)):
        return (None,)
    return (apply(OPS["cast"], g, dtype=x.dtype),)


define("cast", operands=("x",), attrs=("dtype",), infer=_cast_type,
       eval=_cast_eval, vjp=_cast_gradient, traits={Trait.ELEMENTWISE},
       doc="the values in another dtype, as NumPy's astype on this machine converts them")


def placeholder(shape: Any = (), dtype: Any = "float32", name: str | None = None) -> Tensor:
    """An input of the graph, given at each call.

    Args:
        shape: one entry per axis: a number; a name, which is the same symbolic size everywhere; None, a fresh
            symbolic size; or an expression of such sizes.
        dtype: the element type.
        name: how calls, dumps and errors refer to it.

    Raises:
        ShapeError: an entry is none of these.
        DTypeError: the dtype is not supported.

    >>> placeholder(("batch", 64), "float32", name="x").type
    f32[batch,64]
    """
    entries = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    try:
        extents = tuple(_extent(entry, axis, name) for axis, entry in enumerate(entries))
        type_ = TensorType(as_dtype(dtype), extents)
    except (ShapeError, DTypeError) as error:
        raise type(error)(f"placeholder: {error.message}", location=here(), hint=error.hint) from None
    return Tensor(OPS["placeholder"], (), {}, type_, here(), checked_name("placeholder", name))


def _extent(entry: Any, axis: int, name: str | None) -> Size:
    if entry is None:
        base = name if isinstance(name, str) and re.fullmatch(r"[A-Za-z_]\w*", name) else "n"
        return dims.fresh_symbol(f"{base}_{axis}")
    if isinstance(entry, str):
        try:
            return parse_size(entry)
        except ValueError as error:
            raise ShapeError(f"axis {axis}: {error}") from None
    if isinstance(entry, dims.Dim):
        return entry
    if isinstance(entry, (int, np.integer)) and not isinstance(entry, bool) and entry >= 0:
        return int(entry)
    raise ShapeError(f"axis {axis}: {entry!r} is not a size: use a number, a name, or None for a symbolic one")


def variable(value: Any, dtype: Any = None, name: str | None = None) -> Variable:
    """A tensor bound to storage that lives between calls: a parameter, a counter, a random state.

    Args:
        value: its first value; copied.
        dtype: the dtype to store it in; by default that of the value.
        name: for printing and messages.

    Raises:
        DTypeError: the value is no array of a supported dtype.

    >>> w = variable(np.zeros((2, 3), "float32"), name="w")
    >>> w.type, w.value.sum()
    (f32[2,3], np.float32(0.0))
    """
    try:
        storage = np.array(value, dtype=None if dtype is None else as_dtype(dtype), order="C", copy=True, subok=False)
        storage = np.array(storage, dtype=as_dtype(storage.dtype), order="C", copy=True)
    except (TypeError, ValueError, OverflowError) as error:
        message = error.message if isinstance(error, GraphcError) else f"{reprlib.repr(value)} is not an array: {error}"
        raise DTypeError(f"variable: {message}", location=here()) from None
    type_ = TensorType(storage.dtype, storage.shape)
    return Variable(OPS["variable"], storage, type_, here(), checked_name("variable", name))


def size_value(size: Size) -> Tensor:
    """A size as a scalar int64 tensor: a constant where it is a number.

    >>> size_value(3).type
    i64[]
    """
    return constant(size, "int64") if isinstance(size, int) else apply(OPS["dim"], size=size)


@public
def astype(x: Any, dtype: Any) -> Tensor:
    """The tensor cast to `dtype`, with NumPy's `astype` values.

    >>> import graphc as gc
    >>> gc.astype(gc.constant([1.7, -1.7]), "int32").type
    i32[2]
    """
    tensor = as_tensor(x)
    try:
        return cast(tensor, as_dtype(dtype))
    except DTypeError as error:
        raise DTypeError(f"astype: {error.message}", location=here(), hint=error.hint) from None
