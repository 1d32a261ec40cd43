"""What every backend offers: compile a graph, run it on arrays.

Invariant: arrays handed to an `Executable` have been checked and converted by `graphc.function`: the inputs'
dtypes and shapes, native byte order, C-contiguous (unless only their shapes are read, or they are a base whose
elements are read by a view); and the locks of all variables are held.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from graphc.analysis.layouts import Layout
from graphc.ir.graph import Graph
from graphc.ir.tensor import Tensor


@dataclass(frozen=True, slots=True)
class StepTime:
    """The time of one step of a call.

    Attributes:
        tensor: what it computes.
        kind: "kernel" for machine code, "host" for a step in Python.
        began: seconds after the call began; in a loop, those of the first turn.
        seconds: how long it took, all turns together.
        turns: how often it ran.
    """

    tensor: Tensor
    kind: str
    began: float
    seconds: float
    turns: int = 1


class Executable(Protocol):
    """A compiled graph."""

    @property
    def artifacts(self) -> Mapping[str, str]:
        """Texts for inspection: "plan" always; "llvm", "asm" and "cache" where there is machine code."""
        ...

    def __call__(
        self, arrays: Sequence[np.ndarray], out: Sequence[np.ndarray | None] | None = None
    ) -> list[np.ndarray]:
        """The outputs; variables are updated, all of them or, if an op fails, none.

        Outputs are fresh arrays, or those of `out` where it is given and has one: of the output's dtype and shape,
        C-contiguous, and sharing no memory with anything that the call reads.
        """
        ...

    def native_call(self, fallback: Callable[..., Any]) -> Callable[..., Any] | None:
        """A callable that takes the arguments as the user gives them and runs without Python where it can.

        What it cannot take (keywords, other dtypes, new sizes, failures) it hands to `fallback` unchanged.
        None if this executable has none; `fallback` is then the only way in.
        """
        ...

    def timed(self, arrays: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[StepTime]]:
        """A call with a clock around each step."""
        ...

    def arena_bytes(self, sizes: Mapping[str, int]) -> int:
        """The peak of memory for intermediates in a call with these values of the symbolic sizes."""
        ...


class Backend(Protocol):
    """A way to run graphs."""

    @property
    def name(self) -> str:
        """What `backend=` calls it."""
        ...

    @property
    def native(self) -> frozenset[str]:
        """The ops that it takes as they are; `decompose` expands the others where it can."""
        ...

    @property
    def copies_fast(self) -> bool:
        """Whether a program that only moves elements is faster than NumPy's copy."""
        ...

    def reading(self, graph: Graph, layouts: Mapping[int, Layout]) -> tuple[Graph, tuple[int, ...]] | None:
        """The graph of a program that reads inputs as they lie, with the same bits for results.

        Args:
            graph: an optimised graph.
            layouts: how inputs lie that are not C-contiguous, by their numbers.

        Returns:
            The graph, whose inputs are those of `graph`, of which only the shapes are used where they lie so, then
            the bases of those; and the numbers of those. None if no input can be read as it lies.
        """
        ...

    def compile(self, graph: Graph, container: type | None = list, opt_level: int | None = None) -> Executable:
        """Machine code, or whatever runs, for an optimised graph.

        `container` is what a native call returns: one array (None), or all of them in a list or tuple.
        `opt_level` is how much to optimise machine code, 0 to 2; None leaves it to the backend.
        """
        ...
