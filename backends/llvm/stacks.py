"""Which stacks lie part by part: those that only loops write and read that threads share in the same parts.

    row by row      step 0: part 0, part 1    step 1: part 0, part 1  ...      as any other reader would have it
    part by part    part 0: step 0, step 1 ...    part 1: step 0, step 1 ...   what a thread writes lies together

A processor fetches the lines behind those that are read or written. Row by row those are the other thread's, which has
to get them back: it took an LSTM of 50 states a sixth of its forward loop.

Invariant: all that touch such a stack are rows of loops that take the same steps in the same parts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

from graphc.backends.llvm.steps import Buffer, Plan, Scan, Step


def lay_part_by_part(plan: Plan) -> None:
    """Tell the loops of a finished plan which of their stacks lie so."""
    uses: dict[Buffer, set[Hashable]] = {}
    for step in plan.steps:
        rows = _rows_in_parts(step)
        for buffer in (*step.operands, *step.results):
            uses.setdefault(buffer, set()).add(rows.get(buffer))
    for copy in (*plan.before, *plan.after):
        for buffer in (copy.source, copy.target):
            uses.setdefault(buffer, set()).add(None)
    found = {b for b, ways in uses.items() if b.kind == "arena" and len(ways) == 1 and None not in ways}
    for step in plan.steps:
        if isinstance(step.nested, Scan) and step.nested.parts is not None:
            step.nested.parts.stacks = found.intersection(_rows_in_parts(step))


def _rows_in_parts(step: Step) -> dict[Buffer, Hashable]:
    """How a loop runs over the arrays of which its parts read or write rows, and that it does not use otherwise."""
    loop = step.nested
    if not isinstance(loop, Scan) or loop.parts is None:
        return {}
    parts, found = loop.parts, dict[Buffer, Hashable]()
    extent, share = parts.extent, parts.share
    if not isinstance(extent, int) or not isinstance(share, int) or share == 0 or extent % share != 0:
        return {}  # the last part may take rows of the one before
    sliced, used = Counter(whole for whole, _ in loop.slices), Counter((*step.operands, *step.results))
    for whole, row in loop.slices:
        if row not in parts.flat and sliced[whole] == used[whole]:
            found[whole] = loop.length, extent, share, row.row_bytes
    return found
