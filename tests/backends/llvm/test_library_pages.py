"""LLVM's library: what is given back are pages as they are in the file, and code generation goes on as before."""

import ctypes
import re
import sys
import threading
from pathlib import Path

import pytest

from graphc.backends.llvm import codegen, library_pages

pytestmark = pytest.mark.skipif(sys.platform != "linux" or sys.maxsize < 1 << 32, reason="done there only")

TEXT = "define float @f(float %x) {\n  %y = fmul float %x, %x\n  ret float %y\n}\n"


def mapped():
    """Of each part of the library in memory: first address, end, rights, and its KiB in memory and of its own."""
    found = []
    for entry in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text()):
        head, *lines = entry.splitlines()
        if head.endswith("/libllvmlite.so"):
            first, end = (int(word, 16) for word in head.split()[0].split("-"))
            numbers = {line.partition(":")[0]: line.split()[1] for line in lines}
            found.append((first, end, head.split()[1], int(numbers["Rss"]), int(numbers["Anonymous"])))
    return found


def test_pages_are_given_back_and_come_again():
    code = codegen.emit_object(TEXT)
    before = sum(resident for *_, resident, _ in mapped())
    library_pages.give_back()
    after = sum(resident for *_, resident, _ in mapped())
    assert after < 6_000 < before
    assert codegen.emit_object(TEXT) == code


def test_only_what_nobody_writes_is_given_back():
    codegen.emit_object(TEXT)
    stretches = library_pages._stretches()
    assert len(stretches) >= 2
    for first, size in stretches:
        inside = [(rights, own) for a, b, rights, _, own in mapped() if a < first + size and first < b]
        assert inside and all("w" not in rights and own == 0 for rights, own in inside)


def test_code_is_generated_meanwhile():
    code = codegen.emit_object(TEXT)
    found = []

    def work():
        found.extend(codegen.emit_object(TEXT) for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        library_pages.give_back()
    assert found == [code] * 40


def test_what_is_no_such_file_has_no_such_pages():
    memory = ctypes.create_string_buffer(b"\x7fFLE", 4096)
    assert library_pages.segments_never_written(ctypes.addressof(memory)) == []


def test_a_processor_that_is_not_this_one_is_known():
    target = codegen.Target.of("wasm32-unknown-unknown", "generic")
    assert codegen.emit_object(TEXT, target=target)[:4] == b"\0asm"
