"""The symbols that an ELF object file expects from elsewhere.

Invariant: on ELF (Linux and the BSDs) the answer is complete. Other formats give no names, and are left to
the linker's own check.
"""

from __future__ import annotations

import struct

from graphc.errors import CodegenError

_SECTION = struct.Struct("<IIQQQQIIQQ")  # name type flags addr offset size link info align entry
_SYMBOL = struct.Struct("<IBBHQQ")  # name info other section value size
_SYMBOL_TABLE = 2


def undefined_symbols(image: bytes) -> set[str]:
    """The names that this object file leaves open."""
    if image[:5] != b"\x7fELF\x02":
        return set()
    try:
        return _elf_undefined(image)
    except (struct.error, IndexError, ValueError) as error:
        raise CodegenError(f"jit: damaged object file: {error}") from error


def _elf_undefined(image: bytes) -> set[str]:
    (section_offset,) = struct.unpack_from("<Q", image, 0x28)
    entry_size, count = struct.unpack_from("<HH", image, 0x3A)
    sections = [_SECTION.unpack_from(image, section_offset + i * entry_size) for i in range(count)]
    names: set[str] = set()
    for section in sections:
        if section[1] != _SYMBOL_TABLE:
            continue
        strings = sections[section[6]][4]
        for offset in range(section[4] + _SYMBOL.size, section[4] + section[5], _SYMBOL.size):
            name, _, _, defined_in, _, _ = _SYMBOL.unpack_from(image, offset)
            if defined_in == 0 and name:
                begin = strings + name
                names.add(image[begin : image.index(b"\0", begin)].decode())
    return names - {"_GLOBAL_OFFSET_TABLE_"}
