"""`random_bits`: a hash of (key, counter) that passes for random, the source of all random numbers here.

Threefry-2x32 with 20 rounds, from J. Salmon, M. Moraes, R. Dror, D. Shaw: Parallel Random Numbers: As Easy as
1, 2, 3 (SC 2011). Each 64-bit operand is two 32-bit words, the low one first, and so is the result.

Invariant: a draw depends on its key and its counter only, never on what was drawn before it or on which
thread or backend draws.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.ir.build import apply, cast, constant
from graphc.ir.opdef import NOT_DIFFERENTIABLE, OPS, define
from graphc.ir.tensor import Tensor
from graphc.ir.types import DTYPES
from graphc.ops.elementwise import ELEMENTWISE, elementwise_rule

U32, U64 = DTYPES["u32"], DTYPES["u64"]

Words = tuple[Any, Any]
Rotate = Callable[[Any, int], Any]

_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
_PARITY = 0x1BD11BDA  # of the key words' exclusive or, so that no key is all zeros
_ROUNDS = 20


def _threefry(key: Words, counter: Words, rotate: Rotate, word: Callable[[int], Any]) -> Words:
    """The cipher on words that are uint32 arrays or tensors; `rotate` and `word` (a constant) fit those."""
    keys = (*key, key[0] ^ key[1] ^ word(_PARITY))
    x, y = counter[0] + keys[0], counter[1] + keys[1]
    for number in range(_ROUNDS):
        x = x + y
        y = rotate(y, _ROTATIONS[number % 8]) ^ x
        if number % 4 == 3:
            injection = number // 4 + 1
            x = x + keys[injection % 3]
            y = y + keys[(injection + 1) % 3] + word(injection)
    return x, y


def _halves(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x.astype(np.uint32), (x >> np.uint64(32)).astype(np.uint32)


def _rotated(x: np.ndarray, count: int) -> np.ndarray:
    return x << np.uint32(count) | x >> np.uint32(32 - count)


def _random_bits(key: np.ndarray, counter: np.ndarray) -> np.ndarray:
    low, high = _threefry(_halves(key), _halves(counter), _rotated, np.uint32)
    return np.asarray(low.astype(np.uint64) | high.astype(np.uint64) << np.uint64(32))


def _tensor_halves(x: Tensor) -> tuple[Tensor, Tensor]:
    return cast(x, U32), cast(_shifted("right", x, 32), U32)


def _shifted(direction: str, x: Tensor, count: int) -> Tensor:
    return apply(OPS[f"bitwise_{direction}_shift"], x, constant(count, x.dtype))


def _rotated_tensor(x: Tensor, count: int) -> Tensor:
    return _shifted("left", x, count) | _shifted("right", x, 32 - count)


def _random_bits_expansion(key: Tensor, counter: Tensor) -> Tensor:
    low, high = _threefry(
        _tensor_halves(key), _tensor_halves(counter), _rotated_tensor, lambda value: constant(value, U32)
    )
    return cast(low, U64) | _shifted("left", cast(high, U64), 32)


define("random_bits", operands=("key", "counter"), infer=elementwise_rule((U64,), "uint64"),
       eval=_random_bits, vjp=NOT_DIFFERENTIABLE, expand=_random_bits_expansion, traits=ELEMENTWISE,
       doc="64 random bits for each key and counter: Threefry-2x32-20")


def random_bits(key: Tensor, counter: Tensor) -> Tensor:
    """64 random bits for each (key, counter), both uint64 and broadcast against each other."""
    return apply(OPS["random_bits"], key, counter)
