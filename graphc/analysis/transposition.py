"""Which permutations of axes are transpositions of matrices, so large that the way they are done matters.

Invariant: extents are those of the array as it lies in memory, the batch in front.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from graphc.ir import dims
from graphc.ir.dims import Size
from graphc.ir.tensor import Tensor

#: Squares of this side are transposed in registers; matrices with a shorter side have none.
SIDE = 8
#: A matrix of fewer elements lies in the first-level cache, where it does not matter in which order it is read.
_LEAST = 1 << 10


def as_matrices(shape: Sequence[Size], axes: Sequence[int]) -> tuple[Size, Size, Size] | None:
    """(batch, rows, columns), where a permutation of axes is the transposition of a batch of matrices; else None.

    >>> as_matrices((32, 3, 28, 28), (0, 2, 3, 1)), as_matrices((2, 3, 4), (2, 1, 0))
    ((32, 3, 784), None)
    """
    moved = [axis for axis in axes if shape[axis] != 1]
    following = dict(itertools.pairwise(sorted(moved)))
    blocks: list[list[int]] = []
    for axis in moved:
        if blocks and following.get(blocks[-1][-1]) == axis:
            blocks[-1].append(axis)
        else:
            blocks.append([axis])
    order = sorted(range(len(blocks)), key=lambda number: blocks[number][0])
    sizes = [dims.product([shape[axis] for axis in block]) for block in blocks]
    if order == [1, 0]:
        return 1, sizes[1], sizes[0]
    if order == [0, 2, 1]:
        return sizes[0], sizes[2], sizes[1]
    return None


def is_large_transposition(tensor: Tensor) -> bool:
    """Whether a tensor is a transposition of matrices known to be larger than the first-level cache likes.

    Done by itself it goes by cache lines on both sides; inside a loop over elements, one side does not.
    """
    if tensor.op.name != "permute_dims" or tensor.dtype.itemsize < 4:
        return False
    matrices = as_matrices(tensor.inputs[0].shape, tensor.attrs["axes"])
    if matrices is None:
        return False
    sides = [side for side in matrices[1:] if isinstance(side, int)]
    return len(sides) == 2 and min(sides) >= SIDE and math.prod(sides) >= _LEAST
