"""`model.summary()`: the layers of a model as a table.

Invariant: each parameter is counted once, however often its layer is called.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

import graphc as gc

_WIDTH = 100


@dataclass(frozen=True)
class Row:
    """One call of a layer.

    Attributes:
        layer: what was called.
        shapes: those of its results.
        inputs: the names of what it was called on, where that is not just the line before.
    """

    layer: gc.nn.Layer
    shapes: tuple[str, ...]
    inputs: str | None = None

    @classmethod
    def of(cls, layer: gc.nn.Layer, result: gc.Tensor | tuple[gc.Tensor, ...], inputs: str | None = None) -> Row:
        """The row of a call with this result."""
        results = result if isinstance(result, tuple) else (result,)
        return cls(layer, tuple(shape_text(tensor) for tensor in results), inputs)


@dataclass(frozen=True)
class Summary:
    """The table of a model's layers; print it.

    Attributes:
        title: the model's name and kind.
        rows: one for each call of a layer.
        trainable: how many numbers are trained.
        not_trainable: how many are kept but not trained: running moments, frozen parameters.
    """

    title: str
    rows: tuple[Row, ...]
    trainable: int
    not_trainable: int

    @classmethod
    def of(cls, model: gc.nn.Layer, rows: Sequence[Row]) -> Summary:
        """The summary of a model with these rows."""
        trained, kept = counts(model)
        return cls(f"{type(model).__name__} {model.name!r}", tuple(rows), trained, kept)

    def table(self) -> Table:
        """The table for rich."""
        table = Table(title=self.title, title_justify="left", title_style="bold", box=None, pad_edge=False)
        named = any(row.inputs is not None for row in self.rows)
        for heading in ("layer", "type", "output shape"):
            table.add_column(heading, overflow="fold")
        table.add_column("parameters", justify="right")
        if named:
            table.add_column("inputs", overflow="fold")
        seen: set[gc.nn.Layer] = set()
        for row in self.rows:
            count = "shared" if row.layer in seen else f"{sum(counts(row.layer)):,}"
            cells = [row.layer.name, type(row.layer).__name__, " ".join(row.shapes), count]
            table.add_row(*cells, *([row.inputs or ""] if named else []))
            seen.add(row.layer)
        return table

    @property
    def total(self) -> str:
        """The line below the table."""
        total = self.trainable + self.not_trainable
        return f"{total:,} parameters: {self.trainable:,} trained, {self.not_trainable:,} not trained"

    def show(self) -> None:
        """Print the table; in a terminal, by its width and in bold."""
        console = Console(highlight=False)
        if console.is_terminal:
            console.print(self.table())
            console.print(self.total)
        else:
            print(self)

    def __str__(self) -> str:
        text = io.StringIO()
        Console(file=text, width=_WIDTH, color_system=None, highlight=False).print(self.table())
        return "\n".join([*(line.rstrip() for line in text.getvalue().rstrip().split("\n")), self.total])

    def __repr__(self) -> str:
        return f"<Summary of {self.title}: {len(self.rows)} layers, {self.trainable + self.not_trainable:,} parameters>"


def counts(layer: gc.nn.Layer) -> tuple[int, int]:
    """How many numbers of a layer are trained, and how many floats are kept without being trained.

    >>> import graphc as gc
    >>> dense = gc.nn.Dense(2)
    >>> _ = dense(gc.nn.Input((3,))); counts(dense)
    (8, 0)
    """
    trained = sum(v.storage.size for v in layer.parameters.values())
    kept = sum(v.storage.size for v in layer.state.values() if np.issubdtype(v.dtype, np.floating))
    return trained, kept


def shape_text(tensor: gc.Tensor) -> str:
    """A shape with its symbolic sizes by name: (batch, 10)."""
    return f"({', '.join(map(str, tensor.shape))}{',' if tensor.ndim == 1 else ''})"


__all__ = ["Row", "Summary", "counts", "shape_text"]
