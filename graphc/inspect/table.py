"""Plain text tables with aligned columns, for dumps and reports.

Invariant: a column is as wide as its longest cell, and no line ends in blanks.
"""

from __future__ import annotations

from collections.abc import Sequence


def table(
    headers: Sequence[str], rows: Sequence[Sequence[object]], align: str, indent: str = "  "
) -> list[str]:
    """The lines of a table.

    Args:
        headers: one per column.
        rows: the cells; each is shown by `str`.
        align: for each column "<" or ">", the side that its cells stand at.
        indent: what each line begins with.

    >>> print("\\n".join(table(["pass", "ms"], [["unify", "0.1"], ["fuse", "12.0"]], "<>")))
      pass     ms
      unify   0.1
      fuse   12.0
    """
    cells = [list(headers), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    lines = []
    for row in cells:
        padded = (f"{cell:{side}{width}}" for cell, side, width in zip(row, align, widths))
        lines.append((indent + "  ".join(padded)).rstrip())
    return lines
