"""The processor's floating-point settings: rounding, and what becomes of subnormals, as IEEE 754 has them.

A program around graphc may have set the processor to flush subnormals to zero, as `-ffast-math` libraries do when they
are loaded. Calls compute with the default settings all the same, and leave what they found.

Invariant: only x86-64 keeps such settings that a caller is known to change; elsewhere nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from graphc.backends.llvm.emitter import Builder, Value

#: MXCSR: all exceptions masked, round to nearest, subnormals kept (Intel SDM, volume 1, section 10.2.3).
_DEFAULT = 0x1F80


def _has_mxcsr(b: Builder) -> bool:
    return b.target.triple.startswith(("x86_64", "amd64"))


def set_default_environment(b: Builder) -> None:
    """The default settings, for a thread of our own."""
    if _has_mxcsr(b):
        place = b.alloca("i32")
        b.store(Value("i32", str(_DEFAULT)), place)
        b.call("void", "llvm.x86.sse.ldmxcsr", place)


@contextmanager
def default_environment(b: Builder) -> Iterator[None]:
    """The default settings inside, and afterwards those that were there."""
    if not _has_mxcsr(b):
        yield
        return
    found = b.alloca("i32")
    b.call("void", "llvm.x86.sse.stmxcsr", found)
    # The six low bits only tell what has happened.
    settings = b.and_(b.load("i32", found), 0xFFC0)
    with b.if_(b.icmp("ne", settings, _DEFAULT), likely=False):
        set_default_environment(b)
    yield
    b.call("void", "llvm.x86.sse.ldmxcsr", found)


__all__ = ["default_environment", "set_default_environment"]
