"""From kernels and entries to linked code: each distinct kernel text is compiled once per process, several to a module.

A kernel's symbol is the hash of its text, so equal kernels of one graph, or of two, are one function.

Invariant: a module of kernels uses nothing of a program, and which kernels it holds beyond those that are asked
of it never changes what they do.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

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
    threads: int | None = None,
    first_tier: Collection[str] | None = None,
) -> Linked:
    """Compile the entries of a program, and those of its kernels that are not compiled yet.

    Args:
        kernels: what the entries call.
        entries: the functions of this program alone.
        data: the addresses of further symbols that the entries use.
        opt_level: how much LLVM's code generator optimises, 0 to 2; None: as much as pays for this many kernels.
        threads: how many may compile; by default as many as run.
        first_tier: for code that will soon be replaced, so that it is neither optimised nor kept in the disk cache:
            the symbols of the kernels to which that does not apply.
    """
    by_symbol = {symbol_of(k.function): k for k in kernels}
    threads = threads or thread_count()
    wanted = {opt_level: list(by_symbol)}
    if first_tier is not None:
        final = {*first_tier, *kernels_in_memory(by_symbol, None)}
        wanted = {None: [s for s in by_symbol if s in final], 0: [s for s in by_symbol if s not in final]}
    found: dict[str, Library] = {}
    codes: list[Code] = []
    for level, symbols in wanted.items():
        found |= kernels_in_memory(symbols, level)
        missing = {s: by_symbol[s] for s in symbols if s not in found}
        codes += _codes(missing, level, threads, is_kept=first_tier is None or level is None)
    reused = frozenset(found.values())
    if entries:  # they only call; beside many kernels they are not worth optimising
        level = opt_level if first_tier is None else 0
        opt = (2 if len(by_symbol) <= OPTIMISED_KERNELS else 0) if level is None else level
        names = tuple(e.name for e in entries if not e.is_internal)
        codes.append(Code(module_text([], entries), names, opt, is_kept=first_tier is None))
    known = {**(data or {}), **{s: library.address(s) for s, library in found.items()}}
    for code, library in zip(codes, compile_modules(codes, threads=threads, symbols=known)):
        found.update(dict.fromkeys(code.exports, library))
    for level, symbols in wanted.items():
        remember({symbol: found[symbol] for symbol in symbols}, level)
    return Linked.of(found, reused)


def _codes(kernels: Mapping[str, Kernel], level: int | None, threads: int, is_kept: bool) -> Iterator[Code]:
    """These kernels as modules: at least so many, if there are as many kernels, so that as many threads compile them.

    Where there are very many, and no level is asked for, only products are optimised.
    """
    many = len(kernels) > OPTIMISED_KERNELS
    groups = {2 if level is None else level: kernels}
    if many and level is None:
        groups = {opt: {s: k for s, k in kernels.items() if k.is_product == (opt == 2)} for opt in (2, 0)}
    for opt, group in groups.items():
        for module in _modules(group, 1 if many else threads):
            yield Code(module_text(list(module.items())), tuple(module), opt, is_kept)


def _modules(kernels: Mapping[str, Kernel], least: int) -> Iterator[dict[str, Kernel]]:
    """Kernels by modules of about as much text each, in order, since helpers are shared between neighbours."""
    count = max(-(-len(kernels) // KERNELS_PER_MODULE), min(least, len(kernels)))
    texts = list(_added_texts(kernels.values()))
    middles = [end - text / 2 for end, text in zip(itertools.accumulate(texts), texts)]
    places = [int(middle * count / sum(texts)) for middle in middles]
    for _, module in itertools.groupby(zip(places, kernels.items()), key=lambda pair: pair[0]):
        yield dict(kernel for _, kernel in module)


def _added_texts(kernels: Iterable[Kernel]) -> Iterator[int]:
    """How much text each kernel adds to that of those before it."""
    known: set[str] = set()
    for kernel in kernels:
        added = [h for h in kernel.helpers if h.name not in known]
        known.update(h.name for h in added)
        yield sum(len(f.text()) for f in (kernel.function, *added))


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
