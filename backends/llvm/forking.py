"""Forks wait while code is being compiled, so that a child never inherits a lock that nobody will release.

A child has only the thread that forked. What its parent's other threads held (locks of LLVM, of llvmlite, of ours)
stays locked in it for ever.

Invariant: who compiles is `compiling`, from outside all such locks.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_idle = threading.Condition()
_threads: list[int] = []  # who is compiling, once for each time


@contextmanager
def compiling() -> Iterator[None]:
    """No other thread forks inside."""
    own = threading.get_ident()
    with _idle:
        _threads.append(own)
    try:
        yield
    finally:
        with _idle:
            _threads.remove(own)
            _idle.notify_all()


def _before_fork() -> None:
    """Take the lock when no other thread compiles, so that none begins."""
    _idle.acquire()
    own = threading.get_ident()
    while any(thread != own for thread in _threads):
        _idle.wait()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_idle.release, after_in_child=_idle.release)

__all__ = ["compiling"]
