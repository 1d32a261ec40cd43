"""The disk cache of object code: what one process has compiled, the next one only loads.

    <folder>/<code>-<environment>.object          see `cache_entry` for what is in such a file

`code` is a hash of the module's text, its exports and the level of optimisation; `environment` one of the
processor, its features and the versions of all that turns text into machine code. The folder is what
`GRAPHC_CACHE` names, else the user's cache folder; `GRAPHC_CACHE=off` turns the cache off.

Whatever is wrong with the cache, code is compiled as if there were none. A `CacheWarning` is given once in a
process for each kind of trouble that somebody should look at; a folder that is merely read-only is no trouble.

Invariant: code is loaded only from files, in a folder, that belong to this user (or to root) and that nobody
else may write; and only if every byte is as it was stored under that very key.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from graphc.backends.llvm.cache_entry import (
    Reason,
    RefusedError,
    complaint_about,
    files_in,
    read_entry,
    remove,
    write_entry,
)
from graphc.errors import CacheWarning
from graphc.ir.location import here

#: Raise it when the same text is compiled to other code than before: other options, another layout of entries.
CODE_VERSION = 1
#: The cache is kept below this many bytes; what was not used for longest goes first.
LIMIT = 1 << 30

_CODE, _ENVIRONMENT = 40, 24  # hexadecimal digits
# Texts, since few processes look for files, and patterns take a while to compile.
_ENTRY = r"[0-9a-f]{40}-[0-9a-f]{24}\.object"
_UNFINISHED = r"[0-9a-f]{40}-[0-9a-f]{24}\.[0-9a-f]+\.part"
#: One write in so many looks whether the cache is too large. Codes are hashes, so their first digits are dice.
_LOOK_AT = "00"
#: Seconds after which an unfinished file has surely been left behind.
_STALE = 3600
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


class Outcome(NamedTuple):
    """What became of one module: why it was loaded or compiled, and what hindered storing it, if anything."""

    key: str
    reason: Reason
    detail: str = ""
    not_stored: str = ""

    def __str__(self) -> str:
        text = self.reason.value + (f" ({self.detail})" if self.detail else "")
        return text + (f"; not stored: {self.not_stored}" if self.not_stored else "")


class Usage(NamedTuple):
    """What is in the cache: entries and their bytes; `problem` says why it is not used, if it is not."""

    folder: Path | None
    entries: int
    size: int
    limit: int
    problem: str = ""


def key_of(text: str, exports: Sequence[str], opt: int, environment: Sequence[str]) -> str:
    """The name of a module's entry.

    Args:
        text: the module's IR.
        exports: the symbols that are taken from it.
        opt: the level of optimisation.
        environment: the processor, its features, and the versions of the libraries.
    """
    code = _digest([text, str(opt), *exports])[:_CODE]
    return f"{code}-{_digest([str(CODE_VERSION), *environment])[:_ENVIRONMENT]}"


def _digest(parts: Sequence[str]) -> str:
    """A hash of the parts, each with its length, so that none can pose as two."""
    found = hashlib.sha256()
    for part in parts:
        data = part.encode()
        found.update(len(data).to_bytes(8, "little"))
        found.update(data)
    return found.hexdigest()


class ObjectCache:
    """Object code in one folder; any number of threads and processes may use it at once.

    Args:
        folder: where; it is made when something is stored. None: the cache is off.
        limit: bytes.
        off: why it is off.
    """

    def __init__(self, folder: Path | None, limit: int = LIMIT, off: str = "") -> None:
        self.folder = folder
        self.limit = limit
        self._off = off
        self._warned: set[str] = set()
        self._lock = threading.Lock()

    def load(self, key: str) -> tuple[bytes | None, Outcome]:
        """The object code under this key, or None; and why."""
        if self.folder is None:
            return None, Outcome(key, Reason.OFF, self._off)
        try:
            with self._opened() as folder:
                return read_entry(folder, key, self.limit), Outcome(key, Reason.HIT)
        except FileNotFoundError:
            return None, Outcome(key, Reason.ABSENT)
        except RefusedError as refusal:
            return None, self._refuse(key, refusal.reason, str(refusal))
        except OSError as error:
            return None, self._refuse(key, Reason.UNREADABLE, _cause(error))

    def reject(self, key: str, why: str) -> Outcome:
        """Say that an entry that was loaded is of no use after all."""
        return self._refuse(key, Reason.DAMAGED, why)

    def store(self, key: str, image: bytes) -> str:
        """Keep object code, in place of what is there under this key; what hindered it, or nothing."""
        if self.folder is None:
            return ""
        try:
            os.makedirs(self.folder, 0o700, exist_ok=True)
            with self._opened() as folder:
                write_entry(folder, key, image)
                if key.startswith(_LOOK_AT):
                    self._evict(folder)
        except RefusedError as refusal:
            return str(refusal)
        except OSError as error:
            if error.errno not in _READ_ONLY:
                self._warn("store", f"cannot keep compiled code in {self.folder}: {_cause(error)}")
            return _cause(error)
        return ""

    def explain(self, outcome: Outcome) -> Outcome:
        """The outcome, with what a look around in the folder adds: why a miss was one."""
        if outcome.reason is not Reason.ABSENT:
            return outcome
        code = outcome.key[: _CODE + 1]
        others = any(name.startswith(code) and not name.startswith(outcome.key) for name in self._names())
        return Outcome(outcome.key, Reason.ELSEWHERE, "", outcome.not_stored) if others else outcome

    def usage(self) -> Usage:
        """What is there."""
        if self.folder is None:
            return Usage(None, 0, 0, self.limit, self._off)
        try:
            with self._opened() as folder:
                files = files_in(folder, _ENTRY)
        except FileNotFoundError:
            return Usage(self.folder, 0, 0, self.limit)
        except (RefusedError, OSError) as error:
            return Usage(self.folder, 0, 0, self.limit, str(error))
        return Usage(self.folder, len(files), sum(size for _, size, _ in files), self.limit)

    def clear(self) -> Usage:
        """Remove all entries and nothing else; what was removed.

        Raises:
            OSError: the folder cannot be changed.
        """
        removed = self.usage()
        if self.folder is not None and not removed.problem:
            with contextlib.suppress(FileNotFoundError), self._opened() as folder:
                for _, _, name in [*files_in(folder, _ENTRY), *files_in(folder, _UNFINISHED)]:
                    remove(folder, name)
        return removed

    def evict(self) -> None:
        """Remove what was not used for longest, until nine tenths of the limit are left."""
        with contextlib.suppress(FileNotFoundError), self._opened() as folder:
            self._evict(folder)

    def _evict(self, folder: int) -> None:
        for changed, _, name in files_in(folder, _UNFINISHED):
            if time.time() - changed > _STALE:
                remove(folder, name)
        files = sorted(files_in(folder, _ENTRY))
        total = sum(size for _, size, _ in files)
        if total <= self.limit:
            return
        for _, size, name in files:
            if total <= self.limit * 0.9:
                return
            remove(folder, name)
            total -= size

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.folder) if self.folder is not None else []
        except OSError:
            return []

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        """The folder as a descriptor: files are opened relative to what was checked, whatever is renamed."""
        assert self.folder is not None
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if complaint := complaint_about(os.fstat(descriptor)):
                detail = f"{self.folder} {complaint}; chmod go-w it, or set GRAPHC_CACHE to a folder of your own"
                raise RefusedError(Reason.UNSAFE_FOLDER, detail)
            yield descriptor
        finally:
            os.close(descriptor)

    def _refuse(self, key: str, reason: Reason, detail: str) -> Outcome:
        what = "is not used" if reason is Reason.UNSAFE_FOLDER else f"has an entry that is compiled anew, {key}"
        self._warn(reason, f"the cache of compiled code in {self.folder} {what}: {detail}")
        return Outcome(key, reason, detail)

    def _warn(self, kind: str, message: str) -> None:
        """Warn at the user's line, once for each kind of trouble."""
        with self._lock:
            if kind in self._warned:
                return
            self._warned.add(kind)
        place = here()
        warnings.warn_explicit(message, CacheWarning, place.file, place.line)


