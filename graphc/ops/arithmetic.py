"""Arithmetic on numbers: negation, the four operations, division with remainder, powers.

Integers wrap around. Division by zero, `INT_MIN // -1` and the like give what NumPy gives, without a trap.

Invariant: the ops here never see booleans; a public function computes those by the bitwise op of the same
value (`True + True` is `True | True`), by int8, or refuses them, as NumPy does.
"""

from __future__ import annotations

import numpy as np

from graphc.errors import DTypeError
from graphc.ir.build import TensorLike, apply, as_tensor, result_dtype
from graphc.ir.location import here
from graphc.ir.opdef import FUNCTIONS, OPS, define, public
from graphc.ir.tensor import Tensor
from graphc.ir.types import DTYPES, is_float
from graphc.ops.elementwise import (
    COMMUTATIVE,
    ELEMENTWISE,
    FLOAT_TO_FLOAT,
    NUMBER_TO_NUMBER,
    as_array,
    as_numbers,
    by_bits,
    in_dtype,
    zeros_of,
)
from graphc.ops.rounding import floor, trunc

# One operand ------------------------------------------------------------------------------------------------

define("negative", operands=("x",), infer=NUMBER_TO_NUMBER, eval=as_array(np.negative), traits=ELEMENTWISE,
       vjp=lambda g, y, x: (-g,), doc="-x; unsigned integers wrap")
define("stop_gradient", operands=("x",), infer=lambda x: x, eval=lambda x: x, traits=ELEMENTWISE,
       vjp=lambda g, y, x: (None,), doc="x itself, as a constant to the gradient")


@public
def positive(x: TensorLike) -> Tensor:
    """`x` itself.

    Raises:
        DTypeError: booleans.

    >>> import graphc as gc
    >>> gc.positive(gc.constant([-1, 2])).type
    i64[2]
    """
    return as_numbers("positive", x, booleans="gc.astype(x, 'int8') makes them numbers")[0]


@public
def negative(x: TensorLike) -> Tensor:
    """-x, elementwise; unsigned integers wrap.

    Raises:
        DTypeError: booleans.

    >>> import graphc as gc
    >>> gc.negative(gc.constant([1.0, -2.0])).type
    f64[2]
    """
    return apply(OPS["negative"], *as_numbers("negative", x, booleans="use gc.logical_not, the ~ operator"))


@public
def stop_gradient(x: TensorLike) -> Tensor:
    """`x` itself, which the gradient takes for a constant.

    >>> import graphc as gc
    >>> x = gc.placeholder((3,), "float32", name="x")
    >>> gc.stop_gradient(x).type
    f32[3]
    """
    return apply(OPS["stop_gradient"], as_tensor(x))


# The four operations ----------------------------------------------------------------------------------------

define("add", operands=("x", "y"), infer=NUMBER_TO_NUMBER, eval=as_array(np.add), traits=COMMUTATIVE,
       vjp=lambda g, z, x, y: (g, g), doc="x + y")
define("subtract", operands=("x", "y"), infer=NUMBER_TO_NUMBER, eval=as_array(np.subtract),
       vjp=lambda g, z, x, y: (g, -g), traits=ELEMENTWISE, doc="x - y")
define("multiply", operands=("x", "y"), infer=NUMBER_TO_NUMBER, eval=as_array(np.multiply),
       vjp=lambda g, z, x, y: (g * y, g * x), traits=COMMUTATIVE, doc="x * y")
define("divide", operands=("x", "y"), infer=FLOAT_TO_FLOAT, eval=as_array(np.divide), traits=ELEMENTWISE,
       vjp=lambda g, z, x, y: (g / y, -(g * z) / y), doc="x / y in floating point")


@public
def add(x: TensorLike, y: TensorLike) -> Tensor:
    """x + y, elementwise with broadcasting; of booleans, their "or".

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: the dtypes have no common one.

    >>> import graphc as gc
    >>> gc.add(gc.constant([1, 2]), 0.5).type
    f64[2]
    """
    return by_bits("add", "bitwise_or", x, y)


@public
def subtract(x: TensorLike, y: TensorLike) -> Tensor:
    """x - y, elementwise with broadcasting.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: both are booleans.

    >>> import graphc as gc
    >>> gc.subtract(gc.constant([1, 2], "int8"), gc.constant(1, "int16")).type
    i16[2]
    """
    operands = as_numbers("subtract", x, y, booleans="use gc.logical_xor, the ^ operator")
    return apply(OPS["subtract"], *operands)


@public
def multiply(x: TensorLike, y: TensorLike) -> Tensor:
    """x * y, elementwise with broadcasting; of booleans, their "and".

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: the dtypes have no common one.

    >>> import graphc as gc
    >>> gc.multiply(gc.placeholder((2, 1), "float32"), gc.placeholder((3,), "float32")).type
    f32[2,3]
    """
    return by_bits("multiply", "bitwise_and", x, y)


@public
def divide(x: TensorLike, y: TensorLike) -> Tensor:
    """x / y, elementwise with broadcasting; integers and booleans are divided in float64.

    Raises:
        ShapeError: the shapes do not broadcast.

    >>> import graphc as gc
    >>> gc.divide(gc.constant([1, 2], "int8"), 2).type
    f64[2]
    """
    dtype = result_dtype(x, y)
    return apply(OPS["divide"], *in_dtype(dtype if is_float(dtype) else DTYPES["f64"], x, y))


# Division with remainder ------------------------------------------------------------------------------------

