"""Writing a file so that a reader finds what was there before, or all of what is new, whatever happens meanwhile.

Invariant: `path` changes by one rename, after the new content is on the disk; a failure before that leaves the old
file untouched and removes the temporary one. Only a process that is killed leaves a temporary file, which its
name gives away.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

_TEMPORARY = re.compile(r"\.(.+)\.\d+-\d+\.tmp")
_counter = itertools.count()


def write_atomically(path: Path, content: bytes | Callable[[Any], object]) -> None:
    """Replace the file at `path`, or make it: temporary file, fsync, rename, fsync of the folder.

    Args:
        path: the file; its folder must exist.
        content: the bytes, or a function that writes them to the binary file that it is given.

    Raises:
        OSError: the disk is full, or fails. `path` holds the old or the new content then.
    """
    path = Path(os.path.realpath(path))  # a link to a file stays a link
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{next(_counter)}.tmp")
    try:
        with _Descriptor(temporary) as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                content(file)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Put a folder's entries on the disk, where the system lets one do so."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_temporary(name: str) -> bool:
    """Whether a file's name is that of a temporary one, left by a process that was killed.

    >>> is_temporary(".weights.safetensors.4711-0.tmp"), is_temporary("weights.safetensors")
    (True, False)
    """
    return _TEMPORARY.fullmatch(name) is not None


class _Descriptor(io.RawIOBase):
    """A new file without buffers in between, so that an error of the disk is raised where it happens."""

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        self._descriptor = os.open(path, flags, 0o666)

    def write(self, data: Any) -> int:
        """All of `data`: the system may take less at a time."""
        view = memoryview(data).cast("B")
        written = 0
        while written < len(view):
            written += os.write(self._descriptor, view[written : written + 2**30])
        return written

    def seek(self, offset: int, whence: int = 0) -> int:
        return os.lseek(self._descriptor, offset, whence)

    def tell(self) -> int:
        return os.lseek(self._descriptor, 0, os.SEEK_CUR)

    def fileno(self) -> int:
        return self._descriptor

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self._descriptor)
