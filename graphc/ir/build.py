"""Making tensors: coerce the operands, run the type rule, remember the user's line.

Invariant: `apply` is the only maker of tensors (sources included), so every tensor has passed its op's type
rule, and every error of a type rule leaves here with the op, the operands' types and origins, and the line.
"""

from __future__ import annotations

import reprlib
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, DTypeError, GraphcError
from graphc.ir.acceptance import accept
from graphc.ir.dims import Dim
from graphc.ir.location import here
from graphc.ir.opdef import OPS, OpDef
from graphc.ir.recording import record
from graphc.ir.tensor import Tensor, describe
from graphc.ir.types import SHORT_NAMES, TensorType, TupleType, as_dtype

#: What the public functions take where a tensor is asked for.
TensorLike = Any


def apply(op: OpDef, *inputs: Tensor, hint: str | None = None, **attrs: Any) -> Tensor:
    """The tensor that `op` makes of `inputs`.

    Raises:
        GraphcError: the op's type rule refuses the operands; the message names them and the user's line.
    """
    for position, tensor in enumerate(inputs):
        if isinstance(tensor.type, TupleType) and op.name != "get":
            raise DTypeError(
                f"{op.name}: {op.operand_name(position)} is a tuple of {len(tensor.type.items)} results; unpack it",
                location=here(),
            )
    try:
        type_ = op.infer(*(t.type for t in inputs), **attrs)
    except GraphcError as error:
        raise _located(error, op, inputs) from None
    return record(Tensor(op, inputs, attrs, type_, here(), hint))


def _located(error: GraphcError, op: OpDef, inputs: tuple[Tensor, ...]) -> GraphcError:
    """The same error with the op, the operands' types and origins, and the user's line."""
    if error.location is not None:
        return error
    names = [t.hint or op.operand_name(i) for i, t in enumerate(inputs)]
    if len(set(names)) < len(names):
        names = [op.operand_name(i) for i in range(len(inputs))]
    types = ", ".join(f"{name} is {t.type!r}" for name, t in zip(names, inputs))
    message = f"{op.name}: {error.message}" + (f": {types}" if types else "")
    origins = {name: f"{t.op.name}, {t.location}" for name, t in zip(names, inputs)}
    return type(error)(message, location=here(), origins=origins, hint=error.hint)


def unpack(tensor: Tensor) -> tuple[Tensor, ...]:
    """The results of an op that has several, each as a tensor."""
    assert isinstance(tensor.type, TupleType)
    return tuple(apply(OPS["get"], tensor, index=i) for i in range(len(tensor.type.items)))


def constant(value: Any, dtype: Any = None, name: str | None = None) -> Tensor:
    """A tensor with a fixed value.

    Args:
        value: anything `np.asarray` takes; it is copied.
        dtype: the dtype to store it in; by default NumPy's choice (Python floats are float64).
        name: a name for printing.

    Raises:
        DTypeError: the value is no array of a supported dtype, or does not fit `dtype`.

    >>> import graphc as gc
    >>> gc.constant([1, 2, 3], "float32").type
    f32[3]
    """
    if isinstance(value, Tensor):
        raise DTypeError(f"constant: {describe(value)} is a tensor already", location=here())
    if isinstance(value, Dim):
        raise DTypeError(f"constant: the size {value} is symbolic: it has no value before the call", location=here())
    try:
        wanted = None if dtype is None else as_dtype(dtype)
        array = np.array(value, dtype=wanted, order="C", copy=True)
        found = as_dtype(array.dtype)
    except GraphcError as error:
        raise type(error)(f"constant: {error.message}", location=here(), hint=error.hint) from None
    except (TypeError, ValueError, OverflowError) as error:
        raise DTypeError(f"constant: {reprlib.repr(value)} is not an array: {error}", location=here()) from None
    array = np.array(array, dtype=found, order="C", subok=False)
    array.setflags(write=False)
    return apply(OPS["const"], hint=checked_name("constant", name), value=array)


