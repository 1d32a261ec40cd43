"""The second tier: programs start with code that was generated quickly, and get better code from the background.

LLVM's code generator without optimising takes a fourth of the time; the code runs 1.0 to 3 times as long, that of
products up to ten times, so those that are long are optimised at once. Both give the same bits (a test compares), so
nobody sees the change but by a clock.

At the end of the process what is begun is finished, for the disk cache, but not for long.

Invariant: one thread works in the background, on one program at a time; a fork waits for that one.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import cache

from graphc.backends.llvm.forking import compiling

#: Whether programs have a first tier where the user asks for no level of optimisation.
ENABLED = True

#: How long the end of the process waits for programs that are not begun yet.
_LAST_SECONDS = 2.0
#: A first call that takes longer is not waited for.
_LONG_SECONDS = 0.25
#: How far the thread in the background stands back behind those of calls, where all processors are busy.
_NICE = 5

_log = logging.getLogger("graphc")


class _Background:
    """A thread that does jobs in turn; it is started with the first and ends when there is none."""

    def __init__(self) -> None:
        self._jobs: deque[tuple[Callable[[], None], threading.Event]] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._in_child)
        atexit.register(self._stop)

    def submit(self, job: Callable[[], None], over: threading.Event) -> None:
        """Do this when something is over, or takes long."""
        with self._lock:
            self._jobs.append((job, over))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="graphc-tiers", daemon=True)
                self._thread.start()

    def wait(self) -> None:
        """Until all is done."""
        while (thread := self._thread) is not None:
            thread.join()

    def _work(self) -> None:
        if sys.platform == "linux":  # where this is of the thread; elsewhere it would be of the process
            os.nice(_NICE)
        while True:
            with self._lock:
                if not self._jobs:
                    self._thread = None
                    return
                _, over = self._jobs[0]
            over.wait(_LONG_SECONDS)
            with compiling():
                try:
                    job, _ = self._jobs.popleft()
                except IndexError:
                    continue
                try:
                    job()
                except Exception:
                    _log.warning("a program keeps the code of its first tier", exc_info=True)
                del job

    def _in_child(self) -> None:
        """A forked child has none of its parent's threads; what they had to do is not needed for right results."""
        self._jobs.clear()
        self._lock = threading.Lock()
        self._thread = None

    def _stop(self) -> None:
        """LLVM must not be at work while the process ends."""
        thread = self._thread
        if thread is not None:
            thread.join(_LAST_SECONDS)
            self._jobs.clear()
            thread.join()


@cache
def _background() -> _Background:
    return _Background()


@contextlib.contextmanager
def behind(job: Callable[[], None]) -> Iterator[None]:
    """Do a job in the background once this block is over; or already in it, where that takes long.

    It is the block of a program's first call, for which somebody waits: threads that share its work would be held up.
    """
    over = threading.Event()
    _background().submit(job, over)
    try:
        yield
    finally:
        over.set()


def wait() -> None:
    """Until every program has the code of its second tier; for measurements."""
    _background().wait()


__all__ = ["ENABLED", "behind", "wait"]
