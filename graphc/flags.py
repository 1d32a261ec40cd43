"""The environment variables that steer graphc, each also a keyword of `gc.function`.

| variable | meaning |
|---|---|
| `GRAPHC_DEBUG=0..5` | 1 pass table, 2 + clusters and buffers, 3 + graph after each pass, 4 + LLVM IR, 5 + assembly |
| `GRAPHC_CHECK=0..3` | 0 off, 1 verify input and result, 2 verify after each pass, 3 + compare values |
| `GRAPHC_DUMP=folder` | write the graph after each pass as numbered text files |
| `GRAPHC_SKIP=fuse,cse` | leave passes out |
| `GRAPHC_BACKEND=llvm` | the default backend |

Invariant: this is the only reader of the environment; values are read at each use, so tests can set them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from graphc.errors import FlagError


@dataclass(frozen=True, slots=True)
class Flags:
    """One reading of the environment; see the module's table."""

    debug: int = 0
    check: int = 1
    dump: Path | None = None
    skip: frozenset[str] = frozenset()
    backend: str = "llvm"


def read() -> Flags:
    """The flags that the environment sets now.

    Raises:
        FlagError: a value lies outside its range.
    """
    folder = os.environ.get("GRAPHC_DUMP")
    return Flags(
        debug=_level("GRAPHC_DEBUG", default=0, highest=5),
        check=_level("GRAPHC_CHECK", default=1, highest=3),
        dump=Path(folder) if folder else None,
        skip=frozenset(name.strip() for name in os.environ.get("GRAPHC_SKIP", "").split(",") if name.strip()),
        backend=os.environ.get("GRAPHC_BACKEND", "llvm"),
    )


def _level(name: str, default: int, highest: int) -> int:
    text = os.environ.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or int(text) > highest:
        raise FlagError(f"{name}={text}: expected a number from 0 to {highest}")
    return int(text)
