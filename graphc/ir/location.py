"""Where a tensor comes from: the user's own source line, kept through gradient and passes.

Invariant: `here()` never returns a line inside graphc. Code that makes tensors on behalf of another one (the
gradient, a rewrite rule) does so inside `inherit`, so that they carry that tensor's line and the reason; code that
makes them on behalf of something the user described earlier (a layer) does so inside `at`.

It is public as `gc.location`.
"""

from __future__ import annotations

import functools
import linecache
import os
import sys
import threading
from dataclasses import dataclass, replace
from types import FrameType


@dataclass(frozen=True, slots=True)
class Location:
    """A line of the user's program.

    Attributes:
        file, line, function: where it is.
        via: for a derived tensor, why it was derived.
        owner: what the user described in that line, and what made the tensor: the name of a layer; or "".
    """

    file: str
    line: int
    function: str
    via: tuple[str, ...] = ()
    owner: str = ""

    @property
    def place(self) -> str:
        """The line and the owner, which a tensor shares with those derived from it: "model.py:12, conv1"."""
        text = f"{display_path(self.file)}:{self.line}"
        return f"{text}, {self.owner}" if self.owner else text

    def __str__(self) -> str:
        return self.place + "".join(f", {reason}" for reason in self.via)

    def excerpt(self) -> list[str]:
        """The lines of an error message that show this place and its source; none where it is not known."""
        if not self.line:
            return []
        where = f" in {self.function}" if self.function not in ("<module>", "") else ""
        via = "".join(f" ({reason})" for reason in ((self.owner,) if self.owner else ()) + self.via)
        lines = [f"  --> {display_path(self.file)}:{self.line}{where}{via}"]
        # A location may stem from a text that somebody else wrote: it must not open whatever file that names.
        is_python = self.file.endswith((".py", ">"))  # ">": the console, a notebook cell, a doctest
        source = linecache.getline(self.file, self.line).rstrip() if is_python else ""
        if source:
            lines.append(f"{self.line:5d} | {source}")
        return lines


UNKNOWN = Location("<unknown>", 0, "")


def display_path(file: str) -> str:
    """`file` relative to the working folder when it lies below it, else unchanged."""
    if file.startswith("<"):
        return file
    try:
        relative = os.path.relpath(file)
    except (ValueError, OSError):  # another drive, or the working folder is gone
        return file
    return file if relative.startswith("..") else relative.replace(os.sep, "/")


class _Context(threading.local):
    inherited: Location | None = None
    stand_in: tuple[FrameType, Location] | None = None


_context = _Context()


def here() -> Location:
    """The innermost caller outside graphc; or what `inherit` or `at` say of a block that it is called in. About 2 us.

    >>> import graphc as gc
    >>> with gc.location.at(gc.location.Location("model.py", 12, "net")):
    ...     print(gc.location.here())
    model.py:12
    """
    if _context.inherited is not None:
        return _context.inherited
    block, location = _context.stand_in or (None, UNKNOWN)
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame is not block:
        if not _is_ours(frame):
            return Location(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name, (), location.owner)
        frame = frame.f_back
    return location


def caller() -> Location | None:
    """The line that called the function that asks; None where that is a line of graphc itself."""
    frame = sys._getframe(1).f_back
    if frame is None or _is_ours(frame):
        return None
    return Location(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


def _is_ours(frame: FrameType) -> bool:
    module = frame.f_globals.get("__name__", "")
    return bool(module == "graphc" or module.startswith("graphc."))


class at:  # noqa: N801 - read as a word: with at(line, name)
    """A block that makes tensors for what the user described elsewhere, and named `owner`.

    Tensors made in it carry `location` and the owner. Where the block calls the user's own functions (the `call` of a
    layer of his, a loss of his), tensors made there carry the line in these, and the owner.

    >>> import graphc as gc
    >>> there = gc.location.Location("model.py", 12, "net")
    >>> with gc.location.at(there, "conv1"):
    ...     x = gc.constant(1.0)
    >>> str(x.location), x.location.place
    ('model.py:12, conv1', 'model.py:12, conv1')
    """

    def __init__(self, location: Location, owner: str = "") -> None:
        self._location = replace(location, owner=owner)

    def __enter__(self) -> None:
        self._before = _context.stand_in
        _context.stand_in = (sys._getframe(1), self._location)

    def __exit__(self, *error: object) -> None:
        _context.stand_in = self._before


class inherit:  # noqa: N801 - read as a word: with inherit(location)
    """Tensors made in this block carry `location`, with `reason` added once to its `via`."""

    __slots__ = ("_before", "_location")

    def __init__(self, location: Location, reason: str | None = None) -> None:
        self._location = location if reason is None else _because(location, reason)

    def __enter__(self) -> None:
        self._before = _context.inherited
        _context.inherited = self._location

    def __exit__(self, *error: object) -> None:
        _context.inherited = self._before


@functools.lru_cache(256)  # each rule is tried on each tensor, and of most lines there are several
def _because(location: Location, reason: str) -> Location:
    return location if reason in location.via else replace(location, via=(*location.via, reason))
