"""Object code in memory, put there without LLVM's linker: every kind of address, and the end of the pages."""

import ctypes
import gc
import sys
from pathlib import Path

import numpy as np
import pytest

from graphc.backends.llvm import mapping
from graphc.backends.llvm.codegen import emit_object
from graphc.backends.llvm.elf import ObjectFile
from graphc.backends.llvm.engines import link
from graphc.backends.llvm.loader import Library, load_object
from graphc.errors import CodegenError

MAPPED = mapping.can_map(ObjectFile(emit_object("define void @f() {\n  ret void\n}\n")))
pytestmark = pytest.mark.skipif(not MAPPED, reason="this platform's code is linked by LLVM")

#: Constants of several alignments, a table that the code writes to, a table of addresses, a switch, calls.
TEXT = """
@numbers = private constant [4 x double] [double 1.5, double 2.5, double 3.5, double 4.5], align 32
@words = private constant [2 x i16] [i16 7, i16 9], align 2
@count = internal global i64 40, align 8
@zeros = internal global [1000 x i64] zeroinitializer, align 64
@functions = internal global [2 x ptr] [ptr @twice, ptr @thrice], align 8
@outside = external global i64
declare double @exp(double)
declare i64 @callback(i64)

define internal i64 @twice(i64 %x) {
  %y = mul i64 %x, 2
  ret i64 %y
}
define internal i64 @thrice(i64 %x) {
  %y = mul i64 %x, 3
  ret i64 %y
}
define double @constants(i64 %n) {
  %p = getelementptr double, ptr @numbers, i64 %n
  %a = load double, ptr %p
  %q = getelementptr i16, ptr @words, i64 1
  %w = load i16, ptr %q
  %f = uitofp i16 %w to double
  %r = fadd double %a, %f
  ret double %r
}
define i64 @counts(i64 %n) {
  %old = load i64, ptr @count
  %new = add i64 %old, %n
  store i64 %new, ptr @count
  %p = getelementptr i64, ptr @zeros, i64 999
  %z = load i64, ptr %p
  %r = add i64 %new, %z
  store i64 %n, ptr %p
  ret i64 %r
}
define i64 @indirect(i64 %which, i64 %x) {
  %p = getelementptr ptr, ptr @functions, i64 %which
  %f = load ptr, ptr %p
  %r = call i64 %f(i64 %x)
  ret i64 %r
}
define double @calls(double %x) {
  %r = call double @exp(double %x)
  ret double %r
}
define i64 @data(i64 %x) {
  %v = load i64, ptr @outside
  %y = call i64 @callback(i64 %v)
  %r = add i64 %y, %x
  ret i64 %r
}
define i64 @switches(i64 %x) {
  switch i64 %x, label %other [i64 0, label %a
    i64 1, label %b
    i64 2, label %c
    i64 3, label %d
    i64 4, label %e
    i64 5, label %f]
a: ret i64 10
b: ret i64 13
c: ret i64 8
d: ret i64 77
e: ret i64 -4
f: ret i64 6
other: ret i64 1000
}
"""
EXPORTS = ("constants", "counts", "indirect", "calls", "data", "switches")
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(lambda x: x + 1)
VALUE = ctypes.c_int64(700)


def symbols():
    return {
        "outside": ctypes.addressof(VALUE),
        "callback": ctypes.cast(CALLBACK, ctypes.c_void_p).value,
        "exp": ctypes.cast(ctypes.CDLL(None).exp, ctypes.c_void_p).value,
    }


def results(addresses):
    def call(name, result, *arguments):
        kinds = [ctypes.c_double if isinstance(a, float) else ctypes.c_int64 for a in arguments]
        return ctypes.CFUNCTYPE(result, *kinds)(addresses[name])(*arguments)

    i, d = ctypes.c_int64, ctypes.c_double
    found = [call("constants", d, n) for n in range(4)]
    found += [call("counts", i, 2), call("counts", i, 3), call("counts", i, 0)]
    found += [call("indirect", i, n, 5) for n in range(2)]
    found += [call("calls", d, 1.0), call("data", i, 5)]
    return found + [call("switches", i, n) for n in range(-1, 7)]


@pytest.mark.parametrize("opt", [0, 2])
def test_every_kind_of_address_as_by_llvms_linker(opt):
    image = emit_object(TEXT, opt)
    owners = Library(), Library()
    mapped = results(mapping.map_object(ObjectFile(image), EXPORTS, symbols(), owners[0]))
    assert mapped == results(link(image, EXPORTS, symbols(), owners[1]))
    assert mapped[:4] == [10.5, 11.5, 12.5, 13.5] and mapped[4:7] == [42, 47, 48]
    assert mapped[7:] == [10, 15, np.exp(1.0), 706, 1000, 10, 13, 8, 77, -4, 6, 1000]


def test_the_object_has_the_relocations_that_are_known():
    file = ObjectFile(emit_object(TEXT))
    kinds = {int(kind) for section in file.sections.values() for kind in section.relocations["type"]}
    assert {1, 2, 4} <= kinds and kinds & {9, 41, 42}
    assert file.undefined.keys() == {"outside", "callback", "exp"}


def maps():
    return Path("/proc/self/maps").read_text().splitlines()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_no_page_is_writable_and_executable_and_pages_go_with_their_owner():
    def pages(address):
        for line in maps():
            begin, _, end = line.split()[0].partition("-")
            if int(begin, 16) <= address < int(end, 16):
                return line.split()[1]
        return None

    library = load_object(emit_object(TEXT), EXPORTS, symbols=symbols())
    address = library.address("counts")
    assert pages(address) == "r-xp"
    assert not [line for line in maps() if "wx" in line.split()[1] and "graphc" in line]
    del library
    gc.collect()
    assert pages(address) != "r-xp"


def test_a_missing_address_is_named():
    with pytest.raises(CodegenError, match="no address for outside"):
        lacking = {k: v for k, v in symbols().items() if k != "outside"}
        mapping.map_object(ObjectFile(emit_object(TEXT)), EXPORTS, lacking, Library())


def test_an_unknown_relocation_is_refused(monkeypatch):
    monkeypatch.setattr(mapping, "_TABLE_32", ())
    with pytest.raises(CodegenError, match="unknown relocation type"):
        mapping.map_object(ObjectFile(emit_object(TEXT)), EXPORTS, symbols(), Library())


def test_damaged_files_are_refused():
    """Flips in the tables of a file give an error or a library, never a crash while it is put in place."""
    image = emit_object(TEXT)
    rng = np.random.default_rng(0)
    header_table = int.from_bytes(image[0x28:0x30], "little")
    refused = 0
    for _ in range(300):
        damaged = bytearray(image)
        for place in rng.integers(header_table, len(image), 3):
            damaged[place] ^= 1 << rng.integers(8)
        try:
            mapping.map_object(ObjectFile(bytes(damaged)), EXPORTS, symbols(), Library())
        except (CodegenError, MemoryError):
            refused += 1
    assert refused > 100


def test_a_planted_bug_is_caught(monkeypatch):
    """Two addresses of a table in each other's place: nothing crashes, and a result is wrong."""
    write = mapping._write

    def swapped(memory, places, values):
        write(memory, places, values[::-1] if values.dtype == np.int64 else values)

    monkeypatch.setattr(mapping, "_write", swapped)
    with pytest.raises(AssertionError):
        test_every_kind_of_address_as_by_llvms_linker(2)
