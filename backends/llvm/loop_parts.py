"""Which loops threads share by parts: each thread does all steps for some of the rows.

The steps of a small recurrent net take a few microseconds, too little for threads to share each of them. Where a step
does to each row (each example of the batch) what it does to it alone, the loop can be shared instead: once for all
steps, and nobody waits for anybody, nor hands anything to another's caches. Very large steps are shared one by one,
since a part would read all weights; and so are large ones where there are not rows for all threads.

Invariant: parts have as many rows as make no kernel choose another order of sums, so bits do not depend on threads.
"""

from __future__ import annotations

from typing import NamedTuple

from graphc.analysis.cost import cost_of
from graphc.analysis.rows import by_rows
from graphc.ir import dims
from graphc.ir.dims import Size
from graphc.ir.graph import Graph, sizes_of
from graphc.ir.types import TensorType

#: A part has so many rows, or all: a product of fewer is another kernel.
LEAST_ROWS = 16
#: What a symbolic size is taken to be where the cost of a loop is judged.
_USUAL = 64
#: Seconds, by `analysis.cost`: loops that take less are not shared, nor those of which one op takes more in a step.
_LEAST, _MOST = 30e-6, 2e-3
#: ... where some threads would find no part.
_MOST_FOR_FEW = 60e-6


class StepOfPart(NamedTuple):
    """One step for some of the rows.

    Attributes:
        body: its graph.
        inputs: which of its inputs are parts; the others are the same for all.
        extent: how many rows there are.
        share: how many the body has.
        invariants: the number of the first input that does not change from step to step.
    """

    body: Graph
    inputs: tuple[bool, ...]
    extent: Size
    share: Size
    invariants: int


def step_of_part(body: Graph, length: Size, sequences: int, states: int, threads: int) -> StepOfPart | None:
    """The step for a part of the rows of a `scan`; None where threads had better not share it so."""
    first = body.inputs[sequences].type if states else None
    if threads < 2 or not isinstance(first, TensorType) or first.rank == 0:
        return None
    extent = first.shape[0]
    if isinstance(extent, int) and extent < LEAST_ROWS * 3 // 2:
        return None
    even = dims.floordiv(extent + (threads - 1), threads)
    share = dims.maximum(even, dims.minimum(extent, LEAST_ROWS))
    if not _is_worth_it(body, length, extent, threads):
        return None
    found = by_rows(body, extent, share)
    if found is None or not all(found.inputs[sequences : sequences + states]):
        return None
    return StepOfPart(found.graph, found.inputs, extent, share, sequences + states)


def _is_worth_it(body: Graph, length: Size, extent: Size, threads: int) -> bool:
    symbols = {name for t in body.tensors for size in sizes_of(t) for name in dims.symbols_of(size)}
    usual = dict.fromkeys([*symbols, *dims.symbols_of(length)], _USUAL)
    times = [cost_of(tensor, usual).seconds for tensor in body.tensors]
    most = _MOST if dims.evaluate(extent, usual) >= threads * LEAST_ROWS else _MOST_FOR_FEW
    return max(times, default=0.0) <= most and sum(times) * dims.evaluate(length, usual) >= _LEAST
