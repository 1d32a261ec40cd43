"""`load`: a model from the disk, without the code that built it.

Invariant: a model file is data. Whatever its bytes are, what comes of them is a model or a `ModelFileError`: texts
are parsed into ops of the registry, arrays are read where their header fits the bytes, transformers are those of
`gc.data`, and nothing is imported or evaluated by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import graphc as gc
from graphc import data
from graphc.data.joining import joined
from graphc.data.pipeline import undone
from graphc.io import strict_json
from graphc.io.container import as_path, read_file, read_folder
from graphc.io.export import restored
from graphc.io.parts import is_function_name
from graphc.io.state_tree import join
from graphc.io.tensor_file import read_tensors

FORMAT = "graphc model"
TEXT_LIMIT = 256 * 2**20  # bytes of one graph
LINE_LIMIT = 2_000_000  # of one graph: about one for each tensor
#: What transformers are for: attributes of `Parts` and `LoadedModel`, and names of files.
TRANSFORMERS = ("preprocessing", "target_preprocessing")
_TRANSFORMER_FILES = {f"{kind}.{suffix}" for kind in TRANSFORMERS for suffix in ("json", "safetensors")}


@dataclass(frozen=True)
class LoadedModel:
    """A model that was loaded.

    Attributes:
        functions: compiled functions by name.
        variables: the variables that they use, and others that were saved, by name.
        preprocessing: transformers, in the order in which `predict` applies them.
        target_preprocessing: transformers that `predict` undoes in its output.
        metadata: what was saved as such.
    """

    functions: Mapping[str, gc.Function]
    variables: Mapping[str, gc.Variable]
    preprocessing: Sequence[Any]
    target_preprocessing: Sequence[Any]
    metadata: Any

    @property
    def inputs(self) -> dict[str, gc.Tensor]:
        """The inputs of the function `predict` by name; each has a `shape` and a `dtype`.

        Raises:
            ArgumentError: no function was saved under that name.
        """
        tensors = self._predict_function().graph.inputs
        return {tensor.name or f"input_{place}": tensor for place, tensor in enumerate(tensors)}

    def predict(self, *arrays: Any, batch_size: int | None = None) -> Any:
        """The function `predict` of arrays, the first of which goes through the preprocessing.

        Args:
            arrays: one for each input, or a list or dict of them; numbers of a wider dtype than the input's are
                converted.
            batch_size: how many examples to run at a time, where memory is short; by default all.

        Raises:
            ArgumentError: no function was saved under that name, or the batch size is none.
            FeedError, ShapeError, DTypeError: an array does not fit.
        """
        function = self._predict_function()
        fed = self._listed(arrays)
        for step in self.preprocessing if fed else ():
            fed[0] = step.transform(fed[0])
        fed = [_converted(array, tensor) for array, tensor in zip(fed, function.graph.inputs)] + fed[len(self.inputs) :]
        if batch_size is None or not fed:
            found = function(*fed)
        else:
            whole = isinstance(batch_size, (int, np.integer)) and not isinstance(batch_size, bool) and batch_size >= 1
            if not whole:
                raise gc.ArgumentError(f"predict: batch_size must be a whole number >= 1, not {batch_size!r}")
            starts = range(0, max(len(fed[0]), 1), batch_size)
            found = joined([function(*(array[start : start + batch_size] for array in fed)) for start in starts])
        return undone(self.target_preprocessing, found) if self.target_preprocessing else found

    def summary(self) -> str:
        """The functions with the types of their inputs and outputs, the transformers and the number of parameters."""
        lines = [repr(function) for function in self.functions.values()]
        for kind in TRANSFORMERS:
            names = ", ".join(type(step).__name__ for step in getattr(self, kind))
            lines += [f"{kind}: {names}"] if names else []
        count = sum(variable.storage.size for variable in self.variables.values())
        return "\n".join([*lines, f"{count:,} numbers in {len(self.variables)} variables"])

    def _predict_function(self) -> gc.Function:
        if "predict" not in self.functions:
            known = ", ".join(sorted(self.functions)) or "none"
            raise gc.ArgumentError(f"this model has no function 'predict'; its functions are: {known}")
        return self.functions["predict"]

    def _listed(self, arrays: tuple[Any, ...]) -> list[Any]:
        """One value for each input, out of a list or dict of them as well."""
        inputs = self.inputs
        if len(arrays) != 1 or not isinstance(arrays[0], (dict, list, tuple)):
            return list(arrays)
        (given,) = arrays
        if isinstance(given, dict):
            return [gc.arguments.choose("array in x", given, name) for name in inputs]
        return list(given) if len(inputs) > 1 else [given]

    def __repr__(self) -> str:
        return f"<LoadedModel: functions {', '.join(self.functions) or 'none'}; {len(self.variables)} variables>"


def _converted(array: Any, tensor: gc.Tensor) -> Any:
    """An array for an input, in its dtype where that is of the same kind.

    Raises:
        ShapeError: it is one example, where a batch is needed.
    """
    given = np.asarray(array)
    if tensor.ndim and given.ndim == tensor.ndim - 1 and not isinstance(tensor.shape[0], int):
        message = f"predict: {tensor.name} must have shape {tensor.type!r}, this one has shape {given.shape}"
        raise gc.ShapeError(message, location=gc.location.here(), hint="one example x is the batch x[None]")
    if given.dtype != tensor.dtype and np.can_cast(given.dtype, tensor.dtype, "same_kind"):
        return given.astype(tensor.dtype)
    return given if isinstance(array, (list, tuple)) and given.dtype == tensor.dtype else array


def load(path: Any, backend: str | None = None) -> LoadedModel:
    """Load a model that `save` wrote: a folder, or a `.gcm` file.

    Args:
        path: where it is.
        backend: what to compile its functions for: "llvm" (the default) or "numpy".

    Raises:
        ModelFileError: there is no model, or it is damaged, or its graphs use an op that is not defined here: one
            of your own must be made by `gc.define_op` first.
        ArgumentError: there is no such backend.

    >>> import graphc as gc
    >>> x = gc.placeholder(("n",), "float64", name="x")
    >>> gc.save("model.gcm", {"double": gc.function([x], 2.0 * x, backend="numpy")})
    >>> gc.load("model.gcm", backend="numpy").functions["double"]([1.0, 2.0])
    array([2., 4.])
    """
    source = as_path("load", path)
    files, content = (read_folder if source.is_dir() else read_file)(source, FORMAT)
    what = str(source)
    if set(content) != {"functions", "constants", "metadata"} or not _is_described(content):
        raise gc.ModelFileError(f"{what}: its manifest does not describe functions")
    structures, constant_names = content["functions"], content["constants"]
    expected = {f"{name}.gir" for name in structures} | {"weights.safetensors"}
    if files.keys() - _TRANSFORMER_FILES != expected:
        raise gc.ModelFileError(f"{what}: its files are not those of its functions")
    weights = read_tensors(files["weights.safetensors"], f"{what}: weights.safetensors")
    if not set(constant_names) <= weights.keys():
        raise gc.ModelFileError(f"{what}: its weights lack a constant")
    variables = {name: gc.variable(value, name=name) for name, value in weights.items()}
    constants: dict[gc.Tensor, gc.Tensor] = {
        variables[name]: gc.constant(weights[name], name=name) for name in constant_names
    }
    functions = {
        name: _function(f"{what}: {name}.gir", name, files[f"{name}.gir"], structure, variables, constants, backend)
        for name, structure in structures.items()
    }
    kept = {name: variable for name, variable in variables.items() if variable not in constants}
    transformers = {kind: read_transformers(what, kind, files) for kind in TRANSFORMERS}
    return LoadedModel(functions, kept, metadata=content["metadata"], **transformers)


def _is_described(content: Mapping[str, Any]) -> bool:
    structures, constant_names = content["functions"], content["constants"]
    return (
        isinstance(structures, dict)
        and all(map(is_function_name, structures))
        and isinstance(constant_names, list)
        and all(isinstance(name, str) for name in constant_names)
    )


def _function(
    what: str,
    name: str,
    text: bytes,
    structure: Any,
    variables: Mapping[str, gc.Variable],
    constants: Mapping[gc.Tensor, gc.Tensor],
    backend: str | None,
) -> gc.Function:
    """The compiled function of a text."""
    graph = read_graph(what, text, variables)
    if any(variable in constants for variable, _ in graph.updates):
        raise gc.ModelFileError(f"{what}: it updates a constant")
    outputs = restored(structure, graph.outputs, what)
    read = set(graph.variables)
    used = {v: value for v, value in constants.items() if v in read}
    try:
        return gc.function(graph.inputs, outputs, graph.updates, used, backend=backend, name=graph.name)
    except (gc.ArgumentError, MemoryError) as error:
        if isinstance(error, gc.ArgumentError) and backend is not None and backend not in ("llvm", "numpy"):
            raise
        raise gc.ModelFileError(f"{what}: it cannot be compiled: {error}") from None
    except gc.GraphcError as error:
        raise gc.ModelFileError(f"{what}: it cannot be compiled: {error.message}") from None


def read_graph(what: str, text: bytes, variables: Mapping[str, gc.Variable]) -> gc.Graph:
    """The graph of a text on these variables.

    Raises:
        ModelFileError: it is none, or too large.
    """
    if len(text) > TEXT_LIMIT or text.count(b"\n") > LINE_LIMIT:
        raise gc.ModelFileError(f"{what}: larger than {TEXT_LIMIT} bytes or {LINE_LIMIT} lines")
    try:
        return gc.parse(text.decode("utf-8"), variables)
    except UnicodeDecodeError:
        raise gc.ModelFileError(f"{what}: not UTF-8 text") from None
    except gc.ParseError as error:
        raise gc.ModelFileError(f"{what}: {error.message}") from None


def read_transformers(what: str, kind: str, files: Mapping[str, bytes]) -> list[Any]:
    """The transformers of one kind that files hold.

    Raises:
        ModelFileError: they hold something else.
    """
    described, held = f"{kind}.json", f"{kind}.safetensors"
    if described not in files and held not in files:
        return []
    if described not in files or held not in files:
        raise gc.ModelFileError(f"{what}: half of its {kind} is missing")
    steps = strict_json.decode(files[described], f"{what}: {described}")
    arrays = read_tensors(files[held], f"{what}: {held}")
    loaded = []
    for step in steps if isinstance(steps, list) else [None]:
        if not isinstance(step, dict) or set(step) != {"type", "state"} or not isinstance(step["type"], str):
            raise gc.ModelFileError(f"{what}: {described} is no list of transformers")
        state = join(f"{what}: {described}", step["state"], arrays)
        try:
            loaded.append(data.loaded_transformer(step["type"], state))
        except gc.GraphcError as error:
            raise gc.ModelFileError(f"{what}: {described}: {error.message}") from None
    return loaded