def as_tensor(value: TensorLike, dtype: Any = None) -> Tensor:
    """`value` itself if it is a tensor, the value of a symbolic size, else a constant."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Dim):
        return apply(OPS["dim"], size=value)
    return constant(value, dtype)


def cast(tensor: Tensor, dtype: np.dtype[Any]) -> Tensor:
    """`tensor` in another dtype; itself where it has that one."""
    return tensor if tensor.dtype == dtype else apply(OPS["cast"], tensor, dtype=dtype)


def result_dtype(*values: TensorLike) -> np.dtype[Any]:
    """The dtype of an operation on `values`, by NumPy's promotion (NEP 50): Python scalars are weak.

    A symbolic size is weak like the Python integer that it stands for.

    Raises:
        DTypeError: a value has a dtype that graphc lacks, or the dtypes promote to one.
    """
    terms: list[Any] = []
    for value in values:
        if isinstance(value, Tensor):
            terms.append(value.dtype)
        elif type(value) in (bool, int, float):
            terms.append(value)
        elif isinstance(value, Dim):
            terms.append(0)
        else:
            terms.append(as_tensor(value).dtype)
    if all(type(t) in (bool, int, float) for t in terms):
        return np.result_type(*(np.asarray(t).dtype for t in terms))
    found = np.result_type(*terms)
    if found not in SHORT_NAMES:
        names = ", ".join(map(str, terms))
        raise DTypeError(f"{names} promote to {found}, which graphc does not have", location=here())
    return found


def promote(*values: TensorLike) -> tuple[Tensor, ...]:
    """`values` as tensors of their common dtype.

    Raises:
        DTypeError: no common dtype, or a Python integer that the common dtype cannot hold.
    """
    dtype = result_dtype(*values)
    return tuple(cast(v, dtype) if isinstance(v, Tensor) else weak_constant(v, dtype) for v in values)


def weak_constant(value: TensorLike, dtype: np.dtype[Any]) -> Tensor:
    """A Python scalar or array as a constant of `dtype`."""
    if type(value) in (bool, int, float):
        try:
            return constant(np.asarray(value, dtype))
        except OverflowError:
            raise DTypeError(f"the Python integer {value} is out of bounds for {dtype}", location=here()) from None
    return cast(as_tensor(value), dtype)


def stored_value(what: str, value: TensorLike, dtype: np.dtype[Any]) -> Tensor:
    """What is to be stored in, or to stand in for, a tensor of `dtype`: a tensor as it is, else a constant.

    Args:
        what: the subject of messages, such as "function: the update of 'w'".
        value: a tensor, or what `acceptance.accept` takes.
        dtype: of the constant.

    Raises:
        DTypeError: an array or number that `dtype` cannot hold, or no array.
    """
    if isinstance(value, Dim):
        return cast(as_tensor(value), dtype)
    if isinstance(value, Tensor):
        return value
    try:
        return constant(accept(value, dtype, "same_kind"))
    except GraphcError as error:
        raise type(error)(f"{what}: {dtype} {error.message}", location=here(), hint=error.hint) from None
    except (TypeError, ValueError) as error:
        raise DTypeError(f"{what}: not an array: {error}", location=here()) from None


def checked_name(function: str, name: Any) -> str | None:
    """`name`, checked to be what can name a tensor.

    Raises:
        ArgumentError: it is neither a string nor None.
    """
    if name is None or isinstance(name, str):
        return name
    raise ArgumentError(f"{function}: name must be a string, not {type(name).__name__}", location=here())


def expect_tensor(function: str, argument: str, value: Any) -> Tensor:
    """`value`, checked to be a tensor (for arguments where an array makes no sense).

    Raises:
        ArgumentError: it is not one.
    """
    if not isinstance(value, Tensor):
        raise ArgumentError(
            f"{function}: {argument} must be a tensor, not {type(value).__name__}", location=here()
        )
    return value


__all__ = [
    "TensorLike", "TensorType", "apply", "as_tensor", "cast", "checked_name", "constant", "expect_tensor",
    "promote", "result_dtype", "stored_value", "unpack", "weak_constant",
]
