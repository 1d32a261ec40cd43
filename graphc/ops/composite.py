"""Functions composed of ops: activations and small arithmetic that need no op of their own.

Invariant: nothing here defines an op. What could not be composed exactly, stably or fast is one instead.
"""

from __future__ import annotations

import math

from graphc.errors import ArgumentError, DTypeError
from graphc.ir.build import TensorLike, as_tensor
from graphc.ir.location import here
from graphc.ir.opdef import public
from graphc.ir.tensor import Tensor
from graphc.ir.types import DTYPES, is_float
from graphc.ops.comparison import where
from graphc.ops.elementwise import as_floats, as_numbers
from graphc.ops.transcendental import erfc, expm1, sigmoid, softplus, tanh


@public
def square(x: TensorLike) -> Tensor:
    """x * x, elementwise; of booleans as int8.

    >>> import graphc as gc
    >>> gc.square(gc.placeholder((3,), "float32")).type
    f32[3]
    """
    (tensor,) = as_numbers("square", x, booleans=DTYPES["i8"])
    return tensor * tensor


@public
def reciprocal(x: TensorLike) -> Tensor:
    """1 / x, elementwise.

    Raises:
        DTypeError: integers or booleans, whose reciprocals are not integers.

    >>> import graphc as gc
    >>> gc.reciprocal(gc.placeholder((3,), "float32")).type
    f32[3]
    """
    tensor = as_tensor(x)
    if not is_float(tensor.dtype):
        raise DTypeError(
            f"reciprocal: takes floats, not {tensor.dtype}", location=here(), hint="1 / x casts to floats"
        )
    return 1 / tensor


@public
def relu(x: TensorLike) -> Tensor:
    """The larger of x and 0, elementwise; NaN stays. The derivative at 0 is 0.

    >>> import graphc as gc
    >>> gc.relu(gc.placeholder((3,), "float32")).type
    f32[3]
    """
    (tensor,) = as_numbers("relu", x, booleans="gc.astype(x, 'int8') makes them numbers")
    return where(tensor <= 0, 0, tensor)


@public
def leaky_relu(x: TensorLike, negative_slope: TensorLike = 0.01) -> Tensor:
    """x where it is positive, else negative_slope * x; elementwise.

    Raises:
        DTypeError: booleans or 8-bit integers.

    >>> import graphc as gc
    >>> gc.leaky_relu(gc.placeholder((3,), "float32")).type
    f32[3]
    """
    (tensor,) = as_floats("leaky_relu", x)
    return where(tensor > 0, tensor, tensor * negative_slope)


@public
def elu(x: TensorLike, alpha: TensorLike = 1.0) -> Tensor:
    """x where it is positive, else alpha * (exp(x) - 1); elementwise.

    D. Clevert, T. Unterthiner, S. Hochreiter: Fast and Accurate Deep Network Learning by Exponential Linear
    Units, 2016.

    Raises:
        DTypeError: booleans or 8-bit integers.

    >>> import graphc as gc
    >>> gc.elu(gc.placeholder((3,), "float32")).type
    f32[3]
    """
    (tensor,) = as_floats("elu", x)
    below = where(tensor > 0, 0, tensor)  # so that exp does not overflow in the branch that is not taken
    return where(tensor > 0, tensor, alpha * expm1(below))


@public
def silu(x: TensorLike) -> Tensor:
    """x * sigmoid(x), elementwise; also called swish.

    Raises:
        DTypeError: booleans or 8-bit integers.

    >>> import graphc as gc
    >>> gc.silu(gc.placeholder((3,), "float32")).type
    f32[3]
    """
    (tensor,) = as_floats("silu", x)
    return tensor * sigmoid(tensor)


@public
def log_sigmoid(x: TensorLike) -> Tensor:
    """log(sigmoid(x)) = -softplus(-x), elementwise, without overflow.

    Raises:
        DTypeError: booleans or 8-bit integers.

    >>> import graphc as gc
    >>> gc.log_sigmoid(gc.placeholder((3,), "float32")).type
    f32[3]
    """
    (tensor,) = as_floats("log_sigmoid", x)
    return -softplus(-tensor)


@public
def gelu(x: TensorLike, approximate: str = "none") -> Tensor:
    """x times the normal distribution function of x, elementwise.

    D. Hendrycks, K. Gimpel: Gaussian Error Linear Units, 2016.

    Args:
        x: floats; integers are cast as by `gc.exp`.
        approximate: "none" for the exact function, "tanh" for the paper's approximation.

    Raises:
        ArgumentError: `approximate` is neither.
        DTypeError: booleans or 8-bit integers.

    >>> import graphc as gc
    >>> gc.gelu(gc.placeholder((3,), "float32")).type
    f32[3]
    """
    (tensor,) = as_floats("gelu", x)
    if approximate == "none":
        # erfc(-x/sqrt 2) instead of 1 + erf(x/sqrt 2), which is 0 from x = -5.4 on in float32.
        return 0.5 * tensor * erfc(tensor * -math.sqrt(0.5))
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (tensor + 0.044715 * tensor * tensor * tensor)
        return 0.5 * tensor * (1 + tanh(inner))
    raise ArgumentError(f"gelu: approximate must be 'none' or 'tanh', not {approximate!r}", location=here())
