"""What rules recognise in a tensor, and how they make new ones.

Invariant: a test here is exact; where it cannot know, the answer is no.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir.build import apply, constant
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType

#: Larger constants are not searched for equal elements.
_SEARCHED_ELEMENTS = 4096
#: Ops that repeat or rearrange elements, and so keep a tensor uniform.
_KEEPS_UNIFORM = frozenset({"broadcast_to", "reshape", "permute_dims"})


def make(op: str, *inputs: Tensor, **attrs: Any) -> Tensor:
    """The tensor of an op by name."""
    return apply(OPS[op], *inputs, **attrs)


def scalar(value: Any, dtype: np.dtype[Any]) -> Tensor:
    """A constant of shape ()."""
    return constant(np.asarray(value, dtype))


def filled(value: Any, type_: TensorType) -> Tensor:
    """A tensor of `type_` whose elements are all `value`."""
    return of_shape(scalar(value, type_.dtype), type_)


def of_shape(x: Tensor, type_: TensorType) -> Tensor:
    """`x` broadcast to the shape of `type_`; itself where it has that shape."""
    return x if x.shape == type_.shape else make("broadcast_to", x, shape=type_.shape)


def is_op(tensor: Tensor, *names: str) -> bool:
    """Whether `tensor` is the result of one of these ops."""
    return tensor.op.name in names


def uniform(tensor: Tensor) -> Any | None:
    """The NumPy scalar that every element of `tensor` is known to be; None where it is not known.

    >>> import graphc as gc
    >>> uniform(gc.constant([2.0, 2.0])), uniform(gc.constant([0.0, -0.0]))
    (np.float64(2.0), None)
    """
    while tensor.op.name in _KEEPS_UNIFORM:
        (tensor,) = tensor.inputs
    if tensor.op.name != "const":
        return None
    value: np.ndarray = tensor.attrs["value"]
    if value.ndim == 0:
        return value[()]
    if not 0 < value.size <= _SEARCHED_ELEMENTS:
        return None
    first = value.reshape(-1)[:1]
    itemsize = value.dtype.itemsize
    return first[0] if value.tobytes() == first.tobytes() * (value.nbytes // itemsize) else None


def is_uniform(tensor: Tensor, value: float) -> bool:
    """Whether every element is known to be `value`; 0.0 and -0.0 are different here.

    >>> import graphc as gc
    >>> is_uniform(gc.constant(-0.0), 0.0), is_uniform(gc.constant(True), 1)
    (False, True)
    """
    found = uniform(tensor)
    if found is None or found != value:
        return False
    return found.dtype.kind != "f" or bool(np.signbit(found) == np.signbit(value))


def with_uniform(tensor: Tensor) -> tuple[Tensor, Any] | None:
    """The operands of a binary op as (other, scalar value), where one of them is uniform."""
    x, y = tensor.inputs
    value = uniform(y)
    if value is not None:
        return x, value
    value = uniform(x)
    return None if value is None else (y, value)


def is_power_of_two(value: Any) -> bool:
    """Whether a float is plus or minus a power of two, and its reciprocal is a normal number.

    >>> is_power_of_two(np.float32(0.25)), is_power_of_two(np.float32(3.0))
    (True, False)
    """
    mantissa, _ = np.frexp(abs(value))
    if mantissa != 0.5:
        return False
    tiny = np.finfo(value.dtype).smallest_normal
    return bool(abs(value) >= tiny and abs(1 / value) >= tiny)
