"""Ops that watch a value on its way: print, assert, check_finite.

Each is the identity on its first operand, so that whatever reads the result keeps the check alive; a check
whose result nobody reads is not run.

Invariant: they change no value and no gradient, and no pass drops, merges or folds one that is read.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import ArgumentError, CheckError, DTypeError
from graphc.ir.build import TensorLike, apply, as_tensor
from graphc.ir.location import here
from graphc.ir.opdef import OPS, Trait, define
from graphc.ir.tensor import Tensor
from graphc.ir.types import BOOL, TensorType, is_float


def _same_type(x: TensorType, *, message: str) -> TensorType:
    return x


def _print_eval(x: np.ndarray, *, message: str) -> np.ndarray:
    print(f"{message} {x}" if message else f"{x}", flush=True)
    return x


def _assert_type(x: TensorType, condition: TensorType, *, message: str) -> TensorType:
    if condition.dtype != BOOL:
        raise DTypeError("the condition must be bool")
    return x


def _assert_eval(x: np.ndarray, condition: np.ndarray, *, message: str) -> np.ndarray:
    if not condition.all():
        raise CheckError(message or "the condition does not hold" + _where(~condition))
    return x


def _check_finite_eval(x: np.ndarray, *, message: str) -> np.ndarray:
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        wrong = ~np.isfinite(x)
        found = x[wrong].flat[0]
        raise CheckError(f"{message + ': ' if message else ''}found {found}{_where(wrong)}")
    return x


def _where(wrong: np.ndarray) -> str:
    """How many elements a check refuses, and the first one's place."""
    if wrong.ndim == 0:
        return ""
    first = ", ".join(str(int(i)) for i in np.argwhere(wrong)[0])
    return f" at [{first}], in {int(wrong.sum())} of {wrong.size} elements"


define(
    "print",
    operands=("x",),
    attrs=("message",),
    infer=_same_type,
    eval=_print_eval,
    vjp=lambda g, y, x, *, message: (g,),
    traits={Trait.EFFECT},
    doc="the operand, printed as it passes",
)
define(
    "assert",
    operands=("x", "condition"),
    attrs=("message",),
    infer=_assert_type,
    eval=_assert_eval,
    vjp=lambda g, y, x, condition, *, message: (g, None),
    traits={Trait.EFFECT, Trait.FALLIBLE},
    doc="the operand, if every element of a condition holds",
)
define(
    "check_finite",
    operands=("x",),
    attrs=("message",),
    infer=_same_type,
    eval=_check_finite_eval,
    vjp=lambda g, y, x, *, message: (g,),
    traits={Trait.EFFECT, Trait.FALLIBLE},
    doc="the operand, if it holds neither NaN nor infinities",
)


def _text(function: str, message: Any) -> str:
    if not isinstance(message, str):
        raise ArgumentError(f"{function}: the message must be a string, not {message!r}", location=here())
    return message


def print_(x: TensorLike, message: str = "") -> Tensor:
    """`x`, printed with `message` before it each time it is computed. Named `gc.print`.

    Raises:
        ArgumentError: the message is not a string.

    >>> import graphc as gc
    >>> gc.print(gc.placeholder(("n",)), "x is").type
    f32[n]
    """
    return apply(OPS["print"], as_tensor(x), message=_text("print", message))


def assert_(x: TensorLike, condition: TensorLike, message: str = "") -> Tensor:
    """`x`, if every element of `condition` is true when it is computed.

    Args:
        x: what passes; use the result in its place, for a check that nothing reads is not run.
        condition: a bool tensor of any shape.
        message: what the error says.

    Raises:
        DTypeError: the condition is not bool.
        ArgumentError: the message is not a string.
        CheckError: at the call: an element of the condition is false.

    >>> import graphc as gc
    >>> x = gc.placeholder(("n",))
    >>> gc.sqrt(gc.assert_(x, x >= 0, "x must not be negative")).type
    f32[n]
    """
    return apply(OPS["assert"], as_tensor(x), as_tensor(condition), message=_text("assert_", message))


def check_finite(x: TensorLike, message: str = "") -> Tensor:
    """`x`, if it holds neither NaN nor infinities when it is computed.

    Raises:
        DTypeError: `x` is not of floats.
        ArgumentError: the message is not a string.
        CheckError: at the call: it does; the error gives the first place.

    >>> import graphc as gc
    >>> gc.check_finite(gc.placeholder(("n",)), "activations").type
    f32[n]
    """
    tensor = as_tensor(x)
    if not is_float(tensor.dtype):
        raise DTypeError(f"check_finite: {tensor.type!r} has no infinities to look for", location=here())
    return apply(OPS["check_finite"], tensor, message=_text("check_finite", message))
