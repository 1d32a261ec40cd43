"""Identities of division and powers.

Invariant: exact; a power becomes other ops only where NumPy computes it by them, or integers wrap alike.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphc.ir.tensor import Tensor
from graphc.ir.types import is_float
from graphc.passes.patterns import filled, is_power_of_two, make, scalar, uniform
from graphc.passes.rewrite import Rewriting, simplify


@simplify("divide")
def divide_by_power_of_two(t: Tensor) -> Tensor | None:
    """x / c -> x * (1/c) where c is a power of two, so that both round the same number

    %x: f32[n]
    %0 = const {value=8.0} : f32[]
    %1 = divide %x, %0 : f32[n]
    """
    x, y = t.inputs
    c = uniform(y)
    if c is None or not is_power_of_two(c) or x.type != t.type:
        return None
    return make("multiply", x, scalar(1 / c, t.dtype))


def _reciprocal(x: Tensor) -> Tensor:
    return make("divide", scalar(1, x.dtype), x)


#: Exponent -> the same by other ops, and by NumPy. Only those on which the installed NumPy agrees to the bit:
#: it special-cases scalar exponents, newer versions more of them.
_POWERS: dict[float, tuple[Rewriting, Callable[[np.ndarray], np.ndarray]]] = {
    2.0: (lambda x: make("multiply", x, x), lambda x: x * x),
    0.5: (lambda x: make("sqrt", x), np.sqrt),
    -1.0: (_reciprocal, lambda x: 1 / x),
}
with np.errstate(all="ignore"):
    _probe = np.concatenate([np.array([0.0, -0.0, np.inf, -np.inf, np.nan]), np.linspace(-9.7, 9.9, 997)])
    _AGREEING = {
        exponent: build
        for exponent, (build, evaluate) in _POWERS.items()
        if np.power(_probe, exponent).tobytes() == evaluate(_probe).tobytes()
    }


@simplify("pow")
def power_of_float(t: Tensor) -> Tensor | None:
    """x ** 2 -> x * x; x ** 0.5 -> sqrt(x); x ** -1 -> 1 / x, as NumPy computes them

    %x: f32[n]
    %0 = const {value=2.0} : f32[]
    %1 = pow %x, %0 : f32[n]
    """
    x, y = t.inputs
    if not is_float(t.dtype) or y.shape != () or x.type != t.type:
        return None
    exponent = uniform(y)
    build = None if exponent is None else _AGREEING.get(float(exponent))
    return None if build is None else build(x)


@simplify("pow")
def power_zero(t: Tensor) -> Tensor | None:
    """x ** 0 -> 1, of NaN too

    %x: f32[n]
    %0 = const {value=0.0} : f32[]
    %1 = pow %x, %0 : f32[n]
    """
    exponent = uniform(t.inputs[1])
    return filled(1, t.tensor_type) if exponent is not None and exponent == 0 else None


@simplify("pow")
def power_of_integer(t: Tensor) -> Tensor | None:
    """x ** 2 -> x * x; x ** 3 -> x * x * x; x ** 4 -> (x * x) * (x * x) of integers

    %x: i32[n]
    %0 = const {value=3} : i32[]
    %1 = pow %x, %0 : i32[n]
    """
    x, y = t.inputs
    exponent = uniform(y) if t.dtype.kind in "iu" and x.type == t.type else None
    if exponent is None or exponent not in (2, 3, 4):
        return None
    square = make("multiply", x, x)
    return {2: square, 3: make("multiply", square, x), 4: make("multiply", square, square)}[int(exponent)]
