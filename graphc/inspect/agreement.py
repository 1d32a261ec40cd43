"""When two ways to compute the same graph agree: the one policy of all comparisons.

    integers, booleans, and floats that nothing on the way rounds     equal to the bit, any NaN to any other
        (moves, comparisons, the arithmetic of IEEE 754)
    one inexact elementwise function                                  within `ULP[op]` of the true value
    all else                                                          twice the interpreter's own error

The last line, element by element, against the graph in float64 (`reference`), with `noise` how far the value
moves when rounded results do (`analysis.rounding`) and `ulp` the spacing of floats there:

    |found - reference|  <=  2 |interpreter - reference|  +  2 noise  +  4 ulp

Where noise is larger than the value and changes its sign, as in chaotic loops, four digits more are allowed: tens of
runs do not show how far the rarest go, and no digit of the value is right anyway.

NaN, infinities and the signs of zeros must be the interpreter's, but where noise makes them come or go, where
the interpreter overflowed and the reference did not, or where a zero is what is left of a smaller number.

Invariant: no tolerance depends on other elements, so a large element never hides the error of a small one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from graphc.analysis.rounding import Noise

#: How many units in the last place a compiled function may be off the true value; see `vector_math`.
ULP: Mapping[str, int] = {
    "exp": 2, "exp2": 2, "expm1": 2, "log": 2, "log2": 2, "log10": 2, "log1p": 2, "rsqrt": 2, "hypot": 2,
    "pow": 2, "sin": 2, "cos": 2, "tanh": 2, "erf": 2, "erfc": 2, "sigmoid": 3, "softplus": 3, "cbrt": 3,
    "asin": 3, "acos": 3, "atan": 3, "atan2": 3, "sinh": 3, "cosh": 3, "tan": 4, "asinh": 4, "acosh": 4,
    "atanh": 4,
}  # fmt: skip

_OWN_ERROR = 2
_NOISE = 2
_CHAOS = 1e4
_FLOOR_ULPS = 4


@dataclass(frozen=True, slots=True)
class Agreement:
    """The verdict on one array.

    Attributes:
        ok: whether the policy accepts every element.
        max_abs: the largest difference from the interpreter's value; infinite where a NaN differs.
        max_ulp: the same in units in the last place; 0 for integers that are equal.
        wrong: how many elements the policy refuses.
        reason: the first of them in words; empty where there is none.
    """

    ok: bool
    max_abs: float
    max_ulp: float
    wrong: int = 0
    reason: str = ""


def agree(
    reference: np.ndarray,
    interpreter: np.ndarray,
    found: np.ndarray,
    noise: Noise | None = None,
    *,
    may_improve: bool = False,
) -> Agreement:
    """Whether `found` is as right as the interpreter's value.

    Args:
        reference: the value in float64; the interpreter's own where there is no better one.
        interpreter: the interpreter's value.
        found: the value in question.
        noise: what rounding can move; without it, floats may differ by a few units in the last place.
        may_improve: whether numbers may stand where the interpreter has NaN or infinity, which passes that
            make a graph more stable are there for.

    >>> true = np.array([1.0, 2.0])
    >>> agree(true, true.astype("f4"), np.array([1.0, 2.5], "f4")).reason
    'element [1] is 2.5, the interpreter gives 2.0'
    """
    interpreter, found = np.asarray(interpreter), np.asarray(found)
    if found.shape != interpreter.shape or found.dtype != interpreter.dtype:
        kinds = [f"{a.dtype}{list(a.shape)}" for a in (found, interpreter)]
        reason = f"it is {kinds[0]}, the interpreter gives {kinds[1]}"
        return Agreement(False, np.inf, np.inf, found.size, reason)
    wrong = ~same_bits(interpreter, found)
    if wrong.any():
        noise = noise or Noise(np.zeros(found.shape), np.zeros(found.shape, bool), exact=False)
        if found.dtype.kind != "f" or noise.exact:
            wrong &= ~noise.unstable
        else:
            wrong &= ~_close(np.asarray(reference), interpreter, found, noise)
            if may_improve:
                wrong &= np.isfinite(interpreter)
    return _verdict(interpreter, found, wrong)


def within_ulps(expected: np.ndarray, found: np.ndarray, limit: float) -> Agreement:
    """Whether every element is at most `limit` units in the last place from what is expected.

    >>> within_ulps(np.float32([1]), np.nextafter(np.float32([1]), np.float32(2)), 1).ok
    True
    """
    return _verdict(expected, found, ~same_bits(expected, found) & ~(ulp_distance(expected, found) <= limit))


@np.errstate(all="ignore")
def _close(reference: np.ndarray, interpreter: np.ndarray, found: np.ndarray, noise: Noise) -> np.ndarray:
    """Where rounding explains that `found` is not the interpreter's value; see the module docstring."""
    true, own, other = (a.astype(np.float64) for a in (reference, interpreter, found))
    floor = _FLOOR_ULPS * np.spacing(np.maximum(np.abs(interpreter), np.abs(found))).astype(np.float64)
    centre = np.where(np.isfinite(true), true, own)
    chaotic = noise.unstable & (noise.spread > np.abs(own))
    spread = np.where(chaotic, _CHAOS, _NOISE) * noise.spread
    allowed = _OWN_ERROR * np.abs(own - centre) + spread + floor
    near = np.abs(other - centre) <= allowed
    finite = np.isfinite(own) & np.isfinite(other)
    other_zero = (own == 0) & (other == 0)  # the zeros' signs differ
    underflowed = np.isfinite(true) & (true != 0)  # whether a product or a sum of such keeps the sign is chance
    overflowed = ~np.isfinite(own) & (np.abs(other - true) <= floor)
    like_reference = same_bits(true.astype(found.dtype), found)
    return np.where(
        finite, np.where(other_zero, noise.unstable | underflowed, near), noise.unstable | overflowed | like_reference
    )


