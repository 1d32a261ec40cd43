"""Object files in the ELF format, as LLVM writes them: what they hold, export, and expect from elsewhere.

See the System V ABI, chapter 4 (object files), and its AMD64 supplement (relocation types).

Invariant: what is read lies inside the file; a file that says otherwise is a `CodegenError`.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from graphc.errors import CodegenError

X86_64 = 62
#: Section flags.
WRITE, ALLOCATE = 0x1, 0x2
#: A symbol of this section is defined elsewhere.
UNDEFINED = 0

_SYMBOL_TABLE, _NO_BITS, _RELOCATIONS = 2, 8, 4
_LOCAL = 0  # the binding of a symbol that nobody else sees
#: Linkers make this one up.
_NOT_NEEDED = ("", "_GLOBAL_OFFSET_TABLE_")
_HEADER = np.dtype(
    [("ident", "V16"), ("kind", "<u2"), ("machine", "<u2"), ("version", "<u4"), ("entry", "<u8"), ("phoff", "<u8"),
     ("shoff", "<u8"), ("flags", "<u4"), ("ehsize", "<u2"), ("phentsize", "<u2"), ("phnum", "<u2"),
     ("shentsize", "<u2"), ("shnum", "<u2"), ("shstrndx", "<u2")]
)  # fmt: skip
_SECTION = np.dtype(
    [("name", "<u4"), ("type", "<u4"), ("flags", "<u8"), ("address", "<u8"), ("offset", "<u8"), ("size", "<u8"),
     ("link", "<u4"), ("info", "<u4"), ("alignment", "<u8"), ("entry", "<u8")]
)  # fmt: skip
_SYMBOL = np.dtype(
    [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2"), ("value", "<u8"), ("size", "<u8")]
)
_RELOCATION = np.dtype([("offset", "<u8"), ("type", "<u4"), ("symbol", "<u4"), ("addend", "<i8")])


class Section(NamedTuple):
    """A stretch that is loaded into memory.

    Attributes:
        data: its bytes; None where it begins as zeros.
        size: how many bytes.
        alignment: its address is a multiple of this.
        writable: whether code writes to it.
        relocations: places that depend on addresses: offset, type, symbol and addend of each.
    """

    data: bytes | None
    size: int
    alignment: int
    writable: bool
    relocations: np.ndarray


class ObjectFile:
    """An ELF file for 64 bits, little endian, not linked yet.

    Raises:
        CodegenError: the file is damaged.
    """

    def __init__(self, image: bytes) -> None:
        self._image = image
        try:
            (header,) = np.frombuffer(image, _HEADER, 1)
            self.machine = int(header["machine"])
            self._headers = np.frombuffer(image, _SECTION, int(header["shnum"]), int(header["shoff"]))
            tables = np.flatnonzero(self._headers["type"] == _SYMBOL_TABLE)
            (table,) = self._headers[tables[:1]] if len(tables) else (None,)
            self.symbols = self._records(table, _SYMBOL) if table is not None else np.empty(0, _SYMBOL)
            names = self._bytes(self._headers[table["link"]]) if table is not None else b""
            # Local symbols are found by number; only the others have names that anybody asks for.
            self.named = {_name_at(names, int(self.symbols["name"][n])): int(n) for n in self._global_numbers()}
        except (ValueError, IndexError) as error:
            raise CodegenError(f"jit: damaged object file: {error}") from error

    @cached_property
    def sections(self) -> dict[int, Section]:
        """The sections that are loaded, by number."""
        try:
            loaded = [n for n, s in enumerate(self._headers) if s["flags"] & ALLOCATE and s["size"]]
            changes = {int(s["info"]): self._records(s, _RELOCATION) for s in self._of_type(_RELOCATIONS)}
            return {n: self._section(self._headers[n], changes.get(n, np.empty(0, _RELOCATION))) for n in loaded}
        except (ValueError, IndexError) as error:
            raise CodegenError(f"jit: damaged object file: {error}") from error

    @property
    def undefined(self) -> dict[str, int]:
        """The names that the file leaves open, with the symbols' numbers."""
        sections = self.symbols["section"]
        return {name: n for name, n in self.named.items() if sections[n] == UNDEFINED and name not in _NOT_NEEDED}

    def _global_numbers(self) -> np.ndarray:
        return np.flatnonzero(self.symbols["info"] >> 4 != _LOCAL)

    def _of_type(self, type_: int) -> np.ndarray:
        return self._headers[self._headers["type"] == type_]

    def _section(self, header: np.void, relocations: np.ndarray) -> Section:
        data = None if header["type"] == _NO_BITS else self._bytes(header)
        size = int(header["size"])
        if len(relocations) and int(relocations["offset"].max()) + 4 > size:
            raise ValueError("a relocation lies outside its section")
        return Section(data, size, max(1, int(header["alignment"])), bool(header["flags"] & WRITE), relocations)

    def _bytes(self, header: np.void) -> bytes:
        begin, size = int(header["offset"]), int(header["size"])
        if begin + size > len(self._image):
            raise ValueError("a section lies outside the file")
        return self._image[begin : begin + size]

    def _records(self, header: np.void, kind: np.dtype) -> np.ndarray:
        return np.frombuffer(self._bytes(header), kind)


def _name_at(names: bytes, begin: int) -> str:
    return names[begin : names.index(b"\0", begin)].decode()


def is_elf(image: bytes) -> bool:
    """Whether this is an ELF file for 64 bits, little endian."""
    return image[:6] == b"\x7fELF\x02\x01"
