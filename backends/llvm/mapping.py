"""Object code put into memory by hand: sections copied, addresses filled in, pages made executable.

What LLVM's linker does too, but without LLVM: a process that finds all its code in the disk cache need not
import it, which takes longer than everything else together. Only what LLVM emits for position-independent code
on x86-64 Linux is known here; `engines` takes the rest.

    code and constants | stubs | table of addresses ||  data that code writes        || begins a page

Calls to the outside go through a stub, `jmp [table entry]`, since the outside may be farther away than a call
reaches.

Invariant: no page is writable and executable at the same time.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
import weakref
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from graphc.backends.llvm.elf import UNDEFINED, X86_64, ObjectFile
from graphc.errors import CodegenError

# Relocation types of the AMD64 supplement. S: symbol, A: addend, P: place, G: table entry of the symbol.
_ABSOLUTE_64 = 1  # S + A
_RELATIVE_32 = 2  # S + A - P
_CALL_32 = 4  # S + A - P, by way of a stub if need be
_TABLE_32 = (9, 41, 42)  # G + A - P
_STUB = 8  # bytes
_REACH = (1 << 31) - 1  # bytes that a relative address spans
_JUMP_INDIRECT = b"\xff\x25"  # jmp [rip + distance]


def can_map(file: ObjectFile) -> bool:
    """Whether `map_object` takes object files like this one here."""
    return sys.platform == "linux" and file.machine == X86_64


def map_object(file: ObjectFile, exports: Sequence[str], symbols: Mapping[str, int], owner: object) -> dict[str, int]:
    """The addresses of the exports of an object file that is now in memory, for as long as `owner` lives.

    Raises:
        CodegenError: the file is damaged, lacks an export or needs a symbol that is not given.
        MemoryError: the system has no more.
    """
    return _Mapping(file, symbols, owner).addresses(exports)


class _Mapping:
    def __init__(self, file: ObjectFile, symbols: Mapping[str, int], owner: object) -> None:
        self.file = file
        self.outside = np.flatnonzero(file.symbols["section"] == UNDEFINED)
        fixed, writable = self._place()
        self.base = _map(self.size, owner)
        memory = np.frombuffer(memoryview((ctypes.c_uint8 * self.size).from_address(self.base)), np.uint8)
        self._fill_table(memory, symbols)
        for number, section in file.sections.items():
            if section.data is not None:
                start = self.offsets[number]
                memory[start : start + section.size] = np.frombuffer(section.data, np.uint8)
            self._relocate(memory, number)
        _protect(self.base, fixed, mmap.PROT_READ | mmap.PROT_EXEC)
        assert fixed + writable == self.size

    def _place(self) -> tuple[int, int]:
        """Give each section, stub and table entry its place; the bytes of both kinds of pages."""
        self.offsets = np.zeros(max(self.file.sections, default=0) + 1, np.int64)
        end = 0
        for kind in (False, True):
            for number, section in self.file.sections.items():
                if section.writable == kind:
                    end = -(-end // section.alignment) * section.alignment
                    self.offsets[number] = min(end, _REACH)
                    end += section.size
            if not kind:
                # Every symbol may have a table entry; those from elsewhere have a stub as well.
                count = len(self.file.symbols)
                self.stubs = -(-end // _STUB) * _STUB
                self.table = self.stubs + _STUB * count
                end = fixed = -(-(self.table + 8 * count) // mmap.PAGESIZE) * mmap.PAGESIZE
        self.size = max(end, mmap.PAGESIZE)
        if self.size > _REACH:
            raise CodegenError(f"jit: {self.size} bytes of code are more than relative addresses reach")
        return fixed, self.size - fixed

    def _fill_table(self, memory: np.ndarray, symbols: Mapping[str, int]) -> None:
        """The symbols' addresses, in `self.values` and in the table; and the stubs."""
        found = self.file.symbols
        inside = (found["section"] != UNDEFINED) & (found["section"] < len(self.offsets))
        self.values = np.zeros(len(found), np.int64)
        starts = self.offsets[found["section"][inside]] + found["value"][inside].astype(np.int64)
        self.values[inside] = self.base + starts
        for name, number in self.file.undefined.items():
            if name not in symbols:
                raise CodegenError(f"jit: no address for {name}")
            self.values[number] = symbols[name]
        count = len(found)
        memory[self.table : self.table + 8 * count] = self.values.view(np.uint8)
        stubs = memory[self.stubs : self.table].reshape(count, _STUB)
        stubs[:, :2] = np.frombuffer(_JUMP_INDIRECT, np.uint8)
        # Stub n ends its instruction at 8n + 6 and reads entry n, 8n into the table: all lie equally far apart.
        distance = np.full(count, self.table - self.stubs - len(_JUMP_INDIRECT) - 4, np.int32)
        stubs[:, 2:6] = distance.view(np.uint8).reshape(count, 4)

    def _relocate(self, memory: np.ndarray, number: int) -> None:
        relocations = self.file.sections[number].relocations
        if not len(relocations):
            return
        kinds, symbols = relocations["type"], relocations["symbol"]
        places = self.offsets[number] + relocations["offset"].astype(np.int64)
        targets = self.values[symbols]
        is_outside = np.isin(symbols, self.outside)
        in_table = np.isin(kinds, _TABLE_32)
        by_stub = (kinds == _CALL_32) & is_outside
        targets = np.where(by_stub, self.base + self.stubs + _STUB * symbols.astype(np.int64), targets)
        targets = np.where(in_table, self.base + self.table + 8 * symbols.astype(np.int64), targets)
        wide = kinds == _ABSOLUTE_64
        known = wide | in_table | (kinds == _CALL_32) | ((kinds == _RELATIVE_32) & ~is_outside)
        if not known.all():
            raise CodegenError(f"jit: unknown relocation type {int(kinds[~known][0])}")
        values = targets + relocations["addend"]
        relative = (values - self.base - places).astype(np.int32)
        _write(memory, places[~wide], relative[~wide])
        _write(memory, places[wide], values[wide])

    def addresses(self, exports: Sequence[str]) -> dict[str, int]:
        """Where the exported functions begin."""
        found = {}
        for name in exports:
            number = self.file.named.get(name)
            if number is None or self.file.symbols["section"][number] == UNDEFINED:
                raise CodegenError(f"jit: linking failed: the object file has no symbol {name}")
            found[name] = int(self.values[number])
        return found


def _write(memory: np.ndarray, places: np.ndarray, values: np.ndarray) -> None:
    """Put these numbers at these places, byte by byte, since places need no alignment."""
    width = values.dtype.itemsize
    memory[places[:, None] + np.arange(width)] = np.ascontiguousarray(values).view(np.uint8).reshape(-1, width)


@cache
def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return libc


def _map(size: int, owner: object) -> int:
    """Fresh pages, which go when `owner` is dead; but not when the process ends, since threads may run them."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    address = _libc().mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
    if address is None or address == ctypes.c_void_p(-1).value:
        raise MemoryError(f"no {size} bytes of memory for machine code")
    weakref.finalize(owner, _libc().munmap, address, size).atexit = False
    return int(address)


def _protect(address: int, size: int, protection: int) -> None:
    if _libc().mprotect(address, size, protection):
        raise CodegenError("jit: this system lets no memory be made executable")