def same_bits(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where two arrays of one dtype hold the same value, signs of zeros included; all NaNs are the same."""
    if a.dtype.kind != "f":
        return np.asarray(a == b)
    return np.asarray(((a == b) & (np.signbit(a) == np.signbit(b))) | (np.isnan(a) & np.isnan(b)))


def ulp_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How many floats lie between the elements; infinite between a NaN and a number.

    For integers and booleans, 0 where they are equal and infinite elsewhere.

    >>> ulp_distance(np.float32([0.0, 1.0]), np.float32([-0.0, np.nan]))
    array([ 0., inf])
    """
    if a.dtype.kind != "f":
        return np.where(a == b, 0.0, np.inf)
    # Read as integers, the floats of one sign are in order; negative ones are mirrored below zero.
    kind = np.dtype(f"i{a.dtype.itemsize}")
    places = [np.ascontiguousarray(x).view(kind).reshape(x.shape) for x in (a, b)]
    lowest = np.iinfo(kind).min
    ordered = [np.where(p < 0, lowest - p, p).astype(np.float64) for p in places]
    exact = np.where(places[0] < 0, lowest - places[0], places[0])
    other = np.where(places[1] < 0, lowest - places[1], places[1])
    near = np.abs(ordered[0] - ordered[1]) < 2.0**52  # where the difference of integers cannot wrap
    distance = np.where(near, np.abs(exact - other).astype(np.float64), np.abs(ordered[0] - ordered[1]))
    nan = np.isnan(a) | np.isnan(b)
    return np.where(nan, np.where(np.isnan(a) & np.isnan(b), 0.0, np.inf), distance)


def _verdict(expected: np.ndarray, found: np.ndarray, wrong: np.ndarray) -> Agreement:
    differs = ~same_bits(expected, found)
    if not differs.any():
        return Agreement(True, 0.0, 0.0)
    with np.errstate(all="ignore"):
        apart = np.abs(found[differs].astype(np.float64) - expected[differs].astype(np.float64))
        max_abs = float(np.where(np.isnan(apart), np.inf, apart).max())
        max_ulp = float(ulp_distance(expected[differs], found[differs]).max())
    count = int(wrong.sum())
    if not count:
        return Agreement(True, max_abs, max_ulp)
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    where = f"element [{', '.join(map(str, place))}]" if place else "it"
    reason = f"{where} is {found[place]!s}, the interpreter gives {expected[place]!s}"
    return Agreement(False, max_abs, max_ulp, count, reason)
