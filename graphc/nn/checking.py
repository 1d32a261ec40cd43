"""Reading a layer's arguments out of what a user may write for them.

Invariant: every refusal is an `ArgumentError` that names the layer, the argument, the value and the limit.
"""

from __future__ import annotations

import math
from typing import Any, NoReturn

import numpy as np

import graphc as gc


def _refuse(layer: str, argument: str, rule: str, value: Any) -> NoReturn:
    raise gc.ArgumentError(f"{layer}: {argument} must be {rule}, not {value!r}", location=gc.location.here())


def _is_number(value: Any) -> bool:
    numbers = (int, float, np.integer, np.floating)
    return isinstance(value, numbers) and not isinstance(value, bool) and math.isfinite(value)


def flag(layer: str, argument: str, value: Any) -> bool:
    """True or False.

    >>> flag("dense", "use_bias", True)
    True
    """
    if not isinstance(value, (bool, np.bool_)):
        _refuse(layer, argument, "True or False", value)
    return bool(value)


def integer(layer: str, argument: str, value: Any) -> int:
    """A whole number.

    >>> integer("concatenate", "axis", -1)
    -1
    """
    if not _is_number(value) or not isinstance(value, (int, np.integer)):
        _refuse(layer, argument, "a whole number", value)
    return int(value)


def integers(layer: str, argument: str, value: Any) -> tuple[int, ...]:
    """Whole numbers; one may stand alone.

    >>> integers("permute", "axes", [2, 1]), integers("layer_norm", "axes", -1)
    ((2, 1), (-1,))
    """
    entries = value if isinstance(value, (list, tuple)) else (value,)
    return tuple(integer(layer, argument, entry) for entry in entries)


def seed_number(layer: str, value: Any) -> int:
    """What random numbers are drawn from.

    >>> seed_number("dense", 3)
    3
    """
    if not _is_number(value) or not isinstance(value, (int, np.integer)) or not 0 <= value < 2**63:
        _refuse(layer, "seed", "a whole number in 0 .. 2**63-1", value)
    return int(value)


def positive_integer(layer: str, argument: str, value: Any) -> int:
    """A whole number, at least 1.

    >>> positive_integer("dense", "units", 3)
    3
    """
    if not _is_number(value) or not isinstance(value, (int, np.integer)) or value < 1:
        _refuse(layer, argument, "a whole number, at least 1", value)
    return int(value)


def per_axis(layer: str, argument: str, value: Any, rank: int) -> tuple[int, ...]:
    """`rank` whole numbers, at least 1; one stands for all.

    >>> per_axis("conv2d", "strides", 2, 2), per_axis("conv2d", "strides", (2, 1), 2)
    ((2, 2), (2, 1))
    """
    entries = tuple(value) if isinstance(value, (list, tuple)) else (value,) * rank
    if len(entries) != rank:
        _refuse(layer, argument, f"one number or {rank}", value)
    return tuple(positive_integer(layer, argument, entry) for entry in entries)


def number(layer: str, argument: str, value: Any) -> float:
    """A finite number.

    >>> number("lstm", "forget_bias", 1)
    1.0
    """
    if not _is_number(value):
        _refuse(layer, argument, "a number", value)
    return float(value)


def positive_number(layer: str, argument: str, value: Any) -> float:
    """A finite number above 0.

    >>> positive_number("batch_norm", "epsilon", 1e-5)
    1e-05
    """
    if not _is_number(value) or value <= 0:
        _refuse(layer, argument, "a number above 0", value)
    return float(value)


def fraction(layer: str, argument: str, value: Any) -> float:
    """A number in 0 <= value < 1.

    >>> fraction("dropout", "rate", 0.5)
    0.5
    """
    if not _is_number(value) or not 0 <= value < 1:
        _refuse(layer, argument, f"in 0 <= {argument} < 1", value)
    return float(value)


def one_of(layer: str, argument: str, value: Any, allowed: tuple[str, ...]) -> str:
    """One of some words.

    >>> one_of("conv2d", "layout", "NCHW", ("NCHW", "NHWC"))
    'NCHW'
    """
    if not isinstance(value, str) or value not in allowed:
        _refuse(layer, argument, " or ".join(map(repr, allowed)), value)
    return value


def read_padding(padding: Any) -> Any:
    """Padding as `gc.conv` takes it, which checks it: words in capitals, sequences as tuples.

    >>> read_padding("same"), read_padding([1, [0, 1]])
    ('SAME', (1, (0, 1)))
    """
    if isinstance(padding, str):
        return padding.upper()
    if isinstance(padding, (list, tuple)):
        return tuple(read_padding(entry) for entry in padding)
    return padding


def tensor(function: str, argument: str, value: Any) -> gc.Tensor:
    """A tensor; an array is one of a fixed value.

    >>> tensor("attention", "query", np.ones(3)).type
    f64[3]
    """
    if isinstance(value, np.ndarray):
        return gc.constant(value)
    if not isinstance(value, gc.Tensor):
        _refuse(function, argument, "a tensor", value)
    return value
