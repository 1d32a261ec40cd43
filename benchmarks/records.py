"""What was measured, kept as JSON and rewritten after each row, so that single rows can be measured again.

Invariant: the file is always whole; a row replaces the older row of its name and leaves the others alone.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

SECTIONS = ("machine", "rows", "imports", "first_calls", "odd_sizes", "same_bits")


def default_path() -> Path:
    """Where records are kept unless the command line names another file."""
    return Path(tempfile.gettempdir()) / "graphc-benchmarks.json"


class Records:
    """Sections by name, each a dict; see `SECTIONS`.

    Attributes:
        path: the file.
        data: its contents.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
        self.data: dict[str, dict[str, Any]] = {section: found.get(section, {}) for section in SECTIONS}

    def put(self, section: str, name: str, value: Any) -> None:
        """Store a row in place of the older one."""
        rows = self.data[section]
        rows[name] = value
        self.save()

    def merge(self, section: str, name: str, systems: dict[str, Any], **others: Any) -> None:
        """Store the systems of a row beside those that it has."""
        row = self.data[section].setdefault(name, {"systems": {}})
        row["systems"] |= systems
        row |= others
        self.save()

    def save(self) -> None:
        """Write the file, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        scratch.write_text(json.dumps(self.data, indent=1), "utf-8")
        scratch.replace(self.path)
