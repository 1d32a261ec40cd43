"""Layers as plain data: what a layer's `config` holds, and a layer made of it.

Invariant: what `plain` gives is numbers, strings, lists and dicts, from which a constructor makes the same argument;
and `layer_from` makes nothing but the layers of the library.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

import graphc as gc
from graphc.nn.choosing import choose, user_line
from graphc.nn.initializers import Initializer

if TYPE_CHECKING:
    from graphc.nn.layer import Layer

#: The layers of the library, by the name of the class: what `layer_from` makes. Each enters when it is defined.
CLASSES: dict[str, type[Layer]] = {}


def layer_from(spec: Layer | Mapping[str, Any]) -> Layer:
    """The layer that is described as {"layer": class, "config": arguments}; a layer is itself.

    Raises:
        ArgumentError: no layer of the library has that name, or it has no such argument.

    >>> import graphc as gc
    >>> gc.nn.layer_from({"layer": "Dense", "config": {"units": 3, "name": "d"}})
    <Dense 'd'>
    """
    if isinstance(spec, Mapping) and set(spec) == {"layer", "config"}:
        return choose("layer", CLASSES, spec["layer"]).from_config(spec["config"])
    if isinstance(spec, Mapping) or not hasattr(spec, "from_config"):
        raise gc.ArgumentError(f"{spec!r} is no layer", location=user_line())
    return spec


def plain(value: Any) -> Any:
    """A constructor's argument as plain data; functions are named, which only those of the library come back from.

    >>> import graphc as gc
    >>> plain([gc.relu, (1, np.float32(0.5)), gc.nn.initializers.Ones()])
    ['relu', [1, 0.5], {'name': 'ones', 'seed': None}]
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, Initializer):
        return value.config()
    if hasattr(value, "from_config"):
        return {"layer": type(value).__name__, "config": value.config()}
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    raise gc.ArgumentError(f"{value!r} is not plain data", location=user_line())


def constructor_arguments(cls: type) -> list[str]:
    """Their names, the class's own first, then those that `**options` passes on to the class above.

    >>> import graphc as gc
    >>> constructor_arguments(gc.nn.Activation)
    ['activation', 'name', 'dtype', 'seed', 'trainable']
    """
    names: dict[str, None] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base) or base is object:
            continue
        parameters = list(inspect.signature(base.__init__).parameters.values())[1:]  # type: ignore[misc]
        kinds = {p.kind for p in parameters}
        names.update(dict.fromkeys(p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)))
        if inspect.Parameter.VAR_KEYWORD not in kinds:
            break
    return list(names)
