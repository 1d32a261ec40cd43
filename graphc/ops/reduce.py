"""The reduction ops: one value out of many, along any axes. Their public functions are in `reductions`.

Invariant: an op keeps its operand's dtype (but `argmax` and `argmin` give int64) and is total: of no elements
it gives its identity. That there is no maximum of nothing is stated as a constraint by the type rule, for
each call to check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir import dims
from graphc.ir.build import apply, cast, constant
from graphc.ir.dims import Size
from graphc.ir.opdef import FUNCTIONS, NOT_DIFFERENTIABLE, OPS, Trait, define
from graphc.ir.tensor import Tensor
from graphc.ir.types import BOOL, DTYPES, NUMERIC, TensorType
from graphc.ir.verify import require_equal

Axes = tuple[int, ...]

REDUCTION = frozenset({Trait.REDUCTION})


# Type rules -------------------------------------------------------------------------------------------------


def reduced_shape(shape: tuple[Size, ...], axis: Axes, keepdims: bool) -> tuple[Size, ...]:
    """`shape` without the axes `axis`, or with 1 in their place.

    Raises:
        ShapeError: the shape has no such axis, or one is named twice.

    >>> reduced_shape((2, 3, 4), (1,), False), reduced_shape((2, 3, 4), (1,), True)
    ((2, 4), (2, 1, 4))
    """
    if not all(0 <= a < len(shape) for a in axis) or len(set(axis)) != len(axis):
        raise ShapeError(f"axis {axis} does not name different axes of an array of rank {len(shape)}")
    if keepdims:
        return tuple(1 if i in axis else size for i, size in enumerate(shape))
    return tuple(size for i, size in enumerate(shape) if i not in axis)


def _rule(
    accepted: tuple[np.dtype[Any], ...], text: str, *, of_nothing: bool = True
) -> Callable[..., TensorType]:
    """The type rule of a reduction of dtypes `accepted`; unless `of_nothing`, it needs an element."""

    def infer(x: TensorType, *, axis: Axes, keepdims: bool) -> TensorType:
        if x.dtype not in accepted:
            raise DTypeError(f"takes {text}")
        shape = reduced_shape(x.shape, axis, keepdims)
        if not of_nothing:
            for a in axis:
                require_not_empty(x.shape[a], a)
        return x.with_shape(shape)

    return infer


def require_not_empty(size: Size, axis: int) -> None:
    """State in a type rule that an axis has an element; where its size is symbolic, each call checks."""
    require_equal(dims.minimum(size, 1), 1, f"axis {axis} has no elements to choose from")


def _index_type(x: TensorType, *, axis: int, keepdims: bool) -> TensorType:
    shape = reduced_shape(x.shape, (axis,), keepdims)
    require_not_empty(x.shape[axis], axis)
    return TensorType(DTYPES["i64"], shape)


# NumPy evaluation -------------------------------------------------------------------------------------------


def _reduction(ufunc: Any) -> Callable[..., np.ndarray]:
    def evaluate(x: np.ndarray, *, axis: Axes, keepdims: bool) -> np.ndarray:
        return np.asarray(ufunc.reduce(x, axis=axis, dtype=x.dtype, keepdims=keepdims))

    return evaluate


def _extremum(ufunc: Any, identity_of: Callable[[np.dtype[Any]], Any]) -> Callable[..., np.ndarray]:
    def evaluate(x: np.ndarray, *, axis: Axes, keepdims: bool) -> np.ndarray:
        identity = identity_of(x.dtype)
        return np.asarray(ufunc.reduce(x, axis=axis, keepdims=keepdims, initial=identity), x.dtype)

    return evaluate


def lowest(dtype: np.dtype[Any]) -> Any:
    """The value below all others of `dtype`: the maximum of nothing."""
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def highest(dtype: np.dtype[Any]) -> Any:
    """The value above all others of `dtype`: the minimum of nothing."""
    return np.inf if dtype.kind == "f" else np.iinfo(dtype).max


def _index(function: Callable[..., Any]) -> Callable[..., np.ndarray]:
    def evaluate(x: np.ndarray, *, axis: int, keepdims: bool) -> np.ndarray:
        if x.shape[axis] == 0:
            shape = reduced_shape(x.shape, (axis,), keepdims)
            return np.zeros(shape, np.int64)  # type: ignore[arg-type]
        return np.asarray(function(x, axis=axis, keepdims=keepdims), np.int64)

    return evaluate


# Gradients --------------------------------------------------------------------------------------------------


def spread(reduced: Tensor, x: Tensor, axis: Axes, keepdims: bool) -> Tensor:
    """A reduction's result, or its cotangent, with its reduced axes back as axes of size 1."""
    if keepdims:
        return reduced
    return apply(OPS["reshape"], reduced, shape=reduced_shape(x.shape, axis, True))


