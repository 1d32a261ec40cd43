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

from graphc.backends.llvm.cache import ObjectCache, object_cache
from graphc.backends.llvm.emitter import Builder, Module
from graphc.backends.llvm.jit import compile_module
from graphc.backends.llvm.kernel import Kernel
from graphc.backends.llvm.loader import Library

#: More kernels to a module save little per kernel.
KERNELS_PER_MODULE = 16
#: Graphs with more new kernels than this are compiled without LLVM's optimising code generator, which takes
#: seven times as long for code that runs 1.0 to 1.4 times as fast; but for matrix products, where it counts.
OPTIMISED_KERNELS = 64

_KERNEL = "kernel_"

_lock = threading.Lock()
#: By symbol, and the level of optimisation that was asked for.
_compiled: weakref.WeakValueDictionary[tuple[str, int | None], Library] = weakref.WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class Linked:
    """The addresses of kernels and entries by symbol, the libraries that hold them, and all their code.

    Attributes:
        addresses: by symbol.
        libraries: each with the symbols that are taken from it.
        reused: those libraries that an earlier program of this process had already.
    """

    addresses: dict[str, int]
    libraries: dict[Library, list[str]]
    reused: frozenset[Library]
    kernels: tuple[tuple[str, Kernel], ...]
    entries: tuple[Builder, ...]

    @property
    def text(self) -> str:
        """The IR of all kernels and entries as one module."""
        return module_text(self.kernels, self.entries)

    def describe_cache(self) -> str:
        """Where the code of each module came from: memory, the disk cache, or the compiler, and why."""
        cache = object_cache()
        lines = [f"cache: {cache.folder or 'off'}"]
        for library, symbols in self.libraries.items():
            kernels = sum(symbol.startswith(_KERNEL) for symbol in symbols)
            others = len(symbols) - kernels
            lines.append(f"  {kernels} kernels, {others} other functions: {self._origin(library, cache)}")
            if library.outcome is not None:
                lines.append(f"    {library.outcome.key}")
        return "\n".join(lines) + "\n"

    def _origin(self, library: Library, cache: ObjectCache) -> str:
        if library in self.reused:
            return "in memory, from an earlier function of this process"
        return "compiled" if library.outcome is None else str(cache.explain(library.outcome))


def symbol_of(function: Builder) -> str:
    """The symbol of a kernel: `kernel_` and the hash of its text."""
    return f"{_KERNEL}{hashlib.sha256(function.text('0').encode()).hexdigest()[:20]}"


def link(
    kernels: Iterable[Kernel],
    entries: Sequence[Builder],
    data: Mapping[str, int] | None = None,
    opt_level: int | None = None,
) -> Linked:
    """Compile the entries of a program, and those of its kernels that are not compiled yet.

    Args:
        kernels: what the entries call.
        entries: the functions of this program alone.
        data: the addresses of further symbols that the entries use.
        opt_level: how much LLVM's code generator optimises, 0 to 2; None: as much as pays for this many kernels.
    """
    by_symbol = {symbol_of(k.function): k for k in kernels}
    with _lock:
        found = {s: library for s in by_symbol if (library := _compiled.get((s, opt_level))) is not None}
    reused = frozenset(found.values())
    missing = [s for s in by_symbol if s not in found]
    many = len(missing) > OPTIMISED_KERNELS
    # Entries only call: beside a few kernels they save a module, after many they need no optimising either.
    last = missing if not many else []
    for chunk in _chunks([] if not many else missing):
        opt = (2 if any(by_symbol[s].helpers for s in chunk) else 0) if opt_level is None else opt_level
        library = compile_module(module_text([(s, by_symbol[s]) for s in chunk]), chunk, opt)
        found.update(dict.fromkeys(chunk, library))
    names = [*last, *(e.name for e in entries)]
    known = {**(data or {}), **{s: library.address(s) for s, library in found.items()}}
    text = module_text([(s, by_symbol[s]) for s in last], entries)
    opt = (0 if many else 2) if opt_level is None else opt_level
    library = compile_module(text, names, opt, symbols=known)
    found.update(dict.fromkeys(names, library))
    with _lock:
        _compiled.update({(s, opt_level): found[s] for s in missing})
    libraries: dict[Library, list[str]] = {}
    for symbol, library in found.items():
        libraries.setdefault(library, []).append(symbol)
    addresses = {symbol: library.address(symbol) for symbol, library in found.items()}
    return Linked(addresses, libraries, reused, tuple(by_symbol.items()), tuple(entries))


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
