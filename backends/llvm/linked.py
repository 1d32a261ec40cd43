"""The code of a program in memory: which libraries it lies in, and where each of its functions begins.

Kernels know nothing of a program, so programs share them, by symbols that hash their texts; entries belong to one
program and are linked for each anew.

Invariant: code stays in memory as long as a `Linked` that uses it is alive, and no longer.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from graphc.backends.llvm.cache import ObjectCache, object_cache
from graphc.backends.llvm.jit import load_cached
from graphc.backends.llvm.loader import Library

#: How the symbol of a kernel begins.
KERNEL = "kernel_"

_lock = threading.Lock()
#: Kernels in memory, by symbol and the level of optimisation that was asked for.
_compiled: weakref.WeakValueDictionary[tuple[str, int | None], Library] = weakref.WeakValueDictionary()

#: A module in the disk cache: its key and the symbols that are taken from it.
Stored = tuple[str, tuple[str, ...]]


class Linked(NamedTuple):
    """A program's code.

    Attributes:
        addresses: by symbol.
        libraries: each with the symbols that are taken from it; the last one has the entries.
        reused: those libraries that an earlier program of this process had already.
    """

    addresses: Mapping[str, int]
    libraries: Mapping[Library, tuple[str, ...]]
    reused: frozenset[Library]

    @classmethod
    def of(cls, found: Mapping[str, Library], reused: Iterable[Library]) -> Linked:
        """From symbols to the libraries that have them."""
        libraries: dict[Library, list[str]] = {}
        for symbol, library in found.items():
            libraries.setdefault(library, []).append(symbol)
        addresses = {symbol: library.address(symbol) for symbol, library in found.items()}
        return cls(addresses, {library: tuple(symbols) for library, symbols in libraries.items()}, frozenset(reused))

    @property
    def stored(self) -> list[Stored] | None:
        """Where in the disk cache the code is, the entries last; None if not all of it is there."""
        keys = [
            library.outcome.key if library.outcome is not None and not library.outcome.not_stored else ""
            for library in self.libraries
        ]
        return list(zip(keys, self.libraries.values())) if all(keys) else None

    def describe_cache(self) -> str:
        """Where the code of each module came from: memory, the disk cache, or the compiler, and why."""
        cache = object_cache()
        lines = [f"cache: {cache.folder or 'off'}"]
        for library, symbols in self.libraries.items():
            kernels = sum(symbol.startswith(KERNEL) for symbol in symbols)
            others = len(symbols) - kernels
            lines.append(f"  {kernels} kernels, {others} other functions: {self._origin(library, cache)}")
            if library.outcome is not None:
                lines.append(f"    {library.outcome.key}")
        return "\n".join(lines) + "\n"

    def _origin(self, library: Library, cache: ObjectCache) -> str:
        if library in self.reused:
            return "in memory, from an earlier function of this process"
        return "compiled" if library.outcome is None else str(cache.explain(library.outcome))


def kernels_in_memory(symbols: Iterable[str], opt_level: int | None) -> dict[str, Library]:
    """The libraries that have these kernels already."""
    with _lock:
        return {s: library for s in symbols if (library := _compiled.get((s, opt_level))) is not None}


def remember(found: Mapping[str, Library], opt_level: int | None) -> None:
    """Let later programs use these kernels."""
    with _lock:
        _compiled.update({(s, opt_level): library for s, library in found.items() if s.startswith(KERNEL)})


def link_stored(modules: Sequence[Stored], data: Mapping[str, int], opt_level: int | None) -> Linked | None:
    """The code of a program that the disk cache has whole; None if a module is gone.

    Args:
        modules: as `Linked.stored` gave them.
        data: the addresses of further symbols that the entries use.
        opt_level: the level of optimisation that was asked for.
    """
    found: dict[str, Library] = {}
    reused: set[Library] = set()
    for key, symbols in modules:
        known = kernels_in_memory(symbols, opt_level)
        if len(known) == len(symbols):
            reused.update(known.values())
            found |= known
            continue
        library, _ = load_cached(key, symbols, {**data, **{s: held.address(s) for s, held in found.items()}})
        if library is None:
            return None
        found |= dict.fromkeys(symbols, library)
    remember(found, opt_level)
    return Linked.of(found, reused)
