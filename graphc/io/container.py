"""A saved thing on the disk: a folder, or one file, which is a zip archive of the same without compression.

Invariant: nothing is read that the manifest does not name; of what is read, length and SHA-256 are those of the
manifest, and lengths are compared with what is on the disk before memory is taken.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import graphc as gc
from graphc.io.atomic import is_temporary, sync_folder, write_atomically
from graphc.io.manifest import NAME, FileEntry, entry_of, manifest_bytes, read_manifest
from graphc.io.strict_json import SIZE_LIMIT

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest date a zip archive knows: the same thing gives the same bytes


def as_path(what: str, path: Any) -> Path:
    """`path` as a `Path`.

    Raises:
        ArgumentError: it is none.
    """
    try:
        found = Path(os.fspath(path))
        os.fsencode(found)
    except (TypeError, ValueError):
        found = Path("\0")
    if "\0" in str(found):
        raise gc.ArgumentError(f"{what}: {path!r} is no path")
    return found


# ---- one file --------------------------------------------------------------------------------------------


def write_file(path: Path, format: str, files: Mapping[str, bytes], content: Mapping[str, Any]) -> None:
    """Write a thing as one file, in place of what was there, or not at all.

    Raises:
        OSError: the disk does not take it; the old file is there then.
    """
    head = manifest_bytes(format, {name: entry_of(name, data) for name, data in files.items()}, content)

    def produce(file: Any) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for name, data in {NAME: head, **files}.items():
                info = zipfile.ZipInfo(name, _EPOCH)
                info.create_system, info.external_attr = 3, 0o644 << 16
                archive.writestr(info, data)

    write_atomically(path, produce)


def read_file(path: Path, format: str) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The files and the content of a thing that is one file.

    Raises:
        ModelFileError: it is none, or damaged.
    """
    try:
        with _open_plain(path) as file, zipfile.ZipFile(file) as archive:
            size = os.fstat(file.fileno()).st_size
            infos = {info.filename: info for info in archive.infolist()}
            if len(infos) < len(archive.infolist()):
                raise gc.ModelFileError(f"{path}: two files in it have one name")
            if sum(info.file_size for info in infos.values()) > size:
                raise gc.ModelFileError(f"{path}: the files in it would be larger than itself")
            for info in infos.values():
                stored = info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size
                if not stored or info.flag_bits & 1:
                    raise gc.ModelFileError(f"{path}: {info.filename[:80]!r} in it is compressed or encrypted")

            def read(name: str, length: int | None) -> bytes:
                info = infos.pop(name, None)
                if info is None or (info.file_size > SIZE_LIMIT if length is None else info.file_size != length):
                    raise gc.ModelFileError(f"{path}: {name!r} in it is missing, or of another length")
                with archive.open(info) as member:
                    return member.read(info.file_size)

            result = _read(path, format, read)
            if infos:
                raise gc.ModelFileError(f"{path}: {min(infos)[:80]!r} in it is not in its manifest")
            return result
    except gc.GraphcError:
        raise
    except FileNotFoundError:
        raise gc.ModelFileError(f"{path}: there is no such file or folder") from None
    except Exception as error:  # zipfile raises a dozen kinds for archives that are damaged
        raise gc.ModelFileError(f"{path}: not a file that graphc saved, or damaged: {str(error)[:200]}") from None


# ---- a folder --------------------------------------------------------------------------------------------


def write_folder(path: Path, format: str, files: Mapping[str, bytes], content: Mapping[str, Any]) -> None:
    """Write a thing as a folder; where one is there already, it stays whole until the new one is.

    The new files go beside the old ones, then the manifest is replaced, then what is no longer named is removed.

    Raises:
        ArgumentError: the folder holds something else.
        OSError: the disk does not take it; the old thing is there then.
    """
    os.makedirs(path, exist_ok=True)
    old = _old_names(path, format)
    entries = {}
    for name, data in files.items():
        entry = entry_of(name, data)
        if name in old:
            stem, dot, suffix = name.partition(".")
            entry = FileEntry(f"{stem}-{entry.sha256[:16]}{dot}{suffix}", entry.length, entry.sha256)
        entries[name] = entry
        write_atomically(path / entry.stored_as, data)
    write_atomically(path / NAME, manifest_bytes(format, entries, content))
    sync_folder(path.parent)
    kept = {entry.stored_as for entry in entries.values()}
    for name in (old - kept) | {name for name in os.listdir(path) if is_temporary(name)}:
        with contextlib.suppress(OSError):
            os.unlink(path / name)


