"""What all elementwise ops share: their type rules, and how a public function prepares its operands.

Invariant: the operands of an elementwise op have one dtype (bar the condition of `where`) and broadcast
implicitly; promotion is done before, by the public function, and shows in the graph as `cast`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.errors import DTypeError
from graphc.ir.broadcast import broadcast_shapes
from graphc.ir.build import (
    TensorLike,
    apply,
    as_tensor,
    cast,
    constant,
    promote,
    result_dtype,
    weak_constant,
)
from graphc.ir.location import here
from graphc.ir.opdef import OPS, Trait
from graphc.ir.tensor import Tensor
from graphc.ir.types import BOOL, DTYPES, FLOATS, INTEGERS, NUMERIC, TensorType, is_float

ELEMENTWISE = frozenset({Trait.ELEMENTWISE})
COMMUTATIVE = frozenset({Trait.ELEMENTWISE, Trait.COMMUTATIVE})

Infer = Callable[..., TensorType]


def elementwise_rule(
    accepted: tuple[np.dtype[Any], ...], text: str, result: np.dtype[Any] | None = None
) -> Infer:
    """The type rule of an op on operands of one dtype out of `accepted` (described by `text`).

    The result has that dtype, or `result`, and the operands' broadcast shape.
    """

    def infer(*operands: TensorType) -> TensorType:
        dtype = operands[0].dtype
        if dtype not in accepted:
            raise DTypeError(f"takes {text}")
        if any(operand.dtype != dtype for operand in operands):
            raise DTypeError("the operands have different dtypes")
        return TensorType(result or dtype, broadcast_shapes(*(operand.shape for operand in operands)))

    return infer


FLOAT_TO_FLOAT = elementwise_rule(FLOATS, "float32 or float64")
FLOAT_TO_BOOL = elementwise_rule(FLOATS, "float32 or float64", BOOL)
NUMBER_TO_NUMBER = elementwise_rule(NUMERIC, "integers or floats, not booleans")
INTEGER_TO_INTEGER = elementwise_rule(INTEGERS, "integers")
BITS_TO_BITS = elementwise_rule((BOOL, *INTEGERS), "integers or booleans")
BOOL_TO_BOOL = elementwise_rule((BOOL,), "booleans")
ANY_TO_BOOL = elementwise_rule((BOOL, *NUMERIC), "any dtype", BOOL)


def as_array(function: Callable[..., Any]) -> Callable[..., np.ndarray]:
    """`function` with its result always an array: a ufunc of 0-d arrays returns a NumPy scalar."""

    def evaluate(*arrays: np.ndarray) -> np.ndarray:
        return np.asarray(function(*arrays))

    return evaluate


def zeros_of(x: Tensor) -> Tensor:
    """Zeros of `x`'s type: the cotangent where a function of `x` is piecewise constant."""
    return apply(OPS["broadcast_to"], constant(0, x.dtype), shape=x.shape)


_FITS_FLOAT16 = frozenset({BOOL, DTYPES["i8"], DTYPES["u8"]})
_FITS_FLOAT32 = _FITS_FLOAT16 | {DTYPES["i16"], DTYPES["u16"]}


def in_dtype(dtype: np.dtype[Any], *values: TensorLike) -> tuple[Tensor, ...]:
    """The values as tensors of `dtype`; Python scalars are converted straight to it."""
    return tuple(cast(v, dtype) if isinstance(v, Tensor) else weak_constant(v, dtype) for v in values)


def as_floats(function: str, *values: TensorLike) -> tuple[Tensor, ...]:
    """The operands of a floating-point function in their common float dtype, as NumPy's loops choose it.

    Raises:
        DTypeError: booleans and 8-bit integers, for which NumPy's choice is float16.
    """
    return in_dtype(_loop_dtype(function, values), *values)


def _loop_dtype(function: str, values: tuple[TensorLike, ...]) -> np.dtype[Any]:
    """The smallest float that holds each operand's dtype.

    It is chosen before integers promote among themselves: int16 with uint16 is computed in float32, although
    the two promote to int32.
    """
    common = result_dtype(*values)
    if is_float(common):
        return common
    weak = any(type(value) in (bool, int, float) for value in values)
    dtypes = {as_tensor(value).dtype for value in values if type(value) not in (bool, int, float)}
    dtypes |= {common} if weak else set()
    if dtypes <= _FITS_FLOAT16:
        raise DTypeError(
            f"{function}: takes floats, and {common} would become float16, which graphc does not have",
            location=here(),
            hint="cast it first: gc.astype(x, 'float32')",
        )
    return DTYPES["f32"] if dtypes <= _FITS_FLOAT32 else DTYPES["f64"]


def as_numbers(
    function: str, *values: TensorLike, booleans: str | np.dtype[Any]
) -> tuple[Tensor, ...]:
    """The operands of an arithmetic function in their common dtype.

    Args:
        function: its name, for messages.
        values: the operands.
        booleans: what becomes of booleans: the dtype to compute in; or a text, why NumPy refuses them.

    Raises:
        DTypeError: no common dtype, or booleans where NumPy refuses them.
    """
    tensors = promote(*values)
    if tensors[0].dtype != BOOL:
        return tensors
    if isinstance(booleans, str):
        raise DTypeError(f"{function}: does not take booleans", location=here(), hint=booleans)
    return tuple(cast(tensor, booleans) for tensor in tensors)


def by_bits(name: str, on_booleans: str, x: TensorLike, y: TensorLike) -> Tensor:
    """The op `name`; on booleans, the bitwise op of the same value."""
    operands = promote(x, y)
    return apply(OPS[on_booleans if operands[0].dtype == BOOL else name], *operands)


def as_booleans(value: TensorLike) -> Tensor:
    """`value` as truth values: False where it is zero."""
    return cast(as_tensor(value), BOOL)


def document(function: Callable[..., Any], name: str, doc: str) -> Callable[..., Any]:
    """`function` with the name and docstring of a public function; for those made from a table."""
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function
