"""Absolute value, sign and rounding: functions that are straight lines in pieces.

Invariant: integers come back exactly as they are (but for their sign), and a derivative is that of the piece;
at a kink, where two pieces meet, it is 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir.build import TensorLike, apply, as_tensor
from graphc.ir.opdef import OPS, define, public
from graphc.ir.tensor import Tensor
from graphc.ir.types import BOOL
from graphc.ops.elementwise import ELEMENTWISE, NUMBER_TO_NUMBER, as_array, as_numbers, zeros_of


def _rounding(evaluate: Any) -> Any:
    """A rounding function that leaves integers as they are; np.rint would turn them into floats."""
    return lambda x: x if x.dtype.kind in "iu" else np.asarray(evaluate(x))


define("abs", operands=("x",), infer=NUMBER_TO_NUMBER, eval=as_array(np.abs), traits=ELEMENTWISE,
       vjp=lambda g, y, x: (g * sign(x),), doc="the absolute value; the lowest integer wraps to itself")
define("sign", operands=("x",), infer=NUMBER_TO_NUMBER, eval=as_array(np.sign), traits=ELEMENTWISE,
       vjp=lambda g, y, x: (zeros_of(x),), doc="-1, 0 or 1; NaN for NaN")
for _name, _evaluate, _doc in (
    ("floor", np.floor, "the nearest whole number below"),
    ("ceil", np.ceil, "the nearest whole number above"),
    ("trunc", np.trunc, "the nearest whole number towards zero"),
    ("round", np.rint, "the nearest whole number, halves to even"),
):
    define(_name, operands=("x",), infer=NUMBER_TO_NUMBER, eval=_rounding(_evaluate), traits=ELEMENTWISE,
           vjp=lambda g, y, x: (zeros_of(x),), doc=_doc)


def _identity_on_booleans(name: str, x: TensorLike) -> Tensor:
    tensor = as_tensor(x)
    return tensor if tensor.dtype == BOOL else apply(OPS[name], tensor)


@public
def abs(x: TensorLike) -> Tensor:
    """The absolute value, elementwise; the most negative integer wraps to itself, booleans stay.

    The derivative at 0 is 0.

    >>> import graphc as gc
    >>> gc.abs(gc.constant([-1, 2])).type
    i64[2]
    """
    return _identity_on_booleans("abs", x)


@public
def sign(x: TensorLike) -> Tensor:
    """-1, 0 or 1 as `x` is negative, zero or positive; NaN for NaN. Its derivative is 0.

    Raises:
        DTypeError: booleans.

    >>> import graphc as gc
    >>> gc.sign(gc.constant([-3.5, 0.0])).type
    f64[2]
    """
    return apply(OPS["sign"], *as_numbers("sign", x, booleans="gc.astype(x, 'int8') makes them numbers"))


@public
def floor(x: TensorLike) -> Tensor:
    """The nearest whole number below `x`, in x's dtype; its derivative is 0.

    >>> import graphc as gc
    >>> gc.floor(gc.constant([-1.5, 1.5])).type
    f64[2]
    """
    return _identity_on_booleans("floor", x)


@public
def ceil(x: TensorLike) -> Tensor:
    """The nearest whole number above `x`, in x's dtype; its derivative is 0.

    >>> import graphc as gc
    >>> gc.ceil(gc.constant([-1.5, 1.5])).type
    f64[2]
    """
    return _identity_on_booleans("ceil", x)


@public
def trunc(x: TensorLike) -> Tensor:
    """The nearest whole number towards zero, in x's dtype; its derivative is 0.

    >>> import graphc as gc
    >>> gc.trunc(gc.constant([-1.5, 1.5])).type
    f64[2]
    """
    return _identity_on_booleans("trunc", x)


@public
def round(x: TensorLike) -> Tensor:
    """The nearest whole number, halves to even, in x's dtype; its derivative is 0.

    Raises:
        DTypeError: booleans, which NumPy would turn into float16.

    >>> import graphc as gc
    >>> gc.round(gc.constant([0.5, 1.5])).type
    f64[2]
    """
    return apply(OPS["round"], *as_numbers("round", x, booleans="booleans are whole already"))
