"""An op that takes several kernels, one after the other.

Each stage is a step of the plan of its own: it is finished before the next one begins, and threads share it by its
own split. So what all turns of a kernel need, such as packed weights, is made once.

Invariant: the result of the last stage is the op's; those of the others live in the arena until the last reader.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.backends.llvm.kernel import Kernel
from graphc.ir.types import TensorType


@dataclass(frozen=True, slots=True)
class Stage:
    """One kernel of several.

    Attributes:
        kernel: the native function.
        operands: what it reads: numbers below that of the op's operands are these, higher ones are the results
            of the stages before.
        result: what it makes.
    """

    kernel: Kernel
    operands: tuple[int, ...]
    result: TensorType
