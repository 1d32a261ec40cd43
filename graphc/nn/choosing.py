"""Choosing by name out of a closed table, and refusing what is not there on the user's own line.

Invariant: an unknown name is an `ArgumentError` that lists what there is and suggests the nearest.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

import graphc as gc

T = TypeVar("T")


def choose(kind: str, table: Mapping[str, T], name: Any) -> T:
    """The entry of `table` called `name`.

    Raises:
        ArgumentError: there is none; `kind` says what it would have been.

    >>> choose("activation", {"relu": 1}, "relu")
    1
    """
    if isinstance(name, str) and name in table:
        return table[name]
    close = difflib.get_close_matches(str(name), list(table), n=1)
    raise gc.ArgumentError(
        f"{name!r} is no {kind}; there are {', '.join(sorted(table))}",
        location=user_line(),
        hint=f"did you mean {close[0]!r}?" if close else None,
    )


def user_line() -> Any:
    """The innermost line outside graphc: every new tensor carries it."""
    return gc.constant(0).location
