"""Kernels as machine code: each distinct kernel text is compiled once per process, several to a module.

A kernel's symbol is the hash of its text, so equal kernels of one graph, or of two, are one function.

Invariant: code stays in memory as long as a `Linked` that uses it is alive, and no longer.
"""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from graphc.backends.llvm.emitter import Builder, Module
from graphc.backends.llvm.jit import Library, compile_module
from graphc.backends.llvm.kernel import Kernel

#: More kernels to a module save little per kernel.
KERNELS_PER_MODULE = 16
#: Graphs with more new kernels than this are compiled without LLVM's optimising code generator, which takes
#: seven times as long for code that runs 1.0 to 1.4 times as fast; but for matrix products, where it counts.
OPTIMISED_KERNELS = 64

_lock = threading.Lock()
_compiled: weakref.WeakValueDictionary[str, Library] = weakref.WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class Linked:
    """The addresses of kernels and entries by symbol, the libraries that hold them, and all their text."""

    addresses: dict[str, int]
    libraries: tuple[Library, ...]
    text: str


def symbol_of(function: Builder) -> str:
    """The symbol of a kernel: `kernel_` and the hash of its text."""
    return f"kernel_{hashlib.sha256(function.text('0').encode()).hexdigest()[:20]}"


def link(kernels: Iterable[Kernel], entries: Sequence[Builder], data: Mapping[str, int] | None = None) -> Linked:
    """Compile the entries of a program, and those of its kernels that are not compiled yet.

    Args:
        kernels: what the entries call.
        entries: the functions of this program alone.
        data: the addresses of further symbols that the entries use.
    """
    by_symbol = {symbol_of(k.function): k for k in kernels}
    with _lock:
        libraries = {s: library for s in by_symbol if (library := _compiled.get(s)) is not None}
    missing = [s for s in by_symbol if s not in libraries]
    many = len(missing) > OPTIMISED_KERNELS
    # Entries only call: beside a few kernels they save a module, after many they need no optimising either.
    last = missing if not many else []
    for chunk in _chunks([] if not many else missing):
        opt = 2 if any(by_symbol[s].helpers for s in chunk) else 0
        library = compile_module(module_text([(s, by_symbol[s]) for s in chunk]), chunk, opt)
        libraries.update(dict.fromkeys(chunk, library))
    names = [*last, *(e.name for e in entries)]
    known = {**(data or {}), **{s: library.address(s) for s, library in libraries.items()}}
    text = module_text([(s, by_symbol[s]) for s in last], entries)
    library = compile_module(text, names, 0 if many else 2, symbols=known)
    libraries.update(dict.fromkeys(names, library))
    with _lock:
        _compiled.update({s: libraries[s] for s in missing})
    addresses = {symbol: library.address(symbol) for symbol, library in libraries.items()}
    return Linked(addresses, tuple(dict.fromkeys(libraries.values())), module_text(list(by_symbol.items()), entries))


def _chunks(symbols: Sequence[str]) -> Iterator[Sequence[str]]:
    return (symbols[i : i + KERNELS_PER_MODULE] for i in range(0, len(symbols), KERNELS_PER_MODULE))


def module_text(kernels: Sequence[tuple[str, Kernel]], entries: Sequence[Builder] = ()) -> str:
    """The IR of a module of kernels under these symbols, with the helpers that they call, and entries."""
    module = Module()
    for symbol, kernel in kernels:
        for helper in kernel.helpers:
            if helper.name not in module.functions:
                module.add(helper)
        kernel.function.name = symbol
        module.add(kernel.function)
    for entry in entries:
        module.add(entry)
    return module.text()
