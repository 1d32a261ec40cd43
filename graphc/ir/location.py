"""Where a tensor comes from: the user's own source line, kept through gradient and passes.

Invariant: `here()` never returns a line inside graphc. Code that makes tensors on behalf of another one (the
gradient, a rewrite rule) does so inside `inherit`, so that they carry that tensor's line and the reason.
"""

from __future__ import annotations

import contextlib
import linecache
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Location:
    """A line of the user's program and, for a derived tensor, why it was derived."""

    file: str
    line: int
    function: str
    via: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"{display_path(self.file)}:{self.line}"
        return text + "".join(f", {reason}" for reason in self.via)

    def excerpt(self) -> list[str]:
        """The lines of an error message that show this place and its source."""
        where = f" in {self.function}" if self.function not in ("<module>", "") else ""
        via = "".join(f" ({reason})" for reason in self.via)
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


_context = _Context()


def here() -> Location:
    """The innermost caller outside graphc; or, inside `inherit`, the inherited place. About 2 us."""
    if _context.inherited is not None:
        return _context.inherited
    frame = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module != "graphc" and not module.startswith("graphc."):
            code = frame.f_code
            return Location(code.co_filename, frame.f_lineno, code.co_name)
        frame = frame.f_back  # type: ignore[assignment]
    return UNKNOWN


@contextlib.contextmanager
def inherit(location: Location, reason: str | None = None) -> Iterator[None]:
    """Tensors made in this block carry `location`, with `reason` added once to its `via`."""
    if reason is not None and reason not in location.via:
        location = Location(location.file, location.line, location.function, (*location.via, reason))
    before = _context.inherited
    _context.inherited = location
    try:
        yield
    finally:
        _context.inherited = before
