"""What machine code depends on besides the graph, told without importing LLVM.

The processor by what the kernel says of it; LLVM by the file that holds it; graphc by its own source files. Files
count by name, size and time of change, so that an edited or updated one makes another fingerprint.

Invariant: two processes of equal fingerprints make equal code from equal graphs.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

import graphc.backends.llvm
import graphc.ir

#: What /proc/cpuinfo says of a processor that changes while it runs, or does not matter.
_FLEETING = ("cpu MHz", "bogomips", "processor", "core id", "apicid", "initial apicid", "physical id")


@cache
def fingerprint() -> tuple[str, ...] | None:
    """Words that name this processor and these versions; None where the system does not tell."""
    processor = _processor()
    llvm = importlib.util.find_spec("llvmlite")
    if processor is None or llvm is None or llvm.origin is None:
        return None
    rooms = [Path(graphc.backends.llvm.__path__[0]), *_rooms_of_meaning()]
    files = [word for folder in (*rooms, Path(llvm.origin).parent / "binding") for word in _files(folder)]
    return (processor, sys.version, np.__version__, *files)


def _rooms_of_meaning() -> Iterator[Path]:
    """The folders that say what a graph means: ops and analyses decide what code is written for it."""
    package = Path(graphc.ir.__path__[0]).parent
    return (package / room for room in ("ir", "ops", "analysis"))


def _processor() -> str | None:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return None
    first = text.partition("\n\n")[0]
    lines = [line for line in first.splitlines() if not line.startswith(_FLEETING)]
    return "\n".join([platform.machine(), *lines])


def _files(folder: Path) -> Iterator[str]:
    """Name, size and time of change of each file under a folder that makes code: Python, or a library."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir() and entry.name != "__pycache__":
            yield from _files(Path(entry.path))
        elif entry.name.endswith((".py", ".so")):
            status = entry.stat()
            yield f"{entry.name} {status.st_size} {status.st_mtime_ns}"
