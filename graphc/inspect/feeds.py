"""Arrays for a graph on the command line: from files, or random.

Invariant: the same seed and sizes give the same arrays; files are read as data, never unpickled.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphc.errors import FeedError, nearest
from graphc.ir import dims
from graphc.ir.graph import Graph
from graphc.ir.tensor import Tensor, Variable, describe
from graphc.ir.types import TensorType
from graphc.passes.unify import solve


def read_feeds(entries: Sequence[str]) -> dict[str, np.ndarray]:
    """The arrays that `name=file.npy` and `file.npz` name, by name.

    Raises:
        FeedError: an entry is neither, or the file holds no arrays.
    """
    found: dict[str, np.ndarray] = {}
    for entry in entries:
        name, separator, file = entry.partition("=")
        loaded = _load(Path(file if separator else entry))
        if separator and isinstance(loaded, np.ndarray):
            found[name] = loaded
        elif not separator and not isinstance(loaded, np.ndarray):
            found.update(loaded)
        else:
            raise FeedError(f"feed {entry!r}: expected name=file.npy, or file.npz")
    return found


def _load(path: Path) -> np.ndarray | dict[str, np.ndarray]:
    try:
        loaded: Any = np.load(path, allow_pickle=False)
        return loaded if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except OSError as error:
        raise FeedError(f"{path}: {error.strerror or error}") from None
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise FeedError(f"{path}: not an array file of NumPy: {error}") from None


def fill(
    graph: Graph,
    given: Mapping[str, np.ndarray],
    *,
    seed: int | None = None,
    sizes: Mapping[str, int] | None = None,
    fill_variables: bool = False,
) -> list[np.ndarray]:
    """One array per input: those given, and random ones for the rest; given variables are assigned.

    Floats are drawn from the standard normal distribution, integers are 0 or 1, which as indices are in bounds
    of every axis longer than 1.

    Args:
        graph: what to feed.
        given: arrays by the names of inputs and variables; inputs without a name are called `input0`, ...
        seed: for the random ones; without it, every input must be given.
        sizes: values of symbolic sizes.
        fill_variables: whether variables that are not given are random too.

    Raises:
        FeedError: a name or size is unknown, or an input or size has no value.
        ShapeError, DTypeError: a given array does not fit its variable.
    """
    labels = [tensor.hint or f"input{i}" for i, tensor in enumerate(graph.inputs)]
    variables = {v.hint or f"variable{i}": v for i, v in enumerate(graph.variables) if isinstance(v, Variable)}
    for name in given:
        if name not in labels and name not in variables:
            known = [*labels, *variables]
            raise FeedError(
                f"{graph.name} has no input or variable {name!r}; it has {', '.join(known)}",
                hint=nearest(name, known),
            )
    missing = [label for label in labels if label not in given]
    if missing and seed is None:
        raise FeedError(f"no value for {', '.join(missing)}", hint="feed name=file.npy, or pass --random SEED")
    values = _sizes(graph, labels, given, sizes or {})
    rng = np.random.default_rng(seed)
    for name, variable in variables.items():
        if name in given:
            variable.assign(given[name])
        elif fill_variables and seed is not None:
            variable.assign(_random(rng, variable, {}))
    return [
        given[label] if label in given else _random(rng, tensor, values)
        for label, tensor in zip(labels, graph.inputs)
    ]


def _sizes(
    graph: Graph, labels: Sequence[str], given: Mapping[str, np.ndarray], asked: Mapping[str, int]
) -> dict[str, int]:
    """The values of the symbols: asked for, read off the given arrays, or forced by the graph's constraints."""
    plain = {name.partition("'")[0]: name for name in graph.symbols}
    for name in asked:
        if name not in plain:
            known = ", ".join(plain) or "none"
            raise FeedError(f"there is no size {name!r}; sizes are {known}", hint=nearest(name, plain))
    values = {plain[name]: value for name, value in asked.items()}
    for label, tensor in zip(labels, graph.inputs):
        if label in given:
            for size, extent in zip(tensor.shape, given[label].shape):
                symbol = dims.bare_symbol(size)
                if symbol is not None:
                    values.setdefault(symbol, extent)
    for name, size in solve(graph).items():
        if name not in values and all(symbol in values for symbol in dims.symbols_of(size)):
            values[name] = dims.evaluate(size, values)
    return values


def _random(rng: np.random.Generator, tensor: Tensor, sizes: Mapping[str, int]) -> np.ndarray:
    type_: TensorType = tensor.tensor_type
    unknown = {n.partition("'")[0]: None for s in type_.shape for n in dims.symbols_of(s) if n not in sizes}
    if unknown:
        options = " ".join(f"--size {name}=32" for name in unknown)
        raise FeedError(f"{describe(tensor)} is {type_!r}: how large is {', '.join(unknown)}?", hint=f"pass {options}")
    shape = tuple(dims.evaluate(size, sizes) for size in type_.shape)
    if type_.dtype.kind == "f":
        return rng.standard_normal(shape).astype(type_.dtype)
    return rng.integers(0, 2, shape).astype(type_.dtype)


__all__ = ["fill", "read_feeds"]
