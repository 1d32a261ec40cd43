"""From IR text to callable addresses: by way of LLVM's code generator, or of the disk cache, which spares that.

Invariant: LLVM is imported only when something is compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from graphc.backends.llvm.cache import Outcome, key_of, object_cache
from graphc.backends.llvm.fingerprint import fingerprint
from graphc.backends.llvm.loader import Library, load_object
from graphc.backends.llvm.target import Target, host_target, llvm_version
from graphc.errors import CodegenError


class Code(NamedTuple):
    """What is to be compiled.

    Attributes:
        text: a module.
        exports: the functions that are taken from it.
        opt: the level of optimisation.
        is_kept: whether what is compiled goes to the disk cache.
    """

    text: str
    exports: tuple[str, ...]
    opt: int = 2
    is_kept: bool = True


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
    """`compile_module` for several modules, of which several threads compile what the cache lacks.

    Each may call the functions of those before it.
    """
    target = target or host_target()
    keys = [key_of(code.text, code.exports, code.opt, _environment(target)) for code in codes]
    found = [object_cache().load(key) for key in keys]
    emitted = _compiled([code for code, (image, _) in zip(codes, found) if image is None], target, threads)
    known, libraries = dict(symbols or {}), []
    for code, (image, outcome) in zip(codes, found):
        library, outcome = (None, outcome) if image is None else _linked(image, outcome, code.exports, known)
        if library is None:
            load = _load_and_keep if code.is_kept else _load
            fresh = next(emitted if image is None else _compiled([code], target))
            library = load(outcome, fresh, code.exports, known)
        known |= {name: library.address(name) for name in code.exports}
        libraries.append(library)
    return libraries


def _compiled(codes: Sequence[Code], target: Target, threads: int = 1) -> Iterator[bytes]:
    """The object files of modules, in order."""
    if not codes:
        return iter(())
    from graphc.backends.llvm.codegen import emit_objects  # brings LLVM along

    return iter(emit_objects([(code.text, code.opt) for code in codes], threads, target=target))


def compile_own(
    name: str, exports: tuple[str, ...], text: Callable[[], str], symbols: Mapping[str, int] | None = None
) -> Library:
    """A module of graphc's own, whose text is always the same and made only if the disk cache lacks its code."""
    words = fingerprint()
    if words is None:
        return compile_module(text(), exports, symbols=symbols)
    library, outcome = load_cached(key_of(name, exports, 2, words), exports, symbols)
    if library is not None:
        return library
    from graphc.backends.llvm.codegen import emit_object  # brings LLVM along

    return _load_and_keep(outcome, emit_object(text()), exports, symbols)


def load_cached(
    key: str, exports: Sequence[str], symbols: Mapping[str, int] | None = None
) -> tuple[Library | None, Outcome]:
    """The library under this key of the disk cache, if it is there; and why it is not."""
    image, outcome = object_cache().load(key)
    return (None, outcome) if image is None else _linked(image, outcome, exports, symbols)


def _linked(
    image: bytes, outcome: Outcome, exports: Sequence[str], symbols: Mapping[str, int] | None
) -> tuple[Library | None, Outcome]:
    """The library of an entry of the disk cache; None if it cannot be linked, and why."""
    try:
        library = load_object(image, exports, symbols=symbols)
    except CodegenError as error:
        return None, object_cache().reject(outcome.key, error.message)
    library.outcome = outcome
    return library, outcome


def _load(
    outcome: Outcome, image: bytes, exports: Sequence[str], symbols: Mapping[str, int] | None = None
) -> Library:
    """The library of an object file that is not stored."""
    library = load_object(image, exports, symbols=symbols)
    library.outcome = outcome._replace(not_stored="it is of the first tier")
    return library


def _load_and_keep(
    outcome: Outcome, image: bytes, exports: Sequence[str], symbols: Mapping[str, int] | None = None
) -> Library:
    """The library of an object file, which is stored, once it has proved to link, under the outcome's key."""
    library = load_object(image, exports, symbols=symbols)
    library.outcome = outcome._replace(not_stored=object_cache().store(outcome.key, image))
    return library


@cache
def _environment(target: Target) -> tuple[str, ...]:
    """What object code depends on besides its text."""
    return target.triple, target.cpu, target.features, *llvm_version()


__all__ = ["Code", "compile_module", "compile_modules", "compile_own", "load_cached"]