define("floor_divide", operands=("x", "y"), infer=NUMBER_TO_NUMBER, eval=as_array(np.floor_divide),
       vjp=lambda g, z, x, y: (zeros_of(x), zeros_of(y)), traits=ELEMENTWISE,
       doc="floor(x / y); integers by zero give 0")
define("remainder", operands=("x", "y"), infer=NUMBER_TO_NUMBER, eval=as_array(np.remainder),
       vjp=lambda g, z, x, y: (g, -g * floor(x / y)), traits=ELEMENTWISE,
       doc="x - y * floor(x / y), with the sign of y; integers by zero give 0")
define("fmod", operands=("x", "y"), infer=NUMBER_TO_NUMBER, eval=as_array(np.fmod),
       vjp=lambda g, z, x, y: (g, -g * trunc(x / y)), traits=ELEMENTWISE,
       doc="x - y * trunc(x / y), with the sign of x; integers by zero give 0")


@public
def floor_divide(x: TensorLike, y: TensorLike) -> Tensor:
    """floor(x / y), elementwise with broadcasting; an integer by zero is 0. Its derivative is 0.

    Raises:
        ShapeError: the shapes do not broadcast.

    >>> import graphc as gc
    >>> gc.floor_divide(gc.constant([-7, 7]), 2).type
    i64[2]
    """
    return apply(OPS["floor_divide"], *as_numbers("floor_divide", x, y, booleans=DTYPES["i8"]))


@public
def remainder(x: TensorLike, y: TensorLike) -> Tensor:
    """x - y * floor(x / y), elementwise with broadcasting: has the sign of `y`; an integer by zero gives 0.

    Raises:
        ShapeError: the shapes do not broadcast.

    >>> import graphc as gc
    >>> gc.remainder(gc.constant([-7, 7]), 3).type
    i64[2]
    """
    return apply(OPS["remainder"], *as_numbers("remainder", x, y, booleans=DTYPES["i8"]))


@public
def fmod(x: TensorLike, y: TensorLike) -> Tensor:
    """x - y * trunc(x / y), elementwise with broadcasting: has the sign of `x`; an integer by zero gives 0.

    Raises:
        ShapeError: the shapes do not broadcast.

    >>> import graphc as gc
    >>> gc.fmod(gc.constant([-7.5, 7.5]), 2).type
    f64[2]
    """
    return apply(OPS["fmod"], *as_numbers("fmod", x, y, booleans=DTYPES["i8"]))


# Powers -----------------------------------------------------------------------------------------------------


def _power(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """np.power, and 1/x**-y truncated where NumPy refuses: an integer to a negative integer power."""
    if x.dtype.kind != "i" or not (y < 0).any():
        return np.asarray(np.power(x, y))
    of_minus_one = np.where(y & 1, -1, 1)
    truncated = np.where(x == 1, 1, np.where(x == -1, of_minus_one, 0))
    return np.where(y < 0, truncated, np.power(x, np.maximum(y, 0))).astype(x.dtype)


def _power_gradient(g: Tensor, z: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor | None]:
    """y * x**(y-1), and x**y * log(x) where that is real: for x > 0; else 0.

    At 0**0 the first is taken as 0 * 0**1, so that x**0 has the derivative 0 everywhere.
    """
    where, equal, greater = FUNCTIONS["where"], FUNCTIONS["equal"], FUNCTIONS["greater"]
    if y.op.name == "const" and y.attrs["value"].all():  # such as x**2: neither 0**0 nor a cotangent for y
        return g * (y * pow(x, y.attrs["value"] - y.dtype.type(1))), None
    both_zero = equal(x, 0) & equal(y, 0)
    by_base = y * pow(x, where(both_zero, 1, y - 1))
    by_exponent = where(greater(x, 0), z * FUNCTIONS["log"](where(greater(x, 0), x, 1)), 0)
    return g * by_base, g * by_exponent


define("pow", operands=("x", "y"), infer=NUMBER_TO_NUMBER, eval=_power, vjp=_power_gradient,
       traits=ELEMENTWISE, doc="x to the power y; an integer to a negative power is 1/x**-y, truncated")


@public
def pow(x: TensorLike, y: TensorLike) -> Tensor:
    """x to the power y, elementwise with broadcasting.

    The derivative by `y` is 0 where x <= 0.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: integers to a power that is known to be negative. One that turns out negative when the
            function runs raises `CheckError`, where NumPy raises ValueError.

    >>> import graphc as gc
    >>> gc.pow(gc.placeholder((3,), "float32"), 2).type
    f32[3]
    """
    base, exponent = as_numbers("pow", x, y, booleans=DTYPES["i8"])
    if exponent.dtype.kind == "i":
        exponent = _checked_exponent(exponent, y)
    return apply(OPS["pow"], base, exponent)


def _checked_exponent(exponent: Tensor, given: TensorLike) -> Tensor:
    """An integer exponent that is not negative: known now, or checked when the function runs."""
    refusal = "integers to negative integer powers are not integers"
    if not isinstance(given, Tensor) and type(given) is not int:
        given = np.asarray(given)
    if isinstance(given, Tensor) and given.op.name == "const":
        given = given.attrs["value"]
    if isinstance(given, Tensor):
        if given.dtype.kind in "ub":
            return exponent
        condition = FUNCTIONS["all"](FUNCTIONS["greater_equal"](exponent, 0))
        return apply(OPS["assert"], exponent, condition, message=f"pow: {refusal}")
    if np.any(np.less(given, 0)):
        raise DTypeError(f"pow: {refusal}", location=here(), hint="cast the base: gc.astype(x, 'float64')")
    return exponent
