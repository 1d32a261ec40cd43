"""Questions with a boolean answer (order, equality, NaN and the like), and `where`, which acts on the answer.

Invariant: comparisons are exact. int64 with uint64 and Python integers outside the dtype's range are compared
by their values, as NumPy does, never in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.errors import DTypeError
from graphc.ir.broadcast import broadcast_shapes
from graphc.ir.build import TensorLike, apply, as_tensor, cast, constant, promote
from graphc.ir.opdef import NOT_DIFFERENTIABLE, OPS, define, public
from graphc.ir.tensor import Tensor
from graphc.ir.types import BOOL, DTYPES, TensorType
from graphc.ops.elementwise import (
    ANY_TO_BOOL,
    COMMUTATIVE,
    ELEMENTWISE,
    FLOAT_TO_BOOL,
    as_array,
    as_booleans,
    document,
)

I64, U64 = DTYPES["i64"], DTYPES["u64"]

#: Comparison -> the same with the operands swapped; and its answer where x < y whatever the values are.
_SWAPPED = {
    "equal": "equal", "not_equal": "not_equal", "less": "greater", "greater": "less",
    "less_equal": "greater_equal", "greater_equal": "less_equal",
}
_TRUE_BELOW = frozenset({"not_equal", "less", "less_equal"})

_COMPARISON_DOC = """Whether x {symbol} y, elementwise with broadcasting; a comparison with NaN is {nan}.

    Raises:
        ShapeError: the shapes do not broadcast.

    >>> import graphc as gc
    >>> gc.{name}(gc.placeholder((2, 3), "float32"), 0).type
    bool[2,3]
    """


def _comparison(
    name: str, evaluate: Callable[..., Any], symbol: str
) -> Callable[[TensorLike, TensorLike], Tensor]:
    """Define the op `name` and its public function."""
    define(
        name, operands=("x", "y"), infer=ANY_TO_BOOL, eval=as_array(evaluate), vjp=NOT_DIFFERENTIABLE,
        traits=COMMUTATIVE if _SWAPPED[name] == name else ELEMENTWISE, doc=f"x {symbol} y",
    )

    def function(x: TensorLike, y: TensorLike) -> Tensor:
        return _compare(name, x, y)

    doc = _COMPARISON_DOC.format(name=name, symbol=symbol, nan="true" if name == "not_equal" else "false")
    return public(document(function, name, doc))


def _compare(name: str, x: TensorLike, y: TensorLike) -> Tensor:
    if type(x) is int and type(y) is not int:
        return _compare(_SWAPPED[name], y, x)
    if type(y) is int and type(x) not in (bool, int, float):
        tensor = as_tensor(x)
        if tensor.dtype.kind in "iu" and not _holds(tensor.dtype, y):
            return _compare_outside(name, tensor, y)
    if type(x) not in (bool, int, float) and type(y) not in (bool, int, float):
        x, y = as_tensor(x), as_tensor(y)
        if x.dtype == U64 and y.dtype.kind == "i":
            return _compare_signed(_SWAPPED[name], y, x)
        if x.dtype.kind == "i" and y.dtype == U64:
            return _compare_signed(name, x, y)
    return apply(OPS[name], *promote(x, y))


def _holds(dtype: np.dtype[Any], value: int) -> bool:
    return bool(np.iinfo(dtype).min <= value <= np.iinfo(dtype).max)


def _compare_outside(name: str, x: Tensor, value: int) -> Tensor:
    """Integers with a value beyond their range: true everywhere, or false everywhere.

    Both are written as a comparison with the end of the range, which keeps x's shape.
    """
    above = value > 0
    true = name == "not_equal" or (name != "equal" and (name in _TRUE_BELOW) == above)
    end = constant(np.iinfo(x.dtype).max if above else np.iinfo(x.dtype).min, x.dtype)
    always, never = ("less_equal", "greater") if above else ("greater_equal", "less")
    return apply(OPS[always if true else never], x, end)


def _compare_signed(name: str, x: Tensor, y: Tensor) -> Tensor:
    """Signed `x` with uint64 `y`: a negative x is below every y; any other is compared as uint64."""
    signed = cast(x, I64)
    below = apply(OPS["less"], signed, constant(0, I64))
    by_value = apply(OPS[name], cast(signed, U64), y)
    if name in _TRUE_BELOW:
        return apply(OPS["bitwise_or"], below, by_value)
    return apply(OPS["bitwise_and"], apply(OPS["logical_not"], below), by_value)


equal = _comparison("equal", np.equal, "==")
not_equal = _comparison("not_equal", np.not_equal, "!=")
less = _comparison("less", np.less, "<")
less_equal = _comparison("less_equal", np.less_equal, "<=")
greater = _comparison("greater", np.greater, ">")
greater_equal = _comparison("greater_equal", np.greater_equal, ">=")


# Kinds of numbers -------------------------------------------------------------------------------------------

_KIND_DOC = """Whether x {question}, elementwise.

    >>> import graphc as gc
    >>> gc.{name}(gc.placeholder((2, 3), "float32")).type
    bool[2,3]
    """


def _kind(
    name: str, evaluate: Callable[..., Any], question: str, of_integers: Callable[[Tensor], Tensor]
) -> Callable[[TensorLike], Tensor]:
    """Define the op `name` on floats and its public function, which answers for integers and booleans too."""
    op = define(name, operands=("x",), infer=FLOAT_TO_BOOL, eval=as_array(evaluate), vjp=NOT_DIFFERENTIABLE,
                traits=ELEMENTWISE, doc=f"whether x {question}")

    def function(x: TensorLike) -> Tensor:
        tensor = as_tensor(x)
        return apply(op, tensor) if tensor.dtype.kind == "f" else of_integers(tensor)

    return public(document(function, name, _KIND_DOC.format(name=name, question=question)))


def _is_negative(x: Tensor) -> Tensor:
    return apply(OPS["less"], x, constant(0, x.dtype))


def _never(x: Tensor) -> Tensor:
    return apply(OPS["not_equal"], x, x)


def _always(x: Tensor) -> Tensor:
    return apply(OPS["equal"], x, x)


isnan = _kind("isnan", np.isnan, "is NaN", _never)
isinf = _kind("isinf", np.isinf, "is an infinity", _never)
isfinite = _kind("isfinite", np.isfinite, "is neither an infinity nor NaN", _always)
signbit = _kind("signbit", np.signbit, "has its sign bit set: negative numbers and -0.0", _is_negative)


# where ------------------------------------------------------------------------------------------------------


def _where_type(condition: TensorType, x: TensorType, y: TensorType) -> TensorType:
    if condition.dtype != BOOL:
        raise DTypeError("the condition must be boolean")
    if x.dtype != y.dtype:
        raise DTypeError("the operands have different dtypes")
    return TensorType(x.dtype, broadcast_shapes(condition.shape, x.shape, y.shape))


def _where_gradient(
    g: Tensor, z: Tensor, condition: Tensor, x: Tensor, y: Tensor
) -> tuple[Tensor | None, ...]:
    return None, where(condition, g, 0), where(condition, 0, g)


define("where", operands=("condition", "x", "y"), infer=_where_type, eval=as_array(np.where),
       vjp=_where_gradient, traits=ELEMENTWISE, doc="x where the condition holds, else y")


@public
def where(condition: TensorLike, x: TensorLike, y: TensorLike) -> Tensor:
    """`x` where the condition holds, else `y`; elementwise with broadcasting.

    The branch that is not taken gets the gradient 0. If its own derivative is infinite or NaN there, that
    zero becomes NaN on the way (0 * inf): guard the *argument* too, as in
    `where(x > 0, log(where(x > 0, x, 1)), 0)`.

    Args:
        condition: truth values; whatever is not zero counts as true.
        x, y: the values, which promote to a common dtype.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: `x` and `y` have no common dtype.

    >>> import graphc as gc
    >>> x = gc.placeholder((3,), "float32")
    >>> gc.where(x > 0, x, 0).type
    f32[3]
    """
    return apply(OPS["where"], as_booleans(condition), *promote(x, y))
