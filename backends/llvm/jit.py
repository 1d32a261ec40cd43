"""From IR text to callable addresses: parse, verify, generate code, check the symbols, link.

Invariant: nothing is linked before every symbol that its object code leaves open has an address, from the
table below or from the caller, since LLVM would otherwise fail late, or jump to nowhere.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import itertools
import re
import sys
import threading
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import llvmlite.binding as llvm

from graphc.backends.llvm.object_symbols import undefined_symbols
from graphc.backends.llvm.target import Target, host_target
from graphc.errors import CodegenError

_LIBM = (
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "copysign", "cos", "cosh",
    "erf", "erfc", "exp", "exp10", "exp2", "expm1", "fabs", "floor", "fma", "fmax", "fmin", "fmod", "frexp",
    "hypot",
    "ldexp", "lgamma", "log", "log10", "log1p", "log2", "modf", "nearbyint", "nextafter", "pow", "remainder",
    "rint", "round", "roundeven", "sin", "sinh", "sqrt", "tan", "tanh", "tgamma", "trunc",
)  # fmt: skip

#: The external symbols that generated code may use: C's memory functions, libm in both precisions, and what a
#: thread pool needs.
EXTERNAL_SYMBOLS: tuple[str, ...] = (
    "memcpy", "memmove", "memset", "memcmp", "bcmp", "abort",
    *_LIBM, *(name + "f" for name in _LIBM),
    "pthread_create", "pthread_join", "pthread_detach", "pthread_self",
    "pthread_mutex_init", "pthread_mutex_lock", "pthread_mutex_trylock", "pthread_mutex_unlock",
    "pthread_cond_init", "pthread_cond_wait", "pthread_cond_signal", "pthread_cond_broadcast",
    "sched_yield",
)  # fmt: skip

_lock = threading.Lock()
_library_number = itertools.count()


@cache
def external_addresses() -> Mapping[str, int]:
    """The address of each allowed symbol that this platform has."""
    libraries = [ctypes.CDLL(None)] if sys.platform != "win32" else [ctypes.CDLL("ucrtbase")]
    for stem in ("m", "pthread"):
        if path := ctypes.util.find_library(stem):
            libraries.append(ctypes.CDLL(path))
    found: dict[str, int] = {}
    for name in EXTERNAL_SYMBOLS:
        for library in libraries:
            if hasattr(library, name):
                found[name] = ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
                break
    return found


class Library:
    """Machine code in memory. Addresses are good as long as this object lives."""

    def __init__(self, engine: llvm.LLJIT, tracker: llvm.ResourceTracker, exports: tuple[str, ...]) -> None:
        # The order matters when the process ends: the tracker must go before the engine that it belongs to.
        self._tracker = tracker
        self._engine = engine
        self.exports = exports

    def address(self, name: str) -> int:
        """Where the exported function begins."""
        if name not in self.exports:
            raise CodegenError(f"jit: the library exports no {name}; it has {', '.join(self.exports)}")
        return int(self._tracker[name])

    def function(self, name: str, result: Any, *arguments: Any) -> Any:
        """The exported function as a ctypes one, of these ctypes types, which keeps the library alive."""
        found: Any = ctypes.CFUNCTYPE(result, *arguments)(self.address(name))
        found.library = self
        return found


def compile_module(
    text: str,
    exports: Iterable[str],
    opt: int = 2,
    *,
    target: Target | None = None,
    symbols: Mapping[str, int] | None = None,
) -> Library:
    """Compile and link IR text; ``symbols`` are addresses for names beyond the allowed ones."""
    return load_object(emit_object(text, opt, target=target), exports, symbols=symbols)


def emit_object(text: str, opt: int = 2, *, target: Target | None = None) -> bytes:
    """The object file of IR text, for linking or for a disk cache.

    No IR passes run: the text is written in its final shape, and passes make explicit vectors slower.
    """
    machine = _target_machine(target or host_target(), opt)
    with _lock:
        return bytes(machine.emit_object(_parsed(text, machine)))


def assembly(text: str, opt: int = 2, *, target: Target | None = None) -> str:
    """The assembly of IR text, to be read."""
    machine = _target_machine(target or host_target(), opt)
    with _lock:
        return str(machine.emit_assembly(_parsed(text, machine)))


def load_object(image: bytes, exports: Iterable[str], *, symbols: Mapping[str, int] | None = None) -> Library:
    """Link an object file into this process."""
    names = tuple(exports)
    allowed = {**external_addresses(), **(symbols or {})}
    wanted = undefined_symbols(image)
    unknown = sorted(wanted - allowed.keys())
    if unknown:
        raise CodegenError(
            f"jit: unknown symbol {', '.join(unknown)}: generated code may only use the names in "
            "EXTERNAL_SYMBOLS, and this platform must have them"
        )
    builder = llvm.JITLibraryBuilder().add_object_img(image)
    for name in names:
        builder.export_symbol(name)
    for name in sorted(wanted):
        builder.import_symbol(name, allowed[name])
    engine = _engine()
    with _lock:
        try:
            tracker = builder.link(engine, f"graphc{next(_library_number)}")
        except RuntimeError as error:
            raise CodegenError(f"jit: linking failed: {error}") from error
    return Library(engine, tracker, names)


def _parsed(text: str, machine: llvm.TargetMachine) -> llvm.ModuleRef:
    try:
        module = llvm.parse_assembly(text)
        module.triple = machine.triple
        module.data_layout = str(machine.target_data)
        module.verify()
    except RuntimeError as error:
        raise CodegenError(f"jit: LLVM rejects the IR: {_with_line(str(error), text)}") from error
    return module


def _with_line(message: str, text: str) -> str:
    """LLVM's message with the offending line of IR, if it names one."""
    message = message.strip()
    position = re.search(r":(\d+):\d+: error", message)
    if position is None:
        return message
    lines = text.splitlines()
    number = int(position.group(1))
    line = lines[number - 1].strip() if number <= len(lines) else ""
    return message if line in message else f"{message}\n  line {number}: {line}"


@cache
def _initialised() -> bool:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    return True


@cache
def _target_machine(target: Target, opt: int) -> llvm.TargetMachine:
    with _lock:
        _initialised()
        try:
            found = llvm.Target.from_triple(target.triple)
        except RuntimeError as error:
            raise CodegenError(f"jit: no code generator for {target.triple}: {error}") from error
        return found.create_target_machine(
            cpu=target.cpu, features=target.features, opt=opt, reloc="pic", codemodel="small"
        )


@cache
def _engine() -> llvm.LLJIT:
    """The one linker of this process; libraries in it are unloaded when their trackers go."""
    machine = _target_machine(host_target(), 2)
    with _lock:
        return llvm.create_lljit_compiler(machine, suppress_errors=True)