def _old_names(path: Path, format: str) -> set[str]:
    """The files of the thing that the folder holds already."""
    present = os.listdir(path)
    if NAME in present:
        try:
            entries, _ = read_manifest(_read_plain(path / NAME, None), format, str(path))
        except gc.ModelFileError as error:
            raise gc.ArgumentError(
                f"save: the folder holds something that is not replaced: {error.message}",
                hint="remove it, or choose another path",
            ) from None
        return {entry.stored_as for entry in entries.values()}
    own = (".gir", ".safetensors", "preprocessing.json")  # what a first save that did not end leaves
    foreign = [name for name in present if not (is_temporary(name) or name.endswith(own))]
    if foreign:
        raise gc.ArgumentError(f"save: {path} is a folder with other things in it, such as {min(foreign)!r}")
    return set()


def read_folder(path: Path, format: str) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The files and the content of a thing that is a folder.

    Raises:
        ModelFileError: it is none, or damaged.
    """
    try:
        return _read(path, format, lambda name, length: _read_plain(path / name, length))
    except FileNotFoundError as error:
        missing = os.path.basename(str(error.filename))
        raise gc.ModelFileError(f"{path}: no {missing!r} in it: no saved model, or not saved to the end") from None
    except OSError as error:
        raise gc.ModelFileError(f"{path}: {error.strerror or error}") from None


def _read_plain(path: Path, length: int | None) -> bytes:
    """The bytes of a plain file (no link) of exactly `length` bytes, or of at most `SIZE_LIMIT`."""
    with _open_plain(path, follow=False) as file:
        size = os.fstat(file.fileno()).st_size
        if size > SIZE_LIMIT if length is None else size != length:
            wanted = f"at most {SIZE_LIMIT}" if length is None else length
            raise gc.ModelFileError(f"{path}: {size} bytes are there, {wanted} should be")
        return file.read(size)


def read_plain(path: Path) -> bytes:
    """The bytes of one plain file.

    Raises:
        ModelFileError: there is none, or it cannot be read.
    """
    try:
        with _open_plain(path) as file:
            return file.read()
    except OSError as error:
        raise gc.ModelFileError(f"{path}: {error.strerror or error}") from None


def _open_plain(path: Path, follow: bool = True) -> Any:
    """A file opened for reading, checked to be neither folder, pipe nor device, nor a link unless `follow`."""
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    if not follow:
        flags |= getattr(os, "O_NOFOLLOW", 0)
        if path.is_symlink():
            raise gc.ModelFileError(f"{path}: a link; a saved model consists of plain files")
    descriptor = os.open(path, flags)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise gc.ModelFileError(f"{path}: not a plain file")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


# ---- both ------------------------------------------------------------------------------------------------


def _read(path: Path, format: str, read: Callable[[str, int | None], bytes]) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The manifest's files, each checked; `read` gives the bytes of one that has a given length."""
    entries, content = read_manifest(read(NAME, None), format, str(path))
    files = {}
    for name, entry in entries.items():
        data = read(entry.stored_as, entry.length)
        if len(data) != entry.length or hashlib.sha256(data).hexdigest() != entry.sha256:
            raise gc.ModelFileError(f"{path}: {entry.stored_as} was changed or damaged: its SHA-256 is another")
        files[name] = data
    return files, content


__all__ = ["as_path", "read_file", "read_folder", "read_plain", "write_file", "write_folder"]
