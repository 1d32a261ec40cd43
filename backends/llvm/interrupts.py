"""Ctrl-C in native code: a running call looks at Python's pending signals now and then, and ends if one raises.

Python's own handler, which runs in C, only notes that a signal came; the rest waits until Python code runs again. So
native code asks, every few milliseconds, by `graphc_poll`: Python then runs its handlers, in the main thread only, and
what they raise is kept here until the call has ended.

Invariant: a call is only ended before its first update of a variable, so either all updates are made or none.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from graphc.backends.llvm.jit import compile_own
from graphc.backends.llvm.loader import Library

if TYPE_CHECKING:
    from graphc.backends.llvm.emitter import Builder, Value

#: What an entry returns when a signal's handler has raised.
INTERRUPTED = -1
#: How many ticks of the counter are some milliseconds: of a processor's clock, or of a steady one.
_TICKS = {"x86_64": 1 << 24, "amd64": 1 << 24}
_STEADY_TICKS = 1 << 17
_POLL = "poll"
_PYTHON_FUNCTIONS = ("PyGILState_Ensure", "PyGILState_Release", "PyErr_CheckSignals", "PyErr_Fetch", "PyErr_Restore")


class _Slot:
    """Where the exception is between the poll and the end of the call: type, value, traceback."""

    memory: Any = (ctypes.c_void_p * 3)()


@cache
def _poll() -> Library:
    data = {"graphc_raised": ctypes.addressof(_Slot.memory)}
    for name in _PYTHON_FUNCTIONS:
        data[name] = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0
    return compile_own("interrupts", ("graphc_poll", "graphc_restore"), _poll_text, data)


def symbols() -> Mapping[str, int]:
    """What entries and native calls use."""
    library = _poll()
    return {name: library.address(name) for name in library.exports}


def raise_interrupt() -> NoReturn:
    """Raise what the handler of the signal raised, after a call that ended by it."""
    ctypes.PYFUNCTYPE(None)(_poll().address("graphc_restore"))()
    raise KeyboardInterrupt  # nothing was kept: another call has raised it


def _poll_text() -> str:
    """The IR of `graphc_poll`, whether a handler has raised, and `graphc_restore`, which lets Python raise it."""
    from graphc.backends.llvm.emitter import Builder, Module, Value

    module = Module()
    slot = Value("ptr", "@graphc_raised")
    b = Builder("graphc_poll", [], "i64")
    b.globals["graphc_raised"] = "@graphc_raised = external global i8"
    state = b.call("i32", "PyGILState_Ensure")
    raised = b.icmp("ne", b.call("i32", "PyErr_CheckSignals"), 0)
    with b.if_(raised, likely=False):
        b.call("void", "PyErr_Fetch", *(b.gep(slot, n, "ptr") for n in range(3)))
    b.call("void", "PyGILState_Release", state)
    b.ret(b.zext(raised, "i64"))
    module.add(b)
    b = Builder("graphc_restore", [])
    b.globals["graphc_raised"] = "@graphc_raised = external global i8"
    kept = [b.load("ptr", b.gep(slot, n, "ptr")) for n in range(3)]
    for n in range(3):
        b.store(Value("ptr", "null"), b.gep(slot, n, "ptr"))
    b.call("void", "PyErr_Restore", *kept)
    b.ret()
    module.add(b)
    return module.text()


class Polling:
    """The polls of one entry, whose module holds `polling_code`.

    Args:
        b: the entry's builder, at its start.
    """

    def __init__(self, b: Builder) -> None:
        self._b = b
        self._last = b.alloca("i64")
        b.store(_now(b), self._last)

    def poll(self) -> None:
        """Leave the entry if a handler has raised; asks only some milliseconds after the last time."""
        b = self._b
        self.leave_if(b.icmp("ne", b.call("i64", _POLL, self._last), 0))

    def leave_if(self, interrupted: Value) -> None:
        """Leave the entry if a handler has raised."""
        b = self._b
        with b.if_(interrupted, likely=False):
            b.ret(b.i64(INTERRUPTED))


def polling_code() -> Builder:
    """The function that asks if it is time to: i64(where the time of the last poll is)."""
    from graphc.backends.llvm.emitter import Builder

    b = Builder(_POLL, [("last", "ptr")], "i64", linkage="internal")
    now, last = _now(b), b.param("last")
    ticks = _TICKS.get(b.target.triple.partition("-")[0], _STEADY_TICKS)
    with b.if_(b.icmp("ugt", b.sub(now, b.load("i64", last)), ticks), likely=False):
        b.store(now, last)
        b.ret(b.call("i64", "graphc_poll"))
    b.ret(b.i64(0))
    return b


def _now(b: Builder) -> Value:
    is_clock = b.target.triple.partition("-")[0] in _TICKS
    return b.call("i64", "llvm.readcyclecounter" if is_clock else "llvm.readsteadycounter")


__all__ = ["INTERRUPTED", "Polling", "polling_code", "raise_interrupt", "symbols"]
