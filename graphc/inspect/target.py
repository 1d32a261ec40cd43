"""What a command line names: a text IR file, or a compiled function in a module.

Invariant: naming a target compiles nothing; code is generated when a command needs to run it.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from graphc import flags
from graphc.backends import backend_named
from graphc.errors import ArgumentError, nearest
from graphc.function import Function
from graphc.ir.graph import Graph
from graphc.ir.parse import parse
from graphc.passes.manager import Trace, optimise


@dataclass(frozen=True)
class Target:
    """A graph to work on.

    Attributes:
        name: for file names and messages.
        graph: as written.
        compiled: the function, where the target is one.
    """

    name: str
    graph: Graph
    compiled: Function | None = None

    def trace(
        self,
        backend: str | None = None,
        skip: Sequence[str] = (),
        passes: Sequence[str] | None = None,
        check: int | None = None,
    ) -> Trace:
        """The graph on its way through the passes; a function's own if nothing else is asked for.

        Args:
            backend: whose native ops to aim for; by default the function's, or that of `GRAPHC_BACKEND`.
            skip: passes to leave out.
            passes: the names of the passes to run, in order, instead of the pipeline.
            check: how much to verify, as `GRAPHC_CHECK`.

        Raises:
            ArgumentError: there is no such backend or pass.
            PassError: a pass fails.
        """
        asked = bool(skip) or passes is not None or check is not None
        if self.compiled is not None and not asked and backend in (None, self.compiled.backend):
            return self.compiled.trace
        settings = flags.read()
        return optimise(
            self.graph,
            native=backend_named(self._backend(backend)).native,
            skip=settings.skip | set(skip),
            check=settings.check if check is None else check,
            passes=passes,
            dump=settings.dump,
        )

    def function(self, backend: str | None = None, skip: Sequence[str] = ()) -> Function:
        """The target as a function that can be called, compiled for `backend`."""
        if self.compiled is not None and not skip and backend in (None, self.compiled.backend):
            return self.compiled
        trace = self.trace(backend, skip)
        return Function(self.graph, list(self.graph.outputs), backend_named(self._backend(backend)), trace)

    @functools.cached_property
    def is_text(self) -> bool:
        """Whether it was read from text, so that its variables have no values of their own."""
        return self.compiled is None

    def _backend(self, asked: str | None) -> str:
        if asked is not None:
            return asked
        return self.compiled.backend if self.compiled is not None else flags.read().backend


def load_target(text: str) -> Target:
    """The target that `text` names: `file.gir`, or `module:function`.

    Raises:
        ArgumentError: it names nothing.
        ParseError: the file is not text IR.
    """
    if text.endswith(".gir") or (":" not in text and Path(text).is_file()):
        return _from_file(Path(text))
    module, separator, name = text.partition(":")
    if not separator or not module or not name:
        raise ArgumentError(
            f"{text!r} is neither a text IR file nor module:function",
            hint="for example step.gir, or model:step for `step` in model.py",
        )
    return _from_module(module, name)


def _from_file(path: Path) -> Target:
    try:
        graph = parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ArgumentError(f"{path}: {reason}") from None
    return Target(path.stem, graph)


def _from_module(module: str, name: str) -> Target:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there; what it imports is not
        raise ArgumentError(f"there is no module {module!r} here or on the path: {error}") from None
    value: object = found
    for part in name.split("."):
        if not hasattr(value, part):
            functions = [n for n, v in vars(found).items() if isinstance(v, Function)]
            known = f"; its functions are {', '.join(functions)}" if functions else ""
            raise ArgumentError(f"{module} has no {name!r}{known}", hint=nearest(name, functions))
        value = getattr(value, part)
    if not isinstance(value, Function):
        raise ArgumentError(f"{module}:{name} is a {type(value).__name__}, not a function made by gc.function")
    return Target(name, value.graph, value)


__all__ = ["Target", "load_target"]
