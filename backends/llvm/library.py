"""From kernels and entries to linked code: each distinct kernel text is compiled once per process, several to a module.

A kernel's symbol is the hash of its text, so equal kernels of one graph, or of two, are one function.

Invariant: a module of kernels uses nothing of a program, and which kernels it holds beyond those that are asked
of it never changes what they do.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from graphc.backends.llvm.emitter import Builder, Module
from graphc.backends.llvm.jit import Code, compile_modules
from graphc.backends.llvm.kernel import Kernel
from graphc.backends.llvm.linked import KERNEL, Linked, kernels_in_memory, remember
from graphc.backends.llvm.loader import Library
from graphc.backends.llvm.threads import thread_count

#: More kernels to a module save little per kernel.
KERNELS_PER_MODULE = 16
#: Graphs with more new kernels than this are compiled without LLVM's optimising code generator, which takes
#: seven times as long for code that runs 1.0 to 1.4 times as fast; but for matrix products, where it counts.
OPTIMISED_KERNELS = 64


def symbol_of(function: Builder) -> str:
    """The symbol of a kernel: `kernel_` and the hash of its text."""
    return f"{KERNEL}{function.digest[:20]}"


def link(
    kernels: Iterable[Kernel],
    entries: Sequence[Builder],
    data: Mapping[str, int] | None = None,
    opt_level: int | None = None,
    is_kept: bool = True,
    threads: int | None = None,
) -> Linked:
    """Compile the entries of a program, and those of its kernels that are not compiled yet.

    Args:
        kernels: what the entries call.
        entries: the functions of this program alone.
        data: the addresses of further symbols that the entries use.
        opt_level: how much LLVM's code generator optimises, 0 to 2; None: as much as pays for this many kernels.
        is_kept: whether what is compiled goes to the disk cache.
        threads: how many may compile; by default as many as run.
    """
    by_symbol = {symbol_of(k.function): k for k in kernels}
    found = kernels_in_memory(by_symbol, opt_level)
    reused = frozenset(found.values())
    missing = [s for s in by_symbol if s not in found]
    many = len(missing) > OPTIMISED_KERNELS
    if many:
        missing.sort(key=lambda symbol: not by_symbol[symbol].is_product)
    threads = threads or thread_count()
    chunks = list(_chunks(missing, 1 if many else threads))
    codes = []
    for chunk in chunks:
        opt = (0 if many and not any(by_symbol[s].is_product for s in chunk) else 2) if opt_level is None else opt_level
        codes.append(Code(module_text([(s, by_symbol[s]) for s in chunk]), tuple(chunk), opt))
    for chunk, library in zip(chunks, compile_modules(codes, threads=threads, is_kept=is_kept)):
        found.update(dict.fromkeys(chunk, library))
    remember(found, opt_level)
    if entries:
        found |= _link_entries(entries, found, data or {}, opt_level, is_kept)
    return Linked.of(found, reused)


def _link_entries(
    entries: Sequence[Builder],
    kernels: Mapping[str, Library],
    data: Mapping[str, int],
    opt_level: int | None,
    is_kept: bool,
) -> dict[str, Library]:
    """Entries only call; beside many kernels they are not worth optimising."""
    names = tuple(e.name for e in entries if not e.is_internal)
    known = {**data, **{s: library.address(s) for s, library in kernels.items()}}
    opt = (2 if len(kernels) <= OPTIMISED_KERNELS else 0) if opt_level is None else opt_level
    (library,) = compile_modules([Code(module_text([], entries), names, opt)], symbols=known, is_kept=is_kept)
    return dict.fromkeys(names, library)


def _chunks(symbols: Sequence[str], least: int) -> Iterator[Sequence[str]]:
    """Kernels by modules: `least` modules if there are as many kernels, so that as many threads compile them."""
    count = max(-(-len(symbols) // KERNELS_PER_MODULE), min(least, len(symbols)))
    bounds = [len(symbols) * n // count for n in range(count + 1)] if count else [0]
    return (symbols[first:last] for first, last in itertools.pairwise(bounds))


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
