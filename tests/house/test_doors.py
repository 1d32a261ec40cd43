"""The doors of `docs/architecture.md`: who may import whom. Each violation is named by its file and line.

Imports under `if TYPE_CHECKING:` are annotations, not dependencies, and do not count.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import networkx as nx
import pytest

CHECKOUT = Path(__file__).parents[2]
PACKAGES = {"graphc": "graphc", "graphc.passes": "passes", "graphc.backends": "backends"}

#: Room -> the rooms that it may import from, besides itself. A module belongs to the longest name that fits.
DOORS = {
    "graphc.errors": set(),
    "graphc.flags": {"graphc.errors"},
    "graphc.arguments": {"graphc.errors", "graphc.ir"},
    "graphc.ir": {"graphc.errors"},
    "graphc.ops": {"graphc.errors", "graphc.ir"},
    "graphc.analysis": {"graphc.errors", "graphc.ir", "graphc.ops"},
    "graphc.passes": {"graphc.errors", "graphc.ir", "graphc.ops", "graphc.analysis"},
    "graphc.backends": {"graphc.errors", "graphc.ir", "graphc.ops", "graphc.analysis"},
    "graphc.backends.numpy": {"graphc.errors", "graphc.ir", "graphc.ops", "graphc.analysis", "graphc.backends"},
    "graphc.backends.llvm": {"graphc.errors", "graphc.ir", "graphc.ops", "graphc.analysis", "graphc.backends"},
    # The library of nets is written on the public names of `graphc` alone.
    "graphc.nn": {"graphc"},
    "graphc.optim": {"graphc"},
    "graphc.data": {"graphc"},
    "graphc.metrics": {"graphc"},
    "graphc.io": {"graphc", "graphc.data"},
    "graphc.training": {"graphc", "graphc.nn", "graphc.optim", "graphc.data", "graphc.metrics", "graphc.io"},
}
#: The drivers and faces; they may import every room, and each other.
DRIVERS = {
    "graphc", "graphc.__main__", "graphc.assembling", "graphc.feed", "graphc.function", "graphc.inspect",
    "graphc.linalg", "graphc.results", "graphc.session", "graphc.strided", "graphc.structure",
}  # fmt: skip
#: `backends/__init__.py` is the one place that names the backends.
EXCEPTIONS = {("graphc.backends", "graphc.backends.numpy"), ("graphc.backends", "graphc.backends.llvm")}

#: Library -> where it may be imported. Everything else has the standard library and NumPy.
LIBRARIES = {
    "llvmlite": ("graphc.backends.llvm",),
    "platformdirs": ("graphc.backends.llvm.cache",),
    "networkx": ("graphc.analysis.nx", "graphc.inspect"),
    "rich": ("graphc.training",),
    "safetensors": ("graphc.io",),
    "tensorboardX": ("graphc.training",),  # an extra, imported on use
    "mpmath": ("graphc.backends.llvm.vector_math.fit",),  # run by hand, to fit coefficients anew
}


class Import(NamedTuple):
    importer: str
    imported: str
    file: Path
    line: int
    at_top: bool

    def __str__(self) -> str:
        return f"{self.file.relative_to(CHECKOUT)}:{self.line}: {self.importer} imports {self.imported}"


def modules() -> dict[str, Path]:
    """Every module of the three packages, by its import name."""
    found = {}
    for package, folder in PACKAGES.items():
        for file in sorted((CHECKOUT / folder).rglob("*.py")):
            parts = file.relative_to(CHECKOUT / folder).with_suffix("").parts
            found[".".join((package, *parts)).removesuffix(".__init__")] = file
    return found


MODULES = modules()


def imports_of(name: str, source: str, file: Path) -> Iterator[Import]:
    """The imports of a module, with what they name resolved to modules where it is one."""
    stack: list[tuple[ast.AST, bool]] = [(ast.parse(source), True)]
    while stack:
        node, at_top = stack.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            stack += [(child, at_top) for child in node.orelse]
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(name, alias.name, file, node.lineno, at_top)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: imports are absolute"
            assert node.module
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield Import(name, inner if inner in MODULES else node.module, file, node.lineno, at_top)
        inside = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        stack += [(child, at_top and not inside) for child in ast.iter_child_nodes(node)]


ALL_IMPORTS = [i for name, file in MODULES.items() for i in imports_of(name, file.read_text("utf-8"), file)]


def room_of(module: str) -> str:
    """The room that a module belongs to; the module itself where no room has it."""
    fitting = [r for r in (*DOORS, *DRIVERS) if r != "graphc" and (module == r or module.startswith(r + "."))]
    return max(fitting, key=len, default=module)


def door_violations(imports: list[Import]) -> list[str]:
    found = []
    for i in imports:
        if i.imported.partition(".")[0] != "graphc":
            continue
        source, target = room_of(i.importer), room_of(i.imported)
        if source == target or source in DRIVERS or (source, target) in EXCEPTIONS:
            continue
        if source not in DOORS:
            found.append(f"{i}, and {source} is no room of docs/architecture.md")
        elif target not in DOORS[source]:
            found.append(f"{i}; {source} may import {', '.join(sorted(DOORS[source])) or 'nothing'}")
    return found


def library_violations(imports: list[Import]) -> list[str]:
    found = []
    for i in imports:
        library = i.imported.partition(".")[0]
        if library in ("graphc", "numpy", "__future__") or library in sys.stdlib_module_names:
            continue
        allowed = LIBRARIES.get(library, ())
        if not any(i.importer == room or i.importer.startswith(room + ".") for room in allowed):
            found.append(f"{i}; allowed in: {', '.join(allowed) or 'nowhere'}")
    return found


def circles(imports: list[Import]) -> list[str]:
    """Each set of modules that import each other at module level, with the lines that do it."""
    graph = nx.DiGraph()
    for i in imports:
        if i.at_top and i.imported in MODULES and i.imported != i.importer:
            graph.add_edge(i.importer, i.imported, site=str(i))
    found = []
    for component in nx.strongly_connected_components(graph):
        if len(component) > 1:
            circle = nx.find_cycle(graph.subgraph(component))
            found.append("; ".join(graph.edges[edge[:2]]["site"] for edge in circle))
    return found


def test_doors_are_kept():
    assert door_violations(ALL_IMPORTS) == []


def test_libraries_stay_in_their_rooms():
    assert library_violations(ALL_IMPORTS) == []


def test_no_import_circle():
    assert circles(ALL_IMPORTS) == []


@pytest.mark.parametrize(
    ("module", "line", "check"),
    [
        ("graphc.ir.graph", "from graphc.ops.reduce import sum", door_violations),
        ("graphc.passes.fuse", "from graphc.backends.base import Backend", door_violations),
        ("graphc.backends.llvm.plan", "from graphc.passes.fuse import fuse", door_violations),
        ("graphc.backends.llvm.plan", "from graphc.backends.numpy.interpreter import Interpreter", door_violations),
        ("graphc.analysis.users", "from graphc import function", door_violations),
        ("graphc.ops.reduce", "import graphc", door_violations),
        ("graphc.new_room", "from graphc.ir import dims", door_violations),
        ("graphc.ops.reduce", "def f():\n    import networkx", library_violations),
        ("graphc.passes.fuse", "import llvmlite.binding", library_violations),
        ("graphc.function", "import scipy", library_violations),
        ("graphc.errors", "from graphc.ir.graph import Graph", circles),
    ],
)
def test_a_planted_import_is_found(module, line, check):
    file = MODULES.get(module, CHECKOUT / "graphc" / "new_room.py")
    planted = list(imports_of(module, line, file))
    existing = [] if check is not circles else ALL_IMPORTS
    assert check([*planted, *existing]) != check(existing)
