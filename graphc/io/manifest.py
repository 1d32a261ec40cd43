"""The manifest: what a saved thing consists of, with the length and SHA-256 of each file and of itself.

Invariant: a manifest that was read names only plain files beside it: no path leads out of the folder.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import graphc as gc
from graphc.io import strict_json

NAME = "manifest.json"
VERSION = 1
_FILE_LIMIT = 1000  # files of one saved thing
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
_KEYS = {"format", "version", "graphc", "files", "content", "checksum"}


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file: the name that it is stored under, its length in bytes, and its SHA-256 in hexadecimal."""

    stored_as: str
    length: int
    sha256: str


def entry_of(name: str, data: bytes) -> FileEntry:
    """The entry of a file that is yet to be written."""
    return FileEntry(name, len(data), hashlib.sha256(data).hexdigest())


def manifest_bytes(format: str, files: Mapping[str, FileEntry], content: Mapping[str, Any]) -> bytes:
    """The manifest of a thing of some format: its files by what they are, and what else belongs to it."""
    manifest = {
        "format": format,
        "version": VERSION,
        "graphc": _version(),
        "files": {
            name: {"stored_as": entry.stored_as, "length": entry.length, "sha256": entry.sha256}
            for name, entry in files.items()
        },
        "content": dict(content),
    }
    return strict_json.encode({**manifest, "checksum": _checksum(manifest)})


def read_manifest(data: bytes, format: str, what: str) -> tuple[dict[str, FileEntry], dict[str, Any]]:
    """The files and the content of a manifest.

    Raises:
        ModelFileError: it is no manifest, one of another format or version, or was changed.
    """
    manifest = strict_json.decode(data, f"{what}: {NAME}")
    if not isinstance(manifest, dict) or not isinstance(manifest.get("format"), str):
        raise gc.ModelFileError(f"{what}: {NAME} is no manifest")
    if manifest["format"] != format:
        raise gc.ModelFileError(f"{what}: this is a {manifest['format'][:40]!r}, not a {format!r}")
    if manifest.get("version") != VERSION:
        raise gc.ModelFileError(
            f"{what}: version {str(manifest.get('version'))[:40]} of the format, written by graphc "
            f"{str(manifest.get('graphc'))[:40]}; this graphc ({_version()}) reads version {VERSION}"
        )
    if set(manifest) != _KEYS:
        raise gc.ModelFileError(f"{what}: {NAME} has the keys {sorted(manifest)[:10]}, not {sorted(_KEYS)}")
    if manifest.pop("checksum") != _checksum(manifest):
        raise gc.ModelFileError(f"{what}: {NAME} was changed or damaged: its checksum is another")
    files, content = manifest["files"], manifest["content"]
    if not isinstance(files, dict) or len(files) > _FILE_LIMIT or not isinstance(content, dict):
        raise gc.ModelFileError(f"{what}: {NAME} lists no files, or more than {_FILE_LIMIT}")
    entries = {name: _entry(name, raw, what) for name, raw in files.items()}
    if len({entry.stored_as for entry in entries.values()} | {NAME}) <= len(entries):
        raise gc.ModelFileError(f"{what}: two files of {NAME} are stored under one name")
    return entries, content


def is_file_name(name: Any) -> bool:
    """Whether `name` is a plain file's name: no separators, no parent folder, nothing hidden.

    >>> is_file_name("weights.safetensors"), is_file_name("../weights"), is_file_name("a/b"), is_file_name(".x")
    (True, False, False, False)
    """
    return isinstance(name, str) and _FILE_NAME.fullmatch(name) is not None


def _entry(name: str, raw: Any, what: str) -> FileEntry:
    well_formed = (
        is_file_name(name)
        and isinstance(raw, dict)
        and set(raw) == {"stored_as", "length", "sha256"}
        and is_file_name(raw["stored_as"])
        and type(raw["length"]) is int
        and 0 <= raw["length"] < 2**63
        and isinstance(raw["sha256"], str)
    )
    if not well_formed:
        raise gc.ModelFileError(f"{what}: {NAME} describes the file {name[:80]!r} in a way that makes no sense")
    return FileEntry(raw["stored_as"], raw["length"], raw["sha256"])


def _checksum(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(strict_json.canonical(manifest)).hexdigest()


def _version() -> str:
    try:
        return metadata.version("graphc-compiler")
    except metadata.PackageNotFoundError:
        return "unknown"
