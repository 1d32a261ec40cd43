"""Bits and truth values: and, or, xor, not, shifts.

Invariant: booleans are one-bit integers here, so the logical functions are the bitwise ops on booleans.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.errors import DTypeError
from graphc.ir.build import TensorLike, apply, as_tensor, promote
from graphc.ir.location import here
from graphc.ir.opdef import NOT_DIFFERENTIABLE, OPS, define, public
from graphc.ir.tensor import Tensor
from graphc.ir.types import BOOL, DTYPES
from graphc.ops.elementwise import (
    BITS_TO_BITS,
    BOOL_TO_BOOL,
    COMMUTATIVE,
    ELEMENTWISE,
    INTEGER_TO_INTEGER,
    as_array,
    as_booleans,
    as_numbers,
    document,
)

_BITWISE_DOC = """The bitwise {word} of x and y, elementwise with broadcasting; of booleans, the logical one.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: the operands promote to floats.

    >>> import graphc as gc
    >>> gc.bitwise_{word}(gc.constant([5, 6], "uint8"), 3).type
    u8[2]
    """

_LOGICAL_DOC = """The logical {word} of x and y, elementwise with broadcasting; what is not 0 counts as true.

    Raises:
        ShapeError: the shapes do not broadcast.

    >>> import graphc as gc
    >>> gc.logical_{word}(gc.constant([0.0, 2.5]), gc.constant([True, True])).type
    bool[2]
    """


def _expect_no_floats(function: str, operands: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    dtype = operands[0].dtype
    if dtype.kind == "f":
        raise DTypeError(
            f"{function}: takes integers or booleans, and the operands promote to {dtype}", location=here()
        )
    return operands


def _bitwise(word: str, evaluate: Callable[..., Any]) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """Define `bitwise_<word>`; returns its public function and the one of `logical_<word>`."""
    op = define(
        f"bitwise_{word}", operands=("x", "y"), infer=BITS_TO_BITS, eval=as_array(evaluate),
        vjp=NOT_DIFFERENTIABLE, traits=COMMUTATIVE, doc=f"the {word} of the bits, or of the truth values",
    )

    def bitwise(x: TensorLike, y: TensorLike) -> Tensor:
        return apply(op, *_expect_no_floats(op.name, promote(x, y)))

    def logical(x: TensorLike, y: TensorLike) -> Tensor:
        return apply(op, as_booleans(x), as_booleans(y))

    return (
        public(document(bitwise, f"bitwise_{word}", _BITWISE_DOC.format(word=word))),
        public(document(logical, f"logical_{word}", _LOGICAL_DOC.format(word=word))),
    )


bitwise_and, logical_and = _bitwise("and", np.bitwise_and)
bitwise_or, logical_or = _bitwise("or", np.bitwise_or)
bitwise_xor, logical_xor = _bitwise("xor", np.bitwise_xor)

define("bitwise_invert", operands=("x",), infer=BITS_TO_BITS, eval=as_array(np.bitwise_invert),
       vjp=NOT_DIFFERENTIABLE, traits=ELEMENTWISE, doc="every bit flipped")
define("logical_not", operands=("x",), infer=BOOL_TO_BOOL, eval=as_array(np.logical_not),
       vjp=NOT_DIFFERENTIABLE, traits=ELEMENTWISE, doc="true where x is false")
define("bitwise_left_shift", operands=("x", "y"), infer=INTEGER_TO_INTEGER,
       eval=as_array(np.bitwise_left_shift), vjp=NOT_DIFFERENTIABLE, traits=ELEMENTWISE,
       doc="x << y; 0 where y is outside 0 .. bits-1")
define("bitwise_right_shift", operands=("x", "y"), infer=INTEGER_TO_INTEGER,
       eval=as_array(np.bitwise_right_shift), vjp=NOT_DIFFERENTIABLE, traits=ELEMENTWISE,
       doc="x >> y, signed integers arithmetically; 0 (-1 where x < 0) where y is outside 0 .. bits-1")


@public
def bitwise_invert(x: TensorLike) -> Tensor:
    """Every bit flipped, elementwise; of booleans, the logical not.

    Raises:
        DTypeError: floats.

    >>> import graphc as gc
    >>> gc.bitwise_invert(gc.constant([5, 6], "uint8")).type
    u8[2]
    """
    (tensor,) = _expect_no_floats("bitwise_invert", (as_tensor(x),))
    return apply(OPS["logical_not" if tensor.dtype == BOOL else "bitwise_invert"], tensor)


@public
def logical_not(x: TensorLike) -> Tensor:
    """True where `x` is zero or false, elementwise.

    >>> import graphc as gc
    >>> gc.logical_not(gc.constant([0.0, 2.5])).type
    bool[2]
    """
    return apply(OPS["logical_not"], as_booleans(x))


@public
def bitwise_left_shift(x: TensorLike, y: TensorLike) -> Tensor:
    """x << y, elementwise with broadcasting; 0 where `y` is negative or at least x's number of bits.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: the operands promote to floats.

    >>> import graphc as gc
    >>> gc.bitwise_left_shift(gc.constant([1, 2], "uint8"), 3).type
    u8[2]
    """
    operands = as_numbers("bitwise_left_shift", x, y, booleans=DTYPES["i8"])
    return apply(OPS["bitwise_left_shift"], *_expect_no_floats("bitwise_left_shift", operands))


@public
def bitwise_right_shift(x: TensorLike, y: TensorLike) -> Tensor:
    """x >> y, elementwise with broadcasting; signed integers keep their sign.

    Where `y` is negative or at least x's number of bits: 0, or -1 where `x` is negative.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: the operands promote to floats.

    >>> import graphc as gc
    >>> gc.bitwise_right_shift(gc.constant([16, 32], "uint8"), 3).type
    u8[2]
    """
    operands = as_numbers("bitwise_right_shift", x, y, booleans=DTYPES["i8"])
    return apply(OPS["bitwise_right_shift"], *_expect_no_floats("bitwise_right_shift", operands))
