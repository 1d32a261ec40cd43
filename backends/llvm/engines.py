"""The linkers of LLVM's JIT, for platforms that `mapping` does not know, and when machine code is unloaded.

A linker keeps about 10 kB of every library that was ever in it, so each one takes a few libraries only and goes
with the last of them.

Invariant: libraries are unloaded before their linker. The collector finalises the members of a garbage cycle in
any order, so neither is ever a member: both hang on this module until the object that uses the code is dead. When
the process ends, nothing is unloaded, since threads may still run it.
"""

from __future__ import annotations

import atexit
import itertools
import threading
import weakref
from collections.abc import Mapping, Sequence

import llvmlite.binding as llvm

from graphc.errors import CodegenError

#: A linker costs about 0.7 ms; as long as one of its libraries lives, it keeps the 10 kB of each of the others.
_LIBRARIES_PER_ENGINE = 16

_lock = threading.Lock()
_numbers = itertools.count()
_alive: dict[int, tuple[llvm.ResourceTracker, llvm.LLJIT]] = {}


class _Current:
    """The linker that takes the next library."""

    engine: llvm.LLJIT | None = None
    room = 0


def link(image: bytes, exports: Sequence[str], symbols: Mapping[str, int], owner: object) -> dict[str, int]:
    """Link an object file: the addresses of its exports, good for as long as `owner` lives.

    Raises:
        CodegenError: LLVM's linker refuses.
    """
    builder = llvm.JITLibraryBuilder().add_object_img(image)
    for name in exports:
        builder.export_symbol(name)
    for name, address in sorted(symbols.items()):
        builder.import_symbol(name, address)
    with _lock:
        addresses, number = _link(builder, exports)
    weakref.finalize(owner, _unload, number).atexit = False
    return addresses


def _link(builder: llvm.JITLibraryBuilder, exports: Sequence[str]) -> tuple[dict[str, int], int]:
    """The addresses, and the library's number. The linker gets objects only, so no code generator is made for it."""
    if _Current.engine is None or _Current.room == 0:
        llvm.initialize_native_target()
        _Current.engine, _Current.room = llvm.create_lljit_compiler(suppress_errors=True), _LIBRARIES_PER_ENGINE
    engine = _Current.engine
    _Current.room -= 1
    number = next(_numbers)
    try:
        tracker = builder.link(engine, f"graphc{number}")
    except RuntimeError as error:
        raise CodegenError(f"jit: linking failed: {error}") from error
    _alive[number] = tracker, engine
    return {name: int(tracker[name]) for name in exports}, number


def _unload(number: int) -> None:
    tracker, _ = _alive.pop(number, (None, None))
    if tracker is not None:
        tracker.close()


@atexit.register
def _leave_all() -> None:
    """Forget all code without unloading it."""
    for tracker, engine in _alive.values():
        tracker.detach()
        engine.detach()
    _alive.clear()
    if _Current.engine is not None:
        _Current.engine.detach()
        _Current.engine = None
