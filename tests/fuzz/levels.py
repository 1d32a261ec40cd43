"""What rounding may do to a tensor: nothing, a little, or everything.

    EXACT      moves, comparisons, integers, signs of inputs ...: one right value, to the bit
    ROUNDED    continuous in something rounded: the last bits are free
    DECIDED    downstream of a decision (a comparison, a floor, an argmax) on something rounded

The generator avoids the third, so that comparisons stay strict instead of loose: what decides is fed with what
is exact. `graphc.inspect.agreement` judges values, whatever their level.

Invariant: a tensor's level is never below that of an operand.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import numpy as np

from graphc.analysis.rounding import rounds
from graphc.ir.opdef import Trait
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType

#: A small change of a float operand can be a large change of the float result.
JUMPING = frozenset({"ceil", "copysign", "floor", "floor_divide", "fmod", "remainder", "round", "sign", "trunc"})

#: An element's place hangs on which of several is the largest.
PLACING = frozenset({"max_pool_pick", "max_pool_spread"})


class Level(enum.IntEnum):
    """See the module's text."""

    EXACT = 0
    ROUNDED = 1
    DECIDED = 2


def level_of(tensor: Tensor, operands: Sequence[Level]) -> Level:
    """The level of a tensor whose operands have these."""
    highest = max(operands, default=Level.EXACT)
    if highest is Level.DECIDED:
        return highest
    if not isinstance(tensor.type, TensorType):
        return max(highest, Level.ROUNDED) if tensor.op.has(Trait.BODY) and rounds(tensor, rewritten=True) else highest
    if tensor.op.name in PLACING and highest is not Level.EXACT:
        return Level.DECIDED
    if tensor.dtype.kind != "f" or tensor.op.name in JUMPING:
        return Level.EXACT if highest is Level.EXACT else Level.DECIDED
    if rounds(tensor, rewritten=True) and not _scales_integer(tensor):
        return Level.ROUNDED
    return highest


def _scales_integer(tensor: Tensor) -> bool:
    """Whether a tensor is an integer as a float, or that times a power of two, as in random numbers."""
    if tensor.op.name == "cast":
        return tensor.inputs[0].dtype.kind != "f"
    if tensor.op.name != "multiply":
        return False
    x, y = tensor.inputs
    if y.op.name != "const" or y.size != 1:
        return False
    mantissa, exponent = np.frexp(abs(float(y.attrs["value"].reshape(()))))
    return x.op.name == "cast" and x.inputs[0].dtype.kind in "iu" and mantissa == 0.5 and abs(exponent) < 100
