"""One entry of the disk cache as a file: its format, who may write it, and how it is put in place.

    magic | length | SHA-256 of the entry's name and the object code | object code

All paths are names relative to an open folder, so what was checked is what is used, whatever is renamed meanwhile.

Invariant: what `read_entry` gives is what `write_entry` was given under that name; a file that anybody but this
user (or root) could have changed is refused.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import hashlib
import os
import re
import stat
import struct
import time

_HEADER = struct.Struct("<8sQ32s")
_MAGIC = b"graphc\x00\x01"
#: Seconds: how exactly uses are told apart.
_USE_GRAIN = 600
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Reason(enum.StrEnum):
    """Why object code came from the cache, or did not."""

    HIT = "hit"
    ABSENT = "miss: compiled for the first time"
    ELSEWHERE = "miss: compiled before, but for another processor, or by other versions"
    DAMAGED = "miss: the entry was damaged"
    UNSAFE_FILE = "miss: others may write the entry's file"
    UNSAFE_FOLDER = "miss: others may write the folder, so the cache is not used"
    UNREADABLE = "miss: the entry cannot be read"
    OFF = "the cache is off"


class RefusedError(Exception):
    """An entry that must not be loaded."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def read_entry(folder: int, key: str, limit: int) -> bytes:
    """The object code of an entry, whose file then counts as used.

    Raises:
        RefusedError: it is damaged, too large, or others may write it.
        OSError: it is not there, or cannot be read.
    """
    # Not through a link, and without waiting if somebody has put a pipe there.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(f"{key}.object", flags, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise RefusedError(Reason.UNSAFE_FILE, "it is a symbolic link") from None
        raise
    with open(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise RefusedError(Reason.DAMAGED, "it is not a regular file")
        if complaint := complaint_about(status):
            raise RefusedError(Reason.UNSAFE_FILE, f"it {complaint}")
        if status.st_size > limit:
            raise RefusedError(Reason.DAMAGED, "it is larger than the whole cache may be")
        data = file.read()
        image = _checked(key, data)
        if time.time() - status.st_mtime > _USE_GRAIN:
            with contextlib.suppress(OSError):  # a read-only file system
                os.utime(descriptor)
    return image


def _checksum(key: str, image: bytes) -> bytes:
    return hashlib.sha256(key.encode() + image).digest()


def _checked(key: str, data: bytes) -> bytes:
    """The object code inside an entry's bytes."""
    if len(data) < _HEADER.size:
        raise RefusedError(Reason.DAMAGED, f"it has {len(data)} bytes")
    magic, length, checksum = _HEADER.unpack_from(data)
    image = data[_HEADER.size :]
    if magic != _MAGIC:
        raise RefusedError(Reason.DAMAGED, "it does not begin as entries do")
    if length != len(image):
        raise RefusedError(Reason.DAMAGED, f"it holds {len(image)} bytes of code, not {length}")
    if checksum != _checksum(key, image):
        raise RefusedError(Reason.DAMAGED, "its checksum is wrong")
    return image


def complaint_about(status: os.stat_result) -> str:
    """Why this file or folder is not to be trusted, or nothing."""
    if status.st_uid not in (os.geteuid(), 0):
        return f"belongs to user {status.st_uid}"
    if status.st_mode & _OTHERS_WRITE:
        return f"may be written by others (mode {stat.S_IMODE(status.st_mode):o})"
    return ""


def write_entry(folder: int, key: str, image: bytes) -> None:
    """Write an entry so that, whatever happens, the old one, the new one or none is there in full."""
    temporary = f"{key}.{os.urandom(8).hex()}.part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600, dir_fd=folder)
    try:
        try:
            rest = memoryview(_HEADER.pack(_MAGIC, len(image), _checksum(key, image)) + image)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, f"{key}.object", src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        remove(folder, temporary)
        raise


def files_in(folder: int, names: str) -> list[tuple[float, int, str]]:
    """(last use, bytes, name) of the files whose names match this expression."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if re.fullmatch(names, entry.name):
                with contextlib.suppress(FileNotFoundError):  # another process was faster
                    status = entry.stat(follow_symlinks=False)
                    found.append((status.st_mtime, status.st_size, entry.name))
    return found


def remove(folder: int, name: str) -> None:
    """Remove a file, if it is still there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


__all__ = ["Reason", "RefusedError", "complaint_about", "files_in", "read_entry", "remove", "write_entry"]