def _cause(error: OSError) -> str:
    return error.strerror or str(error)


def describe_usage(usage: Usage) -> str:
    """One line about what is in the cache.

    >>> describe_usage(Usage(Path("/tmp/cache"), 2, 3_500_000, 1 << 30))
    '/tmp/cache: 2 entries, 3.5 MB of at most 1.1 GB'
    """
    where = "off" if usage.folder is None else str(usage.folder)
    if usage.problem:
        return f"not used: {usage.problem}"
    return f"{where}: {usage.entries} entries, {readable(usage.size)} of at most {readable(usage.limit)}"


def readable(count: int) -> str:
    """A number of bytes for people.

    >>> readable(999), readable(39_600), readable(1 << 30)
    ('999 bytes', '39.6 kB', '1.1 GB')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"


def object_cache() -> ObjectCache:
    """The cache that `GRAPHC_CACHE` asks for now."""
    return _cache_at(os.environ.get("GRAPHC_CACHE", ""))


@cache
def _cache_at(setting: str) -> ObjectCache:
    if setting == "off":
        return ObjectCache(None, off="GRAPHC_CACHE=off")
    if os.open not in os.supports_dir_fd or sys.platform == "win32":
        return ObjectCache(None, off="this system does not tell who may write a folder")
    if setting:
        return ObjectCache(Path(setting).expanduser().absolute())
    import platformdirs  # not loaded where it is not asked

    folder = Path(platformdirs.user_cache_dir("graphc")).expanduser()
    if not folder.is_absolute():
        return ObjectCache(None, off="there is no home folder; set GRAPHC_CACHE")
    return ObjectCache(folder)


__all__ = [
    "CODE_VERSION", "LIMIT", "ObjectCache", "Outcome", "Reason", "Usage", "describe_usage", "key_of",
    "object_cache", "readable",
]  # fmt: skip
