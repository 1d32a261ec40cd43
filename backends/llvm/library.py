"""Kernels as machine code: each distinct kernel text is compiled once per process, several to a module.

A kernel's symbol is the hash of its text, so equal kernels of one graph, or of two, are one function.

Invariant: code stays in memory as long as a `Linked` that uses it is alive, and no longer.
"""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from graphc.backends.llvm.emitter import Builder, Module
from graphc.backends.llvm.jit import Library, compile_module
from graphc.backends.llvm.kernel import Kernel

#: More kernels to a module save little per kernel; fewer leave more to compile in parallel.
KERNELS_PER_MODULE = 16

_lock = threading.Lock()
_compiled: weakref.WeakValueDictionary[str, Library] = weakref.WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class Linked:
    """The addresses of kernels by symbol, the libraries that hold them, and their text."""

    addresses: dict[str, int]
    libraries: tuple[Library, ...]
    text: str


def symbol_of(function: Builder) -> str:
    """The symbol of a kernel: `kernel_` and the hash of its text."""
    return f"kernel_{hashlib.sha256(function.text('0').encode()).hexdigest()[:20]}"


def link_kernels(kernels: Iterable[Kernel]) -> Linked:
    """Compile what is not compiled yet, and give the addresses of all."""
    by_symbol = {symbol_of(k.function): k for k in kernels}
    texts: list[str] = []
    libraries: dict[str, Library] = {}
    with _lock:
        missing = []
        for symbol in by_symbol:
            library = _compiled.get(symbol)
            if library is None:
                missing.append(symbol)
            else:
                libraries[symbol] = library
    for start in range(0, len(missing), KERNELS_PER_MODULE):
        chosen = missing[start : start + KERNELS_PER_MODULE]
        text = module_text([(s, by_symbol[s]) for s in chosen])
        library = compile_module(text, chosen)
        for symbol in chosen:
            libraries[symbol] = library
        with _lock:
            for symbol in chosen:
                _compiled[symbol] = library
    for symbol, kernel in by_symbol.items():
        texts.append(kernel.function.text(symbol))
    addresses = {symbol: library.address(symbol) for symbol, library in libraries.items()}
    unique = tuple(dict.fromkeys(libraries.values()))
    return Linked(addresses, unique, module_text(list(by_symbol.items())))


def module_text(kernels: Sequence[tuple[str, Kernel]]) -> str:
    """The IR of a module of kernels under these symbols, with the helpers that they call."""
    module = Module()
    for symbol, kernel in kernels:
        for helper in kernel.helpers:
            if helper.name not in module.functions:
                module.add(helper)
        kernel.function.name = symbol
        module.add(kernel.function)
    return module.text()
