"""Random numbers, reached as `gc.random`: uniform, normal, bernoulli, permutation.

There is no hidden state. A draw is a function of its seed, its stream and its position in the result, so a
program draws the same numbers in every run, on every backend and with any number of threads.

The same seed, stream and shape give the same numbers, at every call of a function and at every place in it:
two things that are to be independent need different seeds or different streams. Fresh numbers at each call
come from a seed that is a variable and changes:

>>> import graphc as gc
>>> seed = gc.variable(0, "int64", name="seed")
>>> noise = gc.random.normal((3,), seed=seed)
>>> other = gc.random.normal((3,), seed=seed, stream=1)
>>> # gc.function([], [noise, other], updates={seed: seed + 1})

Invariant: the bits of element i (in row-major order) are random_bits(key, i), where key = random_bits(seed,
stream); everything else is arithmetic on those bits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir import dims
from graphc.ir.build import TensorLike, apply, as_tensor, cast, constant
from graphc.ir.dims import Size
from graphc.ir.location import here
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor, describe
from graphc.ir.types import DTYPES, as_dtype, is_float
from graphc.ops.arguments import as_shape, as_size, is_integer
from graphc.ops.comparison import where
from graphc.ops.threefry import random_bits
from graphc.ops.transcendental import cos, log, nextafter, sqrt

U64, F32, F64 = DTYPES["u64"], DTYPES["f32"], DTYPES["f64"]
Shape = tuple[Size, ...]

#: What is a seed: a whole number, or an integer tensor of shape ().
Seed = int | Tensor


def uniform(
    shape: Any,
    low: TensorLike = 0.0,
    high: TensorLike = 1.0,
    dtype: Any = "float32",
    *,
    seed: Seed,
    stream: int = 0,
) -> Tensor:
    """Numbers drawn evenly from low <= u < high.

    Args:
        shape: the extents: numbers, symbolic sizes or their names.
        low, high: the bounds, which broadcast to `shape`; the gradient flows through them. Where a tensor
            `low` is not below `high`, the draw is `low`.
        dtype: float32 (24 random bits each) or float64 (53).
        seed: a whole number or an integer tensor of shape (), see the module's text.
        stream: a whole number; different streams of one seed are independent.

    Raises:
        ShapeError: `shape` holds something that is not a size, or `seed` is not a scalar.
        DTypeError: `dtype` is no float, or `seed` no integer.
        ArgumentError: `stream` is not a whole number in 0 .. 2**64-1, or `low` is known to exceed `high`.

    >>> import graphc as gc
    >>> gc.random.uniform(("batch", 3), seed=3).type
    f32[batch,3]
    """
    extents, wanted = as_shape("uniform", shape), _float_dtype("uniform", dtype)
    unit = _unit_interval(_bits("uniform", seed, stream, extents), wanted)
    if type(low) in (int, float) and type(high) in (int, float):
        if low > high:
            raise ArgumentError(f"uniform: low {low} is greater than high {high}", location=here())
        if (low, high) == (0, 1):
            return unit
    bottom, top = (cast(as_tensor(bound), wanted) for bound in (low, high))
    scaled = bottom + unit * (top - bottom)
    # Rounding may reach `high`, which is not to be drawn.
    return where(scaled < top, scaled, where(bottom < top, nextafter(top, bottom), bottom))


def normal(
    shape: Any,
    mean: TensorLike = 0.0,
    std: TensorLike = 1.0,
    dtype: Any = "float32",
    *,
    seed: Seed,
    stream: int = 0,
) -> Tensor:
    """Numbers drawn from the normal distribution.

    By the cosine half of G. Box, M. Muller: A Note on the Generation of Random Normal Deviates, 1958.

    Args:
        shape: the extents: numbers, symbolic sizes or their names.
        mean, std: its parameters, which broadcast to `shape`; the gradient flows through them.
        dtype: float32 (no value is beyond 6.7 standard deviations) or float64 (8.6).
        seed, stream: as for `uniform`.

    Raises:
        ShapeError, DTypeError, ArgumentError: as for `uniform`.

    >>> import graphc as gc
    >>> gc.random.normal(("batch", 3), seed=3).type
    f32[batch,3]
    """
    extents, wanted = as_shape("normal", shape), _float_dtype("normal", dtype)
    radius_bits, angle_bits = _bit_pairs("normal", seed, stream, extents, wanted)
    # 1 - u lies in (0, 1], so its logarithm is finite; it is exact.
    radius = sqrt(-2.0 * log(1.0 - radius_bits))
    standard = radius * cos((2.0 * math.pi) * angle_bits)
    if type(mean) in (int, float) and type(std) in (int, float) and (mean, std) == (0, 1):
        return standard
    return standard * cast(as_tensor(std), wanted) + cast(as_tensor(mean), wanted)


def bernoulli(shape: Any, p: TensorLike = 0.5, *, seed: Seed, stream: int = 0) -> Tensor:
    """Booleans, each true with probability `p`: never for 0 and always for 1.

    Args:
        shape: the extents: numbers, symbolic sizes or their names.
        p: the probabilities, which broadcast to `shape`.
        seed, stream: as for `uniform`.

    Raises:
        ShapeError, DTypeError, ArgumentError: as for `uniform`.

    >>> import graphc as gc
    >>> gc.random.bernoulli(("batch", 3), 0.9, seed=3).type
    bool[batch,3]
    """
    extents = as_shape("bernoulli", shape)
    return _unit_interval(_bits("bernoulli", seed, stream, extents), F64) < cast(as_tensor(p), F64)


def permutation(n: Any, *, seed: Seed, stream: int = 0) -> Tensor:
    """The numbers 0 .. n-1 in random order, for shuffling by `gc.take`.

    Args:
        n: how many: a number, a symbolic size or the name of one.
        seed, stream: as for `uniform`.

    Returns:
        An int64 tensor of shape (n,).

    Raises:
        ShapeError, DTypeError, ArgumentError: as for `uniform`.

    >>> import graphc as gc
    >>> gc.random.permutation("n", seed=3).type
    i64[n]
    """
    size = as_size("permutation", "n", n)
    return apply(OPS["argsort"], _bits("permutation", seed, stream, (size,)), axis=0, descending=False)


# Bits -------------------------------------------------------------------------------------------------------


def _bits(function: str, seed: Seed, stream: int, shape: Shape) -> Tensor:
    """64 random bits for each element of `shape`."""
    return random_bits(_key(function, seed, stream), _counters(shape))


def _counters(shape: Shape) -> Tensor:
    count = apply(OPS["iota"], size=dims.product(shape), dtype=U64)
    return count if len(shape) == 1 else apply(OPS["reshape"], count, shape=shape)


def _key(function: str, seed: Seed, stream: int) -> Tensor:
    if not is_integer(stream) or not 0 <= stream < 2**64:
        raise ArgumentError(
            f"{function}: stream must be a whole number in 0 .. 2**64-1, not {stream!r}", location=here()
        )
    return random_bits(_seed_tensor(function, seed), constant(np.uint64(stream)))


def _seed_tensor(function: str, seed: Seed) -> Tensor:
    """The seed as a uint64 scalar; negative numbers and those of more than 64 bits wrap."""
    if is_integer(seed):
        return constant(np.uint64(int(seed) % 2**64))
    if not isinstance(seed, Tensor):
        raise ArgumentError(
            f"{function}: seed must be a whole number or an integer tensor, not {seed!r}", location=here()
        )
    name = f"{function}: the seed {describe(seed)}"
    if seed.dtype.kind not in "iu":
        raise DTypeError(f"{name} must be an integer, not {seed.dtype}", location=here())
    if seed.shape != ():
        raise ShapeError(f"{name} must be a scalar, not {seed.type!r}", location=here())
    return cast(seed, U64)


def _float_dtype(function: str, dtype: Any) -> np.dtype[Any]:
    try:
        wanted = as_dtype(dtype)
    except DTypeError as error:
        raise DTypeError(f"{function}: {error.message}", location=here(), hint=error.hint) from None
    if not is_float(wanted):
        raise DTypeError(f"{function}: dtype must be float32 or float64, not {wanted}", location=here())
    return wanted


def _shift_right(bits: Tensor, count: int) -> Tensor:
    return apply(OPS["bitwise_right_shift"], bits, constant(count, U64))


def _unit_interval(bits: Tensor, dtype: np.dtype[Any]) -> Tensor:
    """The leading 24 or 53 bits as a fraction in [0, 1): every multiple of 2**-24 or 2**-53, exactly."""
    precision = np.finfo(dtype).nmant + 1
    return cast(_shift_right(bits, 64 - precision), dtype) * 2.0**-precision


def _bit_pairs(
    function: str, seed: Seed, stream: int, shape: Shape, dtype: np.dtype[Any]
) -> tuple[Tensor, Tensor]:
    """Two independent fractions in [0, 1) for each element: for float32 the two halves of one draw."""
    key, counters = _key(function, seed, stream), _counters(shape)
    if dtype == F64:
        doubled = apply(OPS["bitwise_left_shift"], counters, constant(1, U64))
        first = random_bits(key, doubled)
        return _unit_interval(first, F64), _unit_interval(random_bits(key, doubled | constant(1, U64)), F64)
    bits = random_bits(key, counters)
    low = apply(OPS["bitwise_left_shift"], bits, constant(32, U64))
    return _unit_interval(bits, F32), _unit_interval(low, F32)
