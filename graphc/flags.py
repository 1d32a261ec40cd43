"""The environment variables that steer graphc, each also a keyword of `gc.function`.

| variable | meaning |
|---|---|
| `GRAPHC_DEBUG=0..5` | 1 pass table, 2 + clusters and buffers, 3 + graph after each pass, 4 + LLVM IR, 5 + assembly |
| `GRAPHC_CHECK=0..3` | 0 off, 1 verify input and result, 2 verify after each pass, 3 + compare values |
| `GRAPHC_DUMP=folder` | write the graph after each pass as numbered text files |
| `GRAPHC_SKIP=fuse,cse` | leave passes out |
| `GRAPHC_BACKEND=llvm` | the default backend |

`GRAPHC_NUM_THREADS` (how many threads a call may use) and `GRAPHC_CACHE` (the folder of compiled code, or `off`)
belong to the LLVM backend alone, which reads them itself.

Invariant: nothing else reads the environment; values are read at each use, so tests can set them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from graphc.errors import FlagError

HIGHEST_CHECK = 3


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
        check=_level("GRAPHC_CHECK", default=1, highest=HIGHEST_CHECK),
        dump=Path(folder) if folder else None,
        skip=pass_names(os.environ.get("GRAPHC_SKIP", "")),
        backend=os.environ.get("GRAPHC_BACKEND") or "llvm",
    )


def pass_names(names: str | Iterable[str]) -> frozenset[str]:
    """The passes that a text such as `fuse,cse`, or a collection of names, lists.

    >>> sorted(pass_names("fuse, cse"))
    ['cse', 'fuse']
    """
    listed = names.split(",") if isinstance(names, str) else names
    return frozenset(name.strip() for name in listed if name.strip())


def level_of_check(value: object) -> int:
    """`value`, checked to be a level of `GRAPHC_CHECK`.

    Raises:
        FlagError: it is not a number from 0 to 3.
    """
    if not isinstance(value, int) or not 0 <= value <= HIGHEST_CHECK:
        raise FlagError(f"check: expected a level from 0 to {HIGHEST_CHECK}, not {value!r}")
    return value


def _level(name: str, default: int, highest: int) -> int:
    text = os.environ.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or int(text) > highest:
        raise FlagError(f"{name}={text}: expected a number from 0 to {highest}")
    return int(text)
