"""From IR text to callable addresses: parse, verify, generate code, check the symbols, link; or link what the
disk cache has.

Object code names what it needs from elsewhere and holds no address, so it is good for any process.

Invariant: nothing is linked before every symbol that its object code leaves open has an address, from the
table below or from the caller, since LLVM would otherwise fail late, or jump to nowhere.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import re
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import llvmlite
import llvmlite.binding as llvm

from graphc.backends.llvm.cache import Outcome, key_of, object_cache
from graphc.backends.llvm.engines import link, unload_with
from graphc.backends.llvm.object_symbols import undefined_symbols
from graphc.backends.llvm.target import Target, host_target, llvm_version
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


@cache
def external_addresses() -> Mapping[str, int]:
    """The address of each allowed symbol that this platform has."""
    found: dict[str, int] = {}
    for library in _system_libraries():
        for name in EXTERNAL_SYMBOLS:
            if name not in found and hasattr(library, name):
                found[name] = ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
        if len(found) == len(EXTERNAL_SYMBOLS):
            break
    return found


def _system_libraries() -> Iterator[ctypes.CDLL]:
    """Where those symbols may be; the process itself has them all as a rule, and searching files is slow."""
    yield ctypes.CDLL(None) if sys.platform != "win32" else ctypes.CDLL("ucrtbase")
    for stem in ("m", "pthread"):
        if path := ctypes.util.find_library(stem):
            yield ctypes.CDLL(path)


class Library:
    """Machine code in memory. Addresses are good as long as this object lives."""

    def __init__(self, addresses: Mapping[str, int]) -> None:
        self._addresses = dict(addresses)
        self.outcome: Outcome | None = None  # of looking for the code in the disk cache

    @property
    def exports(self) -> tuple[str, ...]:
        """The names of its functions."""
        return tuple(self._addresses)

    def address(self, name: str) -> int:
        """Where the exported function begins."""
        if name not in self._addresses:
            raise CodegenError(f"jit: the library exports no {name}; it has {', '.join(self.exports)}")
        return self._addresses[name]

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
    """Link IR text, from the disk cache if it has been compiled before.

    ``symbols`` are addresses for names beyond the allowed ones. The library's ``outcome`` says where the code
    came from.
    """
    names = tuple(exports)
    target = target or host_target()
    store = object_cache()
    key = key_of(text, names, opt, _environment(target))
    image, outcome = store.load(key)
    if image is not None:
        try:
            library = load_object(image, names, symbols=symbols)
        except CodegenError as error:
            outcome = store.reject(key, error.message)
        else:
            library.outcome = outcome
            return library
    image = emit_object(text, opt, target=target)
    library = load_object(image, names, symbols=symbols)
    library.outcome = replace(outcome, not_stored=store.store(key, image))
    return library


@cache
def _environment(target: Target) -> tuple[str, ...]:
    """What object code depends on besides its text."""
    return target.triple, target.cpu, target.features, llvmlite.__version__, llvm_version()


def emit_object(text: str, opt: int = 2, *, target: Target | None = None) -> bytes:
    """The object file of IR text, for linking and for the disk cache.

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
    with _lock:
        addresses, number = link(builder, names)
    library = Library(addresses)
    unload_with(library, number)
    return library


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
def _initialise() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


@cache
def _target_machine(target: Target, opt: int) -> llvm.TargetMachine:
    with _lock:
        _initialise()
        try:
            found = llvm.Target.from_triple(target.triple)
        except RuntimeError as error:
            raise CodegenError(f"jit: no code generator for {target.triple}: {error}") from error
        return found.create_target_machine(
            cpu=target.cpu, features=target.features, opt=opt, reloc="pic", codemodel="small"
        )
