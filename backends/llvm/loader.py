"""`Library`: object code in memory, found by name.

Object code names what it needs from elsewhere and holds no address, so it is good for any process.

Invariant: nothing is linked before every symbol that its object code leaves open has an address, from
`symbols` or from the caller, since code would otherwise fail late, or jump to nowhere.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from graphc.backends.llvm.elf import ObjectFile, is_elf
from graphc.backends.llvm.mapping import can_map, map_object
from graphc.backends.llvm.symbols import external_addresses
from graphc.errors import CodegenError

if TYPE_CHECKING:
    from graphc.backends.llvm.cache import Outcome


class Library:
    """Machine code in memory. Addresses are good as long as this object lives."""

    def __init__(self) -> None:
        self._addresses: dict[str, int] = {}
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


def load_object(image: bytes, exports: Iterable[str], *, symbols: Mapping[str, int] | None = None) -> Library:
    """Put an object file into this process.

    Args:
        image: the object file.
        exports: the functions that are taken from it.
        symbols: addresses for names beyond `EXTERNAL_SYMBOLS`.

    Raises:
        CodegenError: the file is damaged, lacks an export, or needs something that is not allowed.
    """
    allowed = {**external_addresses(), **(symbols or {})}
    library = Library()
    if not is_elf(image):  # what such a file leaves open is seen by LLVM's linker only
        library._addresses = _link_by_llvm(image, tuple(exports), allowed, library)
        return library
    file = ObjectFile(image)
    unknown = sorted(file.undefined.keys() - allowed.keys())
    if unknown:
        raise CodegenError(
            f"jit: unknown symbol {', '.join(unknown)}: generated code may only use the names in "
            "EXTERNAL_SYMBOLS, and this platform must have them"
        )
    if can_map(file):
        library._addresses = map_object(file, tuple(exports), allowed, library)
    else:
        wanted = {name: allowed[name] for name in file.undefined}
        library._addresses = _link_by_llvm(image, tuple(exports), wanted, library)
    return library


def _link_by_llvm(
    image: bytes, exports: Sequence[str], symbols: Mapping[str, int], owner: object
) -> dict[str, int]:
    from graphc.backends.llvm.engines import link  # brings LLVM along

    return link(image, exports, symbols, owner)


__all__ = ["Library", "load_object"]