def _sum_gradient(g: Tensor, y: Tensor, x: Tensor, *, axis: Axes, keepdims: bool) -> tuple[Tensor]:
    return (apply(OPS["broadcast_to"], spread(g, x, axis, keepdims), shape=x.shape),)


def _extremum_gradient(g: Tensor, y: Tensor, x: Tensor, *, axis: Axes, keepdims: bool) -> tuple[Tensor]:
    """To each of the k elements that attain the extremum, one k-th of the cotangent."""
    attained = cast(FUNCTIONS["equal"](x, spread(y, x, axis, keepdims)), x.dtype)
    count = apply(OPS["sum"], attained, axis=axis, keepdims=True)
    return (spread(g, x, axis, keepdims) * attained / count,)


def _prod_gradient(g: Tensor, y: Tensor, x: Tensor, *, axis: Axes, keepdims: bool) -> tuple[Tensor]:
    """The product of all *other* elements: of those before times of those after.

    Unlike y / x that is right where elements are zero, and so are its own derivatives.
    """
    kept = tuple(i for i in range(x.ndim) if i not in axis)
    order = (*kept, *axis)
    count = dims.product([x.shape[a] for a in axis])
    moved = apply(OPS["permute_dims"], x, axes=order)
    rows = apply(OPS["reshape"], moved, shape=(*(x.shape[i] for i in kept), count))
    others = _products_before(rows) * _reversed(_products_before(_reversed(rows)))
    moved_back = apply(OPS["reshape"], others, shape=moved.shape)
    back = tuple(order.index(i) for i in range(x.ndim))
    return (spread(g, x, axis, keepdims) * apply(OPS["permute_dims"], moved_back, axes=back),)


def _products_before(rows: Tensor) -> Tensor:
    """In each place of the last axis, the product of all elements before it."""
    front = (0,) * (rows.ndim - 1)
    shifted = apply(OPS["pad"], rows, constant(1, rows.dtype), before=(*front, 1), after=(*front, 0))
    products = apply(OPS["cumprod"], shifted, axis=rows.ndim - 1)
    return apply(OPS["slice"], products, start=(0,) * rows.ndim, size=rows.shape, step=(1,) * rows.ndim)


def _reversed(rows: Tensor) -> Tensor:
    return FUNCTIONS["flip"](rows, axis=-1)


# The ops ----------------------------------------------------------------------------------------------------

_NUMBERS, _BOOLEANS = "integers or floats, not booleans", "booleans"
_ATTRS = ("axis", "keepdims")

define("sum", operands=("x",), attrs=_ATTRS, infer=_rule(NUMERIC, _NUMBERS), eval=_reduction(np.add),
       vjp=_sum_gradient, traits=REDUCTION, doc="the sum; 0 of nothing; integers wrap")
define("prod", operands=("x",), attrs=_ATTRS, infer=_rule(NUMERIC, _NUMBERS), eval=_reduction(np.multiply),
       vjp=_prod_gradient, traits=REDUCTION, doc="the product; 1 of nothing; integers wrap")
define("max", operands=("x",), attrs=_ATTRS, infer=_rule(NUMERIC, _NUMBERS, of_nothing=False),
       eval=_extremum(np.maximum, lowest), vjp=_extremum_gradient, traits=REDUCTION,
       doc="the largest; NaN if any is NaN; the lowest value of nothing")
define("min", operands=("x",), attrs=_ATTRS, infer=_rule(NUMERIC, _NUMBERS, of_nothing=False),
       eval=_extremum(np.minimum, highest), vjp=_extremum_gradient, traits=REDUCTION,
       doc="the smallest; NaN if any is NaN; the highest value of nothing")
define("all", operands=("x",), attrs=_ATTRS, infer=_rule((BOOL,), _BOOLEANS), eval=_reduction(np.logical_and),
       vjp=NOT_DIFFERENTIABLE, traits=REDUCTION, doc="whether all are true; true of nothing")
define("any", operands=("x",), attrs=_ATTRS, infer=_rule((BOOL,), _BOOLEANS), eval=_reduction(np.logical_or),
       vjp=NOT_DIFFERENTIABLE, traits=REDUCTION, doc="whether any is true; false of nothing")
define("argmax", operands=("x",), attrs=_ATTRS, infer=_index_type, eval=_index(np.argmax),
       vjp=NOT_DIFFERENTIABLE,
       doc="the index of the largest: the first of equals, and the first NaN before all numbers")
define("argmin", operands=("x",), attrs=_ATTRS, infer=_index_type, eval=_index(np.argmin),
       vjp=NOT_DIFFERENTIABLE,
       doc="the index of the smallest: the first of equals, and the first NaN before all numbers")
