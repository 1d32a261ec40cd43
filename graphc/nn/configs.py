"""Layers as plain data: what a layer's `config` holds, and a layer made of it.

Invariant: what `plain` gives is numbers, strings, lists and dicts, from which a constructor makes the same argument;
and `layer_from` makes nothing but the layers of the library.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

import graphc as gc
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
        return gc.arguments.choose("layer", CLASSES, spec["layer"]).from_config(spec["config"])
    if isinstance(spec, Mapping) or not hasattr(spec, "from_config"):
        raise gc.ArgumentError(f"{spec!r} is no layer", location=gc.location.here())
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
    raise gc.ArgumentError(f"{value!r} is not plain data", location=gc.location.here())
