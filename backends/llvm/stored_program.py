"""Programs in the disk cache: a graph that was compiled before is run without being planned or written again.

An entry is JSON, under a key made of the graph's text, the options and the `fingerprint` of processor and versions:

    {"blueprint": the tables that a call needs, "modules": [[key of its object code, [symbols ...]] ...]}

Until the first call of a stored program not much more is done than to import what such a process needs: in those
modules most records are named tuples, since each dataclass would add a third of a millisecond.

Invariant: whatever is wrong with an entry, the program is built as if there were none.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from graphc.backends.llvm.blueprint import Blueprint
from graphc.backends.llvm.cache import key_of, object_cache
from graphc.backends.llvm.fingerprint import fingerprint
from graphc.backends.llvm.linked import Linked, Stored
from graphc.errors import GraphcError
from graphc.ir.graph import Graph


class StoredProgram(NamedTuple):
    """What is kept of a program: its blueprint, and where its code is, the entries last."""

    blueprint: Blueprint
    modules: Sequence[Stored]


def key_of_program(graph: Graph, *options: object) -> str | None:
    """The key of a program; None where programs cannot be kept."""
    words = fingerprint()
    if words is None or object_cache().folder is None:
        return None
    return key_of(graph.text(locations=False), [str(option) for option in options], 0, words)


def load(key: str | None) -> StoredProgram | None:
    """The program under this key, if it is there and sound."""
    if key is None:
        return None
    store = object_cache()
    data, _ = store.load(key)
    if data is None:
        return None
    try:
        found = json.loads(data)
        modules = [(str(module), tuple(map(str, symbols))) for module, symbols in found["modules"]]
        return StoredProgram(Blueprint.from_text(found["blueprint"]), modules)
    except (ValueError, KeyError, TypeError, GraphcError) as error:
        store.reject(key, f"it is no program: {error}")
        return None


def store(key: str | None, blueprint: Blueprint, linked: Linked) -> None:
    """Keep a program whose code is all in the disk cache."""
    modules = linked.stored
    if key is not None and modules is not None:
        text = json.dumps({"blueprint": blueprint.to_text(), "modules": modules})
        object_cache().store(key, text.encode())


__all__ = ["StoredProgram", "key_of_program", "load", "store"]
