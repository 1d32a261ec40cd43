"""From IR text to callable addresses: by way of LLVM's code generator, or of the disk cache, which spares that.

Invariant: LLVM is imported only when something is compiled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from graphc.backends.llvm.cache import Outcome, key_of, object_cache
from graphc.backends.llvm.loader import Library, load_object
from graphc.backends.llvm.target import Target, host_target, llvm_version
from graphc.errors import CodegenError


@dataclass(frozen=True, slots=True)
class Code:
    """What is to be compiled: a module's text, the functions that are taken from it, the level of optimisation."""

    text: str
    exports: tuple[str, ...]
    opt: int = 2


def compile_module(
    text: str,
    exports: Sequence[str],
    opt: int = 2,
    *,
    target: Target | None = None,
    symbols: Mapping[str, int] | None = None,
) -> Library:
    """Link IR text, from the disk cache if it has been compiled before.

    ``symbols`` are addresses for names beyond the allowed ones. The library's ``outcome`` says where the code
    came from.
    """
    return compile_modules([Code(text, tuple(exports), opt)], target=target, symbols=symbols)[0]


def compile_modules(
    codes: Sequence[Code],
    *,
    target: Target | None = None,
    symbols: Mapping[str, int] | None = None,
    threads: int = 1,
) -> list[Library]:
    """`compile_module` for several modules, of which several threads compile what the cache lacks."""
    target = target or host_target()
    store = object_cache()
    found: list[Library | None] = []
    outcomes: list[Outcome] = []
    for code in codes:
        key = key_of(code.text, code.exports, code.opt, _environment(target))
        image, outcome = store.load(key)
        library = None
        if image is not None:
            try:
                library = load_object(image, code.exports, symbols=symbols)
            except CodegenError as error:
                outcome = store.reject(key, error.message)
        found.append(library)
        outcomes.append(outcome)
    missing = [n for n, library in enumerate(found) if library is None]
    if missing:
        from graphc.backends.llvm.codegen import emit_objects  # brings LLVM along

        images = emit_objects([(codes[n].text, codes[n].opt) for n in missing], threads, target=target)
        for n, image in zip(missing, images):
            found[n] = load_object(image, codes[n].exports, symbols=symbols)
            outcomes[n] = replace(outcomes[n], not_stored=store.store(outcomes[n].key, image))
    libraries = [library for library in found if library is not None]
    for library, outcome in zip(libraries, outcomes):
        library.outcome = outcome
    return libraries


@cache
def _environment(target: Target) -> tuple[str, ...]:
    """What object code depends on besides its text."""
    return target.triple, target.cpu, target.features, *llvm_version()


__all__ = ["Code", "compile_module", "compile_modules"]
