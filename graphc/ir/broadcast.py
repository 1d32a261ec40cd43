"""Broadcasting of shapes, as NumPy does it, over sizes that may be symbolic.

Invariant: only the number 1 stretches. A symbolic size is never taken to be 1; where it meets another size
the two are required to be equal, and the graph records that.
"""

from __future__ import annotations

from graphc.ir.dims import Size
from graphc.ir.verify import require_equal

Shape = tuple[Size, ...]


def broadcast_shapes(*shapes: Shape, rule: str = "shapes do not broadcast") -> Shape:
    """The shape that `shapes` broadcast to; for use in type rules. `rule` is what the error says.

    Raises:
        ShapeError: two sizes that face each other differ, and neither is 1.

    >>> from graphc.ir.dims import symbol
    >>> broadcast_shapes((3, 1), (symbol("n"),), ())
    (3, Dim('n'))
    """
    rank = max(map(len, shapes), default=0)
    result: list[Size] = [1] * rank
    for shape in shapes:
        for position, size in enumerate(shape, rank - len(shape)):
            if result[position] == 1:
                result[position] = size
            elif size != 1:
                result[position] = require_equal(result[position], size, rule)
    return tuple(result)


def broadcast_axes(operand: Shape, result: Shape) -> tuple[int, ...]:
    """The axes of `result` along which broadcasting repeats `operand`: what undoes it sums over these.

    >>> broadcast_axes((3, 1), (5, 3, 4))
    (0, 2)
    """
    added = len(result) - len(operand)
    stretched = (added + axis for axis, size in enumerate(operand) if size == 1 and result[added + axis] != 1)
    return (*range(added), *stretched)
