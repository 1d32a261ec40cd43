"""`save`: a model on the disk, as data: text IR, safetensors, JSON.

Invariant: what is saved was read back in memory first, so that it loads wherever its ops are defined; and the
path holds the old model or the new one, whatever happens meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import graphc as gc
from graphc import data
from graphc.io import strict_json
from graphc.io.container import as_path, write_file, write_folder
from graphc.io.export import export
from graphc.io.loading import FORMAT, TRANSFORMERS, read_graph, read_transformers
from graphc.io.parts import parts_of
from graphc.io.snapshot import values_of
from graphc.io.state_tree import separate
from graphc.io.tensor_file import tensor_bytes

SINGLE_FILE = ".gcm"


def save(path: Any, thing: Any, *, locations: bool = False) -> None:
    """Save a model: a folder, or one file where the path ends in `.gcm`.

    Args:
        path: where; an older model there is replaced.
        thing: a function (saved as `predict`), a dict of functions by name, a `gc.io.Parts`, or an object whose
            `saved_parts()` gives one, such as a trained `gc.Model`.
        locations: whether to keep the source lines of the program in the texts, for errors to show.

    Raises:
        ArgumentError: it cannot be saved, or the path holds something else.
        OSError: the disk does not take it; an older model is still whole then.

    >>> import graphc as gc
    >>> x = gc.placeholder(("n", 2), "float64", name="x")
    >>> w = gc.variable([1.0, 10.0], name="w")
    >>> gc.save("linear", gc.function([x], x @ w, backend="numpy"))
    >>> model = gc.load("linear", backend="numpy")
    >>> model.predict([[1.0, 2.0]]), model.variables["w"].value
    (array([21.]), array([ 1., 10.]))
    """
    target = as_path("save", path)
    files, content = _files(thing, locations)
    single = target.suffix.lower() == SINGLE_FILE
    if single and target.is_dir():
        raise gc.ArgumentError(f"save: {target} is a folder", hint="a path that ends in .gcm is one file")
    if not single and target.exists() and not target.is_dir():
        raise gc.ArgumentError(f"save: {target} is a file", hint="end the path in .gcm to save one file")
    write = write_file if single else write_folder
    if single:
        target.parent.mkdir(parents=True, exist_ok=True)
    write(target, FORMAT, files, content)


def _files(thing: Any, locations: bool) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The bytes of each file, and what the manifest says of them."""
    parts = parts_of(thing)
    metadata = strict_json.plain("save: metadata", parts.metadata)
    exported = export(parts.functions, parts.variables, locations)
    weights = {**values_of(exported.variables), **exported.constants}
    files: dict[str, bytes] = {}
    for name, text in exported.texts.items():
        files[f"{name}.gir"] = text.encode("utf-8")
    files["weights.safetensors"] = tensor_bytes(weights)
    for kind in TRANSFORMERS:
        files.update(_transformer_files(kind, getattr(parts, kind)))
    content = {
        "functions": exported.structures,
        "constants": sorted(exported.constants),
        "metadata": metadata,
    }
    _read_back(files, content, weights)
    return files, content


def _transformer_files(kind: str, steps: Sequence[Any]) -> dict[str, bytes]:
    """The files of some transformers; none where there are none."""
    if not steps:
        return {}
    arrays: dict[str, np.ndarray] = {}
    described = []
    for place, step in enumerate(steps):
        name, state = data.saved_transformer(step)
        described.append({"type": name, "state": separate(f"save: {name}", state, arrays, f"{place}.{name}")})
    return {f"{kind}.json": strict_json.encode(described), f"{kind}.safetensors": tensor_bytes(arrays)}


def _read_back(files: dict[str, bytes], content: dict[str, Any], weights: dict[str, np.ndarray]) -> None:
    """Check that what is to be written can be read."""
    variables = {name: gc.variable(value) for name, value in weights.items()}
    try:
        for name in content["functions"]:
            read_graph(f"{name}.gir", files[f"{name}.gir"], variables)
        for kind in TRANSFORMERS:
            read_transformers("save", kind, files)
        strict_json.decode(strict_json.encode(content), "its description")
    except gc.ModelFileError as error:
        raise gc.ArgumentError(f"save: what would be saved cannot be read back: {error.message}") from None
