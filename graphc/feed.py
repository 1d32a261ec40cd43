"""From what a caller passes to checked arrays: order, names, dtypes, shapes, sizes.

Invariant: after `Feeder.arrays` every array has the input's dtype, is aligned and in native byte order, every
symbolic size has one value, and every constraint of the graph holds. Small arrays are C-contiguous; what becomes of
large ones that are not is for `strided` to decide. Caller's arrays are never written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import DTypeError, FeedError, GraphcError, IndexOutOfBoundsError, ShapeError, nearest
from graphc.ir import dims
from graphc.ir.acceptance import accept
from graphc.ir.graph import Graph
from graphc.ir.tensor import Tensor
from graphc.strided import LARGE


class Feeder:
    """Checks and converts the arguments of calls to one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.labels = [t.hint or f"input {i}" for i, t in enumerate(graph.inputs)]
        self._position = {t.hint: i for i, t in enumerate(graph.inputs) if t.hint}
        self._bare = [
            [(axis, name) for axis, size in enumerate(t.shape) if (name := dims.bare_symbol(size)) is not None]
            for t in graph.inputs
        ]

    def arrays(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[np.ndarray]:
        """The arrays in input order.

        Raises:
            FeedError: too many or too few arguments, an unknown or doubled name, or a value that is no array.
            DTypeError: a dtype that would lose values. ShapeError: another rank or extent, or sizes that differ.
        """
        values = self._in_order(args, kwargs)
        arrays = [self._convert(i, value) for i, value in enumerate(values)]
        self._check_sizes(arrays)
        return arrays

    def has_input(self, name: str) -> bool:
        """Whether an input is called so."""
        return name in self._position

    def _in_order(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        inputs = self.graph.inputs
        if not kwargs and len(args) == len(inputs):
            return list(args)
        if len(args) > len(inputs):
            raise FeedError(f"{self.graph.name} takes {len(inputs)} inputs ({self._signature()}), got {len(args)}")
        missing = object()
        values: list[Any] = [*args, *[missing] * (len(inputs) - len(args))]
        for name, value in kwargs.items():
            position = self._position.get(name)
            if position is None:
                known = [n for n in self._position if n]
                raise FeedError(
                    f"{self.graph.name} has no input named {name!r}; its inputs are {self._signature()}",
                    hint=nearest(name, known),
                )
            if values[position] is not missing:
                raise FeedError(f"{self.graph.name}: input {name!r} is given twice")
            values[position] = value
        absent = [self.labels[i] for i, value in enumerate(values) if value is missing]
        if absent:
            raise FeedError(f"{self.graph.name}: no value for {', '.join(absent)}; its inputs are {self._signature()}")
        return values

    def _signature(self) -> str:
        return ", ".join(f"{label}: {t.type!r}" for label, t in zip(self.labels, self.graph.inputs)) or "none"

    def _convert(self, position: int, value: Any) -> np.ndarray:
        tensor = self.graph.inputs[position]
        dtype = tensor.dtype
        if (
            type(value) is np.ndarray
            and value.dtype is dtype
            and value.flags.c_contiguous
            and value.flags.aligned
            and value.ndim == tensor.ndim
        ):
            return value
        label = self.labels[position]
        if isinstance(value, Tensor):
            raise FeedError(f"{label}: a symbolic tensor was fed where an array is needed", location=value.location)
        try:
            array = np.asarray(value)
        except (TypeError, ValueError) as error:
            message = error.message if isinstance(error, GraphcError) else str(error)
            raise FeedError(f"{label}: not an array: {message}", location=tensor.location) from None
        if array.ndim != tensor.ndim:
            raise ShapeError(
                f"{label}: {tensor.type!r} has {tensor.ndim} axes, the array has {array.ndim}: shape {array.shape}",
                location=tensor.location,
            )
        try:
            # Lists go in as they came: their numbers are weak, those of an array are not.
            taken = accept(array if hasattr(value, "dtype") else value, dtype, "safe")
        except DTypeError as error:
            castable = hasattr(value, "dtype") and array.dtype.kind in "biuf"
            hint = f"pass {label}.astype({dtype.name!r})" if castable else None
            raise DTypeError(f"{label}: {tensor.type!r} {error.message}", location=tensor.location, hint=hint) from None
        if taken.nbytes >= LARGE and taken.flags.aligned:
            return taken
        return np.require(taken, requirements=["C", "A"])

    def _check_sizes(self, arrays: Sequence[np.ndarray]) -> None:
        sizes: dict[str, int] = {}
        origin: dict[str, str] = {}
        for tensor, array, label, bare in zip(self.graph.inputs, arrays, self.labels, self._bare):
            for axis, name in bare:
                extent = array.shape[axis]
                known = sizes.setdefault(name, extent)
                origin.setdefault(name, f"axis {axis} of {label}")
                if known != extent:
                    raise ShapeError(
                        f"the size {name!r} is {known} ({origin[name]}) but {extent} (axis {axis} of {label})",
                        location=tensor.location,
                    )
        for tensor, array, label in zip(self.graph.inputs, arrays, self.labels):
            for axis, (size, extent) in enumerate(zip(tensor.shape, array.shape)):
                if extent != (size if isinstance(size, int) else dims.evaluate(size, sizes)):
                    raise ShapeError(
                        f"{label}: {tensor.type!r} needs extent {size} on axis {axis}, "
                        f"the array has shape {array.shape}",
                        location=tensor.location,
                    )
        for constraint in self.graph.constraints:
            left, right = dims.evaluate(constraint.left, sizes), dims.evaluate(constraint.right, sizes)
            if left != right:
                names = dict.fromkeys([*dims.symbols_of(constraint.left), *dims.symbols_of(constraint.right)])
                brought = "; ".join(f"{name} = {sizes[name]} is {origin[name]}" for name in names)
                # What a slice needs is that a position exists, so NumPy users expect an IndexError.
                error = IndexOutOfBoundsError if constraint.reason == "slice" else ShapeError
                raise error(
                    f"{constraint.reason} needs {constraint.left} == {constraint.right}, "
                    f"but {left} != {right}: {brought}",
                    location=constraint.location,
                )
